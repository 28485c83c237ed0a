//! The client: one address, kept as long as its servers let it (RFC 8415 §18.2).

use std::collections::VecDeque;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::time::Duration;

use machine::{Machine, Transmit};
use rand_core::Rng as _;
use units::{Rng, SimTime};

use crate::message::{
    IaAddress, IaNa, Message, MessageType, OPTION_SOL_MAX_RT, Status, StatusCode,
};
use crate::retransmission::{self as rt, Parameters, Retransmission, random_delay};
use crate::{ALL_DHCP_RELAY_AGENTS_AND_SERVERS, ConfigError, Duid, SERVER_PORT};

mod config;
mod event;
mod lease;

pub use config::Config;
pub use event::{Event, Failure, Ignored};
use lease::Held;
pub use lease::Lease;

/// A preference that ends the collection of Advertise messages (RFC 8415 §18.2.1).
const PREFERENCE_AT_ONCE: u8 = 255;

/// An exchange under way.
#[derive(Debug)]
struct Exchange {
    message: Message,
    retransmission: Retransmission,
}

/// What an Advertise offers.
#[derive(Debug)]
struct Offer {
    lease: Lease,
    preference: u8,
}

#[derive(Debug)]
enum State {
    /// Not started, stopped or released.
    Idle,
    /// Before the first Solicit, until then.
    Delayed(SimTime),
    /// Looking for servers; the best offer while the first RT runs.
    Soliciting(Exchange, Option<Offer>),
    /// Nothing to do before T1.
    Bound(Held),
    /// Asking for an address (Request) or for more time (Renew, Rebind), with what is held.
    Asking(Exchange, Option<Held>),
    /// Giving back the address.
    Releasing(Exchange, Ipv6Addr),
    /// Saying that the address is another node's; then it starts over.
    Declining(Exchange),
}

/// A DHCPv6 client for one identity association with one address.
///
/// Commands: [`start`](Self::start), [`stop`](Self::stop), [`release`](Self::release),
/// [`decline`](Self::decline). Input and output are those of [`Machine`].
///
/// Of several servers it takes the one with the highest preference that answers before the
/// first retransmission is due (§18.2.1), which costs SOL_TIMEOUT; a preference of 255, which
/// [`crate::Server`] sends by default, is taken at once. So is the first Advertise after that,
/// and a Reply with Rapid Commit.
#[derive(Debug)]
pub struct Client {
    config: Config,
    rng: Rng,
    solicit_max_rt: Duration,
    state: State,
    out: VecDeque<Transmit>,
    events: VecDeque<Event>,
}

impl Client {
    /// A client that does nothing yet.
    ///
    /// # Errors
    ///
    /// An initial timeout of zero, with which it would never stop sending.
    pub fn new(config: Config, rng: Rng) -> Result<Client, ConfigError> {
        config.check()?;
        Ok(Client {
            solicit_max_rt: config.solicit_max_rt,
            config,
            rng,
            state: State::Idle,
            out: VecDeque::new(),
            events: VecDeque::new(),
        })
    }

    /// The lease held, if any.
    pub fn lease(&self) -> Option<&Lease> {
        match &self.state {
            State::Bound(held) | State::Asking(_, Some(held)) => Some(&held.lease),
            _ => None,
        }
    }

    /// Looks for an address, afresh: the link is new. What was under way or held before is
    /// forgotten without an event and without a message, since its server may be out of reach.
    pub fn start(&mut self, now: SimTime) {
        self.stop();
        self.events.clear();
        self.restart(now, Duration::ZERO);
    }

    /// Gives up without a message; what was not fetched yet is not sent.
    pub fn stop(&mut self) {
        self.state = State::Idle;
        self.out.clear();
    }

    /// Gives the address back (§18.2.7), which must not be used from now on; without one, gives
    /// up. [`Event::Released`] follows.
    pub fn release(&mut self, now: SimTime) {
        let Some(lease) = self.lease().cloned() else {
            return self.stop();
        };
        let message = self.about(MessageType::Release, &lease, true);
        let parameters = limited(rt::REL_TIMEOUT, rt::REL_MAX_RC);
        let exchange = self.begin(now, message, parameters);
        self.state = State::Releasing(exchange, lease.address);
    }

