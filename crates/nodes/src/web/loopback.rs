//! For tests: nodes at loopback, and somebody who asks one of them by HTTP.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6, TcpStream, UdpSocket};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use coap::Endpoint;
use driver::{Driver, Udp};
use handover::{BindingEvent, Mobility, NoMobility};
use rand_core::Rng as _;
use rundir::control::Control;
use serde_json::Value as Json;
use service::{Bearer, Connectivity, Node, Service, Services};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use units::{Rng, Seed, SimTime};

use crate::application::Application;
use crate::control::Controls;
use crate::host::{Host, now};
use crate::mobility::{Adapter, Event as Heard};
use crate::web::{Bell, Door, Settings, SocketAt};

pub(crate) use moving::Moving;

mod moving;

/// Two nodes in a thread, of which the first has a door to HTTP, until this is dropped.
pub(crate) struct Pair {
    controls: Vec<UnboundedSender<Control>>,
    thread: Option<JoinHandle<()>>,
}

impl Pair {
    /// The door takes WebSockets at `sockets`. `run` runs both, under their controls, and tells first what is to be known of them.
    pub(crate) fn run<T, F>(
        sockets: Option<SocketAt>,
        run: impl FnOnce(Door, Bell, [Controls; 2], mpsc::Sender<T>) -> F + Send + 'static,
    ) -> (T, Pair)
    where
        T: Send + 'static,
        F: Future<Output = ()>,
    {
        let (tell, told) = mpsc::channel();
        let [(to_first, of_first), (to_second, of_second)] =
            [unbounded_channel(), unbounded_channel()];
        let controls = vec![to_first, to_second];
        for control in &controls {
            control.send(Control::Start).unwrap();
        }
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.unwrap().block_on(async {
                let bell = Bell::default();
                let settings = Settings {
                    port: 0,
                    everywhere: false,
                    sockets,
                };
                let door = Door::open(settings, bell.clone(), &[]).unwrap();
                let controls = [of_first, of_second].map(Controls::new);
                run(door, bell, controls, tell).await;
            });
        });
        let pair = Pair {
            controls,
            thread: Some(thread),
        };
        (told.recv().unwrap(), pair)
    }

    /// Ends the second node, of which the first is told nothing.
    pub(crate) fn end_second(&mut self) {
        self.controls.pop();
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        self.controls.clear();
        let ended = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            ended.unwrap().unwrap();
        }
    }
}

/// `whole` with some bytes that are other ones, gone or new.
pub(crate) fn malformed(whole: &[u8], rng: &mut Rng) -> Vec<u8> {
    let mut request = whole.to_vec();
    for _ in 0..=rng.next_u32() % 4 {
        let at = rng.next_u32() as usize % request.len();
        let byte = rng.next_u32().to_le_bytes()[0];
        match rng.next_u32() % 4 {
            0 => request[at] = byte,
            1 => request.truncate(at.max(1)),
            2 => drop(request.remove(at)),
            _ => request.insert(at, byte),
        }
        if request.is_empty() {
            break;
        }
    }
    request
}

/// A node at a port of loopback that nobody else has.
pub(crate) struct AtLoopback {
    coap: Driver<Endpoint>,
    mobility: NoMobility,
    /// What it is told of whom it asks.
    moves: UnboundedReceiver<Moves>,
    peer: Option<Moving>,
}

/// What a node is told of one that it asks, at a port of loopback.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Moves {
    /// It is on its way.
    Hold(SocketAddrV6),
    /// It is said to be there.
    Bound(SocketAddrV6, Ipv6Addr),
}

impl AtLoopback {
    /// `name`: of its random stream. It does not hear who moves.
    pub(crate) fn new(name: &str) -> AtLoopback {
        AtLoopback::with_moves(name).0
    }

