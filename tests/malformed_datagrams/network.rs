//! From where nodes are attacked: a namespace with a link of its own to a node, which no run
//! captures; the namespace of a node's neighbour over the radio; or the node's own.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{Ipv6Addr, SocketAddrV6};

use ipnet::Ipv6Net;
use netlink::{Dad, Links, Namespace, sysctl};

use crate::common::block_on;
use crate::target::{Target, Way};

/// Interface of the 6LoWPAN nodes.
const LOWPAN: &str = "lowpan0";

/// Where nodes are.
#[derive(Default)]
pub struct Nodes {
    daemons: BTreeMap<&'static str, i32>,
    namespaces: BTreeMap<&'static str, Namespace>,
}

impl Nodes {
    /// Those of the one run on this machine.
    pub fn running(names: &[&'static str]) -> Nodes {
        let mut nodes = Nodes::default();
        for name in names {
            nodes.add(name, running(name));
        }
        nodes
    }

    /// Adds a node by its daemon's process.
    pub fn add(&mut self, name: &'static str, daemon: i32) {
        let namespace = Namespace::open(format!("/proc/{daemon}/ns/net")).unwrap();
        self.daemons.insert(name, daemon);
        self.namespaces.insert(name, namespace);
    }

    /// Adds a node without a daemon.
    pub fn add_neighbour(&mut self, name: &'static str, namespace: Namespace) {
        self.namespaces.insert(name, namespace);
    }
}

fn running(node: &str) -> i32 {
    let end = format!(" {node} ");
    for entry in fs::read_dir("/proc").unwrap() {
        let name = entry.unwrap().file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let text = String::from_utf8_lossy(&arguments).replace('\0', " ");
        if text.contains(" node --plan ") && text.ends_with(&end) {
            return pid;
        }
    }
    panic!("no daemon of {node}")
}

/// The stranger's namespace and its links.
pub struct Outside {
    nodes: Nodes,
    namespace: Namespace,
    /// The other end's address, by node.
    addresses: BTreeMap<&'static str, Ipv6Addr>,
}

impl Outside {
    /// Links to the nodes of all targets on the backbone.
    pub fn open(nodes: Nodes, targets: &[Target]) -> Outside {
        let mut outside = Outside {
            nodes,
            namespace: Namespace::create().unwrap(),
            addresses: BTreeMap::new(),
        };
        let wired = targets.iter().filter(|target| target.way == Way::Wire);
        let wired: BTreeSet<_> = wired.map(|target| target.node).collect();
        for (node, number) in wired.into_iter().zip(1..) {
            block_on(outside.link(node, number));
        }
        outside
    }

    async fn link(&mut self, node: &'static str, number: u16) {
        let node_namespace = &self.nodes.namespaces[node];
        let here = Links::connect(&self.namespace).await.unwrap();
        let there = Links::connect(node_namespace).await.unwrap();
        let name = format!("to-{node}");
        let mac = |end| [2, 0, 0, 0, end, number as u8];
        let index = here
            .add_veth(&name, "stranger", node_namespace, mac(1), mac(2))
            .await
            .unwrap();
        let peer = there.index("stranger").await.unwrap();
        let address = |end| Ipv6Addr::new(0xfd99, 0, 0, number, 0, 0, 0, end);
        for (links, index, end) in [(&here, index, 1), (&there, peer, 2)] {
            let net = Ipv6Net::new(address(end), 64).unwrap();
            links.add_address(index, net, Dad::Off).await.unwrap();
            links.up(index).await.unwrap();
        }
        self.addresses.insert(node, address(2));
    }

    /// The process of a target's daemon.
    pub fn daemon(&self, target: &Target) -> i32 {
        self.nodes.daemons[target.node]
    }

    /// From where a target is attacked, and its address as seen from there.
    pub fn way_to(&self, target: &Target) -> (&Namespace, SocketAddrV6) {
        let port = target.port.number();
        match target.way {
            Way::Wire => {
                let address = self.addresses[target.node];
                (&self.namespace, SocketAddrV6::new(address, port, 0, 0))
            }
            Way::Lowpan { from } => {
                let address = block_on(link_local(&self.nodes.namespaces[target.node]));
                let here = &self.nodes.namespaces[from];
                let scope = here.run(|| nix::net::if_::if_nametoindex(LOWPAN)).unwrap();
                (here, SocketAddrV6::new(address, port, 0, scope.unwrap()))
            }
        }
    }
}

/// Gives a node that has no radio a wire to its neighbour under the name of the radio's
/// interface, with link-local addresses, and the neighbour as its router.
pub async fn wire_for_radio(node: &Namespace, neighbour: &Namespace) {
    let here = Links::connect(node).await.unwrap();
    let there = Links::connect(neighbour).await.unwrap();
    let mac = |end| [2, 0, 0, 0, end, 0];
    let index = here
        .add_veth(LOWPAN, LOWPAN, neighbour, mac(1), mac(2))
        .await
        .unwrap();
    let peer = there.index(LOWPAN).await.unwrap();
    let address = |end| Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, end);
    let ends = [(node, &here, index, 1), (neighbour, &there, peer, 2)];
    for (namespace, links, index, end) in ends {
        // No address of the kernel's making, as on a radio's interface.
        let mode = format!("net.ipv6.conf.{LOWPAN}.addr_gen_mode");
        namespace.run(|| sysctl::write(&mode, 1)).unwrap().unwrap();
        let net = Ipv6Net::new(address(end), 64).unwrap();
        links.add_address(index, net, Dad::Off).await.unwrap();
        links.up(index).await.unwrap();
    }
    let any = Ipv6Net::default();
    here.add_route(any, address(2), index).await.unwrap();
}

async fn link_local(namespace: &Namespace) -> Ipv6Addr {
    let links = Links::connect(namespace).await.unwrap();
    let lowpan = links.index(LOWPAN).await.unwrap();
    let addresses = links.addresses(lowpan).await.unwrap();
    let own = addresses.iter().find(|address| address.link_local);
    own.expect("a link-local address").address.addr()
}
