//! Tunnels, home addresses and extension headers: what a mobile node's packets go through.

use std::net::Ipv6Addr;
use std::time::Duration;

use netlink::xfrm::{Association, Direction, Extension, Policy, Report, Selector, State, Upper};
use netlink::{Dad, DataPlane, Links, Namespace, Packets, Reports, TunnelEnds, Xfrm};

use crate::lab::{block_on, exchange, global, net, socket};

/// The loopback, which is always up.
const LOOPBACK: u32 = 1;
const HOME: Ipv6Addr = Ipv6Addr::new(0xfd0f, 0, 0, 0, 0, 0, 0, 5);
const CARE_OF: [Ipv6Addr; 2] = [
    Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2),
    Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 3),
];
/// The other node, on the backbone and on the home link.
const PEER: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1);
const PEER_AT_HOME: Ipv6Addr = Ipv6Addr::new(0xfd0f, 0, 0, 0, 0, 0, 0, 1);

/// A mobile node with a home address and two care-of addresses, and another node.
struct Pair {
    node: (Namespace, DataPlane),
    peer: (Namespace, DataPlane),
    links: [Links; 2],
    eth0: u32,
}

impl Pair {
    async fn new() -> Pair {
        let [node, peer] = [Namespace::create().unwrap(), Namespace::create().unwrap()];
        let links = [
            Links::connect(&node).await.unwrap(),
            Links::connect(&peer).await.unwrap(),
        ];
        let mac = |end| [0x02, 0, 0x5e, 0, 9, end];
        let near = (links[0].add_veth("eth0", "eth0", &peer, mac(1), mac(2))).await;
        let (near, far) = (near.unwrap(), links[1].index("eth0").await.unwrap());
        links[0].up(near).await.unwrap();
        links[1].up(far).await.unwrap();
        let add = |end: usize, ifindex, address: Ipv6Addr, bits| {
            let links = links[end].clone();
            async move {
                let address = net(&format!("{address}/{bits}"));
                links.add_address(ifindex, address, Dad::Off).await.unwrap();
            }
        };
        for address in CARE_OF {
            add(0, near, address, 64).await;
        }
        add(1, far, PEER, 64).await;
        add(1, LOOPBACK, PEER_AT_HOME, 128).await;
        let plane = |namespace: &Namespace| namespace.run(DataPlane::open).unwrap().unwrap();
        let mut own = plane(&node);
        own.add_home_address(LOOPBACK, HOME).unwrap();
        own.add_home_address(LOOPBACK, HOME).unwrap();
        own.drop_otherwise(Packets::From(HOME)).unwrap();
        Pair {
            node: (node, own),
            peer: (peer.clone(), plane(&peer)),
            links,
            eth0: far,
        }
    }
}

fn ends(local: Ipv6Addr, remote: Ipv6Addr) -> TunnelEnds {
    TunnelEnds { local, remote }
}

pub fn tunnel() {
    block_on(async {
        let mut pair = Pair::new().await;
        let (ours, theirs) = (
            socket(&pair.node.0, global(HOME)),
            socket(&pair.peer.0, global(PEER_AT_HOME)),
        );
        let to = global(PEER_AT_HOME);
        assert!(ours.send_to(b"?", to).is_err(), "there is no way yet");

        let run = |namespace: &Namespace, plane: &mut DataPlane, ends, packets| {
            namespace.run(|| {
                let tunnel = plane.add_tunnel("mip0", ends)?;
                plane.route_by(packets, tunnel).map(|()| tunnel)
            })
        };
        let to_home = Packets::To(HOME.into());
        let (namespace, plane) = &mut pair.node;
        let near = run(
            namespace,
            plane,
            ends(CARE_OF[0], PEER),
            Packets::From(HOME),
        );
        let near = near.unwrap().unwrap();
        let (namespace, plane) = &mut pair.peer;
        let far = run(namespace, plane, ends(PEER, CARE_OF[0]), to_home);
        far.unwrap().unwrap();
        assert!(exchange(&ours, &theirs, to).is_some());

        // What a former daemon left.
        let (namespace, plane) = &mut pair.peer;
        let left = namespace.run(|| plane.delete_left(|name| name == "mip0"));
        left.unwrap().unwrap();
        assert!(exchange(&ours, &theirs, to).is_none());
        let far = run(namespace, plane, ends(PEER, CARE_OF[0]), to_home);
        let far = far.unwrap().unwrap();
        assert!(exchange(&ours, &theirs, to).is_some());

        pair.node.1.stop_routing(Packets::From(HOME), near).unwrap();
        pair.node.1.stop_routing(Packets::From(HOME), near).unwrap();
        assert!(ours.send_to(b"?", to).is_err(), "the link was left");

        pair.node
            .1
            .move_tunnel(near, ends(CARE_OF[1], PEER))
            .unwrap();
        pair.node.1.route_by(Packets::From(HOME), near).unwrap();
        let none = exchange(&ours, &theirs, to);
        assert!(
            none.is_none(),
            "the other end takes it from the care-of address that it knows"
        );
        pair.peer
            .1
            .move_tunnel(far, ends(PEER, CARE_OF[1]))
            .unwrap();
        assert!(exchange(&ours, &theirs, to).is_some());

        for links in &pair.links {
            let all = links.links().await.unwrap();
            let fallback = all.iter().find(|link| link.name == "ip6tnl0").unwrap();
            assert!(!fallback.up, "it would take what is for nobody");
        }
        pair.peer.1.delete_link(far).unwrap();
        assert!(exchange(&ours, &theirs, to).is_none());
    });
}

