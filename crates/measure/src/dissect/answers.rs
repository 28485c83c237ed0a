//! Which request a CoAP message answers, of the requests that one capture point saw.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use coap::wire::{Message, Token};

/// Requests that are remembered in each of two generations, under two keys each.
const MOST_KEYS: usize = 1 << 16;

/// What an answer has of its request: an empty one the Message ID, another one the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    MessageId(u16),
    Token(Token),
}

/// By client, server and key.
type Requests<T> = BTreeMap<(SocketAddr, SocketAddr, Key), T>;

/// What is known of requests, for their answers. Of very many the oldest are forgotten.
#[derive(Debug)]
pub(super) struct Answers<T> {
    latest: Requests<T>,
    before: Requests<T>,
}

impl<T> Default for Answers<T> {
    fn default() -> Answers<T> {
        Answers {
            latest: Requests::new(),
            before: Requests::new(),
        }
    }
}

impl<T: Clone> Answers<T> {
    /// `request` goes from `client` to `server`.
    pub(super) fn ask(&mut self, client: SocketAddr, server: SocketAddr, request: &Message, of: T) {
        self.keep(
            (client, server, Key::MessageId(request.message_id)),
            of.clone(),
        );
        self.keep((client, server, Key::Token(request.token)), of);
    }

    /// What is known of the request that `message`, a response or an empty message, answers. One
    /// that acknowledges a separate response goes where the request went.
    pub(super) fn answer(
        &mut self,
        from: SocketAddr,
        to: SocketAddr,
        message: &Message,
    ) -> Option<T> {
        let id = Key::MessageId(message.message_id);
        let is_response = message.code.is_response();
        let key = if is_response {
            Key::Token(message.token)
        } else {
            id
        };
        let place = (to, from, key);
        let of = self.latest.get(&place).or(self.before.get(&place)).cloned();
        if let Some(of) = of.as_ref().filter(|_| is_response) {
            self.keep((from, to, id), of.clone());
        }
        of
    }

    fn keep(&mut self, place: (SocketAddr, SocketAddr, Key), of: T) {
        if self.latest.len() >= MOST_KEYS {
            self.before = std::mem::take(&mut self.latest);
        }
        self.latest.insert(place, of);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use coap::Kind;

    #[test]
    fn of_very_many_requests_the_oldest_are_forgotten() {
        let (client, server) = ("[::1]:1".parse().unwrap(), "[::2]:2".parse().unwrap());
        let message = |id: u32| Message {
            token: Token::new(&id.to_be_bytes()).unwrap(),
            code: coap::Code::GET,
            ..Message::empty(Kind::Confirmable, id as u16)
        };
        let response = |id: u32| Message {
            code: coap::Code::CONTENT,
            ..message(id)
        };
        let mut answers = Answers::default();
        for id in 0..3 * MOST_KEYS as u32 {
            answers.ask(client, server, &message(id), id);
            assert!(answers.latest.len() <= MOST_KEYS && answers.before.len() <= MOST_KEYS);
        }
        assert_eq!(answers.answer(server, client, &response(0)), None);
        let last = 3 * MOST_KEYS as u32 - 1;
        let found = answers.answer(server, client, &response(last));
        assert_eq!(found, Some(last));
    }
}
