//! Messages of CoMP: options 2048-2054 on requests for [`PATH`] and their responses.
//!
//! The message format is that of CoMP §3.3, table 2; where its table is short of what its
//! text needs, the numbers are ours (see [`option`]). [`Command::parse`] makes every check
//! before anything is changed: an error is a complete answer, and state never changes on one.
//!
//! RFC 7252 §5.4.3 would treat an option of a wrong length as if it were not recognised
//! (critical: 4.02). A CoMP option of a wrong length or value is answered 4.00 with its name
//! instead, which tells the peer's author more.

mod error;
mod fields;

use std::fmt;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::time::Duration;

use coap::message::option as coap_option;
use coap::{Code, Endpoint, Options, Reliability, Request, RequestId, Response};
use units::SimTime;

pub use error::{OptionError, RequestError, ResponseError};
use fields::{Fields, require};

use crate::sequence::Sequence;

/// The one resource of CoMP, on the WMMS, the client and the node.
pub const PATH: &str = "/comp";

/// Option numbers of CoMP (CoMP §3.3, table 2). An odd number is critical (RFC 7252 §5.4.6).
pub mod option {
    /// Message type: uint, 0-1 byte, a [`Procedure`](super::Procedure).
    pub const MESSAGE_TYPE: u16 = 2048;
    /// P_Addr: opaque, 16 bytes; an IPv4 address as IPv4-mapped.
    pub const PERMANENT_ADDRESS: u16 = 2049;
    /// T_Addr: opaque, 16 bytes; an IPv4 address as IPv4-mapped.
    pub const TEMPORARY_ADDRESS: u16 = 2050;
    /// Lifetime of the binding: uint, 0-2 bytes, seconds; 0 deletes.
    pub const LIFETIME: u16 = 2051;
    /// Sequence number: uint, 0-2 bytes. In the 2.04 to a hold, the Message ID of the last
    /// request the node answered; elsewhere a [`Sequence`](crate::Sequence): the message's own
    /// in a request, the last accepted one in a 2.05 or 4.09.
    pub const SEQUENCE_NUMBER: u16 = 2052;
    /// H_Flag: uint, 0-1 byte, 0 or 1.
    pub const HOLD_FLAG: u16 = 2053;
    /// Sleep period: uint, 0-4 bytes, milliseconds. The paper claims 2048-2054 and its table
    /// names six: the seventh is the period that its text (§3.2) needs.
    pub const SLEEP_PERIOD: u16 = 2054;

    /// The option's name in diagnostics.
    pub const fn name(number: u16) -> &'static str {
        match number {
            MESSAGE_TYPE => "Message type",
            PERMANENT_ADDRESS => "Permanent address",
            TEMPORARY_ADDRESS => "Temporary address",
            LIFETIME => "Lifetime",
            SEQUENCE_NUMBER => "Sequence number",
            HOLD_FLAG => "Hold flag",
            SLEEP_PERIOD => "Sleep period",
            _ => "unknown",
        }
    }
}

/// The critical options of CoMP, for [`coap::Endpoint::new`].
pub const KNOWN_CRITICAL: &[u16] = &[
    option::PERMANENT_ADDRESS,
    option::LIFETIME,
    option::HOLD_FLAG,
];

/// What a message is for: the value of option 2048 (CoMP §3.3, table 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Procedure {
    /// GET: where is P_Addr?
    Discovery = 0,
    /// PUT: P_Addr is now at T_Addr.
    BindingUpdate = 1,
    /// POST: P_Addr exists and is at T_Addr.
    Registration = 2,
    /// DELETE: forget P_Addr.
    Deregistration = 3,
    /// PUT: send P_Addr nothing until further notice.
    Hold = 4,
}

impl Procedure {
    /// Every procedure, by number.
    pub const ALL: [Procedure; 5] = [
        Procedure::Discovery,
        Procedure::BindingUpdate,
        Procedure::Registration,
        Procedure::Deregistration,
        Procedure::Hold,
    ];

