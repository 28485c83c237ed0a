//! The node as a server: its application's requests, and who the correspondents are.

use super::*;
use crate::codec::Lifetime;
use machine::network;

/// Requests handed to the application and not answered yet that are remembered.
const MAX_UNANSWERED: usize = 1024;

impl Node {
    /// Answers an [`Event::Request`]; whoever is answered is a correspondent.
    pub fn respond(&mut self, now: SimTime, exchange: ExchangeId, response: Response) {
        self.note_answered(now, exchange);
        self.endpoint.respond(now, exchange, response);
    }

    /// Whoever is answered is a correspondent.
    fn note_answered(&mut self, now: SimTime, exchange: ExchangeId) {
        if let Some((from, message_id)) = self.unanswered.remove(&exchange) {
            self.sequence_number = message_id;
            self.forget(from);
            if from != self.config.wmms {
                if self.correspondents.len() == MAX_CORRESPONDENTS {
                    self.displace();
                }
                self.correspondents.push_back((from, now));
            }
        }
    }

    /// Forgets the correspondent not heard for longest of the network that has most of them: whoever
    /// asks from all addresses of one network displaces nobody of another.
    fn displace(&mut self) {
        let mut of: BTreeMap<Ipv6Addr, usize> = BTreeMap::new();
        for address in self.correspondents() {
            *of.entry(network(*address.ip())).or_default() += 1;
        }
        let crowded = of
            .into_iter()
            .max_by_key(|(_, correspondents)| *correspondents);
        let Some((crowded, _)) = crowded else {
            return;
        };
        let there = self
            .correspondents()
            .position(|c| network(*c.ip()) == crowded);
        self.correspondents.remove(there.unwrap_or_default());
    }

    /// Answers like [`Node::respond`], and registers whoever asked to observe (RFC 7641) for
    /// [`Node::notify`].
    ///
    /// An observer is known by its address and token, which do not change when this node moves:
    /// what it observes goes on from the new T_Addr. During a hold and until a binding is
    /// complete nothing is notified; then the latest state is.
    pub fn respond_observed(&mut self, now: SimTime, exchange: ExchangeId, response: Response) {
        self.note_answered(now, exchange);
        self.endpoint.respond_observed(now, exchange, response);
    }

    /// Tells the observers of `path` its new state, now or when the node has moved.
    pub fn notify(&mut self, now: SimTime, path: &str, state: &Response) {
        self.endpoint.notify(now, path, state);
    }

    /// The peers that a direct binding goes to, the one heard last at the end.
    pub fn correspondents(&self) -> impl Iterator<Item = SocketAddrV6> {
        self.correspondents.iter().map(|(address, _)| *address)
    }

    /// Message ID of the last request that the node answered; 0 if it answered none.
    pub fn sequence_number(&self) -> u16 {
        self.sequence_number
    }

    pub(super) fn handle_request(&mut self, now: SimTime, message_id: u16, incoming: Incoming) {
        let Incoming { exchange, from, .. } = incoming;
        if resource::is_comp(&incoming.request) {
            if let Some((removal, last)) = self.contest(from, &incoming.request) {
                self.endpoint
                    .respond(now, exchange, Response::new(Code::CHANGED));
                return self.contested(now, removal, last);
            }
            let (response, news) = self.client.serve(from, &incoming.request);
            self.endpoint.respond(now, exchange, response);
            if let Some(news) = news {
                self.client.learn(now, &mut self.endpoint, news);
            }
            return;
        }
        if self.unanswered.len() == MAX_UNANSWERED {
            self.unanswered.pop_first();
        }
        self.unanswered.insert(exchange, (from, message_id));
        self.events.push_back(Event::Request {
            message_id,
            incoming,
        });
    }

    /// What the WMMS says about this node itself that it did not say: that it has left, is elsewhere or
    /// on hold, or here for another time, which is its own word under its own number; with the number
    /// of the message that said so.
    fn contest(
        &self,
        from: SocketAddrV6,
        request: &Request,
    ) -> Option<(Removal, Option<Sequence>)> {
        let of_wmms = Some(request).filter(|_| from.ip() == self.config.wmms.ip());
        let (command, sequence) = resource::command(of_wmms?).ok()?;
        let others = sequence.is_none_or(|last| self.registrar.counter.is_passed_by(last));
        let (removal, contested) = match command {
            Command::BindingUpdate {
                lifetime: Lifetime::ZERO,
                ..
            } => (Removal::DeregisteredByAnother, true),
            Command::BindingUpdate { t_addr, .. } => {
                let elsewhere = self.registrar.t_addr() != Some(t_addr);
                (Removal::TakenByAnother, elsewhere || others)
            }
            Command::Hold { .. } => (Removal::HeldByAnother, others),
            _ => return None,
        };
        (command.p_addr() == self.config.p_addr && contested).then_some((removal, sequence))
    }

    /// Somebody else spoke for this node: it says so, and where it is, unless it is about to anyway.
    pub(super) fn contested(&mut self, now: SimTime, removal: Removal, last: Option<Sequence>) {
        self.events.push_back(Event::Contested { removal });
        if let Some(last) = last {
            self.registrar.counter.overtake(last);
        }
        let goes_on = self.binding.is_none() && !self.client.is_paused();
        if let Some(t_addr) = self.registrar.t_addr().filter(|_| goes_on) {
            self.registrar.register(now, &mut self.endpoint, t_addr);
        }
    }

    /// Forgets a correspondent.
    pub(super) fn forget(&mut self, correspondent: SocketAddrV6) {
        self.correspondents
            .retain(|(known, _)| *known != correspondent);
    }

    /// The node has heard, as a client, that somebody has moved: who asked from the former address
    /// is the same correspondent at the present one.
    pub(super) fn follow(&mut self, former: Ipv6Addr, present: Ipv6Addr) {
        let moved = |address: &SocketAddrV6| {
            let mut moved = *address;
            if *address.ip() == former {
                moved.set_ip(present);
            }
            moved
        };
        let known = std::mem::take(&mut self.correspondents);
        for (address, heard) in known {
            let address = moved(&address);
            self.forget(address);
            self.correspondents.push_back((address, heard));
        }
        for purpose in self.requests.values_mut() {
            if let Purpose::Tell(correspondent) = purpose {
                *correspondent = moved(correspondent);
            }
        }
        self.endpoint.forget_observers(former);
    }

    /// Everybody whom a binding is told.
    pub(super) fn told(&self) -> Vec<SocketAddrV6> {
        // An observer may have asked so long ago that it is no correspondent any more.
        let mut told: Vec<SocketAddrV6> = self.endpoint.observers().collect();
        told.dedup();
        told.retain(|observer| self.correspondents().all(|known| known != *observer));
        told.extend(self.correspondents());
        told
    }

    /// Whether a binding waits for this correspondent: not if it is on hold, when it hears of the
    /// binding later, nor if it was last heard longer than [`patience`] before the latest of all:
    /// it may have moved since, and is another correspondent by now.
    pub(super) fn is_awaited(&self, correspondent: SocketAddrV6) -> bool {
        if self.client.holds_back(*correspondent.ip()) {
            return false;
        }
        if self.endpoint.observers().any(|o| o == correspondent) {
            return true;
        }
        let of = |known: &&(SocketAddrV6, SimTime)| known.0 == correspondent;
        let heard = self.correspondents.iter().find(of).map(|(_, heard)| *heard);
        let latest = self.correspondents.back().map(|(_, heard)| *heard);
        match (heard, latest) {
            (Some(heard), Some(latest)) => heard + patience(&self.config.coap) >= latest,
            _ => true,
        }
    }
}
