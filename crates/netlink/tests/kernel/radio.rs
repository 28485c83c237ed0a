//! hwsim, nl802154 and 6LoWPAN links.

use netlink::{
    Edge, Errno, Error, Hwsim, InterfaceKind, Links, Namespace, Nl802154, RadioId,
    create_radio_with_phy, create_radios_with_phys,
};
use units::{Eui64, Lqi, PanId, ShortAddress};

use crate::lab::{Node, PAN, block_on, channel, join};

async fn edges_of(hwsim: &Hwsim, radio: RadioId) -> Vec<Edge> {
    let radios = hwsim.radios().await.unwrap();
    radios
        .into_iter()
        .find(|r| r.id == radio)
        .expect("listed")
        .edges
}

pub fn radios_and_edges() {
    block_on(async {
        let hwsim = Hwsim::connect().await.unwrap();
        let before = hwsim.radios().await.unwrap();
        let a = hwsim.create_radio().await.unwrap();
        let b = hwsim.create_radio().await.unwrap();
        assert!(b.0 > a.0, "numbers grow: {a} {b}");
        assert_eq!(edges_of(&hwsim, a).await, []);

        hwsim.add_edge(a, b).await.unwrap();
        let edge = |to, lqi| Edge { to, lqi: Lqi(lqi) };
        assert_eq!(edges_of(&hwsim, a).await, [edge(b, 255)]);
        assert_eq!(edges_of(&hwsim, b).await, [], "an edge has one direction");
        hwsim.add_edge(b, a).await.unwrap();
        hwsim.set_lqi(b, a, Lqi(17)).await.unwrap();
        assert_eq!(edges_of(&hwsim, a).await, [edge(b, 255)]);
        assert_eq!(edges_of(&hwsim, b).await, [edge(a, 17)]);

        hwsim.delete_edge(a, b).await.unwrap();
        assert_eq!(edges_of(&hwsim, a).await, []);
        assert_eq!(edges_of(&hwsim, b).await, [edge(a, 17)]);
        hwsim.delete_radio(a).await.unwrap();
        assert_eq!(
            edges_of(&hwsim, b).await,
            [],
            "edges end with their endpoint"
        );
        hwsim.delete_radio(b).await.unwrap();
        assert_eq!(hwsim.radios().await.unwrap(), before);
    });
}

pub fn hwsim_refusals() {
    block_on(async {
        let hwsim = Hwsim::connect().await.unwrap();
        let a = hwsim.create_radio().await.unwrap();
        let b = hwsim.create_radio().await.unwrap();
        let nobody = RadioId(4_000_000_000);
        let text = |error: Error| error.to_string();
        assert_eq!(
            text(hwsim.delete_radio(nobody).await.unwrap_err()),
            "radio 4000000000: delete radio: ENODEV: no such radio"
        );
        assert_eq!(
            text(hwsim.set_lqi(a, b, Lqi(9)).await.unwrap_err()),
            format!("{a}: set LQI 9 of the edge to {b}: ENOENT: no such radio or edge")
        );
        hwsim.add_edge(a, b).await.unwrap();
        assert_eq!(
            text(hwsim.add_edge(a, b).await.unwrap_err()),
            format!("{a}: add edge to {b}: EEXIST: the edge exists already")
        );
        assert_eq!(
            hwsim.add_edge(a, a).await.unwrap_err().errno(),
            Some(Errno::EINVAL)
        );
        hwsim.delete_radio(a).await.unwrap();
        hwsim.delete_radio(b).await.unwrap();
    });
}

pub fn hwsim_elsewhere() {
    let elsewhere = Namespace::create().unwrap();
    let refused = elsewhere.run(|| block_on(Hwsim::connect()).err().map(|e| e.to_string()));
    assert_eq!(
        refused.unwrap().as_deref(),
        Some(
            "generic netlink family MAC802154_HWSIM: answers in the initial network namespace \
             only; this is another one"
        )
    );
}

pub fn pairing() {
    block_on(async {
        let hwsim = Hwsim::connect().await.unwrap();
        let host = Nl802154::connect(&Namespace::current().unwrap())
            .await
            .unwrap();
        let mut told = Vec::new();
        let three = create_radios_with_phys(&hwsim, &host, 3, |radio| told.push(radio)).await;
        let mut made = three.unwrap();
        assert!(made.iter().map(|radio| radio.radio).eq(told));
        for radio in [made.remove(1), made.remove(0), made.remove(0)] {
            let phys = host.phys().await.unwrap();
            assert!(phys.iter().any(|phy| phy.index == radio.phy));
            let interface = host.interface_of(radio.phy).await.unwrap();
            assert_eq!(
                (interface.ifindex, interface.name),
                (radio.wpan_ifindex, radio.name)
            );
            hwsim.delete_radio(radio.radio).await.unwrap();
            let mut left = host.phys().await.unwrap();
            left.retain(|phy| phys.contains(phy));
            assert_eq!(left.len() + 1, phys.len());
            assert!(left.iter().all(|phy| phy.index != radio.phy));
        }
    });
}