    /// The method that carries it.
    pub const fn method(self) -> Code {
        match self {
            Procedure::Discovery => Code::GET,
            Procedure::BindingUpdate | Procedure::Hold => Code::PUT,
            Procedure::Registration => Code::POST,
            Procedure::Deregistration => Code::DELETE,
        }
    }
}

impl fmt::Display for Procedure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Procedure::Discovery => "discovery",
            Procedure::BindingUpdate => "binding update",
            Procedure::Registration => "registration",
            Procedure::Deregistration => "deregistration",
            Procedure::Hold => "hold",
        })
    }
}

/// Lifetime of a binding in whole seconds, as option 2051 carries it; 0 deletes the binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lifetime(pub u16);

/// The longest sleep: as long as the longest lifetime, with which a binding ends asleep or awake.
pub const MAX_SLEEP: Duration = Lifetime(u16::MAX).duration();

impl Lifetime {
    /// Deletes the binding.
    pub const ZERO: Lifetime = Lifetime(0);

    /// `duration` rounded up to whole seconds, at most 65535 s (18 h 12 min 15 s).
    ///
    /// Rounded up, so that the last fraction of a second of a binding does not read as
    /// "deleted".
    pub fn covering(duration: Duration) -> Lifetime {
        let seconds = duration.as_nanos().div_ceil(1_000_000_000);
        Lifetime(u16::try_from(seconds).unwrap_or(u16::MAX))
    }

    /// As a duration.
    pub const fn duration(self) -> Duration {
        Duration::from_secs(self.0 as u64)
    }
}

/// A request for [`PATH`], checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// GET, type 0.
    Discovery {
        /// Who is looked for.
        p_addr: Ipv6Addr,
    },
    /// PUT, type 1, H_Flag 0.
    BindingUpdate {
        /// Who has moved.
        p_addr: Ipv6Addr,
        /// Where to.
        t_addr: Ipv6Addr,
        /// For how long.
        lifetime: Lifetime,
    },
    /// POST, type 2.
    Registration {
        /// Who registers.
        p_addr: Ipv6Addr,
        /// Where it is.
        t_addr: Ipv6Addr,
        /// For how long.
        lifetime: Lifetime,
    },
    /// DELETE, type 3.
    Deregistration {
        /// Whom to forget.
        p_addr: Ipv6Addr,
    },
    /// PUT, type 4, H_Flag 1.
    Hold {
        /// Who cannot receive.
        p_addr: Ipv6Addr,
        /// For how long, if it sleeps; whole milliseconds on the wire.
        sleep: Option<Duration>,
    },
}

impl Command {
    /// Reads a request for [`PATH`].
    ///
    /// # Errors
    /// [`RequestError`], which [`RequestError::response`] turns into the answer.
    pub fn parse(request: &Request) -> Result<Command, RequestError> {
        Command::parse_numbered(request).map(|(command, _)| command)
    }

    /// As [`Command::parse`], with the number that orders the request among its node's messages;
    /// none in one of the papers'.
    ///
    /// # Errors
    /// As [`Command::parse`].
    pub fn parse_numbered(request: &Request) -> Result<(Command, Option<Sequence>), RequestError> {
        let methods = [Code::GET, Code::POST, Code::PUT, Code::DELETE];
        if !methods.contains(&request.method) {
            return Err(RequestError::Method(request.method));
        }
        check_critical(&request.options)?;
        let fields = Fields::parse(&request.options)?;
        let number = require(fields.message_type, option::MESSAGE_TYPE)?;
        let procedure = Procedure::ALL
            .into_iter()
            .find(|p| *p as u64 == number)
            .filter(|p| p.method() == request.method)
            .ok_or(RequestError::Type {
                method: request.method,
                number,
            })?;
        let sequence = fields.sequence_number.map(Sequence);
        Ok((fields.into_command(procedure)?, sequence))
    }

    /// Which procedure it belongs to.
    pub const fn procedure(&self) -> Procedure {
        match self {
            Command::Discovery { .. } => Procedure::Discovery,
            Command::BindingUpdate { .. } => Procedure::BindingUpdate,
            Command::Registration { .. } => Procedure::Registration,
            Command::Deregistration { .. } => Procedure::Deregistration,
            Command::Hold { .. } => Procedure::Hold,
        }
    }

