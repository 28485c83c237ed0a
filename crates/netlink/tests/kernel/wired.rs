//! Namespaces, veth, bridge, netem, addresses, routes, sysctls.

use std::fs;
use std::net::Ipv6Addr;
use std::time::Duration;

use netlink::{AddressState, Dad, Errno, Links, Namespace, Netem, WaitError, sysctl};
use units::DataRate;

use crate::lab::{block_on, exchange, global, net, socket};

const DEADLINE: Duration = Duration::from_secs(20);

/// Two namespaces joined by a veth pair, `eth0` at both ends, up.
struct Pair {
    namespaces: [Namespace; 2],
    links: [Links; 2],
    eth0: [u32; 2],
}

impl Pair {
    async fn new() -> Pair {
        let namespaces = [Namespace::create().unwrap(), Namespace::create().unwrap()];
        let links = [
            Links::connect(&namespaces[0]).await.unwrap(),
            Links::connect(&namespaces[1]).await.unwrap(),
        ];
        let eth0 = veth(&links, &namespaces[1], ["eth0", "eth0"], 1).await;
        Pair {
            namespaces,
            links,
            eth0,
        }
    }
}

/// A veth pair with quiet ends (no link-local address of their own making), up.
async fn veth(links: &[Links; 2], there: &Namespace, names: [&str; 2], number: u8) -> [u32; 2] {
    let mac = |end| [0x02, 0, 0x5e, 0, number, end];
    let ours = links[0]
        .add_veth(names[0], names[1], there, mac(1), mac(2))
        .await
        .unwrap();
    let theirs = links[1].index(names[1]).await.unwrap();
    links[0].up(ours).await.unwrap();
    links[1].up(theirs).await.unwrap();
    [ours, theirs]
}

fn set(namespace: &Namespace, name: &str, value: u32) {
    namespace
        .run(|| sysctl::write(name, value))
        .unwrap()
        .unwrap();
}

pub fn bound_namespace() {
    let path = "/tmp/bound-namespace";
    fs::create_dir_all("/tmp").unwrap();
    let namespace = Namespace::create().unwrap();
    namespace.bind_to(path).unwrap();
    let twice = namespace.bind_to(path).unwrap_err();
    assert_eq!(twice.errno(), Some(Errno::EEXIST), "{twice}");
    set(&namespace, "net.ipv6.conf.all.hop_limit", 77);
    drop(namespace);
    let again = Namespace::open(path).unwrap();
    let limit = again
        .run(|| sysctl::read("net.ipv6.conf.all.hop_limit"))
        .unwrap()
        .unwrap();
    assert_eq!(limit, "77");
    Namespace::unbind(path).unwrap();
    assert!(!fs::exists(path).unwrap());
    assert!(Namespace::unbind(path).is_err());
}

pub fn sysctls() {
    let (a, b) = (Namespace::create().unwrap(), Namespace::create().unwrap());
    let name = "net.ipv6.conf.all.forwarding";
    set(&a, name, 1);
    let read = |namespace: &Namespace| namespace.run(|| sysctl::read(name)).unwrap().unwrap();
    assert_eq!((read(&a).as_str(), read(&b).as_str()), ("1", "0"));
    let absent = a
        .run(|| sysctl::write("net.ipv6.conf.nosuch.forwarding", 1))
        .unwrap();
    let text = absent.unwrap_err().to_string();
    assert!(
        text.starts_with("net.ipv6.conf.nosuch.forwarding: set to 1: "),
        "{text}"
    );
}

