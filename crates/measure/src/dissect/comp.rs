//! CoMP: requests for its resource or with one of its options, and what answers them.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv6Addr};

use coap::message::option::URI_PATH;
use coap::wire::Message;
use comp::codec::{PATH, Procedure, option};

use super::answers::Answers;
use super::{Binding, Dissector, Meaning, Protocol, Seen, Standing, Subject};

pub(super) const PROTOCOL: Protocol = Protocol::new("comp", "CoMP");

/// The options' numbers.
const OPTIONS: std::ops::RangeInclusive<u16> = option::MESSAGE_TYPE..=option::SLEEP_PERIOD;

/// What a request is and whom it is about.
#[derive(Clone, Debug)]
struct Asked {
    message: Cow<'static, str>,
    node: Vec<IpAddr>,
    /// What it announces.
    announced: Option<Binding>,
}

/// The dissector.
#[derive(Debug, Default)]
pub(super) struct Comp {
    requests: Answers<Asked>,
}

impl Dissector for Comp {
    fn read(&mut self, packet: &Seen<'_>) -> Option<Meaning> {
        let message = packet.coap?;
        let datagram = packet.ip.udp()?;
        let (from, to) = (datagram.src, datagram.dst);
        // The node that the message names; else it is one of the ends.
        let named = address(message, option::PERMANENT_ADDRESS);
        let node = || named.into_iter().chain([from.ip(), to.ip()]).collect();
        if message.code.is_request() {
            if !is_comp(message) {
                return None;
            }
            let procedure = procedure(message);
            let looks_up = matches!(procedure, Some(Procedure::Discovery | Procedure::Hold));
            let standing = match looks_up {
                true => Standing::Told,
                false => Standing::Announced,
            };
            let binding = binding(message, standing);
            let asked = Asked {
                message: procedure.map_or("request".into(), |p| p.to_string().into()),
                node: node(),
                announced: binding.filter(|_| !looks_up),
            };
            self.requests.ask(from, to, message, asked.clone());
            return Some(asked.meaning(binding));
        }
        let asked = self.requests.answer(from, to, message);
        let binding = binding(message, Standing::Told);
        // A capture that begins after the request has only the answer, which says where the node is.
        let alone = || Asked {
            message: Procedure::Discovery.to_string().into(),
            node: node(),
            announced: None,
        };
        let asked = asked.or_else(|| binding.map(|_| alone()))?;
        let of_announced = asked
            .announced
            .and_then(|announced| answered(announced, message));
        Some(asked.meaning(of_announced.or(binding)))
    }
}

impl Asked {
    fn meaning(self, binding: Option<Binding>) -> Meaning {
        Meaning {
            protocol: PROTOCOL,
            message: self.message,
            subject: Subject::Node(self.node),
            binding,
        }
    }
}

fn is_comp(request: &Message) -> bool {
    let path = request.options.get_all(URI_PATH);
    path.eq(PATH.split('/').skip(1).map(str::as_bytes))
        || (request.options.iter()).any(|(number, _)| OPTIONS.contains(&number))
}

fn procedure(request: &Message) -> Option<Procedure> {
    let number = request.options.get_uint(option::MESSAGE_TYPE)?;
    (Procedure::ALL.into_iter()).find(|procedure| *procedure as u64 == number)
}

fn address(message: &Message, number: u16) -> Option<IpAddr> {
    let octets: [u8; 16] = message.options.get(number)?.try_into().ok()?;
    Some(IpAddr::V6(Ipv6Addr::from(octets)).to_canonical())
}

/// What `answer` says of a binding that was announced, unless it only acknowledges the message.
fn answered(announced: Binding, answer: &Message) -> Option<Binding> {
    let standing = match answer.code.class() {
        2 => Standing::Accepted,
        4 | 5 => Standing::Refused,
        _ => return None,
    };
    Some(Binding {
        standing,
        ..announced
    })
}

fn binding(message: &Message, standing: Standing) -> Option<Binding> {
    Some(Binding {
        permanent: address(message, option::PERMANENT_ADDRESS)?,
        care_of: address(message, option::TEMPORARY_ADDRESS)?,
        standing,
    })
}

#[cfg(test)]
mod tests {
    use coap::wire::Token;
    use coap::{Code, Kind, Request};
    use comp::codec::{Command, Lifetime, Location};

    use super::super::tests::{names, read, udp};
    use super::*;

    const P_ADDR: &str = "fd00:f::5";
    const T_ADDR: &str = "2001:db8:2::5";
    const NODE: &str = "[2001:db8:2::5]:5683";
    const PEER: &str = "[2001:db8::77]:5683";

