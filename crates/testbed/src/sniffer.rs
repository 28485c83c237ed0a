//! Captures: one packet socket and one pcapng file per interface.
//!
//! One thread empties the sockets ten times a second. It runs in the idle scheduling class, so
//! that writing captures takes no time from the nodes that are being measured; the packets'
//! time stamps are the kernel's and do not depend on when they are read.

use std::fs::File;
use std::io::{self, BufWriter, IoSliceMut};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use air::Recorder;
use anyhow::{Context, Result, bail};
use capture::{Interface, LinkType, Packet, Writer};
use nix::cmsg_space;
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::sockopt::{RcvBufForce, ReceiveTimestampns};
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockProtocol, SockType, recvmsg,
    setsockopt, socket,
};
use nix::sys::time::TimeSpec;
use units::SimTime;
use wpan::Namespace;

/// How often the sockets are emptied.
const PERIOD: Duration = Duration::from_millis(100);
/// Receive buffer of a socket: some thousand packets, a second of the fastest poll.
const BUFFER: usize = 32 << 20;
/// Longest frame on any of the interfaces, with room.
const LONGEST: usize = 65536;

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

    fn socket_type(self) -> SockType {
        match self {
            Tap::Lowpan => SockType::Datagram,
            Tap::Ethernet | Tap::Wpan => SockType::Raw,
        }
    }
}

/// One interface being captured.
struct Sniffer {
    label: String,
    socket: OwnedFd,
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
            .run(|| open_socket(interface, tap))?
            .with_context(what)?;
        let out = File::create(&file).with_context(|| format!("create {}", file.display()))?;
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

    /// Starts emptying the sockets, and writing the capture of the air if there is one.
    pub(crate) fn start(mut self, mut air: Option<Recorder>) -> Result<Running> {
        let (stop, stopped) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("sniffers".into())
            .spawn(move || {
                become_idle_class().context("sniffers: idle scheduling class")?;
                loop {
                    let last = match stopped.recv_timeout(PERIOD) {
                        Err(RecvTimeoutError::Timeout) => false,
                        Ok(()) | Err(RecvTimeoutError::Disconnected) => true,
                    };
                    for sniffer in &mut self.open {
                        sniffer
                            .empty()
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
    fn empty(&mut self) -> Result<()> {
        let mut buffer = vec![0; LONGEST];
        loop {
            let (length, time) = match receive(&self.socket, &mut buffer) {
                Ok(received) => received,
                Err(Errno::EAGAIN) => return Ok(()),
                // The interface went down, as when a node retunes; it comes up again.
                Err(Errno::ENETDOWN | Errno::EINTR) => continue,
                Err(errno) => return Err(errno.into()),
            };
            let captured = length.min(LONGEST);
            self.writer.write(&Packet {
                interface: 0,
                time,
                original_len: length as u32,
                data: buffer[..captured].to_vec(),
                comment: None,
            })?;
        }
    }

    fn finish(self) -> Result<()> {
        let lost = dropped(&self.socket).with_context(|| format!("capture {}", self.label))?;
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

fn open_socket(interface: &str, tap: Tap) -> Result<OwnedFd> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let fd = socket(
        AddressFamily::Packet,
        tap.socket_type(),
        flags,
        SockProtocol::EthAll,
    )?;
    setsockopt(&fd, RcvBufForce, &BUFFER)?;
    setsockopt(&fd, ReceiveTimestampns, &true)?;
    let index = nix::net::if_::if_nametoindex(interface)?;
    // SAFETY: all-zero is a valid sockaddr_ll.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
    address.sll_ifindex = index as i32;
    // SAFETY: the pointer and the length are those of `address`, which outlives the call.
    let bound = unsafe {
        libc::bind(
            fd.as_raw_fd(),
            (&raw const address).cast(),
            size_of_val(&address) as libc::socklen_t,
        )
    };
    Errno::result(bound)?;
    Ok(fd)
}

/// The next packet's original length and the kernel's time stamp.
fn receive(socket: &OwnedFd, buffer: &mut [u8]) -> Result<(usize, SimTime), Errno> {
    let mut control = cmsg_space!(TimeSpec);
    let mut parts = [IoSliceMut::new(buffer)];
    let got = recvmsg::<()>(
        socket.as_raw_fd(),
        &mut parts,
        Some(&mut control),
        MsgFlags::MSG_TRUNC,
    )?;
    let stamp = got.cmsgs()?.find_map(|control| match control {
        ControlMessageOwned::ScmTimestampns(stamp) => Some(stamp),
        _ => None,
    });
    let time = stamp.map(|stamp| SimTime::ZERO + Duration::from(stamp));
    Ok((got.bytes, time.ok_or(Errno::ENODATA)?))
}

/// Packets that did not fit into the receive buffer (`PACKET_STATISTICS`).
fn dropped(socket: &OwnedFd) -> io::Result<u32> {
    // SAFETY: all-zero is a valid tpacket_stats.
    let mut stats: libc::tpacket_stats = unsafe { std::mem::zeroed() };
    let mut length = size_of_val(&stats) as libc::socklen_t;
    // SAFETY: the option fills at most `length` bytes of `stats`.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_STATISTICS,
            (&raw mut stats).cast(),
            &mut length,
        )
    };
    if result == 0 {
        Ok(stats.tp_drops)
    } else {
        Err(io::Error::last_os_error())
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
