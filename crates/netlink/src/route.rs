//! IPv6 routes of the main table.

use std::net::Ipv6Addr;

use ipnet::Ipv6Net;
use rtnetlink::RouteMessageBuilder;
use rtnetlink::packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::route::{RouteMessage, RouteScope, RouteType};

use crate::error::{Errno, Result};
use crate::link::Links;

/// RT_TABLE_LOCAL of linux/rtnetlink.h.
const LOCAL_TABLE: u32 = 255;

const ADVICE: [(Errno, &str); 3] = [
    (Errno::EEXIST, "the route exists already"),
    (Errno::ESRCH, "there is no such route"),
    (Errno::ENETDOWN, "the interface is down"),
];

impl Links {
    /// Adds a route to `to` (`::/0` for the default route) through the router `via`. Equals
    /// `ip -6 route add TO via VIA dev DEV`.
    pub async fn add_route(&self, to: Ipv6Net, via: Ipv6Addr, ifindex: u32) -> Result<()> {
        let request = RouteNetlinkMessage::NewRoute(route(to, via, ifindex));
        let answer = self.rtnl.request(request, NLM_F_CREATE | NLM_F_EXCL).await;
        self.routed(answer, format!("add {}", text(to, via)), ifindex)
            .await
    }

    /// Has this namespace answer at every address of `of`, as if each were the interface's own. Equals
    /// `ip -6 route add local OF dev DEV`.
    pub async fn add_local_route(&self, of: Ipv6Net, ifindex: u32) -> Result<()> {
        let message = RouteMessageBuilder::<Ipv6Addr>::new()
            .destination_prefix(of.network(), of.prefix_len())
            .output_interface(ifindex)
            .table_id(LOCAL_TABLE)
            .scope(RouteScope::Host)
            .kind(RouteType::Local)
            .build();
        let request = RouteNetlinkMessage::NewRoute(message);
        let answer = self.rtnl.request(request, NLM_F_CREATE | NLM_F_EXCL).await;
        self.routed(answer, format!("add local route to {of}"), ifindex)
            .await
    }

    /// Adds a route, or replaces the one to the same prefix with the same metric. Equals
    /// `ip -6 route replace TO via VIA dev DEV`.
    pub async fn replace_route(&self, to: Ipv6Net, via: Ipv6Addr, ifindex: u32) -> Result<()> {
        let request = RouteNetlinkMessage::NewRoute(route(to, via, ifindex));
        let flags = NLM_F_CREATE | NLM_F_REPLACE;
        let answer = self.rtnl.request(request, flags).await;
        self.routed(answer, format!("replace {}", text(to, via)), ifindex)
            .await
    }

    /// Deletes a route. Equals `ip -6 route del TO via VIA dev DEV`.
    pub async fn delete_route(&self, to: Ipv6Net, via: Ipv6Addr, ifindex: u32) -> Result<()> {
        let request = RouteNetlinkMessage::DelRoute(route(to, via, ifindex));
        let answer = self.rtnl.request(request, 0).await;
        self.routed(answer, format!("delete {}", text(to, via)), ifindex)
            .await
    }

    async fn routed(
        &self,
        answer: Result<Vec<RouteNetlinkMessage>, crate::error::Failure>,
        operation: String,
        ifindex: u32,
    ) -> Result<()> {
        match answer {
            Ok(_) => Ok(()),
            Err(failure) => Err(self.explain(failure, ifindex, operation, &ADVICE).await),
        }
    }
}

fn route(to: Ipv6Net, via: Ipv6Addr, ifindex: u32) -> RouteMessage {
    RouteMessageBuilder::<Ipv6Addr>::new()
        .destination_prefix(to.network(), to.prefix_len())
        .output_interface(ifindex)
        .gateway(via)
        .build()
}

fn text(to: Ipv6Net, via: Ipv6Addr) -> String {
    format!("route to {to} via {via}")
}
