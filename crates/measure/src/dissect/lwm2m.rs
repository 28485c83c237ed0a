//! OMA LwM2M: its operations by method, path and format (LwM2M 1.1 Transport §6.4), what answers them, and the
//! batches and reports of the third paper ("Batch and Notify").
//!
//! `/3/0` may be anybody's resource. A client's is taken for one of LwM2M if the client was seen to register at who
//! asks, or to ask for its bootstrap there, or if who asks wants or sends a format that only LwM2M has. A
//! capture that begins later therefore does not know what went between two that use formats of CoAP alone, nor, until the
//! next registration, updates, sends and reports: a location and a report's path are any name.

pub(super) mod due;
mod request;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use coap::message::option::{CONTENT_FORMAT, LOCATION_PATH, OBSERVE};
use coap::wire::Message;
use coap::{Code, Kind};
use lwm2m::Format;

use self::request::Location;
use super::answers::Answers;
use super::{Dissector, Happened, Meaning, Protocol, Seen, Subject};
use crate::recent::Recent;

pub(super) const PROTOCOL: Protocol = Protocol::of_application("lwm2m", "LwM2M");

/// Clients, and registrations, that are remembered in each of two generations.
const MOST_CLIENTS: usize = 1 << 14;

/// A client's endpoint and its server's.
type Pair = (SocketAddr, SocketAddr);

/// What a client is to a server, as the capture tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It asked for its bootstrap, which has not finished.
    Bootstraps,
    /// It registered.
    Registered,
    /// It answered in a format that only LwM2M has.
    Answers,
}

/// What a request is to its client's registration.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Of {
    /// The registration of this endpoint name.
    Register(Arc<str>),
    /// The update of the registration at this location.
    Update(Location),
    /// The end of it.
    Deregister(Location),
    /// The beginning of a bootstrap.
    BootstrapRequest,
    /// Its end.
    BootstrapFinish,
    /// The beginning of an observation, and what its end is called.
    Observe(&'static str),
    /// The end of one, which is called so.
    Cancel,
    /// Values that a client sends; how many, if that can be read.
    Send(Option<u64>),
    /// Nothing: an operation of a server, or a message of a client.
    Nothing,
}

/// A request, for its answers.
#[derive(Clone, Debug)]
struct Asked {
    name: &'static str,
    code: Code,
    message_id: u16,
    of: Of,
    /// Whose tree, or registration, it is about.
    client: IpAddr,
    /// The first response, once it was seen.
    first: Option<(Kind, u16)>,
}

/// The dissector.
#[derive(Debug)]
pub(super) struct Lwm2m {
    requests: Answers<Asked>,
    standing: Recent<Pair, Standing>,
    /// The endpoint names of registrations by server and location.
    registrations: Recent<(SocketAddr, Location), Arc<str>>,
    /// Endpoint names that are registered at a server.
    registered: Recent<(SocketAddr, Arc<str>), ()>,
    happened: Happened,
}

impl Default for Lwm2m {
    fn default() -> Lwm2m {
        Lwm2m {
            requests: Answers::default(),
            standing: Recent::new(MOST_CLIENTS),
            registrations: Recent::new(MOST_CLIENTS),
            registered: Recent::new(MOST_CLIENTS),
            happened: Happened::new(),
        }
    }
}

impl Dissector for Lwm2m {
    fn read(&mut self, packet: &Seen<'_>) -> Option<Meaning> {
        let message = packet.coap?;
        let datagram = packet.ip.udp()?;
        let (from, to) = (datagram.src, datagram.dst);
        let (name, client) = match message.code.is_request() {
            true => self.request(from, to, message)?,
            false => self.answer(from, to, message)?,
        };
        let server = if from.ip() == client { to } else { from };
        Some(Meaning {
            protocol: PROTOCOL,
            message: name.into(),
            subject: Subject::Node(vec![client, server.ip()]),
            binding: None,
        })
    }

    fn happened(&self) -> Happened {
        self.happened.clone()
    }
}

impl Lwm2m {
    fn is(&self, client: SocketAddr, server: SocketAddr, standing: Standing) -> bool {
        self.standing.get(&(client, server)) == Some(&standing)
    }

    /// The name of a request, and whose client it is about.
    fn request(
        &mut self,
        from: SocketAddr,
        to: SocketAddr,
        message: &Message,
    ) -> Option<(&'static str, IpAddr)> {
        let before = self.requests.asked(from, to, message.token);
        let same = |a: &&Asked| (a.message_id, a.code) == (message.message_id, message.code);
        if let Some(again) = before.filter(same) {
            return Some((again.name, again.client));
        }
        let (name, of, is_clients) = self.operation(from, to, message)?;
        let client = if is_clients { from } else { to }.ip();
        self.learn(from, to, &of);
        let asked = Asked {
            name,
            code: message.code,
            message_id: message.message_id,
            of,
            client,
            first: None,
        };
        self.requests.ask(from, to, message, asked);
        Some((name, client))
    }

