//! Equation 1: how long one signalling message takes from one node to another.

use std::time::Duration;

use units::{ByteSize, DataRate};

use crate::Model;
use crate::reading::{HaCnPath, Tunnel};

/// Equation 1 as it is evaluated, with h = d - 1 wired hops.
pub const EQUATION_1: &str = "t(X,Y) = S/Bwl + Lwl + h ((S + St)/Bw + Lw + q)";

/// A way of table 3. B is the moving node, A its client (the CN of Mobile IP).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Path {
    /// From the node to its home agent.
    NodeToHa,
    /// From the node to the correspondent of MIPv6.
    NodeToCn,
    /// From the home agent to the correspondent.
    HaToCn,
    /// From the node to the mobility anchor point of HMIPv6.
    NodeToMap,
    /// From the node to the WMMS.
    NodeToWmms,
    /// From the WMMS to the node.
    WmmsToNode,
    /// From the node to the client of CoMP.
    NodeToClient,
}

/// What a message crosses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// Wireless hops: S/Bwl + Lwl each.
    pub wireless_hops: u32,
    /// Wired hops: (S + St)/Bw + Lw + q each.
    pub wired_hops: u32,
    /// Whether St counts.
    pub tunnelled: bool,
}

impl Path {
    /// All, in the order of table 3.
    pub const ALL: [Path; 7] = [
        Path::NodeToHa,
        Path::NodeToCn,
        Path::HaToCn,
        Path::NodeToMap,
        Path::NodeToWmms,
        Path::WmmsToNode,
        Path::NodeToClient,
    ];

    /// Table 3's symbol, with B for CN_B and A for CN_A.
    pub fn symbol(self) -> &'static str {
        match self {
            Path::NodeToHa => "t(B,HA)",
            Path::NodeToCn => "t(B,CN)",
            Path::HaToCn => "t(HA,CN)",
            Path::NodeToMap => "t(B,MAP)",
            Path::NodeToWmms => "t(B,WMMS)",
            Path::WmmsToNode => "t(WMMS,B)",
            Path::NodeToClient => "t(B,A)",
        }
    }
}

impl Model {
    /// What a message crosses on that way, under the model's readings.
    pub fn route(&self, path: Path) -> Route {
        let p = &self.parameters;
        let (wireless_hops, wired_hops) = match path {
            Path::NodeToHa => (1, p.router_ha_hops),
            Path::NodeToCn | Path::NodeToClient => (1, p.router_correspondent_hops),
            Path::NodeToMap => (1, p.router_map_hops),
            Path::NodeToWmms | Path::WmmsToNode => (1, p.router_wmms_hops),
            Path::HaToCn => match self.readings.ha_cn_path {
                HaCnPath::Wired => (0, p.ha_correspondent_hops),
                // The equation to the letter: d hops, of which one is wireless.
                HaCnPath::Equation1 => (1, p.ha_correspondent_hops.saturating_sub(1)),
            },
        };
        let tunnelled = match self.readings.tunnel {
            Tunnel::None => false,
            Tunnel::HomeAgent => path == Path::NodeToHa,
            Tunnel::EveryPath => true,
        };
        Route {
            wireless_hops,
            wired_hops,
            tunnelled,
        }
    }

    /// Equation 1: how long a message takes on that way, to the nanosecond per hop.
    pub fn one_way(&self, path: Path) -> Duration {
        let route = self.route(path);
        let p = &self.parameters;
        let wireless = transmission_time(p.message_size, p.wireless_bandwidth)
            .saturating_add(p.wireless_delay)
            .saturating_mul(route.wireless_hops);
        let tunnel = if route.tunnelled { p.tunnel_size.0 } else { 0 };
        let size = ByteSize(p.message_size.0.saturating_add(tunnel));
        let wired = transmission_time(size, p.wired_bandwidth)
            .saturating_add(p.wired_delay)
            .saturating_add(p.queueing_delay)
            .saturating_mul(route.wired_hops);
        wireless.saturating_add(wired)
    }
}

/// How long `size` occupies a link of that rate, to the nearest nanosecond. No rate, or a time
/// beyond the range, is [`Duration::MAX`].
pub fn transmission_time(size: ByteSize, rate: DataRate) -> Duration {
    const NS_PER_S: u128 = 1_000_000_000;
    let bits = u128::from(size.0) * 8;
    let rate = u128::from(rate.bits_per_second);
    // Half a nanosecond is added, so that the division rounds to the nearest.
    let Some(nanos) = (bits * NS_PER_S + rate / 2).checked_div(rate) else {
        return Duration::MAX;
    };
    match u64::try_from(nanos / NS_PER_S) {
        Ok(seconds) => Duration::new(seconds, (nanos % NS_PER_S) as u32),
        Err(_) => Duration::MAX,
    }
}