    /// Says that the address is in use by another node (§18.2.8), then looks for another one;
    /// without one, does nothing.
    pub fn decline(&mut self, now: SimTime) {
        if let Some(lease) = self.lease().cloned() {
            let message = self.about(MessageType::Decline, &lease, true);
            let parameters = limited(rt::DEC_TIMEOUT, rt::DEC_MAX_RC);
            let exchange = self.begin(now, message, parameters);
            self.state = State::Declining(exchange);
        }
    }

    /// Checks a message against the exchange under way (§16.3, §16.10); returns its server.
    fn check(&self, message: &Message) -> Result<Duid, Ignored> {
        let exchange = match &self.state {
            State::Idle | State::Delayed(_) | State::Bound(_) => {
                return Err(Ignored::Unexpected(message.kind));
            }
            State::Soliciting(exchange, _)
            | State::Asking(exchange, _)
            | State::Releasing(exchange, _)
            | State::Declining(exchange) => exchange,
        };
        let awaited = match message.kind {
            MessageType::Advertise => exchange.message.kind == MessageType::Solicit,
            // §18.2.1: to a Solicit, only a Reply with Rapid Commit that was asked for.
            MessageType::Reply if exchange.message.kind == MessageType::Solicit => {
                self.config.rapid_commit && message.rapid_commit
            }
            MessageType::Reply => true,
            _ => false,
        };
        if !awaited {
            return Err(Ignored::Unexpected(message.kind));
        }
        if message.xid != exchange.message.xid {
            return Err(Ignored::Transaction);
        }
        if message.client_id.as_ref() != Some(&self.config.duid) {
            return Err(Ignored::ClientId);
        }
        message.server_id.clone().ok_or(Ignored::NoServerId)
    }

    /// An Advertise, or a Reply with Rapid Commit, to a Solicit (§18.2.9, §18.2.10).
    fn solicited(
        &mut self,
        now: SimTime,
        mut exchange: Exchange,
        best: Option<Offer>,
        message: &Message,
        server: &Duid,
    ) -> Result<(), Ignored> {
        // "The client MUST process any SOL_MAX_RT option [...] present in an Advertise message,
        // even if the message contains [...] NoAddrsAvail" (§18.2.9).
        if let Some(seconds) = message.sol_max_rt_s {
            self.solicit_max_rt = Duration::from_secs(u64::from(seconds));
            exchange.retransmission.set_maximum(self.solicit_max_rt);
        }
        let Some(lease) = Lease::granted(message, server, self.config.iaid) else {
            // "The client MUST ignore any Advertise message that contains no addresses".
            self.state = State::Soliciting(exchange, best);
            let Some(status) = refusal(message, self.config.iaid) else {
                return Err(Ignored::NoAddress);
            };
            self.tell_refusal(MessageType::Solicit, status, Event::Unserved);
            return Ok(());
        };
        if message.kind == MessageType::Reply {
            self.bind(now, lease);
            return Ok(());
        }
        let preference = message.preference.unwrap_or(0);
        // "[If] the client receives a valid Advertise message that includes a Preference option
        // with a preference value of 255, the client immediately begins a client-initiated
        // message exchange"; so it does with any once the first RT has passed.
        if preference == PREFERENCE_AT_ONCE || !exchange.retransmission.is_first() {
            self.request(now, &lease, None);
            return Ok(());
        }
        let best = best.filter(|best| best.preference >= preference);
        let offer = best.unwrap_or(Offer { lease, preference });
        self.state = State::Soliciting(exchange, Some(offer));
        Ok(())
    }

