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
            Ok((Command::Hold { p_addr, sleep }, sequence)) => {
                self.handle_hold(now, exchange, from, p_addr, sleep, sequence);
            }
            Ok((
                Command::BindingUpdate {
                    p_addr,
                    t_addr,
                    lifetime,
                },
                sequence,
            )) => {
                let location = Location {
                    p_addr,
                    t_addr,
                    lifetime,
                    held: false,
                    sleep: None,
                    sequence,
                };
                self.handle_binding(now, exchange, from, &location);
            }
            Ok((command, _)) => {
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
        sequence: Option<Sequence>,
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
        let in_order = self.lbc.check_order(p_addr, sequence);
        if let Err(last) = in_order
            && !(sequence == Some(last) && entry.is_some_and(|entry| entry.held))
        {
            let response = codec::outdated_response(last);
            self.endpoint.respond(now, exchange, response);
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
        if in_order.is_err() {
            return;
        }
        self.keep_back(now, p_addr, sleep);
        self.lbc.set_sequence(p_addr, sequence);
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
        location: &Location,
    ) {
        let (p_addr, t_addr) = (location.p_addr, location.t_addr);
        if self.lbc.get(p_addr).is_none() && !self.is_asking(p_addr) {
            let response = resource::unknown_node(p_addr);
            self.endpoint.respond(now, exchange, response);
            return;
        }
        if *from.ip() != t_addr && !self.may_speak_for(p_addr, from) {
            self.endpoint.respond(now, exchange, forbidden(from));
            return;
        }
        if let Err(last) = self.lbc.check_order(p_addr, location.sequence) {
            // WMMS and node may both tell of one binding.
            let here = |entry: &lbc::Entry| !entry.held && entry.t_addr == t_addr;
            let same = location.sequence == Some(last) && self.lbc.get(p_addr).is_some_and(here);
            let response = match same {
                true => Response::new(Code::CHANGED),
                false => codec::outdated_response(last),
            };
            self.endpoint.respond(now, exchange, response);
            return;
        }
        let response = Response::new(Code::CHANGED);
        self.endpoint.respond(now, exchange, response);
        self.cancel_discovery(p_addr);
        if location.lifetime == Lifetime::ZERO {
            self.lbc.set_sequence(p_addr, location.sequence);
            self.remove(now, p_addr, Removal::LifetimeZero);
            return self.pump(now, p_addr);
        }
        self.locate(now, location);
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
