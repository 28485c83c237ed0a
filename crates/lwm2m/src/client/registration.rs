//! Register, Update and what becomes of them (LwM2M 1.1 Core §6.2).

use std::time::Duration;

use coap::message::option;
use coap::{Code, Reliability, Request, Response};
use service::{CallId, Node, Outcome, Report, Target};
use units::SimTime;

use super::{Call, Client};
use crate::account;
use crate::format::Format;
use crate::model::Version;
use crate::operations;

/// MAX_TRANSMIT_WAIT (RFC 7252 §4.8.2): an Update is sent that long before the lifetime ends, so that it is
/// through or has failed by then.
const TRANSMIT_WAIT: Duration = Duration::from_secs(93);

/// How often the time doubles that a client waits after a registration that failed (LwM2M 1.1 Core §E.2, Communication
/// Retry Timer).
const DOUBLINGS: u32 = 5;

/// The registration with one server.
#[derive(Clone, Debug)]
pub(super) struct Registration {
    pub(super) target: Target,
    /// The place in the client's versions of the one that is spoken.
    pub(super) version: usize,
    stage: Stage,
    /// The message that is under way: what becomes of an earlier one is of no interest.
    call: Option<CallId>,
    /// How often it has failed in a row: until an Update has succeeded.
    failures: u32,
    lifetime: Duration,
    /// The links that the server knows.
    told: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    /// Nothing is under way; registers at the instant.
    Waiting(SimTime),
    Registering,
    Registered {
        location: String,
        update_at: SimTime,
    },
    Updating {
        location: String,
        /// Something has changed since.
        again: bool,
    },
    Deregistering,
}

impl Registration {
    pub(super) fn is_registered(&self) -> bool {
        matches!(
            self.stage,
            Stage::Registered { .. } | Stage::Updating { .. }
        )
    }

    /// It is tried again, ever later: after `retry` the first time.
    fn fail(&mut self, now: SimTime, retry: Duration) {
        self.stage = Stage::Waiting(now + retry.saturating_mul(1 << self.failures.min(DOUBLINGS)));
        self.failures += 1;
    }

    /// Whether it has failed so often, if there is such a number.
    pub(super) fn has_failed(&self, limit: Option<u32>) -> bool {
        !self.is_registered() && limit.is_some_and(|limit| self.failures >= limit)
    }

    pub(super) fn due(&self) -> Option<SimTime> {
        match self.stage {
            Stage::Waiting(at) | Stage::Registered { update_at: at, .. } => Some(at),
            _ => None,
        }
    }
}

impl Client {
    /// Reads the accounts: a new one is registered at once, one that is gone is forgotten.
    pub(super) fn take_accounts(&mut self, now: SimTime, node: &mut dyn Node) {
        let accounts = account::servers(&self.store);
        let gone = |id: &u16| !accounts.iter().any(|account| account.0 == *id);
        let gone: Vec<u16> = self.registrations.keys().copied().filter(gone).collect();
        for id in gone {
            self.registrations.remove(&id);
            self.attributes.retain(|(server, _), _| *server != id);
            self.forget(now, id);
        }
        for (id, address) in accounts {
            let (target, lifetime) = (self.target(address), account::lifetime(&self.store, id));
            let registration = self.registrations.entry(id).or_insert(Registration {
                target,
                version: 0,
                stage: Stage::Waiting(now),
                call: None,
                failures: 0,
                lifetime,
                told: String::new(),
            });
            if registration.target != target {
                registration.target = target;
                registration.stage = Stage::Waiting(now);
            }
        }
        self.update_all(now, node);
        self.register_due(now, node);
        self.consider_bootstrap(now);
    }

    /// Has every registration begin anew.
    pub(super) fn register_anew(&mut self, now: SimTime) {
        for registration in self.registrations.values_mut() {
            registration.stage = Stage::Waiting(now);
            (
                registration.call,
                registration.version,
                registration.failures,
            ) = (None, 0, 0);
        }
    }

    /// Registers or updates where it is due.
    pub(super) fn register_due(&mut self, now: SimTime, node: &mut dyn Node) {
        let due = self
            .registrations
            .iter()
            .filter(|(_, r)| r.due().is_some_and(|due| due <= now));
        let due: Vec<u16> = due.map(|(id, _)| *id).collect();
        for server in due {
            let registered = self
                .registrations
                .get(&server)
                .is_some_and(Registration::is_registered);
            match registered {
                true => self.update(now, server, node),
                false => self.register(now, server, node),
            }
        }
    }

    /// Tells all servers what they do not know: other links, another lifetime.
    pub(super) fn update_all(&mut self, now: SimTime, node: &mut dyn Node) {
        let servers: Vec<u16> = self.registrations.keys().copied().collect();
        for server in servers {
            let (links, lifetime) = (
                self.links_for(server),
                account::lifetime(&self.store, server),
            );
            let Some(registration) = self.registrations.get(&server) else {
                continue;
            };
            if registration.is_registered()
                && (registration.told != links || registration.lifetime != lifetime)
            {
                self.update(now, server, node);
            }
        }
    }

