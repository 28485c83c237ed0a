//! A protection that protects nobody: OSCORE's shape with an XOR in place of a cipher.
//!
//! A message goes out as POST or 2.04 (with Observe as FETCH or 2.05) with option 9, in which
//! context and number stand, and a payload that is code, options and payload of the message and
//! their sum, all XORed with what key, direction, number and the number of the request say. What
//! does not fit does not decode or has another sum.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddrV6;

use coap::message::option;
use coap::protection::{Association, ContextId, Protection, Refusal, Unprotectable, Unverified};
use coap::wire::Message;
use coap::{Code, Kind, Options, Request, Response};
use units::SimTime;

use crate::support::message;

/// The number of the OSCORE option (RFC 8613 §2).
pub const OPTION: u16 = 9;

#[derive(Debug, Default)]
pub struct Toy {
    /// The keys of the contexts.
    pub keys: BTreeMap<ContextId, u8>,
    /// Who is where.
    pub places: BTreeMap<SocketAddrV6, ContextId>,
    /// The number of the next message.
    pub next: u64,
    /// The first number that does not exist.
    pub end: Option<u64>,
    /// Requests that were verified, by context and number.
    pub seen: BTreeSet<(ContextId, u64)>,
    /// How an unprotected request is refused, if it is.
    pub plain: Option<Refusal>,
}

/// Direction, number of the request, number of the message.
type Nonce = (u8, u64, u64);

impl Toy {
    /// One that knows context 1 with the peer at `place`.
    pub fn with(place: SocketAddrV6) -> Toy {
        Toy {
            keys: BTreeMap::from([(ContextId(1), 0x5a)]),
            places: BTreeMap::from([(place, ContextId(1))]),
            ..Toy::default()
        }
    }

    fn number(&mut self) -> Result<u64, Unprotectable> {
        let number = self.next;
        if Some(number) == self.end {
            return Err(Unprotectable);
        }
        self.next += 1;
        Ok(number)
    }

    fn xor(&self, context: ContextId, nonce: Nonce, bytes: &[u8]) -> Vec<u8> {
        let (direction, request, number) = nonce;
        let key = self.keys[&context] ^ direction ^ (request as u8) << 4 ^ number as u8;
        bytes.iter().map(|byte| byte ^ key).collect()
    }

    fn seal(&self, context: ContextId, nonce: Nonce, inner: Inner) -> Vec<u8> {
        let (code, options, payload) = inner;
        let message = Message {
            options,
            payload,
            ..message(Kind::Confirmable, code, 0, coap::wire::Token::EMPTY)
        };
        let mut bytes = message.encode();
        let sum = bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
        bytes.push(sum);
        self.xor(context, nonce, &bytes)
    }

    fn open(&self, context: ContextId, nonce: Nonce, payload: &[u8]) -> Option<Inner> {
        let mut bytes = self.xor(context, nonce, payload);
        let sum = bytes.pop()?;
        let right = bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
        let message = Message::decode(&bytes).ok().filter(|_| sum == right)?;
        Some((message.code, message.options, message.payload))
    }
}

/// What is hidden.
type Inner = (Code, Options, Vec<u8>);

const TO_SERVER: u8 = 0x00;
const TO_CLIENT: u8 = 0xa5;

/// Options of the message that goes out, for a proxy to see.
fn outer(inner: &Options, value: &[u8]) -> Options {
    let mut options = Options::new();
    if let Some(observe) = inner.get(option::OBSERVE) {
        options.push(option::OBSERVE, observe);
    }
    options.push(OPTION, value);
    options
}

fn refused(code: Code, why: &str) -> Refusal {
    Refusal::answered(Response::diagnostic(code, why))
}