pub fn links() {
    block_on(async {
        let Pair {
            links: [links, theirs],
            eth0: [eth0, peer],
            ..
        } = Pair::new().await;
        let listed = |all: Vec<netlink::Link>| all.into_iter().find(|l| l.ifindex == eth0).unwrap();
        let link = listed(links.links().await.unwrap());
        assert_eq!(
            (link.name.as_str(), link.kind.as_deref()),
            ("eth0", Some("veth"))
        );
        assert_eq!(link.address, [0x02, 0, 0x5e, 0, 1, 1]);
        assert!(link.up && link.alias.is_none() && link.master.is_none());

        links.set_alias(eth0, "run 7, node a").await.unwrap();
        links.down(eth0).await.unwrap();
        links.rename(eth0, "uplink").await.unwrap();
        links
            .set_address(eth0, &[0x02, 1, 1, 1, 1, 1])
            .await
            .unwrap();
        let bridge = links.add_bridge("br0").await.unwrap();
        links.set_master(eth0, bridge).await.unwrap();
        let link = listed(links.links().await.unwrap());
        assert_eq!(
            (link.name.as_str(), link.alias.as_deref()),
            ("uplink", Some("run 7, node a"))
        );
        assert_eq!((link.up, link.master), (false, Some(bridge)));
        assert_eq!(link.address, [0x02, 1, 1, 1, 1, 1]);
        assert_eq!(links.index("uplink").await.unwrap(), eth0);

        links.delete(eth0).await.unwrap();
        let gone = links.index("uplink").await.unwrap_err().to_string();
        assert_eq!(gone, "uplink: find link: ENODEV: no such link");
        assert_eq!(
            theirs.up(peer).await.unwrap_err().errno(),
            Some(Errno::ENODEV)
        );
        let loopback = &theirs.links().await.unwrap()[0];
        assert_eq!((loopback.name.as_str(), loopback.up), ("lo", true));
    });
}

pub fn netem_delay() {
    const DELAY: Duration = Duration::from_millis(20);
    block_on(async {
        let core = Namespace::create().unwrap();
        let core_links = Links::connect(&core).await.unwrap();
        let bridge = core_links.add_bridge("br0").await.unwrap();
        core_links.up(bridge).await.unwrap();
        let mut sockets = Vec::new();
        for number in [1u8, 2] {
            let node = Namespace::create().unwrap();
            let ends = [core_links.clone(), Links::connect(&node).await.unwrap()];
            let name = format!("port{number}");
            let [port, eth0] = veth(&ends, &node, [&name, "eth0"], number).await;
            core_links.set_master(port, bridge).await.unwrap();
            core_links
                .netem(port, Netem::new(DELAY, None))
                .await
                .unwrap();
            let address = net(&format!("fd00::{number}/64"));
            ends[1].add_address(eth0, address, Dad::Off).await.unwrap();
            sockets.push(socket(&node, global(address.addr())));
        }
        let to = global("fd00::2".parse().unwrap());
        // The first exchange also resolves the neighbours.
        assert!(exchange(&sockets[0], &sockets[1], to).is_some());
        let took = exchange(&sockets[0], &sockets[1], to).expect("still reachable");
        assert!(took >= 2 * DELAY, "{took:?}");
    });
}

pub fn netem_settings() {
    block_on(async {
        let Pair {
            links: [links, _],
            eth0: [eth0, _],
            ..
        } = Pair::new().await;
        assert_eq!(links.netem_of(eth0).await.unwrap(), None);
        let delay = Duration::from_nanos(12_345_678);
        links.netem(eth0, Netem::new(delay, None)).await.unwrap();
        let expected = Netem::new(delay, None);
        assert_eq!(links.netem_of(eth0).await.unwrap(), Some(expected));
        let lossy = Netem {
            jitter: Duration::from_nanos(2_345_678),
            loss: "2.5 %".parse().unwrap(),
            ..expected
        };
        links.netem(eth0, lossy).await.unwrap();
        assert_eq!(links.netem_of(eth0).await.unwrap(), Some(lossy));
        // Above 2^32 bytes per second, a second attribute holds the rate.
        for bits_per_second in [250_000, 100_000_000, 80_000_000_000] {
            let rate = Some(DataRate { bits_per_second });
            links.netem(eth0, Netem::new(delay, rate)).await.unwrap();
            let found = links.netem_of(eth0).await.unwrap().unwrap();
            assert_eq!((found.delay, found.rate), (delay, rate));
        }
    });
}

