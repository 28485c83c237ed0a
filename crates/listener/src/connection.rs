//! So many connections, and none that is silent for long.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};

/// How long a connection may be silent.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// So long nothing may have gone out.
    pub silence: Duration,
    /// The beginning of what comes after an answer gives time again, too: where an answer may take long.
    pub for_answers: bool,
}

/// A listener with so many places.
#[derive(Debug)]
pub struct Bounded {
    listener: TcpListener,
    places: Arc<Semaphore>,
    patience: Patience,
}

impl Bounded {
    /// Accepts a connection whenever there is one of `places` for it, which several listeners may share.
    pub fn new(listener: TcpListener, places: Arc<Semaphore>, patience: Patience) -> Bounded {
        Bounded {
            listener,
            places,
            patience,
        }
    }
}

impl axum::serve::Listener for Bounded {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        loop {
            // Nobody closes the semaphore.
            let place = Arc::clone(&self.places).acquire_owned().await.ok();
            match self.listener.accept().await {
                Ok((stream, from)) => return (Connection::new(stream, self.patience, place), from),
                // Of a connection that is gone already, or there is no file for it: others may leave.
                Err(error) => {
                    tracing::warn!(%error, "accept an HTTP connection");
                    sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection, closed when it is silent for longer than its [`Patience`]. More of a request that has begun is silence: one
/// that comes byte by byte would keep its place for ever.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    patience: Patience,
    idle: Pin<Box<Sleep>>,
    /// Something has gone, and what comes next begins a request that gives time.
    is_next: bool,
    _place: Option<OwnedSemaphorePermit>,
}

impl Connection {
    fn new(
        stream: TcpStream,
        patience: Patience,
        place: Option<OwnedSemaphorePermit>,
    ) -> Connection {
        Connection {
            stream,
            patience,
            idle: Box::pin(sleep(patience.silence)),
            is_next: false,
            _place: place,
        }
    }

    /// Gives it time again.
    fn renew(&mut self) {
        let until = Instant::now() + self.patience.silence;
        self.idle.as_mut().reset(until);
    }

    /// Ends what waits for too long.
    fn expired<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        ready!(self.idle.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Poll::Ready(expired) = self.expired(cx) {
            return Poll::Ready(expired);
        }
        let before = buffer.filled().len();
        let tried = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before && std::mem::take(&mut self.is_next) {
            self.renew();
        }
        tried
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let tried = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if tried.is_ready() {
            self.is_next = self.patience.for_answers;
            self.renew();
            return tried;
        }
        self.expired(cx)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn who_sends_byte_by_byte_is_cut_off_and_who_is_answered_is_not() {
        let listener = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).await.unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap());
        let (peer, accepted) = tokio::join!(peer, listener.accept());
        let (mut hears, mut says) = peer.unwrap().into_split();
        let drips = tokio::spawn(async move { while says.write_all(b"x").await.is_ok() {} });
        let reads =
            tokio::spawn(async move { tokio::io::copy(&mut hears, &mut tokio::io::sink()).await });
        let hour = Duration::from_secs(3600);
        let patience = Patience {
            silence: hour,
            for_answers: true,
        };
        let mut connection = Connection::new(accepted.unwrap().0, patience, None);
        let soon = || Instant::now() + hour / 2;
        // An answer gives it time, and so does the beginning of what comes next.
        connection.idle.as_mut().reset(soon());
        connection.write_u8(b'y').await.unwrap();
        assert!(connection.idle.deadline() > soon());
        connection.idle.as_mut().reset(soon());
        connection.read_u8().await.unwrap();
        assert!(connection.idle.deadline() > soon());
        // More of it does not.
        let until = soon();
        connection.idle.as_mut().reset(until);
        connection.read_u8().await.unwrap();
        assert_eq!(connection.idle.deadline(), until);
        connection.idle.as_mut().reset(Instant::now());
        let cut_off = loop {
            if let Err(error) = connection.read_u8().await {
                break error;
            }
        };
        assert_eq!(cut_off.kind(), io::ErrorKind::TimedOut);
        drop(connection);
        drips.await.unwrap();
        let _ = reads.await.unwrap();
    }
}