    fn links_for(&self, server: u16) -> String {
        let version = self.version(server);
        operations::registered(&self.store, version, Some(self.format_for(server).number()))
    }

    /// The format of what the client sends to a server by itself.
    pub(super) fn format_for(&self, server: u16) -> Format {
        let by_version = match self.version(server) > Version::V1_0 {
            true => Format::SenmlCbor,
            false => Format::Tlv,
        };
        self.config.format.unwrap_or(by_version)
    }

    /// A server is told nothing more: it is gone, or leaves, or registers anew, with which its observations end
    /// (LwM2M 1.1 Core §6.4).
    fn forget(&mut self, now: SimTime, server: u16) {
        self.observations
            .retain(|_, watched| watched.server != server);
        self.schedule(now, None);
    }

    fn register(&mut self, now: SimTime, server: u16, node: &mut dyn Node) {
        if !self.running {
            return;
        }
        self.forget(now, server);
        let (links, version) = (self.links_for(server), self.version(server));
        let Some(registration) = self.registrations.get_mut(&server) else {
            return;
        };
        registration.lifetime = account::lifetime(&self.store, server);
        registration.told.clone_from(&links);
        registration.stage = Stage::Registering;
        let mut request = Request::new(Code::POST, "/rd");
        let mut queries = vec![
            format!("ep={}", self.config.endpoint),
            format!("lt={}", registration.lifetime.as_secs()),
            format!("lwm2m={version}"),
        ];
        queries.extend(
            binding(version, self.config.queue)
                .into_iter()
                .map(str::to_owned),
        );
        for query in queries {
            request.options.push(option::URI_QUERY, query);
        }
        request
            .options
            .push_uint(option::CONTENT_FORMAT, Format::Link.number().into());
        request.payload = links.into_bytes();
        self.say(now, server, request, node);
    }

    /// Sends an Update, or notes that one is to follow the one under way.
    pub(super) fn update(&mut self, now: SimTime, server: u16, node: &mut dyn Node) {
        let (links, seconds) = (
            self.links_for(server),
            account::lifetime(&self.store, server),
        );
        let running = self.running;
        let known = self.registrations.get_mut(&server).filter(|_| running);
        let Some(registration) = known else {
            return;
        };
        let location = match &mut registration.stage {
            Stage::Registered { location, .. } => std::mem::take(location),
            Stage::Updating { again, .. } => {
                *again = true;
                return;
            }
            _ => return,
        };
        let mut request = Request::new(Code::POST, &location);
        if registration.lifetime != seconds {
            let query = format!("lt={}", seconds.as_secs());
            request.options.push(option::URI_QUERY, query);
            registration.lifetime = seconds;
        }
        if registration.told != links {
            request
                .options
                .push_uint(option::CONTENT_FORMAT, Format::Link.number().into());
            request.payload = links.clone().into_bytes();
            registration.told = links;
        }
        let again = false;
        registration.stage = Stage::Updating { location, again };
        self.say(now, server, request, node);
    }

    /// Leaves a server for a while (LwM2M 1.1 Core §E.2, Disable).
    pub(super) fn disable(&mut self, now: SimTime, server: u16, node: &mut dyn Node) {
        let Some(registration) = self.registrations.get_mut(&server) else {
            return;
        };
        let location = match &registration.stage {
            Stage::Registered { location, .. } | Stage::Updating { location, .. } => {
                location.clone()
            }
            _ => return,
        };
        registration.stage = Stage::Deregistering;
        self.forget(now, server);
        self.say(now, server, Request::new(Code::DELETE, &location), node);
    }

    /// What became of a message of a registration.
    pub(super) fn handle_registration(
        &mut self,
        now: SimTime,
        server: u16,
        call: CallId,
        outcome: Outcome,
        node: &mut dyn Node,
    ) {
        let response = match outcome {
            Outcome::Answered { response, .. } => Some(response),
            Outcome::Failed(reason) => {
                let target = self
                    .registrations
                    .get(&server)
                    .map(|registration| registration.target);
                self.reports
                    .extend(target.map(|target| Report::RequestFailed { target, reason }));
                None
            }
            _ => return,
        };
        let registration = self.registrations.get(&server);
        let Some(registration) = registration.filter(|r| r.call == Some(call)) else {
            return;
        };
        match registration.stage.clone() {
            Stage::Registering => self.handle_registered(now, server, response.as_ref(), node),
            Stage::Updating { location, again } => {
                let fine = response.is_some_and(|response| response.code.is_success());
                self.handle_updated(now, server, fine.then_some(location));
                if again {
                    self.update_all(now, node);
                }
                self.consider_bootstrap(now);
            }
            Stage::Deregistering => {
                let wait = account::disabled(&self.store, server);
                self.set_stage(server, Stage::Waiting(now + wait));
            }
            Stage::Waiting(_) | Stage::Registered { .. } => {}
        }
    }