pub fn routes() {
    block_on(async {
        // a (fd01::1) - router (fd01::ff, fd02::ff) - b (fd02::1)
        let router = Namespace::create().unwrap();
        let router_links = Links::connect(&router).await.unwrap();
        set(&router, "net.ipv6.conf.all.forwarding", 1);
        let mut ends = Vec::new();
        for number in [1u8, 2] {
            let node = Namespace::create().unwrap();
            let links = [router_links.clone(), Links::connect(&node).await.unwrap()];
            let name = format!("port{number}");
            let [port, eth0] = veth(&links, &node, [&name, "eth0"], number).await;
            let (mine, its) = (
                net(&format!("fd0{number}::1/64")),
                net(&format!("fd0{number}::ff/64")),
            );
            router_links.add_address(port, its, Dad::Off).await.unwrap();
            links[1].add_address(eth0, mine, Dad::Off).await.unwrap();
            links[1]
                .add_route(net("::/0"), its.addr(), eth0)
                .await
                .unwrap();
            ends.push((
                links[1].clone(),
                eth0,
                its.addr(),
                socket(&node, global(mine.addr())),
            ));
        }
        let to = global("fd02::1".parse().unwrap());
        assert!(exchange(&ends[0].3, &ends[1].3, to).is_some());

        let (links, eth0, gateway, _) = &ends[1];
        let twice = links
            .add_route(net("::/0"), *gateway, *eth0)
            .await
            .unwrap_err()
            .to_string();
        assert!(
            twice.starts_with("eth0: add route to ::/0 via fd02::ff: EEXIST: "),
            "{twice}"
        );
        let nobody: Ipv6Addr = "fd02::dead".parse().unwrap();
        links
            .replace_route(net("::/0"), nobody, *eth0)
            .await
            .unwrap();
        assert!(
            exchange(&ends[0].3, &ends[1].3, to).is_none(),
            "no answer through nobody"
        );
        links
            .delete_route(net("::/0"), nobody, *eth0)
            .await
            .unwrap();
        links
            .add_route(net("fd01::/64"), *gateway, *eth0)
            .await
            .unwrap();
        assert!(exchange(&ends[0].3, &ends[1].3, to).is_some());
        let absent = links
            .delete_route(net("::/0"), *gateway, *eth0)
            .await
            .unwrap_err();
        assert_eq!(absent.errno(), Some(Errno::ESRCH), "{absent}");
    });
}

async fn state(links: &Links, eth0: u32, address: &str) -> Option<AddressState> {
    let found = links.addresses(eth0).await.unwrap();
    let found = found.iter().find(|a| a.address == net(address));
    found.map(|a| a.state)
}

