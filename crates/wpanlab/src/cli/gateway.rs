//! `wpanlab gateway`.

use std::net::Ipv6Addr;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use topology::plan::NodeName;

/// A node that the page offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeAddress {
    /// What it is called there.
    pub name: NodeName,
    /// Where it is asked: with CoMP its permanent address.
    pub address: Ipv6Addr,
}

impl FromStr for NodeAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<NodeAddress, String> {
        let wrong = || "expected NAME=ADDRESS, such as lamp=2001:db8::7".to_owned();
        let (name, address) = text.split_once('=').ok_or_else(wrong)?;
        if name.is_empty() {
            return Err(wrong());
        }
        let address = address.parse().map_err(|_| wrong())?;
        let address = askable(address).map_err(|why| format!("{text}: {why}"))?;
        Ok(NodeAddress {
            name: name.into(),
            address,
        })
    }
}

/// The address, if somebody may be there.
fn askable(address: Ipv6Addr) -> Result<Ipv6Addr, &'static str> {
    if address.is_multicast() {
        return Err("this is a group, which is not asked");
    }
    if address.is_unspecified() {
        return Err("this is no address of anybody's");
    }
    if address.to_ipv4_mapped().is_some() {
        return Err("this is an address of IPv4: nodes are asked by IPv6");
    }
    Ok(address)
}

/// An address of [`GatewayArgs`].
fn address(text: &str) -> Result<Ipv6Addr, String> {
    let address = text.parse().map_err(|_| "expected an IPv6 address")?;
    Ok(askable(address)?)
}

#[derive(Clone, Debug, Args)]
pub struct GatewayArgs {
    /// Nodes that the page offers, `NAME=ADDRESS`; any other is asked by its URI
    pub nodes: Vec<NodeAddress>,
    /// TCP port of HTTP and WebSockets
    #[arg(long, value_name = "N", default_value_t = 8080, value_parser = clap::value_parser!(u16).range(1..))]
    pub port: u16,
    /// Answer HTTP on all addresses, not on loopback alone
    #[arg(long, requires = "address")]
    pub everywhere: bool,
    /// Its own address, by which others know it
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    pub address: Option<Ipv6Addr>,
    /// Let whoever asks change something: by PUT, POST and DELETE
    #[arg(long)]
    pub write: bool,
    /// So long a GET waits for a node that is on its way or asleep
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = units::quantity::parse_duration)]
    pub wait: Duration,
    /// Find the nodes by CoMP, with this mobility server; without it they are asked at the addresses that are given
    #[arg(long, value_name = "ADDRESS", requires = "address", value_parser = address)]
    pub wmms: Option<Ipv6Addr>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_where_somebody_may_be() {
        let lamp: NodeAddress = "lamp=2001:db8::7".parse().unwrap();
        assert_eq!(
            (&*lamp.name, lamp.address.to_string()),
            ("lamp", "2001:db8::7".to_owned())
        );
        for (nowhere, why) in [
            ("a=ff02::1", "a group"),
            ("a=::", "no address"),
            ("a=::ffff:192.0.2.1", "IPv4"),
            ("a=lamp", "NAME=ADDRESS"),
        ] {
            let error = nowhere.parse::<NodeAddress>().unwrap_err();
            assert!(error.contains(why), "{nowhere}: {error}");
        }
    }
}
