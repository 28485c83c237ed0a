//! HTTP for people and scripts: a listener in the node's namespace whose requests a service of the node answers.
//!
//! ```text
//! connection ──► shell: Host, Origin, size, places ──► Door ──► the service, when the daemon's loop calls it
//!            ◄── Answer: one response, or a Reader ◄── Reply ◄──┘   Writer, Log: what a stream is told
//! ```
//!
//! The shell's tasks run beside the daemon's loop, in its thread. They ring the [`Bell`]; the loop then asks when the
//! services are due, and a service whose [`Door`] has something is due at once. What a service does it does to
//! its node, as ever. It waits for nobody: who does not read an event stream loses the oldest events and is told
//! how many. The shell knows HTTP, and what is asked and answered knows the service: another one brings its own words
//! for both ([`Request`], [`Answer`]).
//!
//! | module | holds |
//! | --- | --- |
//! | `shell` | the listener, what it takes, and what it refuses |
//! | `stream` | event streams and the log that they go on from |
//! | `socket` | WebSockets: binary messages both ways |
//! | `status` | CoAP's codes as HTTP's (RFC 8075 §7) |

#[cfg(test)]
pub(crate) mod loopback;
mod shell;
#[cfg(test)]
pub(crate) use shell::MAX_STREAMS;
mod socket;
pub(crate) mod status;
mod stream;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use serde_json::Value;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinSet;

pub(crate) use shell::decoded;
#[cfg(test)]
pub(crate) use socket::Outside;
pub(crate) use socket::{Heard, Socket, SocketAt};
pub(crate) use stream::{Log, Reader, Writer};

/// Where it listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// The TCP port; 0: any that is free.
    pub(crate) port: u16,
    /// On every address of the node, else on loopback.
    pub(crate) everywhere: bool,
    /// Where it takes WebSockets, if it does.
    pub(crate) sockets: Option<SocketAt>,
}

/// What somebody asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// Its method.
    pub(crate) method: Method,
    /// What is asked for, as it was sent.
    pub(crate) uri: Uri,
    /// Its header fields, as they were sent.
    pub(crate) headers: HeaderMap,
    /// The path, segment by segment, decoded (RFC 3986 §2.1).
    pub(crate) path: Vec<String>,
    /// What follows `?`.
    pub(crate) query: Vec<(String, String)>,
    /// The media type of the body, without parameters.
    pub(crate) content_type: Option<String>,
    /// It takes an event stream, `Accept: text/event-stream`.
    pub(crate) follows: bool,
    /// The last event that it had of one, `Last-Event-ID`.
    pub(crate) last_event: Option<u64>,
    /// The body.
    pub(crate) body: Vec<u8>,
}

/// What is answered.
#[derive(Debug)]
pub(crate) enum Answer {
    /// This.
    Whole(Response),
    /// Events, until one side leaves.
    Stream(Reader),
}