    fn v6(text: &str) -> Ipv6Addr {
        text.parse().unwrap()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn sent(from: &str, to: &str, message: &Message) -> Vec<u8> {
        udp(from, to, &message.encode())
    }

    fn request(id: u16, request: Request) -> Message {
        Message {
            kind: Kind::Confirmable,
            code: request.method,
            message_id: id,
            token: Token::new(&[id as u8]).unwrap(),
            options: request.options,
            payload: request.payload,
        }
    }

    fn response(kind: Kind, id: u16, token: u8, response: coap::Response) -> Message {
        Message {
            kind,
            code: response.code,
            message_id: id,
            token: Token::new(&[token]).unwrap(),
            options: response.options,
            payload: response.payload,
        }
    }

    #[test]
    fn a_node_announces_its_binding_and_who_looks_it_up_does_not() {
        let (p_addr, t_addr, lifetime) = (v6(P_ADDR), v6(T_ADDR), Lifetime(60));
        let registration = Command::Registration {
            p_addr,
            t_addr,
            lifetime,
        };
        let update = Command::BindingUpdate {
            p_addr,
            t_addr,
            lifetime,
        };
        let location = Location {
            p_addr,
            t_addr,
            lifetime,
            held: false,
            sleep: None,
            sequence: None,
        };
        let meanings = read(&[
            sent(NODE, PEER, &request(1, registration.request())),
            sent(PEER, NODE, &request(2, update.request())),
            sent(
                NODE,
                PEER,
                &request(3, Command::Discovery { p_addr }.request()),
            ),
            sent(
                PEER,
                NODE,
                &response(Kind::Acknowledgement, 3, 3, location.response()),
            ),
            // Its request was before the capture.
            sent(
                PEER,
                NODE,
                &response(Kind::Confirmable, 9, 99, location.response()),
            ),
        ]);
        let told = [
            "registration",
            "binding update",
            "discovery",
            "discovery",
            "discovery",
        ];
        assert_eq!(names(&meanings), told);
        let standing = meanings.iter().flatten();
        let standing = standing.map(|m| m.binding.map(|b| b.standing));
        let expected = [
            Some(Standing::Announced),
            Some(Standing::Announced),
            None,
            Some(Standing::Told),
            Some(Standing::Told),
        ];
        assert_eq!(standing.collect::<Vec<_>>(), expected);
        let binding = meanings[1].as_ref().unwrap().binding.unwrap();
        assert_eq!(
            (binding.permanent, binding.care_of),
            (ip(P_ADDR), ip(T_ADDR))
        );
    }

    #[test]
    fn what_answers_an_announcement_says_whether_it_stands() {
        let update = || Command::BindingUpdate {
            p_addr: v6(P_ADDR),
            t_addr: v6(T_ADDR),
            lifetime: Lifetime(60),
        };
        let answered = |code| {
            let meanings = read(&[
                sent(NODE, PEER, &request(2, update().request())),
                sent(
                    PEER,
                    NODE,
                    &response(Kind::Acknowledgement, 2, 2, coap::Response::new(code)),
                ),
            ]);
            let binding = meanings[1].as_ref().unwrap().binding.unwrap();
            assert_eq!(binding.care_of, ip(T_ADDR));
            binding.standing
        };
        assert_eq!(answered(Code::CHANGED), Standing::Accepted);
        assert_eq!(answered(Code::FORBIDDEN), Standing::Refused);
    }

    #[test]
    fn what_answers_a_request_is_about_the_same_node() {
        let hold = Command::Hold {
            p_addr: v6(P_ADDR),
            sleep: None,
        };
        let changed = coap::Response::new(Code::CHANGED);
        let meanings = read(&[
            sent(NODE, PEER, &request(7, hold.request())),
            // Acknowledged, answered separately, acknowledged.
            sent(PEER, NODE, &Message::empty(Kind::Acknowledgement, 7)),
            sent(
                PEER,
                NODE,
                &response(Kind::Confirmable, 900, 7, changed.clone()),
            ),
            sent(NODE, PEER, &Message::empty(Kind::Acknowledgement, 900)),
            // An answer to something else, and an application's.
            sent(PEER, NODE, &response(Kind::Confirmable, 901, 8, changed)),
            sent(PEER, NODE, &request(8, Request::new(Code::GET, "/t"))),
        ]);
        assert_eq!(names(&meanings), ["hold", "hold", "hold", "hold", "", ""]);
        let subject = Subject::Node(vec![ip(P_ADDR), ip("2001:db8:2::5"), ip("2001:db8::77")]);
        assert!(
            meanings
                .iter()
                .flatten()
                .all(|meaning| meaning.subject == subject)
        );
    }

    #[test]
    fn a_request_is_known_by_its_resource_or_by_any_of_the_options() {
        let bare = Request::new(Code::PUT, PATH);
        let mut elsewhere = Request::new(Code::PUT, "/other");
        elsewhere.options.push(option::SLEEP_PERIOD, [1]);
        let mut below = Request::new(Code::PUT, "/other");
        below.options.push(option::MESSAGE_TYPE - 1, [1]);
        let requests = [bare, elsewhere, below, Request::new(Code::PUT, "/comp/x")];
        let packets = requests.map(|r| sent(NODE, PEER, &request(1, r)));
        assert_eq!(names(&read(&packets)), ["request", "request", "", ""]);
    }
}
