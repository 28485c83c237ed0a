//! Datagrams that mean harm.

use coap::message::option;
use coap::wire::{Message, Token};
use coap::{Code, Kind, Options, Request};
use rand_core::Rng as _;
use units::Rng;

/// What a datagram is like, in turns by chance.
const KINDS: usize = 8;

/// Segments that LwM2M paths have, and some that they have not.
const SEGMENTS: [&str; 24] = [
    "0", "1", "2", "3", "4", "8", "9", "11", "13", "3303", "3360", "2346", "2347", "5700", "5702",
    "5913", "5914", "5915", "5918", "65535", "65536", "rd", "dp", "x",
];

const QUERIES: [&str; 16] = [
    "pmin=1",
    "pmax=2",
    "pmin=18446744073709551615",
    "gt=5",
    "lt=1e308",
    "st=0.1",
    "pmax",
    "ep=a",
    "ep=",
    "lt=60",
    "lt=0",
    "lwm2m=1.1",
    "lwm2m=9.9",
    "b=UQ",
    "Q",
    "=",
];

/// Content-Formats of LwM2M, old numbers of theirs, others.
const FORMATS: [u64; 14] = [
    0, 40, 42, 50, 60, 110, 112, 1541, 1542, 11542, 11543, 11544, 65_535, 16_777_215,
];

/// Makes them from valid requests.
pub struct Hostile {
    rng: Rng,
    seeds: Vec<Request>,
}

/// A message that the attacked machine sent: its Message ID and token.
pub type Sent = (u16, Token);

impl Hostile {
    pub fn new(rng: Rng, seeds: Vec<Request>) -> Hostile {
        Hostile { rng, seeds }
    }

    /// Other valid requests from now on.
    pub fn set_seeds(&mut self, seeds: Vec<Request>) {
        self.seeds = seeds;
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        self.rng.next_u32() as usize % bound.max(1)
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> Option<T> {
        let place = self.below(from.len());
        from.get(place).cloned()
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        let mut bytes = vec![0; self.below(most + 1)];
        self.rng.fill_bytes(&mut bytes);
        bytes
    }

    fn token(&mut self) -> Token {
        Token::new(&self.bytes(8)).expect("a token has 8 bytes at most")
    }

    fn seed(&mut self) -> Request {
        let place = self.below(self.seeds.len());
        self.seeds[place].clone()
    }

    /// A message around a request, confirmable or not.
    fn message(&mut self, request: Request) -> Message {
        let confirmable = self.below(2) == 0;
        Message {
            kind: if confirmable {
                Kind::Confirmable
            } else {
                Kind::NonConfirmable
            },
            code: request.method,
            message_id: self.rng.next_u32() as u16,
            token: self.token(),
            options: request.options,
            payload: request.payload,
        }
    }

    /// A valid message that is no copy of another one: by chance one with a short token might be.
    pub fn valid(&mut self, request: Request) -> Vec<u8> {
        let mut message = self.message(request);
        let token = self.rng.next_u64().to_be_bytes();
        message.token = Token::new(&token).expect("8 bytes are a token");
        message.encode()
    }

    /// The next one; `sent`: what the attacked machine sent lately.
    pub fn next(&mut self, sent: &[Sent]) -> Vec<u8> {
        let kind = self.below(KINDS);
        let mut request = self.seed();
        match kind {
            0 | 1 => {
                let mut bytes = self.message(request).encode();
                self.mutate(&mut bytes);
                return bytes;
            }
            2 => {
                let length = self.below(request.payload.len());
                request.payload.truncate(length);
            }
            3 => request.payload = self.seed().payload,
            4 => request = self.request(),
            5 => return self.bytes(100),
            6 => return self.reply(sent),
            _ => {}
        }
        self.message(request).encode()
    }

    /// Some bits turned, bytes taken out, put in or doubled, an end cut off.
    pub fn mutate(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len());
            match self.below(6) {
                _ if bytes.is_empty() => {}
                0 => bytes[at] ^= 1 << self.below(8),
                1 => bytes[at] = self.rng.next_u32() as u8,
                2 => bytes.truncate(at),
                3 => drop(bytes.drain(at..(at + self.below(4)).min(bytes.len()).max(at))),
                4 => {
                    let more = self.bytes(6);
                    bytes.splice(at..at, more);
                }
                _ => {
                    let again = bytes[at..].to_vec();
                    bytes.extend(again.into_iter().take(32));
                }
            }
        }
    }

    /// Any method, of a path like those of LwM2M, with options of its and others.
    fn request(&mut self) -> Request {
        const METHODS: [Code; 6] = [
            Code::GET,
            Code::PUT,
            Code::POST,
            Code::DELETE,
            Code::FETCH,
            Code::IPATCH,
        ];
        let mut options = Options::new();
        for _ in 0..self.below(6) {
            let segment = self.pick(&SEGMENTS).unwrap_or_default();
            options.push(option::URI_PATH, segment);
        }
        for number in [option::CONTENT_FORMAT, option::ACCEPT] {
            let format = self.pick(&FORMATS).filter(|_| self.below(4) > 0);
            format
                .into_iter()
                .for_each(|format| options.push_uint(number, format));
        }
        for _ in 0..self.below(4) {
            let query = self.pick(&QUERIES).unwrap_or_default();
            options.push(option::URI_QUERY, query);
        }
        if self.below(3) == 0 {
            let value = self.below(3) as u64;
            options.push_uint(option::OBSERVE, value);
        }
        if self.below(6) == 0 {
            // A body in blocks that never ends, or begins in the middle.
            let number = [option::BLOCK1, option::BLOCK2][self.below(2)];
            let value = self.below(64) as u64;
            options.push_uint(number, value);
        }
        if self.below(8) == 0 {
            let (number, value) = (self.rng.next_u32() as u16, self.bytes(9));
            options.push(number, value);
        }
        let method = self.pick(&METHODS).unwrap_or(Code::GET);
        let payload = match self.below(2) {
            0 => self.bytes(80),
            _ => self.seed().payload,
        };
        Request {
            options,
            payload,
            ..Request::new(method, "/")
        }
    }

    /// Something that answers what the machine sent, or nothing that it sent.
    fn reply(&mut self, sent: &[Sent]) -> Vec<u8> {
        const KINDS: [Kind; 4] = [
            Kind::Acknowledgement,
            Kind::Reset,
            Kind::Confirmable,
            Kind::NonConfirmable,
        ];
        const CODES: [Code; 8] = [
            Code::EMPTY,
            Code::CREATED,
            Code::CHANGED,
            Code::CONTENT,
            Code::CONTINUE,
            Code::NOT_FOUND,
            Code::PRECONDITION_FAILED,
            Code::REQUEST_ENTITY_TOO_LARGE,
        ];
        let (message_id, token) = match self.pick(sent) {
            Some(sent) => sent,
            None => (self.rng.next_u32() as u16, self.token()),
        };
        let request = self.request();
        let message = Message {
            kind: self.pick(&KINDS).unwrap_or(Kind::Reset),
            code: self.pick(&CODES).unwrap_or(Code::EMPTY),
            message_id,
            token,
            options: request.options,
            payload: request.payload,
        };
        message.encode()
    }
}
