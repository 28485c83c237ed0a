//! Addresses, headers and Mobility Headers out of the fuzzer's choices.

use std::net::Ipv6Addr;

use libfuzzer_sys::arbitrary::{Result, Unstructured};
use mip6::Headers;
use mip6::codec::{
    BindingAcknowledgement, BindingUpdate, ErrorStatus, Lifetime, Message, MobilityOption, Status,
};
use mip6::rr::{Authenticator, Cookie, KeygenToken, NonceIndex};
use units::Sequence;

/// The home address of the node that a mobile node under test is.
pub const HOME: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xf, 0, 0, 0, 0, 5);
/// Its home agent.
pub const AGENT: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xf, 0, 0, 0, 0, 1);
/// A mobility anchor point.
pub const MAP: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xa, 0, 0, 0, 0, 1);
/// The node's address there.
pub const REGIONAL: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xa, 0, 0, 0, 0, 5);
/// A correspondent.
pub const CORRESPONDENT: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xc, 0, 0, 0, 0, 1);

/// An address that means something to somebody, or nothing.
pub fn address(u: &mut Unstructured) -> Result<Ipv6Addr> {
    let few = [
        HOME,
        AGENT,
        MAP,
        REGIONAL,
        CORRESPONDENT,
        care_of(1),
        care_of(2),
        care_of(3),
        Ipv6Addr::new(0x2001, 0xdb8, 0xf, 0, 0, 0, 0, 6),
        Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 5),
        Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1),
        Ipv6Addr::UNSPECIFIED,
    ];
    u.choose(&few).copied()
}

/// The address at the router of that number.
pub const fn care_of(router: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, router, 0, 0, 0, 0, 5)
}

/// Headers of any addresses.
pub fn headers(u: &mut Unstructured) -> Result<Headers> {
    let mut headers = Headers::between(address(u)?, address(u)?);
    if u.ratio(1, 2)? {
        headers.home_address = Some(address(u)?);
    }
    if u.ratio(1, 3)? {
        headers.routing = Some(address(u)?);
    }
    if u.ratio(1, 4)? {
        headers = headers.through(address(u)?, address(u)?);
    }
    Ok(headers)
}

/// A message of any type; numbers are few.
pub fn message(u: &mut Unstructured) -> Result<Message> {
    let cookie = Cookie([u.int_in_range(0..=2)?; 8]);
    let token = KeygenToken([u.int_in_range(0..=2)?; 8]);
    let nonce = NonceIndex(u.int_in_range(0..=3)?);
    Ok(match u.int_in_range(0..=11_u8)? {
        0 => Message::BindingRefreshRequest,
        1 => Message::HomeTestInit { cookie },
        2 => Message::CareOfTestInit { cookie },
        3 => Message::HomeTest {
            nonce,
            cookie,
            token,
        },
        4 => Message::CareOfTest {
            nonce,
            cookie,
            token,
        },
        5 => Message::BindingError {
            status: ErrorStatus(u.int_in_range(0..=3)?),
            home_address: address(u)?,
        },
        6..=8 => Message::BindingUpdate(update(u)?),
        _ => Message::BindingAcknowledgement(BindingAcknowledgement {
            status: status(u)?,
            key_management: u.ratio(1, 8)?,
            proxy_registration: u.ratio(1, 8)?,
            sequence: Sequence(u.arbitrary()?),
            lifetime: lifetime(u)?,
            options: options(u)?,
            authenticator: authenticator(u)?,
        }),
    })
}

/// A Binding Update.
pub fn update(u: &mut Unstructured) -> Result<BindingUpdate> {
    Ok(BindingUpdate {
        sequence: sequence(u)?,
        acknowledge: u.arbitrary()?,
        home_registration: u.arbitrary()?,
        link_local_compatibility: u.ratio(1, 8)?,
        key_management: u.ratio(1, 8)?,
        map_registration: u.ratio(1, 4)?,
        proxy_registration: u.ratio(1, 8)?,
        lifetime: lifetime(u)?,
        options: options(u)?,
        authenticator: authenticator(u)?,
    })
}

/// A number near a wrap, or any.
pub fn sequence(u: &mut Unstructured) -> Result<Sequence> {
    Ok(Sequence(match u.ratio(1, 4)? {
        true => u.arbitrary()?,
        false => u.int_in_range(0_u16..=12)?.wrapping_sub(6),
    }))
}

fn lifetime(u: &mut Unstructured) -> Result<Lifetime> {
    Ok(Lifetime(match u.int_in_range(0..=3_u8)? {
        0 => 0,
        1 => u.int_in_range(1..=20)?,
        _ => u.int_in_range(0..=1000)?,
    }))
}

/// A status that something acts on, or any.
pub fn status(u: &mut Unstructured) -> Result<Status> {
    Ok(Status(match u.int_in_range(0..=3_u8)? {
        0 => 0,
        1 => u.int_in_range(128..=139)?,
        2 => u.int_in_range(150..=175)?,
        _ => u.arbitrary()?,
    }))
}

fn authenticator(u: &mut Unstructured) -> Result<Option<Authenticator>> {
    Ok(match u.ratio(1, 3)? {
        true => Some(Authenticator([u.arbitrary()?; 12])),
        false => None,
    })
}

fn options(u: &mut Unstructured) -> Result<Vec<MobilityOption>> {
    let mut options = Vec::new();
    for _ in 0..u.int_in_range(0..=3_u8)? {
        options.push(match u.int_in_range(0..=3_u8)? {
            0 => MobilityOption::AlternateCareOf(address(u)?),
            1 => MobilityOption::NonceIndices {
                home: NonceIndex(u.int_in_range(0..=3)?),
                care_of: NonceIndex(u.int_in_range(0..=3)?),
            },
            2 => MobilityOption::RefreshAdvice(lifetime(u)?),
            _ => MobilityOption::Unknown {
                kind: 200,
                data: vec![7; u.int_in_range(0..=9)?],
            },
        });
    }
    Ok(options)
}