pub fn phy_moves() {
    block_on(async {
        let hwsim = Hwsim::connect().await.unwrap();
        let here = Namespace::current().unwrap();
        let host = Nl802154::connect(&here).await.unwrap();
        let made = create_radio_with_phy(&hwsim, &host, |_| {}).await.unwrap();
        let eui64 = Eui64([0x02, 1, 2, 3, 4, 5, 6, 7]);
        let host_links = Links::connect(&here).await.unwrap();
        host_links
            .set_address(made.wpan_ifindex, &eui64.0)
            .await
            .unwrap();
        host.set_pan_id(made.wpan_ifindex, PanId(0x1a2b))
            .await
            .unwrap();
        host.set_short_address(made.wpan_ifindex, ShortAddress(0x3c4d))
            .await
            .unwrap();
        host.set_channel(made.phy, channel(26)).await.unwrap();

        let there = Namespace::create().unwrap();
        host.move_phy(made.phy, &there).await.unwrap();
        assert!(
            host.phys()
                .await
                .unwrap()
                .iter()
                .all(|phy| phy.index != made.phy)
        );
        let refused = host.set_channel(made.phy, channel(12)).await.unwrap_err();
        assert_eq!(
            refused.errno(),
            Some(Errno::ENODEV),
            "it is not here any more"
        );

        let nl802154 = Nl802154::connect(&there).await.unwrap();
        let phys = nl802154.phys().await.unwrap();
        let [phy] = phys.as_slice() else {
            panic!("one phy expected: {phys:?}")
        };
        assert_eq!((phy.index, phy.page, phy.channel), (made.phy, 0, 26));
        let interface = nl802154.interface_of(made.phy).await.unwrap();
        assert_eq!(interface.eui64, eui64);
        assert_eq!(interface.pan_id, PanId(0x1a2b));
        assert_eq!(interface.short_address, ShortAddress(0x3c4d));
        assert_eq!(interface.kind, InterfaceKind::Node);
        let links = Links::connect(&there).await.unwrap();
        assert_eq!(
            links.index(&interface.name).await.unwrap(),
            interface.ifindex
        );
        hwsim.delete_radio(made.radio).await.unwrap();
        assert_eq!(nl802154.phys().await.unwrap(), []);
    });
}

pub fn udp_over_lowpan() {
    block_on(async {
        let hwsim = Hwsim::connect().await.unwrap();
        let (a, b) = (Node::new(&hwsim, 1).await, Node::new(&hwsim, 2).await);
        join(&hwsim, &a, &b).await;
        assert!(a.reaches(&b));
        assert!(b.reaches(&a));
        hwsim.delete_edge(a.radio, b.radio).await.unwrap();
        assert!(!a.reaches(&b));
        assert!(!b.reaches(&a), "no way back");
        hwsim.add_edge(a.radio, b.radio).await.unwrap();
        assert!(a.reaches(&b));
        hwsim.delete_radio(a.radio).await.unwrap();
        hwsim.delete_radio(b.radio).await.unwrap();
    });
}

pub fn pan_id_busy() {
    block_on(async {
        let hwsim = Hwsim::connect().await.unwrap();
        let node = Node::new(&hwsim, 1).await;
        let name = node.nl802154.interface_of(node.phy).await.unwrap().name;
        let refused = node
            .nl802154
            .set_pan_id(node.wpan, PanId(0x0007))
            .await
            .unwrap_err();
        assert_eq!(
            refused.to_string(),
            format!(
                "{name}: set PAN ID 0x0007: EBUSY: device is up; take its lowpan link and then \
                 the interface itself down first"
            )
        );
        node.links.down(node.lowpan).await.unwrap();
        let refused = node
            .nl802154
            .set_pan_id(node.wpan, PanId(7))
            .await
            .unwrap_err();
        assert_eq!(
            refused.errno(),
            Some(Errno::EBUSY),
            "wpan itself is still up"
        );
        node.links.down(node.wpan).await.unwrap();
        node.nl802154.set_pan_id(node.wpan, PanId(7)).await.unwrap();
        let interface = node.nl802154.interface_of(node.phy).await.unwrap();
        assert_eq!(interface.pan_id, PanId(7));
        hwsim.delete_radio(node.radio).await.unwrap();
    });
}

