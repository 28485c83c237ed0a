//! Commands of CoMP as choices, and the places that they are about.

use std::net::{Ipv6Addr, SocketAddrV6};
use std::time::Duration;

use coap::message::PORT;
use coap::wire::{Message, Token};
use coap::{Code, Kind};
use comp::Sequence;
use comp::codec::{Command, Lifetime};
use libfuzzer_sys::arbitrary::{Result, Unstructured};

/// The WMMS.
pub const WMMS: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 0xff);

/// One of three permanent addresses.
pub fn p_addr(u: &mut Unstructured) -> Result<Ipv6Addr> {
    Ok([0xfd00, 1, 0, 0, 0, 0, 0, u.int_in_range(1..=3)?].into())
}

/// One of four places where nodes and strangers are.
pub fn place(u: &mut Unstructured) -> Result<Ipv6Addr> {
    Ok([0xfd00, 2, 0, 0, 0, 0, 0, u.int_in_range(1..=4)?].into())
}

/// A sender: a place, mostly with the usual port.
pub fn sender(u: &mut Unstructured) -> Result<SocketAddrV6> {
    let port = if u.ratio(1, 4)? { 9 } else { PORT };
    Ok(SocketAddrV6::new(place(u)?, port, 0, 0))
}

/// A number near others, or none.
pub fn sequence(u: &mut Unstructured) -> Result<Option<Sequence>> {
    Ok(match u.int_in_range(0..=7u8)? {
        0 => None,
        1 => Some(Sequence(u.arbitrary()?)),
        _ => Some(Sequence(u.int_in_range(0..=20)?)),
    })
}

/// A command about one of the nodes.
pub fn command(u: &mut Unstructured) -> Result<Command> {
    let (p_addr, t_addr) = (p_addr(u)?, place(u)?);
    let lifetime = Lifetime(*u.choose(&[0, 1, 5, 60, 600, 65_535])?);
    let sleep = match u.arbitrary()? {
        true => Some(Duration::from_millis(u.int_in_range(0..=20_000)?)),
        false => None,
    };
    Ok(match u.int_in_range(0..=4u8)? {
        0 => Command::Discovery { p_addr },
        1 => Command::BindingUpdate {
            p_addr,
            t_addr,
            lifetime,
        },
        2 => Command::Registration {
            p_addr,
            t_addr,
            lifetime,
        },
        3 => Command::Deregistration { p_addr },
        _ => Command::Hold { p_addr, sleep },
    })
}

/// A command as a confirmable request.
pub fn encode(command: &Command, sequence: Option<Sequence>, message_id: u16) -> Message {
    let request = command.numbered(sequence);
    Message {
        kind: Kind::Confirmable,
        code: request.method,
        message_id,
        token: Token::new(&message_id.to_be_bytes()).unwrap_or_default(),
        options: request.options,
        payload: request.payload,
    }
}

/// Whether `sent` answers the request `asked`.
pub fn answers(sent: &Message, asked: &Message) -> bool {
    sent.token == asked.token && sent.code.is_response() && sent.code != Code::EMPTY
}
