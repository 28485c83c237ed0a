//! Send: values that the client sends of its own accord (LwM2M 1.1 Core §6.4.6), at once or by a schedule.
//!
//! A schedule with a `sample` keeps the values that it takes between two messages, and each message has all of them with
//! their times. What a server has not taken, for want of a registration or of an answer, or as it wants no Send (Mute
//! Send), is kept for the next message; of more than [`MAX_HELD`] values the oldest are lost. While a confirmable message
//! is under way none joins it.

use std::collections::VecDeque;
use std::time::Duration;

use coap::message::option;
use coap::{Code, Reliability, Request};
use service::{Node, Outcome, Report, Target};
use units::SimTime;

use super::{Call, Client, Config, Event, SendId, SendOutcome, SendPlan};
use crate::account;
use crate::format::{self, EncodeError, Format, Record};
use crate::model::Version;
use crate::operations::{self, Requester};
use crate::path::Path;

/// Where servers take what is sent (LwM2M 1.1 Transport, table 6.4.4-1).
const PATH: &str = "/dp";

/// Values that a schedule keeps at most.
pub const MAX_HELD: usize = 1024;

/// The shortest time between two of a schedule.
const SHORTEST: Duration = Duration::from_millis(1);

/// Why nothing was sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The client is not registered with that server, or the scenario has ended.
    #[error("server {0}: not registered with it")]
    NotRegistered(u16),
    /// LwM2M 1.0 has no Send.
    #[error("server {0}: registered by LwM2M 1.0, which has no Send")]
    Version(u16),
    /// Mute Send, `/1/x/23`, is true, or is not there.
    #[error(
        "server {0}: it wants no Send; Mute Send, resource 23 of its Server instance, is not false"
    )]
    Muted(u16),
    /// There is no value of that at which the server may look.
    #[error("server {0}: nothing is there that it may read")]
    Nothing(u16),
    /// A format that has no names and times.
    #[error("{0}: expected SenML JSON or SenML CBOR")]
    Format(Format),
    /// The values have no form in that format.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

/// Values of one instant.
#[derive(Clone, Debug)]
struct Taken {
    at: SimTime,
    records: Vec<Record>,
}

/// A schedule at work.
#[derive(Debug)]
pub(super) struct Sending {
    plan: SendPlan,
    next: Option<SimTime>,
    next_sample: Option<SimTime>,
    held: VecDeque<Taken>,
    /// The message that is not answered, and how many of what is held, from the oldest on, are in it.
    under_way: Option<(SendId, usize)>,
}

impl Sending {
    pub(super) fn all(config: &Config) -> Vec<Sending> {
        let plans = config.sends.iter();
        let sending = plans.map(|plan| Sending {
            plan: plan.clone(),
            next: None,
            next_sample: None,
            held: VecDeque::new(),
            under_way: None,
        });
        sending.collect()
    }

    pub(super) fn due(&self) -> Option<SimTime> {
        machine::earlier(self.next, self.next_sample)
    }

    fn start(&mut self, now: SimTime) {
        self.next = Some(now + self.plan.phase);
        // They are taken at the instants of the messages, too.
        self.next_sample = self.plan.sample.map(|sample| {
            let into = self.plan.phase.as_nanos() % sample.max(SHORTEST).as_nanos();
            now + Duration::from_nanos(u64::try_from(into).unwrap_or(u64::MAX))
        });
    }

    fn hold(&mut self, now: SimTime, records: Vec<Record>) {
        if records.is_empty() || self.held.back().is_some_and(|last| last.at == now) {
            return;
        }
        self.held.push_back(Taken { at: now, records });
        while self.held.len() > 1 && self.count() > MAX_HELD {
            self.held.pop_front();
            if let Some((_, count)) = &mut self.under_way {
                *count = count.saturating_sub(1);
            }
        }
    }

    fn count(&self) -> usize {
        self.held.iter().map(|taken| taken.records.len()).sum()
    }

