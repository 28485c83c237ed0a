//! A NAT between two namespaces, on the kernel's own conntrack.

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::thread::sleep;
use std::time::Duration;

use netlink::{Dad, Errno, Links, Namespace, nat, sysctl};

use crate::lab::{block_on, global, net, socket};

const TIMEOUT: Duration = Duration::from_secs(10);

/// Joins `node` with the address `its` to `router` with the address `there`, whose link is `name`.
async fn join(router: &Namespace, name: &str, there: &str, its: &str, number: u8) -> UdpSocket {
    let node = Namespace::create().unwrap();
    let links = Links::connect(router).await.unwrap();
    let node_links = Links::connect(&node).await.unwrap();
    let mac = |end| [0x02, 0, 0x5e, 0, number, end];
    let port = links.add_veth(name, "eth0", &node, mac(1), mac(2)).await;
    let (port, eth0) = (port.unwrap(), node_links.index("eth0").await.unwrap());
    links.up(port).await.unwrap();
    node_links.up(eth0).await.unwrap();
    let (there, its) = (net(there), net(its));
    links.add_address(port, there, Dad::Off).await.unwrap();
    node_links.add_address(eth0, its, Dad::Off).await.unwrap();
    let default = node_links.add_route(net("::/0"), there.addr(), eth0).await;
    default.unwrap();
    socket(&node, global(its.addr()))
}

/// What comes, and from whom; none if nothing does.
fn heard(socket: &UdpSocket) -> Option<(Vec<u8>, SocketAddr)> {
    let mut buffer = [0; 64];
    match socket.recv_from(&mut buffer) {
        Ok((length, from)) => Some((buffer[..length].to_vec(), from)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => None,
        Err(error) => panic!("receive: {error}"),
    }
}

pub fn mappings() {
    block_on(async {
        let router = Namespace::create().unwrap();
        let forward = || sysctl::write("net.ipv6.conf.all.forwarding", 1);
        router.run(forward).unwrap().unwrap();
        let device = join(&router, "inside0", "fd01::ff/64", "fd01::1/64", 1).await;
        let server = join(&router, "outside0", "fd02::ff/64", "fd02::1/64", 2).await;
        let translate = || nat::masquerade("inside0", "outside0", TIMEOUT);
        router.run(translate).unwrap().unwrap();
        let twice = router.run(translate).unwrap().unwrap_err();
        assert_eq!(twice.errno(), Some(Errno::EEXIST), "{twice}");

        let to_server = server.local_addr().unwrap();
        let outside = global("fd02::ff".parse().unwrap());
        let goes_up = || {
            device.send_to(b"up", to_server).unwrap();
            // From the router's address, and the device's port, which is free there.
            let up = heard(&server).unwrap();
            assert_eq!(up, (b"up".to_vec(), SocketAddr::V6(outside)));
        };
        goes_up();
        // More than half a timeout later, and that again: each datagram begins it anew.
        for _ in 0..2 {
            sleep(TIMEOUT * 3 / 5);
            server.send_to(b"down", outside).unwrap();
            assert_eq!(heard(&device), Some((b"down".to_vec(), to_server)));
        }
        sleep(TIMEOUT);
        server.send_to(b"late", outside).unwrap();
        assert_eq!(heard(&device), None, "the mapping is forgotten");
        // The late one is no flow of its own: the device has its port again.
        goes_up();
    });
}
