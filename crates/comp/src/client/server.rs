//! The `/comp` of a node that asks others: hold and binding update.

use super::*;
use crate::resource;

/// What an accepted message changes, once it is answered.
#[derive(Debug)]
pub(crate) enum News {
    /// The node is on hold.
    Held {
        p_addr: Ipv6Addr,
        sleep: Option<Duration>,
        sequence: Option<Sequence>,
    },
    /// The node is on hold, and not known yet: the answer under way may be older.
    DiscoverAgain(Ipv6Addr),
    /// The node is there now.
    Located(Location),
    /// Somebody says that the node is there now, whom only the WMMS can know.
    Claimed(Claim),
    /// The node has left.
    Gone {
        p_addr: Ipv6Addr,
        sequence: Option<Sequence>,
    },
}

impl Client {
    /// Answers a request for `/comp`; what it changes is for [`Client::learn`].
    pub(crate) fn serve(
        &mut self,
        from: SocketAddrV6,
        request: &Request,
    ) -> (Response, Option<News>) {
        let answer = match resource::command(request) {
            Err(refusal) => Err(refusal),
            Ok((Command::Hold { p_addr, sleep }, sequence)) => {
                self.handle_hold(from, p_addr, sleep, sequence)
            }
            Ok((
                Command::BindingUpdate {
                    p_addr,
                    t_addr,
                    lifetime,
                },
                sequence,
            )) => self.handle_binding(
                from,
                Location {
                    p_addr,
                    t_addr,
                    lifetime,
                    held: false,
                    sleep: None,
                    sequence,
                },
            ),
            Ok((command, _)) => {
                let served = [Procedure::Hold, Procedure::BindingUpdate];
                Err(resource::not_served(&command, "a node", &served))
            }
        };
        answer.unwrap_or_else(|refusal| (refusal, None))
    }

    fn handle_hold(
        &mut self,
        from: SocketAddrV6,
        p_addr: Ipv6Addr,
        sleep: Option<Duration>,
        sequence: Option<Sequence>,
    ) -> Result<(Response, Option<News>), Response> {
        let entry = self.lbc.get(p_addr).copied();
        if entry.is_none() && !self.is_asking(p_addr) {
            return Err(resource::unknown_node(p_addr));
        }
        if !self.may_speak_for(p_addr, from) {
            return Err(forbidden(from));
        }
        let in_order = self.lbc.check_order(p_addr, sequence);
        if let Err(last) = in_order
            && !(sequence == Some(last) && entry.is_some_and(|entry| entry.held))
        {
            return Err(codec::outdated_response(last));
        }
        let response = codec::hold_response(self.node_mut(p_addr).reported());
        let news = match (entry, in_order) {
            (None, _) => Some(News::DiscoverAgain(p_addr)),
            (Some(_), Err(_)) => None,
            (Some(_), Ok(())) => Some(News::Held {
                p_addr,
                sleep,
                sequence,
            }),
        };
        Ok((response, news))
    }

    fn handle_binding(
        &mut self,
        from: SocketAddrV6,
        location: Location,
    ) -> Result<(Response, Option<News>), Response> {
        let (p_addr, t_addr) = (location.p_addr, location.t_addr);
        if self.lbc.get(p_addr).is_none() && !self.is_asking(p_addr) {
            return Err(resource::unknown_node(p_addr));
        }
        if *from.ip() != t_addr && !self.may_speak_for(p_addr, from) {
            return Err(forbidden(from));
        }
        let done = Response::new(Code::CHANGED);
        if let Err(last) = self.lbc.check_order(p_addr, location.sequence) {
            // WMMS and node may both tell of one binding.
            let here = |entry: &lbc::Entry| !entry.held && entry.t_addr == t_addr;
            let same = location.sequence == Some(last) && self.lbc.get(p_addr).is_some_and(here);
            return match same {
                true => Ok((done, None)),
                false => Err(codec::outdated_response(last)),
            };
        }
        if self.asks_first && !self.may_speak_for(p_addr, from) {
            return Ok((done, Some(News::Claimed(Claim::new(&location)))));
        }
        let news = match location.lifetime {
            Lifetime::ZERO => News::Gone {
                p_addr,
                sequence: location.sequence,
            },
            _ => News::Located(location),
        };
        Ok((done, Some(news)))
    }

    /// Acts on what a message said that was answered.
    pub(crate) fn learn(&mut self, now: SimTime, endpoint: &mut Endpoint, news: News) {
        match news {
            News::DiscoverAgain(p_addr) => {
                self.cancel_discovery(endpoint, p_addr);
                self.pump(now, endpoint, Target::Node(p_addr));
            }
            News::Held {
                p_addr,
                sleep,
                sequence,
            } => {
                let before = self.lbc.get(p_addr).copied();
                self.keep_back(now, endpoint, p_addr, sleep);
                self.lbc.set_sequence(p_addr, sequence);
                if let Some(entry) = before.filter(|entry| !entry.held) {
                    self.events.push_back(Event::Binding(BindingEvent::Changed {
                        p_addr,
                        t_addr: entry.t_addr,
                        held: true,
                    }));
                }
            }
            News::Claimed(claim) => self.doubt_claim(now, endpoint, claim),
            News::Located(location) => {
                self.drop_claim(location.p_addr);
                self.cancel_discovery(endpoint, location.p_addr);
                self.locate(now, endpoint, &location);
            }
            News::Gone { p_addr, sequence } => {
                self.cancel_discovery(endpoint, p_addr);
                self.lbc.set_sequence(p_addr, sequence);
                self.remove(now, endpoint, p_addr, Removal::LifetimeZero);
                self.pump(now, endpoint, Target::Node(p_addr));
            }
        }
    }

    /// Whether requests for a node wait, or it is being discovered.
    fn is_asking(&self, p_addr: Ipv6Addr) -> bool {
        (self.node(p_addr)).is_some_and(|peer| peer.discovery.is_some() || !peer.waiting.is_empty())
    }

    /// The WMMS, and the node from where it is known to be.
    fn may_speak_for(&self, p_addr: Ipv6Addr, from: SocketAddrV6) -> bool {
        let from = from.ip();
        from == self.wmms.ip() || (self.lbc.get(p_addr)).is_some_and(|entry| entry.t_addr == *from)
    }
}

fn forbidden(from: SocketAddrV6) -> Response {
    let text = format!("{} is neither the WMMS nor the node", from.ip());
    Response::diagnostic(Code::FORBIDDEN, &text)
}
