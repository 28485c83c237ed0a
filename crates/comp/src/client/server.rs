//! The client's own `/comp`: hold and binding update.

use super::*;

impl Client {
    pub(super) fn handle_request(
        &mut self,
        now: SimTime,
        exchange: ExchangeId,
        from: SocketAddrV6,
        request: &Request,
    ) {
        match resource::command(request) {
            Err(refusal) => self.endpoint.respond(now, exchange, refusal),
            Ok(Command::Hold { p_addr, sleep }) => {
                self.handle_hold(now, exchange, from, p_addr, sleep);
            }
            Ok(Command::BindingUpdate {
                p_addr,
                t_addr,
                lifetime,
            }) => self.handle_binding(now, exchange, from, p_addr, (t_addr, lifetime)),
            Ok(command) => {
                let served = [Procedure::Hold, Procedure::BindingUpdate];
                let response = resource::not_served(&command, "a client", &served);
                self.endpoint.respond(now, exchange, response);
            }
        }
    }

    fn handle_hold(
        &mut self,
        now: SimTime,
        exchange: ExchangeId,
        from: SocketAddrV6,
        p_addr: Ipv6Addr,
        sleep: Option<Duration>,
    ) {
        let entry = self.lbc.get(p_addr).copied();
        if entry.is_none() && !self.is_asking(p_addr) {
            let response = resource::unknown_node(p_addr);
            self.endpoint.respond(now, exchange, response);
            return;
        }
        if !self.may_speak_for(p_addr, from) {
            self.endpoint.respond(now, exchange, forbidden(from));
            return;
        }
        let peer = self.peers.entry(p_addr).or_default();
        let response = codec::hold_response(peer.sequence_number);
        self.endpoint.respond(now, exchange, response);
        let Some(entry) = entry else {
            // The answer under way may be older than the hold: ask again.
            self.cancel_discovery(p_addr);
            return self.pump(now, p_addr);
        };
        peer.on_hold_since = Some(now);
        self.lbc.hold(now, p_addr, sleep);
        if !entry.held {
            self.events.push_back(Event::BindingChanged {
                p_addr,
                t_addr: entry.t_addr,
                held: true,
            });
        }
    }

    fn handle_binding(
        &mut self,
        now: SimTime,
        exchange: ExchangeId,
        from: SocketAddrV6,
        p_addr: Ipv6Addr,
        (t_addr, lifetime): (Ipv6Addr, Lifetime),
    ) {
        if self.lbc.get(p_addr).is_none() && !self.is_asking(p_addr) {
            let response = resource::unknown_node(p_addr);
            self.endpoint.respond(now, exchange, response);
            return;
        }
        if *from.ip() != t_addr && !self.may_speak_for(p_addr, from) {
            self.endpoint.respond(now, exchange, forbidden(from));
            return;
        }
        let response = Response::new(Code::CHANGED);
        self.endpoint.respond(now, exchange, response);
        self.cancel_discovery(p_addr);
        if lifetime == Lifetime::ZERO {
            self.remove(p_addr, Removal::LifetimeZero);
            return self.pump(now, p_addr);
        }
        self.locate(
            now,
            &Location {
                p_addr,
                t_addr,
                lifetime,
                held: false,
                sleep: None,
            },
        );
    }

    /// Whether requests for a node wait, or it is being discovered.
    fn is_asking(&self, p_addr: Ipv6Addr) -> bool {
        (self.peers.get(&p_addr))
            .is_some_and(|peer| peer.discovery.is_some() || !peer.waiting.is_empty())
    }

    /// The WMMS, and the node from where it is known to be.
    fn may_speak_for(&self, p_addr: Ipv6Addr, from: SocketAddrV6) -> bool {
        let from = from.ip();
        from == self.config.wmms.ip()
            || (self.lbc.get(p_addr)).is_some_and(|entry| entry.t_addr == *from)
    }
}

fn forbidden(from: SocketAddrV6) -> Response {
    const FORBIDDEN: Code = Code::new(4, 3);
    let text = format!("{} is neither the WMMS nor the node", from.ip());
    Response::diagnostic(FORBIDDEN, &text)
}
