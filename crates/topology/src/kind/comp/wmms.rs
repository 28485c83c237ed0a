//! The mobility server.

use std::net::Ipv6Addr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use units::quantity::duration;

use super::{BindingMode, binding, untold};
use crate::decode::{At, Block, Decoder};
use crate::file::Coap;
use crate::kind::node::COAP_PORT;
use crate::kind::wired::Wired;
use crate::kind::{
    Expand, Mobility, Node, Place, Serves, Service, ServiceFacts, ServiceKeys, ServiceTable,
};
use crate::resolve::timers::s;
use crate::resolve::{Context, Resolver};

tables! {
    /// WoT Mobility Management System (CoMP), called LMMS in CoMM.
    pub struct Wmms {
        /// How long a hold waits for the correspondents before it is answered anyway;
        /// default 1 s.
        pub hold_timeout: Option<At<Duration>>,
        /// How much it keeps, in all and for one peer.
        pub limits: Option<WmmsLimits>,
    }

    /// WoT Mobility Management System (CoMP), called LMMS in CoMM.
    pub struct WmmsNode also ["role"] {
        with wired: Wired,
        with wmms: Wmms,
        with services: ServiceKeys,
        /// CoAP parameters.
        pub coap: Option<Block<Coap>>,
    }

    /// How much a WMMS keeps, so that no peer can fill its memory. Over a limit of one source (an
    /// IPv6 address) the answer is 4.29, over another one 5.03.
    pub struct WmmsLimits {
        /// Entries of the table; default 1048576.
        pub entries: Option<At<u32>>,
        /// Entries that one source registered or bound last; default 256.
        pub entries_per_source: Option<At<u32>>,
        /// Correspondents of one node; at most 65535; default 256.
        pub correspondents_per_node: Option<At<u32>>,
        /// Nodes that one source discovered; default 1024.
        pub discoveries_per_source: Option<At<u32>>,
        /// Holds of one source that are not answered yet; default 64.
        pub holds_per_source: Option<At<u32>>,
    }
}

impl Expand for WmmsNode {
    fn expand(self, _: &mut Decoder) -> Node {
        let own = ServiceTable::Wmms(Box::new(self.wmms));
        let mut services = vec![Service::of_shorthand("", own)];
        services.extend(self.services.services());
        Node {
            kind: "wmms",
            place: Place::Wired(self.wired),
            mobility: Mobility::None,
            services,
            coap: self.coap,
        }
    }
}

/// Mobility server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WmmsPlan {
    /// How long a hold waits for the correspondents before it is answered anyway.
    #[serde(with = "duration")]
    pub hold_timeout: Duration,
    /// How bindings reach the correspondents.
    pub binding: BindingMode,
    /// Nodes, by their permanent addresses, of which it tells nobody: who asks is answered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub untold: Vec<Ipv6Addr>,
    /// How much it keeps.
    pub limits: WmmsLimitsPlan,
}

/// How much a WMMS keeps. A source is an IPv6 address.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WmmsLimitsPlan {
    /// Entries of the table.
    pub entries: u32,
    /// Entries that one source registered or bound last.
    pub entries_per_source: u32,
    /// Correspondents of one node.
    pub correspondents_per_node: u32,
    /// Nodes that one source discovered.
    pub discoveries_per_source: u32,
    /// Holds of one source that are not answered yet.
    pub holds_per_source: u32,
}

impl Serves for Wmms {}

impl ServiceFacts for WmmsPlan {
    fn port(&self) -> Option<u16> {
        Some(COAP_PORT)
    }

    fn describe(&self) -> Vec<String> {
        vec!["WMMS".into()]
    }
}

impl Wmms {
    /// The plan of the service at `path`.
    pub(crate) fn plan<'t>(
        &self,
        r: &mut Resolver<'t>,
        context: &Context<'_, 't>,
        path: &str,
    ) -> WmmsPlan {
        WmmsPlan {
            hold_timeout: r.positive(&format!("{path}.hold_timeout"), self.hold_timeout, s(1)),
            binding: binding(r),
            untold: untold(r, context.network),
            limits: limits(r, &format!("{path}.limits"), self.limits.as_ref()),
        }
    }
}

fn limits(r: &mut Resolver<'_>, path: &str, file: Option<&WmmsLimits>) -> WmmsLimitsPlan {
    let mut limit = |key: &str, given: Option<Option<At<u32>>>, default| {
        r.at_least_one(&format!("{path}.{key}"), given.flatten(), default)
    };
    let entries = limit("entries", file.map(|f| f.entries), 1 << 20);
    let of_source = file.map(|f| f.entries_per_source);
    let entries_per_source = limit("entries_per_source", of_source, 256);
    let discoveries = file.map(|f| f.discoveries_per_source);
    let discoveries_per_source = limit("discoveries_per_source", discoveries, 1024);
    let holds = file.map(|f| f.holds_per_source);
    let holds_per_source = limit("holds_per_source", holds, 64);
    let correspondents_per_node = r.checked(
        &format!("{path}.correspondents_per_node"),
        file.and_then(|f| f.correspondents_per_node),
        256,
        |value| value.to_string(),
        |value| (1..=u32::from(u16::MAX)).contains(&value),
        "from 1 to 65535",
    );
    WmmsLimitsPlan {
        entries,
        entries_per_source,
        correspondents_per_node,
        discoveries_per_source,
        holds_per_source,
    }
}