    /// What is due of messages and samples, which are due again later.
    fn take_due(&mut self, now: SimTime) -> Due {
        let mut due = Due::default();
        if let Some(next) = self.next.filter(|next| *next <= now) {
            let after = after(now, next, self.plan.every);
            (due.sends, due.takes, self.next) = (true, true, Some(after));
        }
        let sample = self.plan.sample.unwrap_or_default();
        if let Some(next) = self.next_sample.filter(|next| *next <= now) {
            (due.takes, self.next_sample) = (true, Some(after(now, next, sample)));
        }
        due
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Due {
    takes: bool,
    sends: bool,
}

/// The first instant of a schedule after `now`: what was missed meanwhile is made up for by one.
fn after(now: SimTime, due: SimTime, every: Duration) -> SimTime {
    let every = every.max(SHORTEST);
    let missed = now.saturating_since(due).as_nanos() / every.as_nanos();
    due + every.saturating_mul(u32::try_from(missed + 1).unwrap_or(u32::MAX))
}

impl Client {
    /// Sends a server the values at `paths`, which are objects, instances and resources: without those that it may not
    /// read, or that are not there. `format`: SenML JSON or CBOR, or as the configuration says. What becomes of it is told
    /// by [`Event::Sent`].
    ///
    /// # Errors
    /// When the client is not registered with the server by LwM2M 1.1 or later, the server wants no Send, or there is
    /// nothing to send.
    pub fn send(
        &mut self,
        now: SimTime,
        server: u16,
        paths: &[Path],
        format: Option<Format>,
        reliability: Reliability,
        node: &mut dyn Node,
    ) -> Result<SendId, SendError> {
        let target = self.sendable(server)?;
        let records = self.taken(server, paths);
        let taken = Taken { at: now, records };
        let request = self.data(now, server, &[&taken], format)?;
        Ok(self.send_data(now, server, target, reliability, request, node))
    }

    /// Where a server is, if it may be sent something.
    fn sendable(&self, server: u16) -> Result<Target, SendError> {
        let registration = self.registrations.get(&server);
        let registered = registration.filter(|r| self.running && r.is_registered());
        let target = registered.ok_or(SendError::NotRegistered(server))?.target;
        if self.version(server) <= Version::V1_0 {
            return Err(SendError::Version(server));
        }
        match account::is_muted(&self.store, server) {
            true => Err(SendError::Muted(server)),
            false => Ok(target),
        }
    }

    fn taken(&self, server: u16, paths: &[Path]) -> Vec<Record> {
        let (who, floats) = (Requester::Server(server), self.config.style.float_text);
        operations::read_composite(&self.store, who, paths, floats)
    }

    /// The message of what was taken.
    fn data(
        &self,
        now: SimTime,
        server: u16,
        all: &[&Taken],
        format: Option<Format>,
    ) -> Result<Request, SendError> {
        let senml = [Format::SenmlJson, Format::SenmlCbor];
        if let Some(other) = format.filter(|format| !senml.contains(format)) {
            return Err(SendError::Format(other));
        }
        let liked = self.config.format.filter(|format| senml.contains(format));
        let format = format.or(liked).unwrap_or(Format::SenmlCbor);
        let timed = all.iter().flat_map(|taken| {
            let time = self.time(now, taken.at);
            taken.records.iter().map(move |record| Record {
                time,
                ..record.clone()
            })
        });
        let records: Vec<Record> = timed.collect();
        if records.is_empty() {
            return Err(SendError::Nothing(server));
        }
        let mut request = Request::new(Code::POST, PATH);
        request.payload = format::encode(format, &Path::ROOT, &records, self.config.style)?;
        let number = format.number().into();
        request.options.push_uint(option::CONTENT_FORMAT, number);
        Ok(request)
    }

    /// The time of a record in a message of `now`: since 1970, or how long ago; none of what is taken now (RFC 8428
    /// §4.5.3).
    fn time(&self, now: SimTime, at: SimTime) -> Option<f64> {
        match self.config.epoch_s {
            Some(epoch) => Some(epoch + at.as_secs_f64()),
            None => (at < now).then(|| -now.saturating_since(at).as_secs_f64()),
        }
    }

    fn send_data(
        &mut self,
        now: SimTime,
        server: u16,
        target: Target,
        reliability: Reliability,
        request: Request,
        node: &mut dyn Node,
    ) -> SendId {
        let id = SendId(self.next_send);
        self.next_send += 1;
        let what = Call::Send(id, server);
        self.ask(now, target, reliability, request, what, node);
        id
    }

    pub(super) fn start_sending(&mut self, now: SimTime) {
        self.sendings.iter_mut().for_each(|s| s.start(now));
    }

    /// Takes and sends what is due by the schedules.
    pub(super) fn send_planned(&mut self, now: SimTime, node: &mut dyn Node) {
        for place in 0..self.sendings.len() {
            let Some(sending) = self.sendings.get_mut(place) else {
                return;
            };
            let due = sending.take_due(now);
            let (server, waits) = (sending.plan.server, sending.under_way.is_some());
            // Without samples nothing is kept for the message after the one that is under way.
            if due.takes && (sending.plan.sample.is_some() || !waits) {
                let paths = sending.plan.paths.clone();
                let records = self.taken(server, &paths);
                if let Some(sending) = self.sendings.get_mut(place) {
                    sending.hold(now, records);
                }
            }
            if due.sends && !waits {
                self.send_held(now, place, node);
            }
        }
    }

    fn send_held(&mut self, now: SimTime, place: usize, node: &mut dyn Node) {
        let Some(sending) = self.sendings.get(place) else {
            return;
        };
        let (server, reliability) = (sending.plan.server, sending.plan.reliability);
        let target = self.sendable(server);
        let request = target.and_then(|target| {
            let all: Vec<&Taken> = sending.held.iter().collect();
            Ok((target, self.data(now, server, &all, sending.plan.format)?))
        });
        let sent = request.map(|(target, request)| {
            self.send_data(now, server, target, reliability, request, node)
        });
        let Some(sending) = self.sendings.get_mut(place) else {
            return;
        };
        match (sent, reliability) {
            (Ok(id), Reliability::Confirmable) => {
                sending.under_way = Some((id, sending.held.len()));
            }
            (Ok(_), Reliability::NonConfirmable) => sending.held.clear(),
            // What has no form has none later.
            (Err(SendError::Encode(_) | SendError::Format(_)), _) => sending.held.clear(),
            // A schedule without samples sends what is there at its time.
            (Err(_), _) if sending.plan.sample.is_none() => sending.held.clear(),
            (Err(_), _) => {}
        }
    }

    /// What became of a Send.
    pub(super) fn handle_send(
        &mut self,
        now: SimTime,
        id: SendId,
        server: u16,
        outcome: Outcome,
        node: &mut dyn Node,
    ) {
        let outcome = match outcome {
            Outcome::Answered { response, .. } if response.code.is_success() => SendOutcome::Taken,
            Outcome::Answered { response, .. } => SendOutcome::Refused(response.code),
            Outcome::Failed(reason) => {
                let target = self.registrations.get(&server).map(|r| r.target);
                let reports = target.map(|target| Report::RequestFailed {
                    target,
                    reason: reason.clone(),
                });
                self.reports.extend(reports);
                SendOutcome::Failed(reason)
            }
            Outcome::Notified { .. } | Outcome::NotificationLost { .. } | Outcome::Sent => return,
        };
        let of_it = |sending: &&mut Sending| sending.under_way.is_some_and(|(of, _)| of == id);
        if let Some(sending) = self.sendings.iter_mut().find(of_it)
            && let Some((_, count)) = sending.under_way.take()
        {
            // What a server refuses as it is, it would refuse again.
            let over = match &outcome {
                SendOutcome::Taken => true,
                SendOutcome::Refused(code) => code.class() == 4 && *code != Code::NOT_FOUND,
                SendOutcome::Failed(_) => false,
            };
            if over || sending.plan.sample.is_none() {
                sending.held.drain(..count.min(sending.held.len()));
            }
        }
        let unknown = outcome == SendOutcome::Refused(Code::NOT_FOUND);
        self.note(Event::Sent {
            id,
            server,
            outcome,
        });
        if unknown {
            // The server does not know the client any more.
            self.update(now, server, node);
        }
    }
}