impl Protection for Toy {
    fn protect_request(
        &mut self,
        _: SimTime,
        to: SocketAddrV6,
        request: &mut Request,
    ) -> Result<Option<Association>, Unprotectable> {
        let Some(&context) = self.places.get(&to) else {
            return Ok(None);
        };
        let number = self.number()?;
        let (method, options, payload) =
            take(&mut request.options, &mut request.payload, request.method);
        let observe = options.get(option::OBSERVE).is_some();
        request.method = if observe { Code::FETCH } else { Code::POST };
        request.options = outer(&options, &[context.0 as u8, number as u8]);
        let inner = (method, options, payload);
        request.payload = self.seal(context, (TO_SERVER, number, number), inner);
        Ok(Some(Association {
            context,
            request: number,
            responses: 0,
        }))
    }

    fn verify_request(
        &mut self,
        _: SimTime,
        _: SocketAddrV6,
        request: &mut Request,
    ) -> Result<Option<Association>, Refusal> {
        let Some(value) = request.options.get(OPTION) else {
            return match &self.plain {
                Some(refusal) => Err(refusal.clone()),
                None => Ok(None),
            };
        };
        let &[context, number] = value else {
            return Err(refused(Code::BAD_OPTION, "Failed to decode COSE"));
        };
        let (context, number) = (ContextId(context.into()), u64::from(number));
        if !self.keys.contains_key(&context) {
            return Err(refused(Code::UNAUTHORIZED, "Security context not found"));
        }
        if self.seen.contains(&(context, number)) {
            return Err(refused(Code::UNAUTHORIZED, "Replay detected"));
        }
        let opened = self.open(context, (TO_SERVER, number, number), &request.payload);
        let Some((method, options, payload)) = opened else {
            return Err(refused(Code::BAD_REQUEST, "Decryption failed"));
        };
        self.seen.insert((context, number));
        *request = Request {
            method,
            options,
            payload,
        };
        Ok(Some(Association {
            context,
            request: number,
            responses: 0,
        }))
    }

    fn protect_response(
        &mut self,
        _: SimTime,
        _: SocketAddrV6,
        association: &mut Association,
        response: &mut Response,
    ) -> Result<(), Unprotectable> {
        let Association {
            context, request, ..
        } = *association;
        // The first has the nonce of the request, the others one of their own.
        let (number, value) = match association.responses {
            0 => (request, Vec::new()),
            _ => {
                let number = self.number()?;
                (number, vec![number as u8])
            }
        };
        association.responses += 1;
        let (code, options, payload) =
            take(&mut response.options, &mut response.payload, response.code);
        let observe = options.get(option::OBSERVE).is_some();
        response.code = if observe {
            Code::CONTENT
        } else {
            Code::CHANGED
        };
        response.options = outer(&options, &value);
        let inner = (code, options, payload);
        response.payload = self.seal(context, (TO_CLIENT, request, number), inner);
        Ok(())
    }

    fn verify_response(
        &mut self,
        _: SimTime,
        _: SocketAddrV6,
        association: &mut Association,
        response: &mut Response,
    ) -> Result<(), Unverified> {
        let Some(value) = response.options.get(OPTION) else {
            return match response.code.class() {
                4 => Ok(()),
                _ => Err(Unverified),
            };
        };
        let number = match value {
            [] if association.responses == 0 => association.request,
            [number] => u64::from(*number),
            _ => return Err(Unverified),
        };
        let Association {
            context, request, ..
        } = *association;
        let opened = self.open(context, (TO_CLIENT, request, number), &response.payload);
        let (code, options, payload) = opened.ok_or(Unverified)?;
        association.responses = number + 1;
        *response = Response {
            code,
            options,
            payload,
        };
        Ok(())
    }

    fn moved(&mut self, from: SocketAddrV6, to: SocketAddrV6) {
        if let Some(context) = self.places.remove(&from) {
            self.places.insert(to, context);
        }
    }
}

/// What is to be hidden of a message.
fn take(options: &mut Options, payload: &mut Vec<u8>, code: Code) -> Inner {
    (code, std::mem::take(options), std::mem::take(payload))
}
