//! TCP connections from outside to what a node serves to itself.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

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

/// File descriptors of one port's connections: each has an end outside and one inside.
pub(crate) const DESCRIPTORS: u64 = 2 * MOST as u64 + 1;

/// So long nobody is let in after somebody could not be.
const AGAIN: Duration = Duration::from_millis(100);

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
    pub(crate) async fn begin(
        forwards: &[Forward],
        namespaces: &BTreeMap<NodeName, Namespace>,
    ) -> Result<Forwarding> {
        let mut accepting = JoinSet::new();
        for Forward { at, node, port } in forwards {
            let namespace = namespaces.get(node);
            let namespace = namespace.ok_or_else(|| anyhow!("there is no node {node}"))?;
            let listener = TcpListener::bind(at)
                .await
                .with_context(|| format!("listen on {at} for {node}"))?;
            accepting.spawn(accept(listener, namespace.clone(), *port));
        }
        Ok(Forwarding {
            _accepting: accepting,
        })
    }
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
        let outside = match listener.accept().await {
            Ok((outside, _)) => outside,
            // Of a connection that is gone already, or there is no descriptor for it: others may leave.
            Err(_) => {
                tokio::time::sleep(AGAIN).await;
                continue;
            }
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
    let [v6, v4] = [Ipv6Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into()];
    let mut inside = match connect(namespace, SocketAddr::new(v6, port)).await {
        Ok(inside) => inside,
        Err(_) => connect(namespace, SocketAddr::new(v4, port)).await?,
    };
    for end in [&outside, &inside] {
        end.set_nodelay(true)?;
    }
    copy_bidirectional(&mut outside, &mut inside)
        .await
        .map(drop)
}

/// Connects in the namespace: a socket stays where it was made.
async fn connect(namespace: &Namespace, at: SocketAddr) -> io::Result<TcpStream> {
    let make = match at {
        SocketAddr::V6(_) => TcpSocket::new_v6,
        SocketAddr::V4(_) => TcpSocket::new_v4,
    };
    let socket = namespace.run(make).map_err(io::Error::other)??;
    socket.connect(at).await
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::time::timeout;

    use super::*;

    /// Longer than anything here takes.
    const LIMIT: Duration = Duration::from_secs(60);

    async fn listening(at: SocketAddr) -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind(at).await.unwrap();
        let at = listener.local_addr().unwrap();
        (listener, at)
    }

    /// A port that leads to `inside`, in this thread's own namespace.
    async fn forwarded(inside: u16) -> (Forwarding, SocketAddr) {
        let (free, at) = listening((Ipv4Addr::LOCALHOST, 0).into()).await;
        drop(free);
        let one = Forward {
            at,
            node: "web".into(),
            port: inside,
        };
        let namespaces = BTreeMap::from([("web".into(), Namespace::current().unwrap())]);
        let forwarding = Forwarding::begin(&[one], &namespaces).await;
        (forwarding.unwrap(), at)
    }

    fn runtime() -> tokio::runtime::Runtime {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().build().unwrap()
    }

    #[test]
    fn each_end_says_all_that_it_has_to_and_the_other_hears_where_it_ends() {
        for inside in [
            SocketAddr::from((Ipv6Addr::LOCALHOST, 0)),
            SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        ] {
            runtime().block_on(async {
                let (server, at) = listening(inside).await;
                let (_forwarding, outside) = forwarded(at.port()).await;
                let answers = tokio::spawn(async move {
                    let (mut asked, _) = server.accept().await.unwrap();
                    let mut all = Vec::new();
                    // Until the other end has said all.
                    asked.read_to_end(&mut all).await.unwrap();
                    asked.write_all(&all).await.unwrap();
                });
                let mut client = TcpStream::connect(outside).await.unwrap();
                let said = vec![7; 1 << 20];
                client.write_all(&said).await.unwrap();
                client.shutdown().await.unwrap();
                let mut heard = Vec::new();
                timeout(LIMIT, client.read_to_end(&mut heard))
                    .await
                    .unwrap()
                    .unwrap();
                assert!(heard == said, "{} bytes of {}", heard.len(), said.len());
                answers.await.unwrap();
            });
        }
    }

    #[test]
    fn what_nobody_serves_is_a_connection_that_ends_and_others_go_on() {
        runtime().block_on(async {
            let (server, at) = listening((Ipv6Addr::LOCALHOST, 0).into()).await;
            drop(server);
            let (_forwarding, outside) = forwarded(at.port()).await;
            for _ in 0..3 {
                let mut client = TcpStream::connect(outside).await.unwrap();
                let end = timeout(LIMIT, client.read(&mut [0])).await.unwrap();
                assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
            }
            let (server, _) = listening(at).await;
            let mut client = TcpStream::connect(outside).await.unwrap();
            let (mut asked, _) = timeout(LIMIT, server.accept()).await.unwrap().unwrap();
            client.write_all(b"a").await.unwrap();
            let mut heard = [0];
            asked.read_exact(&mut heard).await.unwrap();
            assert_eq!(&heard, b"a");
        });
    }

    #[test]
    fn a_node_that_is_not_there_is_named() {
        runtime().block_on(async {
            let one = Forward {
                at: (Ipv4Addr::LOCALHOST, 0).into(),
                node: "web".into(),
                port: 8080,
            };
            let refused = Forwarding::begin(&[one], &BTreeMap::new()).await;
            let refused = refused.err().unwrap();
            assert_eq!(format!("{refused:#}"), "there is no node web");
        });
    }
}
