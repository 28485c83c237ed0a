//! A WMMS that serves its own shards and forwards what is for others.
//!
//! *Why forwarded, not redirected.* A node knows one address of its WMMS, which any instance may have: a virtual
//! address, anycast, a load balancer. CoAP has no redirection that an unchanged node follows, and a node that just moves
//! should not need another round trip. So whoever gets a request hands it to the instance of its shard, and what that
//! one answers leaves from where the request arrived, which RFC 7252 §5.3.2 asks for.
//!
//! What an instance sends a peer by itself, such as a binding to a correspondent, leaves where that peer spoke last: peers
//! believe their WMMS more than others.

use std::collections::{BTreeSet, VecDeque};
use std::convert::Infallible;
use std::net::{Ipv6Addr, SocketAddrV6};

use coap::wire::{self, Message};
use comp::codec::option;
use comp::mmt::Entry;
use machine::{Machine, Transmit};
use units::SimTime;
use wmms_store::{Durable, Event, Store};

use crate::frame::{Frame, Kind, Secret};
use crate::recent::Recent;
use crate::shard::{SHARDS, Shard};

/// Peers and messages that are remembered at least, and twice as many at most.
const REMEMBERED: usize = 1 << 16;

/// Where the requests about a shard go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Place {
    /// They are served here.
    Here,
    /// To another instance, at this address.
    At(SocketAddrV6),
    /// Nowhere: nobody has it, or it is on its way. Who asks asks again.
    #[default]
    Nowhere,
}

/// A [`Durable`] among others; a [`Machine`].
#[derive(Debug)]
pub struct Sharded<S: Store> {
    durable: Durable<S>,
    secret: Secret,
    places: Vec<Place>,
    /// The other instances that live.
    others: BTreeSet<SocketAddrV6>,
    /// From then on another one may have the shards.
    serves_until: SimTime,
    /// Nothing is taken in.
    closed: bool,
    /// Through which instance a peer has spoken last, if not to this one.
    via: Recent<SocketAddrV6, SocketAddrV6>,
    /// Whose message it was that left here, by peer and Message ID: who is told of its acknowledgement.
    sent_for: Recent<(SocketAddrV6, u16), SocketAddrV6>,
    /// What goes to other instances or for them.
    out: VecDeque<Transmit>,
}

impl<S: Store> Sharded<S> {
    /// An instance without a shard. All that know `secret` and are among the others are believed.
    pub fn new(durable: Durable<S>, secret: Secret) -> Sharded<S> {
        Sharded {
            durable,
            secret,
            places: vec![Place::Nowhere; SHARDS.into()],
            others: BTreeSet::new(),
            serves_until: SimTime::ZERO,
            closed: false,
            via: Recent::new(REMEMBERED),
            sent_for: Recent::new(REMEMBERED),
            out: VecDeque::new(),
        }
    }

    /// What is held back until it is written.
    pub fn durable(&self) -> &Durable<S> {
        &self.durable
    }

    /// The same, to be told what is written.
    pub fn durable_mut(&mut self) -> &mut Durable<S> {
        &mut self.durable
    }

    /// Who lives besides this instance, and where the shards are, in their order.
    pub fn set_places(&mut self, others: BTreeSet<SocketAddrV6>, places: Vec<Place>) {
        self.others = others;
        self.places = places;
    }

    /// Until when this instance may answer for its shards.
    pub fn serve_until(&mut self, until: SimTime) {
        self.serves_until = until;
    }

    /// Takes nothing in until [`Sharded::open`]: what has changed comes to an end.
    pub fn close(&mut self) {
        self.closed = true;
    }

    /// Takes requests in again.
    pub fn open(&mut self) {
        self.closed = false;
    }

    /// Goes on with entries of shards that are this instance's from now on.
    pub fn adopt(
        &mut self,
        now: SimTime,
        shards: &BTreeSet<Shard>,
        entries: Vec<(Ipv6Addr, Entry)>,
    ) {
        self.durable.adopt(now, entries);
        for shard in shards {
            self.places[shard.index()] = Place::Here;
        }
    }

    /// Forgets shards that are another's from now on; to be called when all
    /// [is settled](Durable::is_settled) and nothing is taken in.
    pub fn hand_over(&mut self, now: SimTime, shards: &BTreeSet<Shard>) {
        self.durable
            .hand_over(now, |p_addr| shards.contains(&Shard::of(p_addr)));
        for shard in shards {
            self.places[shard.index()] = Place::Nowhere;
        }
    }

    fn serves(&self, now: SimTime) -> bool {
        !self.closed && now < self.serves_until
    }

