//! The host of an instance that is nothing else.

use std::error::Error;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::time::Duration;

use comp::wmms::{Config, Wmms};
use comp::{BindingMode, Limits};
use driver::Udp;
use units::Seed;
use wmms_postgres::instance::Host;
use wmms_postgres::{Postgres, Rows};
use wmms_store::{Durable, Event};

/// A daemon without a plan.
pub struct Alone;

impl Host for Alone {
    type Error = Box<dyn Error>;

    fn wmms(&mut self, at: Ipv6Addr, lives_before: u64) -> Wmms {
        wmms(at, lives_before)
    }

    fn socket(&mut self, at: SocketAddrV6) -> Result<Udp, Self::Error> {
        Ok(Udp::bind(at)?)
    }

    fn joined(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }

    fn hear(&mut self, _: Event<Rows>) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn stopped(&mut self) {
        std::future::pending().await
    }

    fn ended(&mut self, _: &Durable<Postgres>) {}
}

/// A server for whom no load of one host is too much.
pub fn wmms(at: Ipv6Addr, lives_before: u64) -> Wmms {
    let limits = Limits {
        entries_per_source: 4_000_000,
        discoveries_per_source: 4_000_000,
        ..Limits::default()
    };
    let config = Config {
        hold_timeout: Duration::from_secs(1),
        binding: BindingMode::Direct,
        limits,
        coap: coap::Params::default(),
    };
    let life = format!("life {lives_before}");
    Wmms::new(config, Seed(1).rng(&[&at.to_string(), &life])).at(at)
}
