//! WebSockets (RFC 6455): binary messages between a service and whoever has opened one at its door.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use tokio::sync::{Notify, OwnedSemaphorePermit, oneshot};
use tokio::time::timeout;

use super::{Asked, Way};

/// Messages that wait for one reader, at most, and their bytes: who reads more slowly is cut off.
const MAX_WAITING: usize = 1024;
const MAX_WAITING_BYTES: usize = 1 << 20;

/// So long the other side has to close, too.
const GOODBYE: Duration = Duration::from_secs(5);

/// Where a service takes WebSockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SocketAt {
    /// The path.
    pub(crate) path: &'static str,
    /// The subprotocol, which who opens one has to name.
    pub(crate) protocol: &'static str,
}

/// What comes of WebSockets.
#[derive(Debug)]
pub(crate) enum Heard {
    /// One was opened.
    Opened(Socket),
    /// A binary message came by the one of that number. No further one of it comes before [`Taken`] is dropped.
    Said(u64, Vec<u8>, Taken),
    /// That one is gone.
    Closed(u64),
}

/// Dropped, what was said has been taken.
#[derive(Debug)]
pub(crate) struct Taken(#[allow(dead_code, reason = "its drop is what tells")] oneshot::Sender<()>);

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Vec<u8>>,
    bytes: usize,
    /// Nothing follows.
    is_over: bool,
}

/// What both ends have.
#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Notify,
    /// Who reads does so too slowly: nothing goes out any more.
    cut_off: Notify,
}

impl Shared {
    /// Neither end panics while it holds it.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Option<Vec<u8>> {
        let mut queue = self.lock();
        let next = queue.waiting.pop_front()?;
        queue.bytes -= next.len();
        Some(next)
    }
}

/// The service's end of a WebSocket. Dropped, it is closed when what waits has gone.
#[derive(Debug)]
pub(crate) struct Socket {
    /// Its number.
    pub(crate) id: u64,
    shared: Arc<Shared>,
}

impl Socket {
    /// Sends a binary message.
    pub(crate) fn say(&self, message: Vec<u8>) {
        let mut queue = self.shared.lock();
        if queue.is_over {
            return;
        }
        queue.bytes += message.len();
        queue.waiting.push_back(message);
        if queue.waiting.len() > MAX_WAITING || queue.bytes > MAX_WAITING_BYTES {
            *queue = Queue {
                is_over: true,
                ..Queue::default()
            };
            self.shared.cut_off.notify_one();
        }
        self.shared.changed.notify_one();
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.shared.lock().is_over = true;
        self.shared.changed.notify_one();
    }
}

/// Carries messages both ways until one side closes. What waits goes out before more is read, so that nobody is read
/// from who does not read.
pub(super) async fn carry(mut stream: WebSocket, id: u64, way: Way, _place: OwnedSemaphorePermit) {
    let shared = Arc::<Shared>::default();
    let socket = Socket {
        id,
        shared: Arc::clone(&shared),
    };
    let hear = |heard| way.tell(Asked::Socket(heard));
    if !hear(Heard::Opened(socket)) {
        return;
    }
    let code = loop {
        if let Some(message) = shared.next() {
            // Who does not read takes nothing for as long as he likes.
            tokio::select! {
                () = shared.cut_off.notified() => break None,
                sent = stream.send(Message::Binary(message.into())) => match sent {
                    Ok(()) => continue,
                    Err(_) => break None,
                },
            }
        }
        if shared.lock().is_over {
            break Some(close_code::NORMAL);
        }
        tokio::select! {
            () = shared.changed.notified() => {}
            said = stream.recv() => match said {
                Some(Ok(Message::Binary(bytes))) => {
                    let (taken, was_taken) = oneshot::channel();
                    if !hear(Heard::Said(id, bytes.into(), Taken(taken))) {
                        break Some(close_code::AWAY);
                    }
                    // It is dropped, never sent.
                    let _ = was_taken.await;
                }
                Some(Ok(Message::Text(_))) => break Some(close_code::UNSUPPORTED),
                // The library answers these.
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                // The library answers it with what is done next (RFC 6455 §5.5.1: an endpoint "MUST send a Close frame
                // in response").
                Some(Ok(Message::Close(_))) => {
                    let _ = timeout(GOODBYE, stream.recv()).await;
                    break None;
                }
                Some(Err(_)) | None => break None,
            },
        }
    };
    hear(Heard::Closed(id));
    if let Some(code) = code {
        let reason = CloseFrame {
            code,
            reason: "".into(),
        };
        let until_closed = async {
            let _ = stream.send(Message::Close(Some(reason))).await;
            while let Some(Ok(_)) = stream.recv().await {}
        };
        let _ = timeout(GOODBYE, until_closed).await;
    }
}