pub fn pan_id_separates() {
    block_on(async {
        let hwsim = Hwsim::connect().await.unwrap();
        let (a, b) = (Node::new(&hwsim, 1).await, Node::new(&hwsim, 2).await);
        join(&hwsim, &a, &b).await;
        for (pan, heard) in [(PanId(0x0007), false), (PAN, true)] {
            b.links.down(b.lowpan).await.unwrap();
            b.links.down(b.wpan).await.unwrap();
            b.nl802154.set_pan_id(b.wpan, pan).await.unwrap();
            b.links.up(b.wpan).await.unwrap();
            b.links.up(b.lowpan).await.unwrap();
            let address = ipnet::Ipv6Net::new(b.eui64.link_local(), 64).unwrap();
            b.links
                .add_address(b.lowpan, address, netlink::Dad::Off)
                .await
                .unwrap();
            assert_eq!(a.reaches(&b), heard, "in PAN {pan}");
        }
        hwsim.delete_radio(a.radio).await.unwrap();
        hwsim.delete_radio(b.radio).await.unwrap();
    });
}

pub fn channel_while_up() {
    block_on(async {
        let hwsim = Hwsim::connect().await.unwrap();
        let (a, b) = (Node::new(&hwsim, 1).await, Node::new(&hwsim, 2).await);
        join(&hwsim, &a, &b).await;
        assert!(a.reaches(&b));
        b.nl802154.set_channel(b.phy, channel(20)).await.unwrap();
        assert_eq!(b.nl802154.phys().await.unwrap()[0].channel, 20);
        assert!(!a.reaches(&b));
        a.nl802154.set_channel(a.phy, channel(20)).await.unwrap();
        assert!(a.reaches(&b));
        hwsim.delete_radio(a.radio).await.unwrap();
        hwsim.delete_radio(b.radio).await.unwrap();
    });
}

pub fn monitor() {
    block_on(async {
        let hwsim = Hwsim::connect().await.unwrap();
        let here = Namespace::current().unwrap();
        let host = Nl802154::connect(&here).await.unwrap();
        let made = create_radio_with_phy(&hwsim, &host, |_| {}).await.unwrap();
        host.delete_interface(made.wpan_ifindex).await.unwrap();
        let gone = host.delete_interface(made.wpan_ifindex).await.unwrap_err();
        assert_eq!(gone.errno(), Some(Errno::ENODEV));
        let eui64 = Eui64([0x02, 9, 8, 7, 6, 5, 4, 3]);
        let links = Links::connect(&here).await.unwrap();
        let added = host.add_interface(made.phy, "monitor0", InterfaceKind::Monitor, eui64);
        added.await.unwrap();
        let ifindex = links.index("monitor0").await.unwrap();
        let interface = host.interface_of(made.phy).await.unwrap();
        assert_eq!(
            (interface.ifindex, interface.kind),
            (ifindex, InterfaceKind::Monitor)
        );

        host.delete_interface(ifindex).await.unwrap();
        let added = host.add_interface(made.phy, "node0", InterfaceKind::Node, eui64);
        added.await.unwrap();
        let ifindex = links.index("node0").await.unwrap();
        let interface = host.interface_of(made.phy).await.unwrap();
        assert_eq!(
            (interface.eui64, interface.kind),
            (eui64, InterfaceKind::Node)
        );
        let links = links.links().await.unwrap();
        let link = links.iter().find(|link| link.ifindex == ifindex).unwrap();
        assert_eq!(
            (link.name.as_str(), link.address.as_slice()),
            ("node0", &eui64.0[..])
        );
        hwsim.delete_radio(made.radio).await.unwrap();
    });
}

pub fn teardown() {
    block_on(async {
        let hwsim = Hwsim::connect().await.unwrap();
        let here = Namespace::current().unwrap();
        let host = Nl802154::connect(&here).await.unwrap();
        let links = Links::connect(&here).await.unwrap();
        let before = (
            hwsim.radios().await.unwrap(),
            host.phys().await.unwrap(),
            links.links().await.unwrap(),
        );
        let mut radios = Vec::new();
        for number in 1..=4 {
            // The node's namespace ends here, its radio does not.
            radios.push(Node::new(&hwsim, number).await.radio);
        }
        for radio in radios {
            hwsim.delete_radio(radio).await.unwrap();
        }
        let after = (
            hwsim.radios().await.unwrap(),
            host.phys().await.unwrap(),
            links.links().await.unwrap(),
        );
        assert_eq!(after, before);
    });
}
