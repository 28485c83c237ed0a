//! What Notify instances send, and when (the third paper, §III).
//!
//! The first goes out when the instance is created and when the client has registered, then one at every period from
//! there on, without drift. What is missed while nothing can be sent is made up for by one. While a confirmable one is not
//! acknowledged none is sent; at the next instant after that one goes out with the values of then.

use std::time::Duration;

use coap::message::option;
use coap::{Code, Reliability, Request};
use rand_core::Rng as _;
use service::{Node, Outcome, Report};
use units::SimTime;
use units::seed::unit_interval;

use super::{Call, Client};
use crate::format::{self, Record};
use crate::notify::{NOTIFY, Notify, RESOURCE_URI};
use crate::operations::{self, Requester};
use crate::path::Path;
use crate::refusal::Refusal;
use crate::value::Value;

/// A Notify instance at work.
#[derive(Clone, Debug)]
pub(super) struct Schedule {
    notify: Notify,
    next: SimTime,
    /// One is under way.
    waits: bool,
    /// Another one was due meanwhile.
    missed: bool,
}

impl Schedule {
    pub(super) fn due(&self) -> Option<SimTime> {
        Some(self.next)
    }
}

impl Client {
    /// Reads the Notify instances of servers that the client is registered with; others are dormant. `registered`: a
    /// registration with this one has just begun, and its instances begin again.
    pub(super) fn schedule(&mut self, now: SimTime, registered: Option<u16>) {
        let instances: Vec<Path> = self.store.instances(Path::object(NOTIFY)).collect();
        let mut schedules = std::mem::take(&mut self.schedules);
        for instance in instances {
            let Some(notify) = Notify::of(&self.store, &instance) else {
                continue;
            };
            if !self.is_registered(notify.server) {
                continue;
            }
            let former = schedules.remove(&instance);
            let waits = former.as_ref().is_some_and(|schedule| schedule.waits);
            let schedule = match former {
                Some(former) if former.notify == notify && registered != Some(notify.server) => {
                    former
                }
                _ => Schedule {
                    next: now + self.share_of(&notify),
                    notify,
                    waits,
                    missed: false,
                },
            };
            self.schedules.insert(instance, schedule);
        }
        self.begun.extend(registered);
    }

    /// How long the first one waits: not at all, unless the client lives again, and with it maybe thousands whose power
    /// has come back.
    fn share_of(&mut self, notify: &Notify) -> Duration {
        match self.restored && !self.begun.contains(&notify.server) {
            true => notify.period.mul_f64(unit_interval(self.rng.next_u64())),
            false => Duration::ZERO,
        }
    }

    /// Sends what is due.
    pub(super) fn send_due(&mut self, now: SimTime, node: &mut dyn Node) {
        let due = self
            .schedules
            .iter()
            .filter(|(_, schedule)| schedule.next <= now);
        let due: Vec<Path> = due.map(|(instance, _)| *instance).collect();
        for instance in due {
            let Some(schedule) = self.schedules.get_mut(&instance) else {
                continue;
            };
            let period = schedule.notify.period.max(Duration::from_secs(1));
            let missed = now.saturating_since(schedule.next).as_nanos() / period.as_nanos();
            let steps = u32::try_from(missed + 1).unwrap_or(u32::MAX);
            schedule.next += period.saturating_mul(steps);
            match schedule.waits {
                true => schedule.missed = true,
                false => self.send_notify(now, instance, node),
            }
        }
    }

    fn send_notify(&mut self, now: SimTime, instance: Path, node: &mut dyn Node) {
        let Some(schedule) = self.schedules.get(&instance) else {
            return;
        };
        let notify = schedule.notify.clone();
        let registration = self.registrations.get(&notify.server);
        let registered = registration.filter(|r| self.running && r.is_registered());
        let Some(target) = registered.map(|r| r.target) else {
            return;
        };
        let request = match self.notification(&instance, &notify) {
            Ok(request) => request,
            Err(refusal) => {
                let reason = service::CallFailure::Discovery(refusal.to_string());
                return self
                    .reports
                    .push_back(Report::RequestFailed { target, reason });
            }
        };
        let reliability = match notify.confirmable {
            true => Reliability::Confirmable,
            false => Reliability::NonConfirmable,
        };
        if let Some(schedule) = self.schedules.get_mut(&instance) {
            schedule.waits = true;
        }
        self.ask(
            now,
            target,
            reliability,
            request,
            Call::Notify(instance),
            node,
        );
    }

    fn notification(&self, instance: &Path, notify: &Notify) -> Result<Request, Refusal> {
        let mut request = Request::new(Code::PUT, &notify.path);
        if let Some((base, records)) = self.notified(instance, notify)? {
            let format = self.format_for(notify.server);
            request.payload = format::encode(format, &base, &records, self.config.style)?;
            request
                .options
                .push_uint(option::CONTENT_FORMAT, format.number().into());
        }
        if notify.no_response {
            request
                .options
                .push_uint(option::NO_RESPONSE, self.config.no_response.into());
        }
        Ok(request)
    }

    /// What an instance sends, by the rights of the server that gets it; nothing of one that links to nothing.
    fn notified(
        &self,
        instance: &Path,
        notify: &Notify,
    ) -> Result<Option<(Path, Vec<Record>)>, Refusal> {
        let (who, floats) = (
            Requester::Server(notify.server),
            self.config.style.float_text,
        );
        let read = |link: &Path| operations::read(&self.store, who, *link, floats);
        let base = instance.child(RESOURCE_URI).unwrap_or(*instance);
        match notify.links.as_slice() {
            [] => Ok(None),
            [link] => Ok(Some((*link, read(link)?))),
            links => {
                let mut records = Vec::new();
                for (id, link) in (0..).zip(links) {
                    let value = read(link)?.into_iter().find_map(|record| record.value);
                    let text = value.map(|value| Value::String(value.to_text(floats)));
                    records.extend(
                        base.child(id)
                            .zip(text)
                            .map(|(path, text)| Record::new(path, text)),
                    );
                }
                Ok(Some((base, records)))
            }
        }
    }

    /// What became of one. A server that answers 4.04 does not know the client any more.
    pub(super) fn handle_sent(
        &mut self,
        now: SimTime,
        instance: Path,
        outcome: Outcome,
        node: &mut dyn Node,
    ) {
        if !outcome.ends() {
            return;
        }
        let Some(schedule) = self.schedules.get_mut(&instance) else {
            return;
        };
        schedule.waits = false;
        let (server, again) = (schedule.notify.server, std::mem::take(&mut schedule.missed));
        if let Outcome::Answered { response, .. } = &outcome
            && response.code == Code::NOT_FOUND
        {
            return self.update(now, server, node);
        }
        if again && self.running {
            self.send_notify(now, instance, node);
        }
    }
}