    /// A Reply to a Request, Renew or Rebind (§18.2.10.1).
    fn replied(
        &mut self,
        now: SimTime,
        exchange: Exchange,
        held: Option<Held>,
        message: &Message,
        server: &Duid,
    ) -> Result<(), Ignored> {
        let kind = exchange.message.kind;
        match (refusal(message, self.config.iaid), held) {
            (None, held) => self.grant(now, exchange, held, message, server),
            // §18.2.10: after UnspecFail the client MUST limit the rate at which it tries
            // again, as the retransmission that is due does. Nothing here is sent by unicast,
            // so UseMulticast asks for what is done anyway.
            (Some(status), held)
                if matches!(
                    status.code,
                    StatusCode::UnspecFail | StatusCode::UseMulticast
                ) =>
            {
                self.state = State::Asking(exchange, held);
                Err(Ignored::Status(status.code))
            }
            // "Sends a Request message to the server that responded if any of the IAs in the
            // Reply message contain the NoBinding status code."
            (Some(status), Some(held))
                if status.code == StatusCode::NoBinding && kind != MessageType::Request =>
            {
                let mut lease = held.lease.clone();
                lease.server = server.clone();
                self.request(now, &lease, Some(held));
                Ok(())
            }
            (Some(status), held) => {
                self.refuse(now, kind, status, held);
                Ok(())
            }
        }
    }

    /// A Reply without a refusal: takes what it grants, if anything.
    fn grant(
        &mut self,
        now: SimTime,
        exchange: Exchange,
        held: Option<Held>,
        message: &Message,
        server: &Duid,
    ) -> Result<(), Ignored> {
        let iaid = self.config.iaid;
        let ia = message.ia_nas.iter().find(|ia| ia.iaid == iaid);
        match (Lease::granted(message, server, iaid), held) {
            (Some(lease), held) => {
                if let Some(held) = held.filter(|held| held.lease.address != lease.address) {
                    self.expire(held.lease.address);
                }
                self.bind(now, lease);
                Ok(())
            }
            // The server took the address away: it came back with a lifetime of 0.
            (None, Some(held)) if takes_away(ia, held.lease.address) => {
                self.expire(held.lease.address);
                self.restart(now, Duration::ZERO);
                Ok(())
            }
            (None, held) => {
                self.state = State::Asking(exchange, held);
                Err(Ignored::NoAddress)
            }
        }
    }

    /// The server said no (NotOnLink, NoAddrsAvail, …): starts over, but not so fast that a
    /// client with a delay of zero and a server that always refuses keep each other busy.
    fn refuse(&mut self, now: SimTime, kind: MessageType, status: &Status, held: Option<Held>) {
        self.tell_refusal(kind, status, Event::Failed);
        if let Some(held) = held {
            self.expire(held.lease.address);
        }
        self.restart(now, self.config.solicit_timeout);
    }

    fn tell_refusal(
        &mut self,
        kind: MessageType,
        status: &Status,
        event: impl Fn(Failure) -> Event,
    ) {
        self.events.push_back(event(Failure::Refused {
            kind,
            code: status.code,
            message: status.message.clone(),
        }));
    }

    fn expire(&mut self, address: Ipv6Addr) {
        self.events.push_back(Event::Expired { address });
    }

    fn bind(&mut self, now: SimTime, lease: Lease) {
        self.events.push_back(Event::Bound(lease.clone()));
        self.state = State::Bound(Held::since(now, lease));
    }

    /// Waits `least` and the random delay, then solicits (§18.2.1).
    fn restart(&mut self, now: SimTime, least: Duration) {
        let until = now + least + random_delay(&mut self.rng, self.config.solicit_max_delay);
        self.state = State::Delayed(until);
        self.handle_timeout(now);
    }

    /// Sends the first Solicit (§18.2.1).
    fn solicit(&mut self, now: SimTime) {
        let mut message = self.message(MessageType::Solicit);
        message.rapid_commit = self.config.rapid_commit;
        message.ia_nas.push(self.association(Vec::new()));
        let parameters = Parameters {
            initial: self.config.solicit_timeout,
            maximum: self.solicit_max_rt,
            count: 0,
            deadline: None,
            first_above_initial: true,
        };
        let exchange = self.begin(now, message, parameters);
        self.state = State::Soliciting(exchange, None);
    }

