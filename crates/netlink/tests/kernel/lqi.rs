//! The LQI of received frames, in the initial namespace.

use std::net::{Ipv6Addr, SocketAddrV6};
use std::time::Duration;

use netlink::{HeardFrame, Hwsim, Links, LqiSocket, Namespace, Nl802154, create_radio_with_phy};
use units::{Eui64, Lqi, MacAddress};

use crate::lab::{Node, PAN, block_on, channel};

const EUI64: Eui64 = Eui64([0x02, 0, 0x5e, 0, 0, 0, 0, 0x7f]);
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// The next frame with this LQI. Others may come before it: the kernel speaks by itself too.
async fn frame_with(socket: &LqiSocket, lqi: Lqi) -> HeardFrame {
    let wanted = async {
        loop {
            let frame = socket.next().await.unwrap();
            if frame.lqi == lqi {
                return frame;
            }
        }
    };
    let frame = tokio::time::timeout(Duration::from_secs(30), wanted).await;
    frame.unwrap_or_else(|_| panic!("no frame with LQI {lqi}"))
}

pub fn of_frames() {
    block_on(async {
        let hwsim = Hwsim::connect().await.unwrap();
        let here = Namespace::current().unwrap();
        let host = Nl802154::connect(&here).await.unwrap();
        let links = Links::connect(&here).await.unwrap();
        let sender = Node::new(&hwsim, 1).await;
        let listener = create_radio_with_phy(&hwsim, &host, |_| {}).await.unwrap();
        links
            .set_address(listener.wpan_ifindex, &EUI64.0)
            .await
            .unwrap();
        host.set_pan_id(listener.wpan_ifindex, PAN).await.unwrap();
        host.set_channel(listener.phy, channel(11)).await.unwrap();
        links.up(listener.wpan_ifindex).await.unwrap();
        hwsim.add_edge(sender.radio, listener.radio).await.unwrap();

        let socket = LqiSocket::open(&listener.name, EUI64).unwrap();
        let udp = sender.socket();
        let everybody = SocketAddrV6::new(ALL_NODES, 5683, 0, sender.lowpan);
        for lqi in [Lqi(1), Lqi(42), Lqi(255), Lqi(0)] {
            hwsim
                .set_lqi(sender.radio, listener.radio, lqi)
                .await
                .unwrap();
            let radio = hwsim.radio(sender.radio).await.unwrap();
            assert_eq!(
                radio.lqi_at(listener.radio),
                Some(lqi),
                "as the kernel says"
            );
            udp.send_to(b"hello", everybody).unwrap();
            let expected = HeardFrame {
                source: Some(MacAddress::Extended(sender.eui64)),
                pan_id: PAN,
                lqi,
            };
            assert_eq!(frame_with(&socket, lqi).await, expected);
        }
        hwsim.delete_radio(sender.radio).await.unwrap();
        hwsim.delete_radio(listener.radio).await.unwrap();
    });
}

pub fn refusals() {
    block_on(async {
        let nobody = LqiSocket::open("wpan9", Eui64([0x02; 8])).unwrap_err();
        assert_eq!(
            nobody.to_string(),
            "wpan9: bind an AF_IEEE802154 socket: no 802.15.4 interface of this namespace has the \
             address 02:02:02:02:02:02:02:02"
        );
        let runtime = tokio::runtime::Handle::current();
        let elsewhere = Namespace::create().unwrap();
        let refused = elsewhere.run(|| {
            let _context = runtime.enter();
            LqiSocket::open("wpan0", EUI64).unwrap_err().to_string()
        });
        assert_eq!(
            refused.unwrap(),
            "wpan0: open an AF_IEEE802154 socket: the kernel has them in the initial network \
             namespace only; this is another one"
        );
    });
}