    /// The same, and where to tell it who moves.
    pub(crate) fn with_moves(name: &str) -> (AtLoopback, UnboundedSender<Moves>) {
        let socket = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).unwrap();
        let rng = Seed(1).rng(&[name]);
        let coap = Endpoint::new(coap::Params::default(), service::KNOWN_CRITICAL, rng);
        let (tell, moves) = unbounded_channel();
        let node = AtLoopback {
            coap: Driver::new(coap, Udp::from_socket(socket).unwrap()).unwrap(),
            mobility: NoMobility::new(),
            moves,
            peer: None,
        };
        (node, tell)
    }

    fn moved(&mut self, moved: Moves) -> Heard {
        let (at, t_addr, held) = match moved {
            Moves::Hold(at) => (at, *at.ip(), true),
            Moves::Bound(at, t_addr) => (at, t_addr, false),
        };
        self.peer = Some(Moving {
            at,
            held_since: held.then(now),
            t_addr,
        });
        self.coap.with(|endpoint, now| match held {
            true => endpoint.keep_back(at),
            false => endpoint.release(now, at),
        });
        Heard::Binding(BindingEvent::Changed {
            p_addr: *at.ip(),
            t_addr,
            held,
        })
    }

    /// Its port.
    pub(crate) fn at(&self) -> SocketAddrV6 {
        self.coap.socket().local_addr().unwrap()
    }

    /// Runs `service` here until it is told to stop.
    pub(crate) async fn run(
        self,
        host: Host,
        service: impl Service + 'static,
        bell: Bell,
        controls: Controls,
    ) {
        let mut services = Services::new();
        services.push(service);
        let application = Application::new(&host, self, services, bell);
        let connected = Connectivity {
            bearer: Bearer::Ethernet,
            available: vec![Bearer::Ethernet],
            heard: None,
            addresses: vec![Ipv6Addr::LOCALHOST],
            routers: Vec::new(),
        };
        crate::wired::run(host, controls, application, Ipv6Addr::LOCALHOST, connected)
            .await
            .unwrap();
    }
}

impl Adapter for AtLoopback {
    async fn next_event(&mut self) -> anyhow::Result<Heard> {
        if let Some(step) = self.mobility.poll_step() {
            return Ok(Heard::Step(step));
        }
        loop {
            tokio::select! {
                event = self.coap.next_event() => {
                    if let Ok(event) = service::Event::try_from(event?) {
                        return Ok(Heard::Service(event));
                    }
                }
                Some(moved) = self.moves.recv() => return Ok(self.moved(moved)),
            }
        }
    }

    fn with_node<R>(&mut self, command: impl FnOnce(&mut dyn Node, SimTime) -> R) -> R {
        let peer = self.peer;
        self.coap.with(|endpoint, now| {
            let mut node = moving::Told { endpoint, peer };
            command(&mut node, now)
        })
    }

    fn with_mobility<R>(&mut self, command: impl FnOnce(&mut dyn Mobility, SimTime) -> R) -> R {
        command(&mut self.mobility, now())
    }

    fn keeps_back(&self) -> bool {
        false
    }
}

/// A request whose answer is read as it comes.
pub(crate) fn ask(at: SocketAddr, line: &str, more: &str, body: &str) -> BufReader<TcpStream> {
    let mut stream = TcpStream::connect(at).unwrap();
    // Only so that a test that fails ends.
    (stream.set_read_timeout(Some(Duration::from_secs(60)))).unwrap();
    let length = body.len();
    let head = format!(
        "{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n{more}\r\n"
    );
    stream
        .write_all(format!("{head}{body}").as_bytes())
        .unwrap();
    BufReader::new(stream)
}

/// An event of a stream.
#[derive(Debug, Default)]
pub(crate) struct Tale {
    pub(crate) id: Option<u64>,
    pub(crate) name: String,
    pub(crate) data: Json,
}

/// The events of a stream, whatever its chunks are.
pub(crate) struct Events(BufReader<TcpStream>);

impl Events {
    /// Those of `target`.
    pub(crate) fn of(at: SocketAddr, target: &str, more: &str) -> Events {
        let more = format!("Accept: text/event-stream\r\n{more}");
        Events(ask(at, &format!("GET {target}"), &more, ""))
    }
}

impl Iterator for Events {
    type Item = Tale;

    fn next(&mut self) -> Option<Tale> {
        let mut event = Tale::default();
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            match line.trim_end().split_once(": ") {
                Some(("id", id)) => event.id = Some(id.parse().unwrap()),
                Some(("event", name)) => event.name = name.to_owned(),
                Some(("data", data)) => {
                    event.data = serde_json::from_str(data).unwrap();
                    return Some(event);
                }
                _ => {}
            }
        }
    }
}
