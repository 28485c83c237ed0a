//! Whether a source is where it says that it is (RFC 9175 §2), and how much it gets before.
//!
//! With [`Params::verify_sources`](crate::Params::verify_sources) a request that changes something, or
//! asks to be observed, or begins a body in blocks, is answered 4.01 with an Echo option until its source has shown that it gets
//! what is sent there. What only asks is answered, with no more than three times the bytes that
//! came (§2.4; RFC 7252 §11.3). Owners that keep something of who asks call
//! [`Endpoint::challenge`](super::Endpoint::challenge) themselves.
//!
//! A source is an address and a port: what goes to another port of a proven address is as unwelcome
//! there as anywhere. An Echo value is a code over both and the minute, so that nothing is kept of who
//! does not come back. Who does is believed for [`PROVEN_FOR`], and so is who answers a request of ours,
//! if its token could not be guessed. A loopback address needs no proof: nobody else can have it.

use std::net::SocketAddrV6;
use std::time::Duration;

use machine::Deadlines;
use units::{Seed, SimTime};

use super::peer::Peer;
use super::{Endpoint, ExchangeId};
use crate::message::{Code, Options, Response, option};

/// Bytes to an unproven source for one of its own (RFC 9175 §2.4).
const AMPLIFICATION: usize = 3;

/// An Echo value counts for one to two of these.
const WINDOW: Duration = Duration::from_secs(60);

/// How long a source is believed to be there. Ours: RFC 9175 leaves it open.
const PROVEN_FOR: Duration = Duration::from_secs(3600);

/// Sources that are believed at most; of one more, who proved it longest ago proves it again.
const MAX_PROVEN: usize = 1 << 16;

/// Bytes of an Echo value, so many that nobody guesses it (RFC 9175 §5).
const VALUE_BYTES: usize = 8;

/// How often one request is repeated because it is to prove its source.
const MAX_PROOFS: u32 = 2;

/// Who sent a request, as far as its answer depends on it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker {
    /// It is where it says, or nobody wants to know.
    pub(super) proven: bool,
    /// Bytes of its datagram.
    pub(super) bytes: usize,
    /// Bytes that it has got for them.
    pub(super) got: usize,
}

impl Asker {
    /// Who has sent so many bytes and got none.
    pub(super) fn new(proven: bool, bytes: usize) -> Asker {
        Asker {
            proven,
            bytes,
            got: 0,
        }
    }

    /// Whether it may get so many bytes.
    pub(super) fn may_get(self, bytes: usize) -> bool {
        self.proven || self.got + bytes <= AMPLIFICATION * self.bytes
    }
}

/// What is known of sources.
#[derive(Debug)]
pub(super) struct Sources {
    secret: Seed,
    proven: Deadlines<Peer>,
}

impl Sources {
    /// Of nobody. `secret` is what Echo values are made with.
    pub(super) fn new(secret: u64) -> Sources {
        Sources {
            secret: Seed(secret),
            proven: Deadlines::new(),
        }
    }

    fn value(&self, from: SocketAddrV6, window: u64) -> [u8; VALUE_BYTES] {
        let (address, port) = (from.ip().to_string(), from.port().to_string());
        let code = (self.secret).bytes(&["echo", &address, &port, &window.to_string()]);
        let mut value = [0; VALUE_BYTES];
        value.copy_from_slice(&code[..VALUE_BYTES]);
        value
    }

    fn is_value(&self, now: SimTime, from: SocketAddrV6, value: &[u8]) -> bool {
        let window = window(now);
        let counts = |window| value == self.value(from, window);
        counts(window) || counts(window.wrapping_sub(1))
    }

    fn believes(&self, now: SimTime, from: SocketAddrV6) -> bool {
        let mapped = from.ip().to_ipv4_mapped();
        from.ip().is_loopback()
            || mapped.is_some_and(|address| address.is_loopback())
            || (self.proven.get(from.into())).is_some_and(|until| now < until)
    }

    fn believe(&mut self, now: SimTime, from: SocketAddrV6) {
        while self.proven.len() >= MAX_PROVEN
            || self.proven.next().is_some_and(|until| until <= now)
        {
            self.proven.take_due(SimTime::FAR_FUTURE);
        }
        self.proven.set(from.into(), now + PROVEN_FOR);
    }
}