    /// A message that `peer` sent, to this instance or `through` another.
    fn handle_message(
        &mut self,
        now: SimTime,
        peer: SocketAddrV6,
        through: Option<SocketAddrV6>,
        datagram: &[u8],
    ) -> Result<(), Infallible> {
        let place = match p_addr_asked_for(datagram) {
            Some(p_addr) => self.places[Shard::of(p_addr).index()],
            None => self.place_of_answer(peer, datagram),
        };
        match place {
            Place::Here if self.serves(now) => {
                match through {
                    Some(instance) => self.via.insert(peer, instance),
                    None => self.via.remove(&peer),
                }
                self.durable.handle_datagram(now, peer, datagram)
            }
            // Once is enough: two instances that disagree would pass it to and fro.
            Place::At(instance) if through.is_none() && self.others.contains(&instance) => {
                self.pass(instance, Kind::From, peer, datagram);
                Ok(())
            }
            Place::Here | Place::At(_) | Place::Nowhere => Ok(()),
        }
    }

    /// Who waits for a message that is no request about a P_Addr.
    fn place_of_answer(&self, peer: SocketAddrV6, datagram: &[u8]) -> Place {
        let sent_for = wire::header(datagram)
            .filter(|(kind, _)| matches!(kind, coap::Kind::Acknowledgement | coap::Kind::Reset))
            .and_then(|(_, message_id)| self.sent_for.get(&(peer, message_id)));
        sent_for.map_or(Place::Here, |instance| Place::At(*instance))
    }

    fn pass(&mut self, to: SocketAddrV6, kind: Kind, peer: SocketAddrV6, datagram: &[u8]) {
        let frame = Frame {
            kind,
            peer,
            datagram,
        };
        let payload = frame.write(&self.secret);
        self.out.push_back(Transmit { to, payload });
    }

    fn handle_frame(&mut self, now: SimTime, from: SocketAddrV6, bytes: &[u8]) {
        if !self.others.contains(&from) {
            return;
        }
        let secret = self.secret;
        let Some(frame) = Frame::read(bytes, &secret) else {
            return;
        };
        match frame.kind {
            Kind::From => {
                let Ok(()) = self.handle_message(now, frame.peer, Some(from), frame.datagram);
            }
            Kind::To => {
                if let Some((coap::Kind::Confirmable | coap::Kind::NonConfirmable, message_id)) =
                    wire::header(frame.datagram)
                {
                    self.sent_for.insert((frame.peer, message_id), from);
                }
                let (to, payload) = (frame.peer, frame.datagram.to_vec());
                self.out.push_back(Transmit { to, payload });
            }
        }
    }
}

/// The P_Addr of a request; `None` if it is none, or has none in order.
fn p_addr_asked_for(datagram: &[u8]) -> Option<Ipv6Addr> {
    let code = coap::Code(*datagram.get(1)?);
    if !code.is_request() {
        return None;
    }
    let message = Message::decode(datagram).ok()?;
    let value = message.options.get(option::PERMANENT_ADDRESS)?;
    <[u8; 16]>::try_from(value).ok().map(Ipv6Addr::from)
}

impl<S: Store> Machine for Sharded<S> {
    type From = SocketAddrV6;
    type To = SocketAddrV6;
    type Ignored = Infallible;
    type Event = Event<S::Group>;

    fn handle_datagram(
        &mut self,
        now: SimTime,
        from: SocketAddrV6,
        payload: &[u8],
    ) -> Result<(), Infallible> {
        match Frame::is_one(payload) {
            true => {
                self.handle_frame(now, from, payload);
                Ok(())
            }
            false => self.handle_message(now, from, None, payload),
        }
    }

    fn handle_timeout(&mut self, now: SimTime) {
        self.durable.handle_timeout(now);
    }

    fn poll_transmit(&mut self) -> Option<Transmit> {
        if let Some(transmit) = self.out.pop_front() {
            return Some(transmit);
        }
        let transmit = self.durable.poll_transmit()?;
        let via = self.via.get(&transmit.to).copied();
        let Some(instance) = via.filter(|instance| self.others.contains(instance)) else {
            return Some(transmit);
        };
        self.pass(instance, Kind::To, transmit.to, &transmit.payload);
        self.out.pop_front()
    }

    fn poll_timeout(&self) -> Option<SimTime> {
        self.durable.poll_timeout()
    }

    fn poll_event(&mut self) -> Option<Event<S::Group>> {
        self.durable.poll_event()
    }

    fn knows(&self, now: SimTime, from: &SocketAddrV6) -> bool {
        self.others.contains(from) || self.durable.knows(now, from)
    }

    fn passed_over(&mut self, now: SimTime, datagrams: u64) {
        Machine::passed_over(&mut self.durable, now, datagrams);
    }
}