/// For tests: a WebSocket without a network, as the service has it and as it looks from outside.
#[cfg(test)]
#[derive(Debug)]
pub(crate) struct Outside {
    pub(crate) id: u64,
    way: Way,
    shared: Arc<Shared>,
}

#[cfg(test)]
impl Outside {
    /// Opens one.
    pub(super) fn new(id: u64, way: Way) -> Outside {
        let shared = Arc::<Shared>::default();
        let outside = Outside {
            id,
            way,
            shared: Arc::clone(&shared),
        };
        (outside.way).tell(Asked::Socket(Heard::Opened(Socket { id, shared })));
        outside
    }

    /// Sends a binary message.
    pub(crate) fn say(&self, message: Vec<u8>) {
        let taken = Taken(oneshot::channel().0);
        (self.way).tell(Asked::Socket(Heard::Said(self.id, message, taken)));
    }

    /// Goes.
    pub(crate) fn close(self) {
        self.way.tell(Asked::Socket(Heard::Closed(self.id)));
    }

    /// What was said next.
    pub(crate) fn next(&self) -> Option<Vec<u8>> {
        self.shared.next()
    }

    /// Whether it was closed.
    pub(crate) fn is_over(&self) -> bool {
        self.shared.lock().is_over
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::TcpStream;

    use super::*;
    use crate::web::{Bell, Door, Settings};

    /// The next thing that comes of a WebSocket.
    async fn heard(door: &mut Door, bell: &Bell) -> Heard {
        loop {
            if let Some(Asked::Socket(heard)) = door.take() {
                return heard;
            }
            bell.rung().await;
        }
    }

    /// Its kernel takes no more, so that a message is on its way for ever.
    #[tokio::test]
    async fn who_does_not_read_is_cut_off_while_a_message_is_on_its_way() {
        let bell = Bell::default();
        let settings = Settings {
            port: 0,
            everywhere: false,
            sockets: Some(SocketAt {
                path: "/socket",
                protocol: "test",
            }),
        };
        let mut door = Door::open(settings, bell.clone(), &[]).unwrap();
        let mut reader = TcpStream::connect(door.at[0]).unwrap();
        reader
            .write_all(
                b"GET /socket HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                  Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                  Sec-WebSocket-Protocol: test\r\n\r\n",
            )
            .unwrap();
        let Heard::Opened(socket) = heard(&mut door, &bell).await else {
            panic!("it is not open");
        };
        while !socket.shared.lock().is_over {
            socket.say(vec![0; MAX_WAITING_BYTES / 4]);
            tokio::task::yield_now().await;
        }
        // Only so that a test that fails ends: by then an idle connection would not have been closed.
        let closed = timeout(Duration::from_secs(60), heard(&mut door, &bell)).await;
        assert!(matches!(closed, Ok(Heard::Closed(_))), "{closed:?}");
        drop(reader);
    }

    #[test]
    fn who_does_not_read_is_cut_off() {
        let shared = Arc::<Shared>::default();
        let socket = Socket {
            id: 0,
            shared: Arc::clone(&shared),
        };
        (0..MAX_WAITING).for_each(|_| socket.say(vec![1]));
        assert!(!shared.lock().is_over);
        assert_eq!(shared.next(), Some(vec![1]));
        socket.say(vec![2; MAX_WAITING_BYTES]);
        assert!(shared.lock().is_over && shared.next().is_none());
        socket.say(vec![3]);
        assert_eq!(shared.next(), None);
    }
}
