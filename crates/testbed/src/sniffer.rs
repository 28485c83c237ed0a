//! Captures: one packet socket and one pcapng file per interface.
//!
//! One thread empties the sockets twice a second. It runs in the idle scheduling class, so
//! that writing captures takes no time from the nodes that are being measured; the packets'
//! time stamps are the kernel's and do not depend on when they are read.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use capture::{Interface, LinkType, Packet, Writer};
use driver::{Buffers, PacketSocket};
use files::Tree;
use mediumd::Recorder;
use netlink::Namespace;
use nix::libc;

/// How often the sockets are emptied: seldom, because each time costs an emulated processor the
/// translations of addresses of whoever runs then; a socket has room for several seconds.
const PERIOD: Duration = Duration::from_millis(500);
/// Longest frame on any of the interfaces, with room to spare.
const LONGEST: usize = 65536;
/// Packets that one system call reads.
const BATCH: usize = 64;

/// What to capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tap {
    /// Ethernet frames.
    Ethernet,
    /// IPv6 packets of a 6LoWPAN interface, without link layer.
    Lowpan,
    /// IEEE 802.15.4 frames without FCS.
    Wpan,
}

impl Tap {
    fn link_type(self) -> LinkType {
        match self {
            Tap::Ethernet => LinkType::ETHERNET,
            Tap::Lowpan => LinkType::RAW,
            Tap::Wpan => LinkType::IEEE802_15_4_NOFCS,
        }
    }

    fn has_header(self) -> bool {
        match self {
            Tap::Lowpan => false,
            Tap::Ethernet | Tap::Wpan => true,
        }
    }
}

/// One interface being captured.
struct Sniffer {
    label: String,
    socket: PacketSocket,
    writer: Writer<BufWriter<File>>,
}

/// All captures of a run.
pub(crate) struct Sniffers {
    open: Vec<Sniffer>,
}

/// The captures while they run.
pub(crate) struct Running {
    stop: Sender<()>,
    thread: JoinHandle<Result<()>>,
}

impl Sniffers {
    pub(crate) fn new() -> Sniffers {
        Sniffers { open: Vec::new() }
    }

    /// Adds `interface` of `node`, in `namespace`, captured into `file`.
    pub(crate) fn add(
        &mut self,
        namespace: &Namespace,
        node: &str,
        interface: &str,
        tap: Tap,
        file: PathBuf,
    ) -> Result<()> {
        let label = format!("{node}.{interface}");
        let what = || format!("capture {label}");
        let socket = namespace
            .run(|| PacketSocket::of_interface(interface, tap.has_header()))?
            .with_context(what)?;
        let out = Tree::holding(&file).create(&file);
        let out = out.with_context(|| format!("create {}", file.display()))?;
        let described = Interface {
            name: label.clone(),
            link_type: tap.link_type(),
            description: Some(format!("{interface} of node {node}")),
        };
        let writer = Writer::new(BufWriter::new(out), &[described]).with_context(what)?;
        self.open.push(Sniffer {
            label,
            socket,
            writer,
        });
        Ok(())
    }

    /// Starts emptying the sockets, and writing the capture of the air if there is one. With `live` whatever was read is in its file
    /// at once, where somebody may follow it; it costs a system call, which in virtual time is time of the nodes.
    pub(crate) fn start(mut self, mut air: Option<Recorder>, live: bool) -> Result<Running> {
        let (stop, stopped) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("sniffers".into())
            .spawn(move || {
                become_idle_class().context("sniffers: idle scheduling class")?;
                let mut buffers = Buffers::new(BATCH, LONGEST);
                loop {
                    let last = match stopped.recv_timeout(PERIOD) {
                        Err(RecvTimeoutError::Timeout) => false,
                        Ok(()) | Err(RecvTimeoutError::Disconnected) => true,
                    };
                    for sniffer in &mut self.open {
                        sniffer
                            .empty(&mut buffers)
                            .and_then(|()| if live { sniffer.flush() } else { Ok(()) })
                            .with_context(|| format!("capture {}", sniffer.label))?;
                    }
                    if let Some(air) = &mut air {
                        air.empty().context("capture of the air")?;
                    }
                    if last {
                        let finished = self.open.into_iter().try_for_each(Sniffer::finish);
                        return finished.and(air.map_or(Ok(()), Recorder::finish));
                    }
                }
            })?;
        Ok(Running { stop, thread })
    }
}

impl Running {
    /// Empties the sockets a last time and closes the files.
    pub(crate) fn finish(self) -> Result<()> {
        // The thread has ended on its own only if it failed, which `join` tells.
        let _ = self.stop.send(());
        match self.thread.join() {
            Ok(done) => done,
            Err(_) => bail!("the capture thread panicked"),
        }
    }
}

impl Sniffer {
    /// Writes every packet that waits in the socket.
    fn empty(&mut self, buffers: &mut Buffers) -> Result<()> {
        let writer = &mut self.writer;
        self.socket.receive(buffers, |received, data| {
            Ok(writer.write(&Packet {
                interface: 0,
                time: received.at,
                original_len: received.length as u32,
                data: data.to_vec(),
                comment: None,
            })?)
        })
    }

    fn flush(&mut self) -> Result<()> {
        Ok(self.writer.flush()?)
    }

    fn finish(self) -> Result<()> {
        let lost = self
            .socket
            .dropped()
            .with_context(|| format!("capture {}", self.label))?;
        if lost > 0 {
            bail!(
                "capture {}: the kernel dropped {lost} packets: the receive buffer is too small for this load",
                self.label
            );
        }
        self.writer.finish()?;
        Ok(())
    }
}

/// Moves the calling thread to `SCHED_IDLE`.
fn become_idle_class() -> io::Result<()> {
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: `parameters` outlives the call; 0 is the calling thread.
    let result = unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &parameters) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
