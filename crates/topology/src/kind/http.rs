//! HTTP for people and scripts: where a service answers it.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::decode::{At, Block, Decode, Decoder};
use crate::resolve::{Resolver, or};
use crate::scalar::words;
use crate::schema::parts::one_of;
use crate::tree::{Tree, Value};

/// Where a service answers HTTP: a port of loopback, or more.
#[derive(Clone, Debug)]
pub enum Http {
    /// `8080`
    Port(At<u32>),
    /// `{ port: 8080, write: true }`
    Table(Box<Block<HttpTable>>),
}

tables! {
    /// Where a service answers HTTP, and what it may.
    pub struct HttpTable {
        /// TCP port, 1 to 65535.
        pub port: At<u32>,
        /// Whether it may change something, by PUT, POST, PATCH and DELETE, else it only reads and observes; default
        /// false. Who reaches the port may do it: nobody is asked who he is.
        pub write: Option<At<bool>>,
        /// On which addresses of its node it answers; default `loopback`, at which programs of the node alone
        /// reach it.
        pub address: Option<At<HttpAddress>>,
    }
}

/// On which addresses HTTP is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HttpAddress {
    /// `::1` and `127.0.0.1`.
    #[default]
    Loopback,
    /// All that the node has.
    Any,
}

words!(HttpAddress, "loopback" => Loopback, "any" => Any);

/// Where a service answers HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpPlan {
    /// TCP port.
    pub port: u16,
    /// Whether it may change something.
    pub write: bool,
    /// On which addresses.
    pub address: HttpAddress,
}

impl Decode for Http {
    fn decode(tree: &Tree, d: &mut Decoder) -> Option<Self> {
        match tree.value {
            Value::Table(_) => Decode::decode(tree, d).map(Http::Table),
            _ => Decode::decode(tree, d).map(Http::Port),
        }
    }
}

impl JsonSchema for Http {
    fn schema_name() -> Cow<'static, str> {
        "Http".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        one_of([
            generator.subschema_for::<At<u32>>(),
            generator.subschema_for::<HttpTable>(),
        ])
    }
}

impl Http {
    /// The TCP port; 0 if it is none.
    pub(super) fn port(&self) -> u16 {
        let port = match self {
            Http::Port(port) => port.value,
            Http::Table(block) => block.table.port.value,
        };
        u16::try_from(port).unwrap_or_default()
    }

    /// Whether other nodes than its own reach it.
    pub(super) fn is_for_others(&self) -> bool {
        match self {
            Http::Port(_) => false,
            Http::Table(block) => {
                or(block.table.address, HttpAddress::default()) == HttpAddress::Any
            }
        }
    }

    /// The plan of what stands at `path`.
    pub(super) fn plan(&self, r: &mut Resolver<'_>, path: &str) -> HttpPlan {
        let (path, port, write, address) = match self {
            Http::Port(port) => (path.to_owned(), *port, None, None),
            Http::Table(block) => {
                let table = &block.table;
                (
                    format!("{path}.port"),
                    table.port,
                    table.write,
                    table.address,
                )
            }
        };
        let known = u16::try_from(port.value).ok().filter(|port| *port != 0);
        if known.is_none() {
            let message = format!("`{path}`: a TCP port from 1 to 65535 is expected");
            r.problem(port.span, message);
        }
        HttpPlan {
            port: known.unwrap_or(1),
            write: or(write, false),
            address: or(address, HttpAddress::default()),
        }
    }
}