fn window(now: SimTime) -> u64 {
    now.as_nanos() / u64::try_from(WINDOW.as_nanos()).unwrap_or(u64::MAX)
}

/// How far a request of ours has proved where it comes from.
#[derive(Clone, Debug, Default)]
pub(super) struct Proof {
    value: Option<Vec<u8>>,
    times: u32,
}

impl Proof {
    /// Takes the Echo value of a 4.01, to send it along from now on; false if the response has none,
    /// or too many have come.
    pub(super) fn take(&mut self, response: &Response) -> bool {
        let value = response.options.get(option::ECHO);
        // 1 to 40 bytes (RFC 9175 §2.2.1).
        let value = value.filter(|value| (1..=40).contains(&value.len()));
        match value {
            Some(value) if response.code == Code::UNAUTHORIZED && self.times < MAX_PROOFS => {
                self.times += 1;
                self.value = Some(value.to_vec());
                true
            }
            _ => false,
        }
    }

    /// Sends it along.
    pub(super) fn push(&self, options: &mut Options) {
        if let Some(value) = &self.value {
            options.push(option::ECHO, value.as_slice());
        }
    }
}

impl Endpoint {
    /// Whether whoever asked in an exchange is known to be where it says, or
    /// [`Params::verify_sources`](crate::Params::verify_sources) is off.
    pub fn is_proven(&self, exchange: ExchangeId) -> bool {
        (self.exchanges.get(&exchange)).is_none_or(|exchange| exchange.asker.proven)
    }

    /// Whether somebody at `address` has shown, within the hour, that it gets what is sent there.
    pub fn has_proved(&self, now: SimTime, address: SocketAddrV6) -> bool {
        self.sources.believes(now, address)
    }

    /// Answers a peer's request 4.01 with an Echo option: it is to come again and show that its
    /// source is where it says (RFC 9175 §2.3).
    pub fn challenge(&mut self, now: SimTime, exchange: ExchangeId) {
        if let Some(from) = self.exchanges.get(&exchange).map(|e| e.from) {
            let response = self.echo(now, from);
            self.respond(now, exchange, response);
        }
    }

    pub(super) fn echo(&self, now: SimTime, from: SocketAddrV6) -> Response {
        let mut response = Response::new(Code::UNAUTHORIZED);
        let value = self.sources.value(from, window(now));
        response.options.push(option::ECHO, value);
        response
    }

    /// Takes the Echo option out of a request; whether its source is proven, by that or before.
    pub(super) fn take_proof(
        &mut self,
        now: SimTime,
        from: SocketAddrV6,
        options: &mut Options,
    ) -> bool {
        if !self.params.verify_sources {
            return true;
        }
        let value = options.get(option::ECHO).map(<[u8]>::to_vec);
        options.remove(option::ECHO);
        if value.is_some_and(|value| self.sources.is_value(now, from, &value)) {
            self.sources.believe(now, from);
        }
        self.sources.believes(now, from)
    }

    /// A request of ours was answered from there.
    pub(super) fn heard_from(&mut self, now: SimTime, from: SocketAddrV6) {
        if self.params.verify_sources && self.params.has_secret_tokens() {
            self.sources.believe(now, from);
        }
    }

    /// What an asker may get of a response, as `encode` makes a message of it: an error without its
    /// words; in place of another that is too long, a challenge; if that is too long, too, its code.
    pub(super) fn within_bounds(
        &self,
        now: SimTime,
        to: SocketAddrV6,
        asker: Asker,
        response: Response,
        encode: impl Fn(Response) -> Vec<u8>,
    ) -> Vec<u8> {
        if asker.proven {
            return encode(response);
        }
        let fits = |bytes: &Vec<u8>| asker.may_get(bytes.len());
        let code = match response.code.is_success() {
            true => Code::UNAUTHORIZED,
            false => response.code,
        };
        let shorter = match response.code.is_success() {
            true => self.echo(now, to),
            false => Response {
                payload: Vec::new(),
                ..response.clone()
            },
        };
        Some(encode(response))
            .filter(fits)
            .or_else(|| Some(encode(shorter)).filter(fits))
            .unwrap_or_else(|| encode(Response::new(code)))
    }
}