/// A response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Response {
    /// Its status.
    pub(crate) status: StatusCode,
    /// The media type of the body, if it has one.
    pub(crate) content_type: Option<HeaderValue>,
    /// Further header fields, in place of what the shell says by itself.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// The body.
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// A status alone.
    pub(crate) fn new(status: StatusCode) -> Response {
        Response {
            status,
            content_type: None,
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// A JSON text and a line feed.
    pub(crate) fn json(status: StatusCode, value: &Value) -> Response {
        Response {
            content_type: Some(HeaderValue::from_static("application/json")),
            body: format!("{value}\n").into_bytes(),
            ..Response::new(status)
        }
    }

    /// What is wrong, and what to do.
    pub(crate) fn problem(status: StatusCode, reason: &str) -> Response {
        let value = serde_json::json!({ "status": status.as_u16(), "reason": reason });
        Response::json(status, &value)
    }
}

/// What comes through a [`Door`].
#[derive(Debug)]
pub(crate) enum Asked {
    /// A request, and where its answer goes.
    Request(Box<Request>, Reply),
    /// Who reads an event stream has left: [`Writer::is_read`] says which one.
    Left,
    /// Something of a WebSocket, where the door takes them ([`Settings::sockets`]).
    Socket(Heard),
}

/// Where an answer goes.
#[derive(Debug)]
pub(crate) struct Reply(oneshot::Sender<Answer>);

impl Reply {
    /// Whether somebody waits for it still.
    pub(crate) fn is_awaited(&self) -> bool {
        !self.0.is_closed()
    }

    /// Gives the answer. Who asked may have left: a stream is not read then.
    pub(crate) fn send(self, answer: Answer) {
        let _ = self.0.send(answer);
    }
}

/// Tells the loop of a daemon that a service of its has something to do.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bell(Arc<Notify>);

impl Bell {
    fn ring(&self) {
        self.0.notify_one();
    }

    /// Waits until it rings, which it does again if it rang meanwhile. Cancel-safe.
    pub(crate) async fn rung(&self) {
        self.0.notified().await;
    }
}

/// The shell's way to a door.
#[derive(Clone, Debug)]
struct Way {
    asked: UnboundedSender<Asked>,
    bell: Bell,
}

impl Way {
    /// `false`: the door is gone.
    fn tell(&self, asked: Asked) -> bool {
        let told = self.asked.send(asked).is_ok();
        self.bell.ring();
        told
    }
}

/// The service's side of a listener. What waits here is bounded by the connections: one of HTTP asks one thing at a time, a
/// WebSocket so many as its service takes.
#[derive(Debug)]
pub(crate) struct Door {
    asked: UnboundedReceiver<Asked>,
    way: Way,
    /// Where it listens.
    pub(crate) at: Vec<SocketAddr>,
    /// Accepts connections as long as the door is there.
    _accepting: JoinSet<()>,
}

impl Door {
    /// Listens, for `names` and for addresses as they are: who asks for another host is refused. To be called in
    /// a runtime of tokio.
    ///
    /// # Errors
    /// When an address is not to be had.
    pub(crate) fn open(settings: Settings, bell: Bell, names: &[&str]) -> anyhow::Result<Door> {
        let (sender, asked) = unbounded_channel();
        let way = Way {
            asked: sender,
            bell,
        };
        let mut accepting = JoinSet::new();
        let at = shell::serve(settings, &way, names, &mut accepting)?;
        Ok(Door {
            asked,
            way,
            at,
            _accepting: accepting,
        })
    }

    /// A door at which nobody listens, and the way to it.
    #[cfg(test)]
    pub(crate) fn unheard() -> (Door, Knocker) {
        let (sender, asked) = unbounded_channel();
        let way = Way {
            asked: sender,
            bell: Bell::default(),
        };
        let knocker = Knocker(way.clone());
        let door = Door {
            asked,
            way,
            at: Vec::new(),
            _accepting: JoinSet::new(),
        };
        (door, knocker)
    }

    /// Whether [`Door::take`] has something.
    pub(crate) fn waits(&self) -> bool {
        !self.asked.is_empty()
    }

    /// What is asked next.
    pub(crate) fn take(&mut self) -> Option<Asked> {
        self.asked.try_recv().ok()
    }

    /// A new event stream: what is written is read by whoever gets the [`Reader`] as an answer.
    pub(crate) fn stream(&self) -> (Writer, Reader) {
        stream::new(self.way.clone())
    }
}

/// For tests: who asks at a door without HTTP.
#[cfg(test)]
#[derive(Debug)]
pub(crate) struct Knocker(Way);

#[cfg(test)]
impl Knocker {
    /// Asks; the answer comes where it comes.
    pub(crate) fn ask(&self, request: Request) -> oneshot::Receiver<Answer> {
        let (sender, answer) = oneshot::channel();
        (self.0).tell(Asked::Request(Box::new(request), Reply(sender)));
        answer
    }

    /// Opens a WebSocket.
    pub(crate) fn open(&self, id: u64) -> Outside {
        Outside::new(id, self.0.clone())
    }
}

#[cfg(test)]
mod tests;
