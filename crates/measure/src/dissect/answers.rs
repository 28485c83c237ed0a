//! Which request a CoAP message answers, of the requests that one capture point saw.

use std::net::SocketAddr;

use coap::wire::{Message, Token};

use crate::recent::Recent;

/// Requests that are remembered in each of two generations, under two keys each.
const MOST_KEYS: usize = 1 << 16;

/// What an answer has of its request: an empty one the Message ID, another one the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    MessageId(u16),
    Token(Token),
}

/// By client, server and key.
type Place = (SocketAddr, SocketAddr, Key);

/// What is known of requests, for their answers. Of very many the oldest are forgotten.
#[derive(Debug)]
pub(crate) struct Answers<T>(Recent<Place, T>);

impl<T> Default for Answers<T> {
    fn default() -> Answers<T> {
        Answers(Recent::new(MOST_KEYS))
    }
}

impl<T: Clone> Answers<T> {
    /// `request` goes from `client` to `server`.
    pub(crate) fn ask(&mut self, client: SocketAddr, server: SocketAddr, request: &Message, of: T) {
        let id = Key::MessageId(request.message_id);
        self.0.insert((client, server, id), of.clone());
        self.tell(client, server, request.token, of);
    }

    /// What is known of the request that `message`, a response or an empty message, answers. One
    /// that acknowledges a separate response goes where the request went.
    pub(crate) fn answer(
        &mut self,
        from: SocketAddr,
        to: SocketAddr,
        message: &Message,
    ) -> Option<T> {
        let is_response = message.code.is_response();
        let key = match is_response {
            true => Key::Token(message.token),
            false => Key::MessageId(message.message_id),
        };
        let of = self.0.get(&(to, from, key)).cloned();
        if let Some(of) = of.as_ref().filter(|_| is_response) {
            self.call(from, to, message.message_id, of.clone());
        }
        of
    }

    /// What is known of the request with this token.
    pub(crate) fn asked(&self, client: SocketAddr, server: SocketAddr, token: Token) -> Option<&T> {
        self.0.get(&(client, server, Key::Token(token)))
    }

    /// Something else is known of the request with this token: the responses that come under it
    /// are of that.
    pub(crate) fn tell(&mut self, client: SocketAddr, server: SocketAddr, token: Token, of: T) {
        self.0.insert((client, server, Key::Token(token)), of);
    }

    /// What an empty message answers, if it is for the message with this ID from `from` to `to`.
    pub(crate) fn call(&mut self, from: SocketAddr, to: SocketAddr, message_id: u16, of: T) {
        self.0.insert((from, to, Key::MessageId(message_id)), of);
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
            assert!(answers.0.len() <= 2 * MOST_KEYS);
        }
        assert_eq!(answers.answer(server, client, &response(0)), None);
        let last = 3 * MOST_KEYS as u32 - 1;
        let found = answers.answer(server, client, &response(last));
        assert_eq!(found, Some(last));
    }
}