    /// Whether it says that its node is at `address`.
    pub(crate) fn is_at(&self, address: Ipv6Addr) -> bool {
        match self {
            Command::BindingUpdate { t_addr, .. } | Command::Registration { t_addr, .. } => {
                *t_addr == address
            }
            _ => false,
        }
    }

    /// Whom it is about.
    pub const fn p_addr(&self) -> Ipv6Addr {
        match self {
            Command::Discovery { p_addr }
            | Command::BindingUpdate { p_addr, .. }
            | Command::Registration { p_addr, .. }
            | Command::Deregistration { p_addr }
            | Command::Hold { p_addr, .. } => *p_addr,
        }
    }

    /// The request with the number that orders it among its node's messages.
    pub fn numbered(&self, sequence: Option<Sequence>) -> Request {
        let mut request = self.request();
        push_sequence(&mut request.options, sequence);
        request
    }

    /// The request, for [`coap::Endpoint::request`], without a number: as the papers have it.
    pub fn request(&self) -> Request {
        let procedure = self.procedure();
        let mut request = Request::new(procedure.method(), PATH);
        let options = &mut request.options;
        options.push_uint(option::MESSAGE_TYPE, procedure as u64);
        match self {
            Command::Discovery { p_addr } | Command::Deregistration { p_addr } => {
                push_address(options, option::PERMANENT_ADDRESS, *p_addr);
            }
            Command::BindingUpdate {
                p_addr,
                t_addr,
                lifetime,
            } => {
                push_binding(options, *p_addr, *t_addr, *lifetime);
                options.push_uint(option::HOLD_FLAG, 0);
            }
            Command::Registration {
                p_addr,
                t_addr,
                lifetime,
            } => push_binding(options, *p_addr, *t_addr, *lifetime),
            Command::Hold { p_addr, sleep } => {
                push_address(options, option::PERMANENT_ADDRESS, *p_addr);
                options.push_uint(option::HOLD_FLAG, 1);
                if let Some(period) = sleep {
                    push_sleep(options, *period);
                }
            }
        }
        request
    }

    /// Sends it, confirmable, as every CoMP message is.
    pub(crate) fn send(
        &self,
        now: SimTime,
        endpoint: &mut Endpoint,
        to: SocketAddrV6,
        sequence: Option<Sequence>,
    ) -> RequestId {
        endpoint.request(now, to, Reliability::Confirmable, self.numbered(sequence))
    }
}

/// Where a node is: the answer to a discovery, 2.05.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// Who was looked for.
    pub p_addr: Ipv6Addr,
    /// Where it is.
    pub t_addr: Ipv6Addr,
    /// For how long this may be used.
    pub lifetime: Lifetime,
    /// H_Flag: whether requests are to be kept back.
    pub held: bool,
    /// How long it still sleeps, if it does. Elective and ours: without it, a client that
    /// discovers a sleeping node could not tell when to send.
    pub sleep: Option<Duration>,
    /// The number of the message that said so, if it had one.
    pub sequence: Option<Sequence>,
}

impl Location {
    /// The response to a discovery.
    pub fn response(&self) -> Response {
        let mut response = Response::new(Code::CONTENT);
        let options = &mut response.options;
        push_binding(options, self.p_addr, self.t_addr, self.lifetime);
        options.push_uint(option::HOLD_FLAG, u64::from(self.held));
        if let Some(period) = self.sleep {
            push_sleep(options, period);
        }
        push_sequence(options, self.sequence);
        response
    }

    /// Reads the response to a discovery.
    ///
    /// # Errors
    /// When the peer refused or an option of the 2.05 is missing or wrong.
    pub fn parse(response: &Response) -> Result<Location, ResponseError> {
        expect_code(response, Code::CONTENT)?;
        let fields = Fields::parse(&response.options)?;
        Ok(Location {
            p_addr: require(fields.p_addr, option::PERMANENT_ADDRESS)?,
            t_addr: require(fields.t_addr, option::TEMPORARY_ADDRESS)?,
            lifetime: require(fields.lifetime, option::LIFETIME)?,
            held: require(fields.held, option::HOLD_FLAG)?,
            sleep: fields.sleep,
            sequence: fields.sequence_number.map(Sequence),
        })
    }
}

