//! TCP connections from outside to what a node serves to itself.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener as StdListener};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use netlink::Namespace;
use serde::{Deserialize, Serialize};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use topology::plan::NodeName;

/// Connections of one port at once, at most: further ones wait until one has left.
const MOST: usize = 1024;

/// Connections to `at` are connections to a port of a node while the run goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forward {
    /// Where they are taken, in the namespace that the run is started in.
    pub at: SocketAddr,
    /// The node.
    pub node: NodeName,
    /// The TCP port there, on the node's loopback interface.
    pub port: u16,
}

/// Everything that is forwarded, until this is dropped.
pub(crate) struct Forwarding {
    _accepting: JoinSet<()>,
}

impl Forwarding {
    /// Takes connections from now on.
    ///
    /// # Errors
    /// There is no such node, or the address is not to be had.
    pub(crate) fn begin(
        forwards: &[Forward],
        namespaces: &BTreeMap<NodeName, Namespace>,
    ) -> Result<Forwarding> {
        let mut accepting = JoinSet::new();
        for Forward { at, node, port } in forwards {
            let namespace = namespaces.get(node);
            let namespace = namespace.ok_or_else(|| anyhow!("there is no node {node}"))?;
            let listener = listen(*at).with_context(|| format!("listen on {at} for {node}"))?;
            accepting.spawn(accept(listener, namespace.clone(), *port));
        }
        Ok(Forwarding {
            _accepting: accepting,
        })
    }
}

fn listen(at: SocketAddr) -> io::Result<TcpListener> {
    let listener = StdListener::bind(at)?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

/// Carries connections until it is dropped.
async fn accept(listener: TcpListener, namespace: Namespace, port: u16) {
    let places = Arc::new(Semaphore::new(MOST));
    let mut carried = JoinSet::new();
    loop {
        // It is never closed.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        // Without descriptors there is one again when a connection has left.
        let Ok((outside, _)) = listener.accept().await else {
            tokio::task::yield_now().await;
            continue;
        };
        while carried.try_join_next().is_some() {}
        let namespace = namespace.clone();
        carried.spawn(async move {
            // Who is refused here sees a connection that ends, as behind any relay.
            let _ = carry(outside, &namespace, port).await;
            drop(place);
        });
    }
}

async fn carry(mut outside: TcpStream, namespace: &Namespace, port: u16) -> io::Result<()> {
    let mut inside = match connect(
        namespace,
        TcpSocket::new_v6,
        Ipv6Addr::LOCALHOST.into(),
        port,
    )
    .await
    {
        Ok(inside) => inside,
        Err(_) => {
            connect(
                namespace,
                TcpSocket::new_v4,
                Ipv4Addr::LOCALHOST.into(),
                port,
            )
            .await?
        }
    };
    for end in [&outside, &inside] {
        end.set_nodelay(true)?;
    }
    copy_bidirectional(&mut outside, &mut inside)
        .await
        .map(drop)
}

/// Connects in the namespace: a socket stays where it was made.
async fn connect(
    namespace: &Namespace,
    make: fn() -> io::Result<TcpSocket>,
    address: std::net::IpAddr,
    port: u16,
) -> io::Result<TcpStream> {
    let socket = namespace.run(make).map_err(io::Error::other)??;
    socket.connect(SocketAddr::new(address, port)).await
}