pub fn dad_modes() {
    block_on(async {
        let Pair {
            namespaces,
            links: [links, _],
            eth0: [eth0, _],
        } = Pair::new().await;
        links
            .add_address(eth0, net("fd00::1/64"), Dad::Off)
            .await
            .unwrap();
        assert_eq!(
            state(&links, eth0, "fd00::1/64").await,
            Some(AddressState::Usable)
        );

        let refused = links
            .add_address(eth0, net("fd00::2/64"), Dad::Optimistic)
            .await;
        let text = refused.unwrap_err().to_string();
        assert!(text.contains("optimistic_dad"), "{text}");
        assert_eq!(
            state(&links, eth0, "fd00::2/64").await,
            None,
            "nothing was added"
        );
        set(&namespaces[0], "net.ipv6.conf.eth0.optimistic_dad", 1);
        links
            .add_address(eth0, net("fd00::2/64"), Dad::Optimistic)
            .await
            .unwrap();
        assert_eq!(
            state(&links, eth0, "fd00::2/64").await,
            Some(AddressState::Optimistic)
        );
        let optimistic = net("fd00::2/64").addr();
        links.wait_usable(eth0, optimistic, DEADLINE).await.unwrap();
        // It did not wait for the end of the detection, which takes a second.
        assert_eq!(
            state(&links, eth0, "fd00::2/64").await,
            Some(AddressState::Optimistic)
        );
        let _bound = socket(&namespaces[0], global(optimistic));

        links
            .add_address(eth0, net("fd00::3/64"), Dad::Normal)
            .await
            .unwrap();
        assert_eq!(
            state(&links, eth0, "fd00::3/64").await,
            Some(AddressState::Tentative)
        );
        links
            .wait_usable(eth0, net("fd00::3/64").addr(), DEADLINE)
            .await
            .unwrap();
        assert_eq!(
            state(&links, eth0, "fd00::3/64").await,
            Some(AddressState::Usable)
        );

        links.flush_addresses(eth0).await.unwrap();
        let left = links.addresses(eth0).await.unwrap();
        assert!(left.iter().all(|address| address.link_local), "{left:?}");
        let absent = links
            .delete_address(eth0, net("fd00::3/64"))
            .await
            .unwrap_err();
        assert_eq!(absent.errno(), Some(Errno::EADDRNOTAVAIL), "{absent}");
    });
}

pub fn dad_failure() {
    block_on(async {
        let Pair {
            links: [ours, theirs],
            eth0: [eth0, peer],
            ..
        } = Pair::new().await;
        let address = net("fd00::1/64");
        theirs.add_address(peer, address, Dad::Off).await.unwrap();
        // The wait may begin before the address is there.
        let wait = ours.wait_usable(eth0, address.addr(), DEADLINE);
        let add = ours.add_address(eth0, address, Dad::Normal);
        let (waited, added) = tokio::join!(wait, add);
        added.unwrap();
        assert!(
            matches!(waited, Err(WaitError::DadFailed { .. })),
            "{waited:?}"
        );
        assert_eq!(
            state(&ours, eth0, "fd00::1/64").await,
            Some(AddressState::DadFailed)
        );
    });
}

pub fn dad_timeout() {
    block_on(async {
        let Pair {
            links: [links, _],
            eth0: [eth0, _],
            ..
        } = Pair::new().await;
        let deadline = Duration::from_millis(50);
        let waited = links
            .wait_usable(eth0, net("fd00::1/64").addr(), deadline)
            .await;
        let text = waited.unwrap_err().to_string();
        assert!(
            text.ends_with("not usable after 50ms (it is absent)"),
            "{text}"
        );
    });
}

pub fn kernel_text() {
    block_on(async {
        let Pair {
            links: [links, _],
            eth0: [eth0, _],
            ..
        } = Pair::new().await;
        let [br0, br1] = [
            links.add_bridge("br0").await.unwrap(),
            links.add_bridge("br1").await.unwrap(),
        ];
        assert_eq!(
            links.set_master(br1, br0).await.unwrap_err().to_string(),
            format!("br1: join bridge {br0}: ELOOP: Can not enslave a bridge to a bridge")
        );
        // Without a text of the kernel's, the errno's own or ours.
        let refused = links.add_lowpan("lowpan0", eth0).await.unwrap_err();
        assert_eq!(refused.errno(), Some(Errno::EINVAL), "{refused}");
        links
            .add_address(eth0, net("fd00::1/64"), Dad::Off)
            .await
            .unwrap();
        let twice = links
            .add_address(eth0, net("fd00::1/64"), Dad::Off)
            .await
            .unwrap_err();
        assert!(
            twice
                .to_string()
                .starts_with("eth0: add address fd00::1/64: EEXIST: "),
            "{twice}"
        );
        let far = links
            .add_route(net("::/0"), "fd99::1".parse().unwrap(), eth0)
            .await
            .unwrap_err();
        assert_eq!(
            far.to_string(),
            "eth0: add route to ::/0 via fd99::1: EHOSTUNREACH: No route to host"
        );
    });
}