/// A program that is bound to no address answers from the home address, also where another one is nearer to
/// who asks.
pub fn source() {
    block_on(async {
        let mut pair = Pair::new().await;
        let regional: Ipv6Addr = "fd00:0:0:1::5".parse().unwrap();
        pair.node.1.add_home_address(LOOPBACK, regional).unwrap();
        let chosen = |namespace: &Namespace| {
            let any = socket(namespace, global(Ipv6Addr::UNSPECIFIED));
            any.connect(global(PEER)).unwrap();
            any.local_addr().unwrap().ip()
        };
        let nearest = chosen(&pair.node.0);
        assert_eq!(nearest, regional, "of two home addresses");
        pair.node
            .1
            .add_regional_address(LOOPBACK, regional)
            .unwrap();
        assert_eq!(chosen(&pair.node.0), HOME);

        let (namespace, plane) = &mut pair.node;
        let has = |namespace: &Namespace, plane: &DataPlane, address| {
            namespace
                .run(|| plane.has_address(address))
                .unwrap()
                .unwrap()
        };
        assert!(has(namespace, plane, regional) && has(namespace, plane, HOME));
        assert!(!has(namespace, plane, PEER), "the other one's");
        let from = Packets::From(regional);
        plane.drop_otherwise(from).unwrap();
        plane.stop_dropping(from).unwrap();
        plane.stop_dropping(from).unwrap();
        plane.remove_address(LOOPBACK, regional).unwrap();
        assert!(!has(namespace, plane, regional));
        plane.remove_address(LOOPBACK, regional).unwrap();
        // One at which the node is asked, and which it does not speak from by itself.
        plane.add_address(LOOPBACK, regional).unwrap();
        plane.add_address(LOOPBACK, regional).unwrap();
        assert!(has(namespace, plane, regional));
        assert_eq!(chosen(namespace), HOME);
    });
}

/// No module for it is loaded here.
pub fn association() {
    let namespace = Namespace::create().unwrap();
    let mut xfrm = namespace.run(Xfrm::open).unwrap().unwrap();
    let refused = xfrm.put_association(&Association {
        source: HOME,
        destination: PEER,
        spi: 0x100,
        key: [7; 32],
    });
    let said = refused.unwrap_err().to_string();
    assert!(
        said.starts_with("xfrm: put ESP 0x100 from fd0f::5 to fd00::1: EPROTONOSUPPORT: "),
        "{said}"
    );
    assert!(said.contains("load the kernel module esp6"), "{said}");
}

pub fn extension_headers() {
    block_on(async {
        let mut pair = Pair::new().await;
        let open = |namespace: &Namespace| namespace.run(Xfrm::open).unwrap().unwrap();
        let (mut node, mut peer) = (open(&pair.node.0), open(&pair.peer.0));
        let mut reports = pair.peer.0.run(Reports::open).unwrap().unwrap();
        let policy = |direction, selector, extension, priority| Policy {
            direction,
            selector,
            extension,
            protection: None,
            priority,
        };
        let option = |care_of| State {
            extension: Extension::HomeAddress,
            source: HOME,
            destination: PEER,
            care_of,
        };
        let routing = |care_of| State {
            extension: Extension::Routing,
            source: PEER,
            destination: HOME,
            care_of,
        };
        let (to_peer, to_home) = (Selector::between(HOME, PEER), Selector::between(PEER, HOME));
        let (home, way) = (Some(Extension::HomeAddress), Some(Extension::Routing));

        node.put_state(&State::any(Extension::Routing)).unwrap();
        let anything = Selector::all(Upper::Any);
        (node.put_policy(&policy(Direction::In, anything, way, 100))).unwrap();
        node.put_state(&option(CARE_OF[0])).unwrap();
        (node.put_policy(&policy(Direction::Out, to_peer, home, 10))).unwrap();

        peer.put_state(&State::any(Extension::HomeAddress)).unwrap();
        let signalling = Selector::all(Upper::Mobility);
        (peer.put_policy(&policy(Direction::In, signalling, home, 1))).unwrap();
        peer.put_state(&option(CARE_OF[0])).unwrap();
        (peer.put_policy(&policy(Direction::In, to_peer, home, 10))).unwrap();
        peer.put_state(&routing(CARE_OF[0])).unwrap();
        let out = policy(Direction::Out, to_home, way, 10);
        peer.put_policy(&out).unwrap();
        pair.peer
            .1
            .route_by(Packets::To(HOME.into()), pair.eth0)
            .unwrap();

        let (ours, theirs) = (
            socket(&pair.node.0, global(HOME)),
            socket(&pair.peer.0, global(PEER)),
        );
        assert!(exchange(&theirs, &ours, global(HOME)).is_some());
        assert!(exchange(&ours, &theirs, global(PEER)).is_some());

        // The node has moved, and its correspondent does not know.
        node.put_state(&option(CARE_OF[1])).unwrap();
        assert!(exchange(&ours, &theirs, global(PEER)).is_none());
        let told = Report {
            source: HOME,
            care_of: CARE_OF[1],
            destination: PEER,
        };
        assert_eq!(reports.next().await.unwrap(), told);
        peer.put_state(&option(CARE_OF[1])).unwrap();
        peer.put_state(&routing(CARE_OF[1])).unwrap();
        assert!(exchange(&ours, &theirs, global(PEER)).is_some());

        for _ in 0..2 {
            peer.delete_policy(&out).unwrap();
            peer.delete_state(&routing(CARE_OF[1])).unwrap();
        }
        let late = theirs.set_read_timeout(Some(Duration::from_secs(1)));
        late.unwrap();
        assert!(
            exchange(&theirs, &ours, global(HOME)).is_none(),
            "nobody knows where it is"
        );
    });
}