    /// What a request tells of its ends.
    fn learn(&mut self, from: SocketAddr, to: SocketAddr, of: &Of) {
        let standing = match of {
            Of::Register(_) | Of::Update(_) => Standing::Registered,
            Of::BootstrapRequest => Standing::Bootstraps,
            _ => return,
        };
        self.standing.insert((from, to), standing);
    }

    /// The name of a response or an empty message, and whose client it is about.
    fn answer(
        &mut self,
        from: SocketAddr,
        to: SocketAddr,
        message: &Message,
    ) -> Option<(&'static str, IpAddr)> {
        let Some(mut asked) = self.requests.answer(from, to, message) else {
            return begun_before(message).then_some((NOTIFY, from.ip()));
        };
        if !message.code.is_response() {
            // Whoever rejects a notification ends its observation (RFC 7641 §3.6).
            let rejects = message.kind == Kind::Reset && asked.name == NOTIFY;
            let name = match asked.of {
                Of::Observe(end) if rejects => end,
                _ => asked.name,
            };
            return Some((name, asked.client));
        }
        let id = (message.kind, message.message_id);
        let observed = message.options.get(OBSERVE).is_some();
        let is_first = asked.first.is_none_or(|first| first == id);
        let notifies = match asked.of {
            Of::Observe(_) => !is_first && (observed || !message.code.is_success()),
            // One that was on its way when its observation was ended.
            Of::Cancel => observed,
            _ => false,
        };
        if notifies {
            let client = asked.client;
            self.requests.tell(to, from, message.token, asked.clone());
            asked.name = NOTIFY;
            self.requests.call(from, to, message.message_id, asked);
            return Some((NOTIFY, client));
        }
        if asked.first.is_none() {
            asked.first = Some(id);
            self.requests.tell(to, from, message.token, asked.clone());
            self.became(from, to, &asked, message);
        }
        Some((asked.name, asked.client))
    }

    /// What became of a request, as its first response from `from` to `to` tells.
    fn became(&mut self, from: SocketAddr, to: SocketAddr, asked: &Asked, message: &Message) {
        let refused = !message.code.is_success();
        match &asked.of {
            Of::Register(_) | Of::BootstrapRequest if refused => {
                self.standing.take(&(to, from));
            }
            Of::Register(name) if message.code == Code::CREATED => {
                let location = Location::of(message.options.get_all(LOCATION_PATH));
                if let Some(location) = location {
                    self.registrations.insert((from, location), name.clone());
                }
                let key = (from, name.clone());
                if self.registered.get(&key).is_some() {
                    self.count("registered_again");
                }
                self.registered.insert(key, ());
            }
            Of::Update(location) if message.code == Code::NOT_FOUND => {
                self.count("updates_not_found");
                self.forget(from, to, location);
            }
            Of::Deregister(location) if !refused => self.forget(from, to, location),
            Of::Send(Some(values)) if !refused => {
                *self.happened.entry((PROTOCOL, "sent_values")).or_default() += values;
            }
            Of::Send(None) if !refused => self.count("sends_not_read"),
            Of::BootstrapFinish if !refused => {
                self.standing.take(&(from, to));
            }
            Of::Observe(_) | Of::Nothing if !refused && asked.client == from.ip() => {
                let known = self.standing.get(&(from, to)).copied();
                let standing = known.unwrap_or(Standing::Answers);
                self.standing.insert((from, to), standing);
            }
            _ => {}
        }
    }

    fn count(&mut self, what: &'static str) {
        *self.happened.entry((PROTOCOL, what)).or_default() += 1;
    }

    /// The registration at this location of `server` is no more.
    fn forget(&mut self, server: SocketAddr, client: SocketAddr, location: &Location) {
        self.standing.take(&(client, server));
        if let Some(name) = self.registrations.take(&(server, location.clone())) {
            self.registered.take(&(server, name));
        }
    }
}

/// What is told of an observed value, in OMA's word.
const NOTIFY: &str = "notify";

/// Whether a response tells by itself that it is a notification of LwM2M: its observation began before the
/// capture.
fn begun_before(response: &Message) -> bool {
    let format = response.options.get_uint(CONTENT_FORMAT);
    response.code.is_success()
        && response.options.get(OBSERVE).is_some()
        && format.is_some_and(is_its_own)
}

/// Whether a format is one that only LwM2M has: TLV, LwM2M JSON, LwM2M CBOR.
fn is_its_own(number: u64) -> bool {
    let own = [Format::Tlv, Format::Json, Format::Lwm2mCbor];
    own.iter()
        .any(|format| u64::from(format.number()) == number)
}
