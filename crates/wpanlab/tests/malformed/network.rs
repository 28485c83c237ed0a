//! Neighbours: of a node on the backbone, a namespace with a link of its own to that node, which
//! the run does not capture; of a node behind a radio, the namespace at the other end of its link.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv6Addr, SocketAddrV6};

use ipnet::Ipv6Net;
use wpan::{Dad, Links, Namespace};

use crate::common::block_on;
use crate::target::{Target, Way};

/// Interface of the 6LoWPAN nodes.
const LOWPAN: &str = "lowpan0";

/// The processes of the daemons, by node.
pub struct Nodes(BTreeMap<&'static str, i32>);

impl Nodes {
    /// These.
    pub fn of(daemons: BTreeMap<&'static str, i32>) -> Nodes {
        Nodes(daemons)
    }

    /// Those of the one run on this machine.
    pub fn running(targets: &[Target]) -> Nodes {
        let found = targets
            .iter()
            .map(|target| (target.node, running(target.node)));
        Nodes(found.collect())
    }

    fn namespace(&self, node: &str) -> Namespace {
        Namespace::open(format!("/proc/{}/ns/net", self.0[node])).unwrap()
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
        for (target, number) in wired.zip(1..) {
            block_on(outside.link(target.node, number));
        }
        outside
    }

    async fn link(&mut self, node: &'static str, number: u16) {
        let node_namespace = self.nodes.namespace(node);
        let here = Links::connect(&self.namespace).await.unwrap();
        let there = Links::connect(&node_namespace).await.unwrap();
        let name = format!("to-{node}");
        let mac = |end| [2, 0, 0, 0, end, number as u8];
        let index = here
            .add_veth(&name, "stranger", &node_namespace, mac(1), mac(2))
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
        self.nodes.0[target.node]
    }

    /// From where a target is attacked, and its address as seen from there.
    pub fn way_to(&self, target: &Target) -> (Namespace, SocketAddrV6) {
        match target.way {
            Way::Wire => {
                let here = self.namespace.run(Namespace::current).unwrap().unwrap();
                let address = self.addresses[target.node];
                (here, SocketAddrV6::new(address, target.port, 0, 0))
            }
            Way::Radio { neighbour } => {
                let there = self.nodes.namespace(target.node);
                let address = block_on(link_local(&there));
                let here = self.nodes.namespace(neighbour);
                let scope = here.run(|| nix::net::if_::if_nametoindex(LOWPAN)).unwrap();
                let to = SocketAddrV6::new(address, target.port, 0, scope.unwrap());
                (here, to)
            }
        }
    }
}

async fn link_local(namespace: &Namespace) -> Ipv6Addr {
    let links = Links::connect(namespace).await.unwrap();
    let lowpan = links.index(LOWPAN).await.unwrap();
    let addresses = links.addresses(lowpan).await.unwrap();
    let own = addresses.iter().find(|address| address.link_local);
    own.expect("a link-local address").address.addr()
}
