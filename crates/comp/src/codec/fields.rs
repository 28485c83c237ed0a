//! The options of CoMP as values.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use coap::Options;

use super::{Command, Lifetime, MAX_SLEEP, OptionError, Procedure, RequestError, option};

/// The CoMP options of a message, each checked by itself.
pub(super) struct Fields {
    pub(super) message_type: Option<u64>,
    pub(super) p_addr: Option<Ipv6Addr>,
    pub(super) t_addr: Option<Ipv6Addr>,
    pub(super) lifetime: Option<Lifetime>,
    pub(super) sequence_number: Option<u16>,
    pub(super) held: Option<bool>,
    pub(super) sleep: Option<Duration>,
}

impl Fields {
    pub(super) fn parse(options: &Options) -> Result<Fields, OptionError> {
        Ok(Fields {
            message_type: uint(options, option::MESSAGE_TYPE, 1)?,
            p_addr: address(options, option::PERMANENT_ADDRESS)?,
            t_addr: address(options, option::TEMPORARY_ADDRESS)?,
            lifetime: uint(options, option::LIFETIME, 2)?.map(|v| Lifetime(v as u16)),
            sequence_number: uint(options, option::SEQUENCE_NUMBER, 2)?.map(|v| v as u16),
            held: flag(options, option::HOLD_FLAG)?,
            sleep: sleep(options)?,
        })
    }

    pub(super) fn into_command(self, procedure: Procedure) -> Result<Command, RequestError> {
        let p_addr = require(self.p_addr, option::PERMANENT_ADDRESS)?;
        let t_addr = || require(self.t_addr, option::TEMPORARY_ADDRESS);
        let lifetime = || require(self.lifetime, option::LIFETIME);
        Ok(match procedure {
            Procedure::Discovery => Command::Discovery { p_addr },
            Procedure::Deregistration => Command::Deregistration { p_addr },
            Procedure::Registration => Command::Registration {
                p_addr,
                t_addr: t_addr()?,
                lifetime: lifetime()?,
            },
            Procedure::BindingUpdate => {
                let command = Command::BindingUpdate {
                    p_addr,
                    t_addr: t_addr()?,
                    lifetime: lifetime()?,
                };
                self.require_flag(false)?;
                command
            }
            Procedure::Hold => {
                self.require_flag(true)?;
                Command::Hold {
                    p_addr,
                    sleep: self.sleep,
                }
            }
        })
    }

    /// A binding update carries H_Flag 0, a hold H_Flag 1.
    fn require_flag(&self, expected: bool) -> Result<(), OptionError> {
        let found = require(self.held, option::HOLD_FLAG)?;
        if found == expected {
            return Ok(());
        }
        Err(OptionError::Value {
            number: option::HOLD_FLAG,
            expected: if expected {
                "1 in a hold"
            } else {
                "0 in a binding update"
            },
            found: u8::from(found).to_string(),
        })
    }
}

/// A sleep period that a binding can last for.
fn sleep(options: &Options) -> Result<Option<Duration>, OptionError> {
    let period = uint(options, option::SLEEP_PERIOD, 4)?.map(Duration::from_millis);
    match period {
        Some(period) if period > MAX_SLEEP => Err(OptionError::Value {
            number: option::SLEEP_PERIOD,
            expected: "at most 65535000 ms, the longest lifetime",
            found: period.as_millis().to_string(),
        }),
        _ => Ok(period),
    }
}

pub(super) fn require<T>(value: Option<T>, number: u16) -> Result<T, OptionError> {
    value.ok_or(OptionError::Missing(number))
}

/// RFC 7252 §3.2: "A recipient MUST be prepared to process values with leading zero bytes."
fn uint(options: &Options, number: u16, longest: usize) -> Result<Option<u64>, OptionError> {
    let Some(value) = options.get(number) else {
        return Ok(None);
    };
    if value.len() > longest {
        let expected = match longest {
            1 => "0 or 1",
            2 => "0 to 2",
            _ => "0 to 4",
        };
        return Err(OptionError::Length {
            number,
            expected,
            found: value.len(),
        });
    }
    Ok(Some(
        value
            .iter()
            .fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
    ))
}

fn flag(options: &Options, number: u16) -> Result<Option<bool>, OptionError> {
    match uint(options, number, 1)? {
        None => Ok(None),
        Some(0) => Ok(Some(false)),
        Some(1) => Ok(Some(true)),
        Some(other) => Err(OptionError::Value {
            number,
            expected: "0 or 1",
            found: other.to_string(),
        }),
    }
}

/// An address that a single node can have and others reach: an IPv4 one is as good as what it is mapped
/// from.
fn address(options: &Options, number: u16) -> Result<Option<Ipv6Addr>, OptionError> {
    let Some(value) = options.get(number) else {
        return Ok(None);
    };
    let octets: [u8; 16] = value.try_into().map_err(|_| OptionError::Length {
        number,
        expected: "16",
        found: value.len(),
    })?;
    let address = Ipv6Addr::from(octets);
    let mapped = address.to_ipv4_mapped();
    // 0.0.0.0/8 is "this network", 224.0.0.0/4 multicast, 240.0.0.0/4 reserved and broadcast (RFC 6890).
    let is_many = |v4: Ipv4Addr| matches!(v4.octets()[0], 0 | 224..);
    let is_local = |v4: Ipv4Addr| v4.is_loopback() || v4.is_link_local();
    let expected =
        if address.is_unspecified() || address.is_multicast() || mapped.is_some_and(is_many) {
            "a unicast address"
        } else if address.is_loopback()
            || address.is_unicast_link_local()
            || mapped.is_some_and(is_local)
        {
            "an address that is reached from other links"
        } else {
            return Ok(Some(address));
        };
    Err(OptionError::Value {
        number,
        expected,
        found: address.to_string(),
    })
}