/// The 4.09 to a message that is not newer than the one with the number `last`.
pub fn outdated_response(last: Sequence) -> Response {
    let text = format!("not newer than what was accepted: option 2052 (Sequence number) {last}");
    let mut response = Response::diagnostic(Code::CONFLICT, &text);
    push_sequence(&mut response.options, Some(last));
    response
}

/// The number in a 4.09; none in any other answer.
pub fn parse_outdated(response: &Response) -> Option<Sequence> {
    if response.code != Code::CONFLICT {
        return None;
    }
    let fields = Fields::parse(&response.options).ok()?;
    fields.sequence_number.map(Sequence)
}

/// The 2.04 to a hold; `sequence_number` is the Message ID of the last request that the node
/// answered, 0 if it answered none yet.
pub fn hold_response(sequence_number: u16) -> Response {
    let mut response = Response::new(Code::CHANGED);
    response
        .options
        .push_uint(option::SEQUENCE_NUMBER, u64::from(sequence_number));
    response
}

/// Reads the response to a hold: its Sequence number.
///
/// # Errors
/// When the peer refused or the Sequence number is missing or wrong.
pub fn parse_hold_response(response: &Response) -> Result<u16, ResponseError> {
    expect_code(response, Code::CHANGED)?;
    let fields = Fields::parse(&response.options)?;
    Ok(require(fields.sequence_number, option::SEQUENCE_NUMBER)?)
}

/// Checks that a response has the one code that means success.
///
/// # Errors
/// [`ResponseError::Refused`] with the code and the peer's diagnostic otherwise.
pub fn expect_code(response: &Response, expected: Code) -> Result<(), ResponseError> {
    if response.code == expected {
        return Ok(());
    }
    Err(ResponseError::Refused {
        code: response.code,
        expected,
        diagnostic: String::from_utf8_lossy(&response.payload).into_owned(),
    })
}

/// RFC 7252 §5.4.1: "Unrecognized options of class "critical" that occur in a Confirmable
/// request MUST cause the return of a 4.02 (Bad Option) response." §5.4.5: a supernumerary
/// option "MUST be treated like an unrecognized option".
fn check_critical(options: &Options) -> Result<(), RequestError> {
    let mut previous = None;
    for (number, _) in options.iter().filter(|(n, _)| coap_option::is_critical(*n)) {
        let known = matches!(
            number,
            coap_option::URI_HOST
                | coap_option::URI_PORT
                | coap_option::URI_PATH
                | coap_option::ACCEPT
        ) || KNOWN_CRITICAL.contains(&number);
        let repeated = previous == Some(number) && number != coap_option::URI_PATH;
        if !known || repeated {
            return Err(RequestError::Critical(number));
        }
        previous = Some(number);
    }
    Ok(())
}

fn push_address(options: &mut Options, number: u16, address: Ipv6Addr) {
    options.push(number, address.octets());
}

fn push_binding(options: &mut Options, p_addr: Ipv6Addr, t_addr: Ipv6Addr, lifetime: Lifetime) {
    push_address(options, option::PERMANENT_ADDRESS, p_addr);
    push_address(options, option::TEMPORARY_ADDRESS, t_addr);
    options.push_uint(option::LIFETIME, u64::from(lifetime.0));
}

fn push_sequence(options: &mut Options, sequence: Option<Sequence>) {
    if let Some(Sequence(number)) = sequence {
        options.push_uint(option::SEQUENCE_NUMBER, u64::from(number));
    }
}

/// Rounded up to whole milliseconds, at most 2^32 - 1 ms (49 days).
fn push_sleep(options: &mut Options, period: Duration) {
    let millis = period.as_nanos().div_ceil(1_000_000);
    options.push_uint(
        option::SLEEP_PERIOD,
        millis.min(u128::from(u32::MAX)) as u64,
    );
}

#[cfg(test)]
mod tests;