    fn handle_registered(
        &mut self,
        now: SimTime,
        server: u16,
        response: Option<&Response>,
        node: &mut dyn Node,
    ) {
        let more = self.config.versions.len();
        let Some(registration) = self.registrations.get_mut(&server) else {
            return;
        };
        let created = response.filter(|response| response.code == Code::CREATED);
        // Without a Location-Path there is nothing that could be updated.
        let location = created
            .map(location)
            .filter(|location| !location.is_empty());
        if let Some(location) = location {
            registration.stage = Stage::Registered {
                location,
                update_at: now + before_end(registration.lifetime),
            };
            // "First at once after Create and after each Register": the server knows of the client again.
            self.schedule(now, Some(server));
            self.send_due(now, node);
            return self.consider_bootstrap(now);
        }
        let refused = response.is_some_and(|response| response.code == Code::PRECONDITION_FAILED);
        if refused && registration.version + 1 < more {
            // The server does not speak this version (LwM2M 1.1 Core §6.2.1).
            registration.version += 1;
            return self.register(now, server, node);
        }
        registration.fail(now, account::retry(&self.store, server));
        self.consider_bootstrap(now);
    }

    /// `location`: where it is still known; none: the server knows it no more, or is silent.
    fn handle_updated(&mut self, now: SimTime, server: u16, location: Option<String>) {
        let Some(registration) = self.registrations.get_mut(&server) else {
            return;
        };
        match location {
            Some(location) => {
                registration.failures = 0;
                registration.stage = Stage::Registered {
                    location,
                    update_at: now + before_end(registration.lifetime),
                };
            }
            // At once, unless that has just been of no use.
            None if registration.failures == 0 => {
                registration.failures = 1;
                registration.stage = Stage::Waiting(now);
            }
            None => registration.fail(now, account::retry(&self.store, server)),
        }
    }

    /// Sends a message of a registration; what becomes of an earlier one is of no interest then.
    fn say(&mut self, now: SimTime, server: u16, request: Request, node: &mut dyn Node) {
        let Some(target) = self.registrations.get(&server).map(|r| r.target) else {
            return;
        };
        let (how, what) = (Reliability::Confirmable, Call::Registration(server));
        let call = self.ask(now, target, how, request, what, node);
        if let Some(registration) = self.registrations.get_mut(&server) {
            registration.call = Some(call);
        }
    }

    fn set_stage(&mut self, server: u16, stage: Stage) {
        if let Some(registration) = self.registrations.get_mut(&server) {
            registration.stage = stage;
        }
    }
}

/// The queries that name transports (LwM2M 1.0 §5.3.1: `b=UQ`; 1.1 Core §6.2.1: `b=U` and `Q`).
fn binding(version: Version, queue: bool) -> Vec<&'static str> {
    match (version > Version::V1_0, queue) {
        (false, true) => vec!["b=UQ"],
        (true, true) => vec!["b=U", "Q"],
        (_, false) => vec!["b=U"],
    }
}

/// Half of the shortest lifetime but none, a second.
const SOONEST_UPDATE: Duration = Duration::from_millis(500);

/// How long after the last message of a registration the next Update is due: half its lifetime, or MAX_TRANSMIT_WAIT before
/// its end where that comes first, and no sooner than after a quarter.
fn before_end(lifetime: Duration) -> Duration {
    let half = lifetime / 2;
    let early = lifetime.saturating_sub(TRANSMIT_WAIT);
    // With a lifetime under MAX_TRANSMIT_WAIT there is no time that is early enough.
    let due = if early.is_zero() {
        half
    } else {
        half.min(early).max(lifetime / 4)
    };
    due.max(SOONEST_UPDATE)
}

/// The path of a registration at the server.
fn location(response: &Response) -> String {
    let segments = response.options.get_all(option::LOCATION_PATH);
    segments
        .map(|s| format!("/{}", String::from_utf8_lossy(s)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_leaves_time_for_its_retransmissions() {
        let s = Duration::from_secs;
        assert_eq!(before_end(s(86_400)), s(43_200));
        assert_eq!(before_end(s(160)), s(67));
        assert_eq!(before_end(s(120)), s(30));
        assert_eq!(before_end(s(94)), Duration::from_millis(23_500));
        assert_eq!(before_end(s(60)), s(30));
        assert_eq!(before_end(s(1)), Duration::from_millis(500));
        assert_eq!(before_end(s(0)), Duration::from_millis(500));
    }
}