    /// Asks the server of `lease` for it (§18.2.2), until what is held ends.
    fn request(&mut self, now: SimTime, lease: &Lease, held: Option<Held>) {
        let message = self.about(MessageType::Request, lease, true);
        let parameters = Parameters {
            initial: self.config.request_timeout,
            maximum: self.config.request_max_rt,
            count: self.config.request_max_rc,
            deadline: held.as_ref().map(|held| held.end),
            first_above_initial: false,
        };
        let exchange = self.begin(now, message, parameters);
        self.state = State::Asking(exchange, held);
    }

    /// Does what is due for a lease whose T1 has come: Renew until T2 (§18.2.4), Rebind until
    /// the end (§18.2.5), then start over.
    fn keep(&mut self, now: SimTime, held: Held) {
        let (kind, initial, maximum, deadline) = if now < held.t2 {
            let config = &self.config;
            let (initial, maximum) = (config.renew_timeout, config.renew_max_rt);
            (MessageType::Renew, initial, maximum, held.t2)
        } else if now < held.end {
            let config = &self.config;
            let (initial, maximum) = (config.rebind_timeout, config.rebind_max_rt);
            (MessageType::Rebind, initial, maximum, held.end)
        } else {
            self.expire(held.lease.address);
            return self.restart(now, Duration::ZERO);
        };
        let parameters = Parameters {
            initial,
            maximum,
            count: 0,
            deadline: Some(deadline),
            first_above_initial: false,
        };
        let renewing = kind == MessageType::Renew;
        // A Rebind goes to any server: it "MUST NOT" name one.
        let message = self.about(kind, &held.lease, renewing);
        let exchange = self.begin(now, message, parameters);
        self.state = State::Asking(exchange, Some(held));
    }

    /// A message of a new exchange: "the client generates a transaction ID", names itself and
    /// asks for SOL_MAX_RT, as it MUST (§18.2.1).
    fn message(&mut self, kind: MessageType) -> Message {
        let [a, b, c, _] = self.rng.next_u32().to_be_bytes();
        let mut message = Message::new(kind, [a, b, c]);
        message.client_id = Some(self.config.duid.clone());
        if !matches!(kind, MessageType::Release | MessageType::Decline) {
            message.requested.push(OPTION_SOL_MAX_RT);
        }
        message
    }

    /// A message about the address of `lease`, naming its server if `to_server`.
    fn about(&mut self, kind: MessageType, lease: &Lease, to_server: bool) -> Message {
        let mut message = self.message(kind);
        message.server_id = to_server.then(|| lease.server.clone());
        // Lifetimes in a client's message are hints (§21.6); it gives none.
        let address = IaAddress {
            address: lease.address,
            preferred_s: 0,
            valid_s: 0,
            status: None,
        };
        message.ia_nas.push(self.association(vec![address]));
        message
    }

    fn association(&self, addresses: Vec<IaAddress>) -> IaNa {
        IaNa {
            iaid: self.config.iaid,
            t1_s: 0,
            t2_s: 0,
            addresses,
            status: None,
        }
    }

    /// Sends the first message of an exchange.
    fn begin(&mut self, now: SimTime, message: Message, parameters: Parameters) -> Exchange {
        let retransmission = Retransmission::start(parameters, now, &mut self.rng);
        let mut exchange = Exchange {
            message,
            retransmission,
        };
        self.send(now, &mut exchange);
        exchange
    }

    /// Sends the message of an exchange again, or says that the exchange has failed.
    fn again(&mut self, now: SimTime, mut exchange: Exchange) -> Result<Exchange, Failure> {
        if exchange.retransmission.retransmit(now, &mut self.rng) {
            self.send(now, &mut exchange);
            return Ok(exchange);
        }
        Err(Failure::NoAnswer {
            kind: exchange.message.kind,
            sent: exchange.retransmission.sent(),
        })
    }

    fn send(&mut self, now: SimTime, exchange: &mut Exchange) {
        // "A client MUST include an Elapsed Time option in messages" (§21.9).
        exchange.message.elapsed_cs = Some(exchange.retransmission.elapsed_cs(now));
        self.out.push_back(Transmit {
            to: SocketAddrV6::new(ALL_DHCP_RELAY_AGENTS_AND_SERVERS, SERVER_PORT, 0, 0),
            payload: exchange.message.encode(),
        });
    }
}

impl Machine for Client {
    type From = SocketAddrV6;
    type To = SocketAddrV6;
    type Event = Event;
    type Ignored = Ignored;

    fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// From port [`crate::CLIENT_PORT`] of a link-local address.
    fn poll_transmit(&mut self) -> Option<Transmit> {
        self.out.pop_front()
    }

    fn poll_timeout(&self) -> Option<SimTime> {
        match &self.state {
            State::Idle => None,
            State::Delayed(until) => Some(*until),
            State::Soliciting(exchange, _)
            | State::Asking(exchange, _)
            | State::Releasing(exchange, _)
            | State::Declining(exchange) => Some(exchange.retransmission.next()),
            State::Bound(held) => Some(held.t1).filter(|&at| at != SimTime::FAR_FUTURE),
        }
    }

    fn handle_timeout(&mut self, now: SimTime) {
        if self.poll_timeout().is_none_or(|at| at > now) {
            return;
        }
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Idle => {}
            State::Delayed(_) => self.solicit(now),
            State::Soliciting(_, Some(offer)) => self.request(now, &offer.lease, None),
            State::Soliciting(exchange, None) => {
                if let Ok(exchange) = self.again(now, exchange) {
                    self.state = State::Soliciting(exchange, None);
                }
            }
            State::Bound(held) => self.keep(now, held),
            State::Asking(exchange, held) => match (self.again(now, exchange), held) {
                (Ok(exchange), held) => self.state = State::Asking(exchange, held),
                (Err(_), Some(held)) => self.keep(now, held),
                (Err(failure), None) => {
                    self.events.push_back(Event::Failed(failure));
                    self.restart(now, Duration::ZERO);
                }
            },
            State::Releasing(exchange, address) => match self.again(now, exchange) {
                Ok(exchange) => self.state = State::Releasing(exchange, address),
                Err(_) => self.events.push_back(Event::Released { address }),
            },
            State::Declining(exchange) => match self.again(now, exchange) {
                Ok(exchange) => self.state = State::Declining(exchange),
                Err(_) => self.restart(now, Duration::ZERO),
            },
        }
    }

    /// A datagram arrived at [`crate::CLIENT_PORT`]; whoever sent it, its identifiers count.
    fn handle_datagram(
        &mut self,
        now: SimTime,
        _from: SocketAddrV6,
        payload: &[u8],
    ) -> Result<(), Ignored> {
        let message = Message::decode(payload)?;
        let server = self.check(&message)?;
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Soliciting(exchange, offer) => {
                self.solicited(now, exchange, offer, &message, &server)
            }
            State::Asking(exchange, held) => self.replied(now, exchange, held, &message, &server),
            // §18.2.10.2: any valid Reply completes a Release, whatever its status.
            State::Releasing(_, address) => {
                self.events.push_back(Event::Released { address });
                Ok(())
            }
            State::Declining(_) => {
                self.restart(now, Duration::ZERO);
                Ok(())
            }
            // `check` has refused what arrives in the other states.
            other => {
                self.state = other;
                Err(Ignored::Unexpected(message.kind))
            }
        }
    }
}

/// An exchange of at most `count` transmissions with no longest timeout.
fn limited(initial: Duration, count: u32) -> Parameters {
    Parameters {
        initial,
        maximum: Duration::ZERO,
        count,
        deadline: None,
        first_above_initial: false,
    }
}

/// What a server says against granting the association, if it does.
fn refusal(message: &Message, iaid: u32) -> Option<&Status> {
    let ia = message.ia_nas.iter().find(|ia| ia.iaid == iaid);
    let statuses = [
        message.status.as_ref(),
        ia.and_then(|ia| ia.status.as_ref()),
    ];
    let mut statuses = statuses.into_iter().flatten();
    statuses.find(|status| status.code != StatusCode::Success)
}

/// Whether `ia` gives `address` a valid lifetime of zero.
fn takes_away(ia: Option<&IaNa>, address: Ipv6Addr) -> bool {
    ia.is_some_and(|ia| {
        ia.addresses
            .iter()
            .any(|found| found.address == address && found.valid_s == 0)
    })
}
