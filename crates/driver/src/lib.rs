//! Sockets and the clock: what stands between a pure [`Machine`](machine::Machine) and the kernel.
//!
//! Owns the sockets that daemons and sniffers use, reading and writing them in batches, the clock of
//! timers and the one of events and captures. Must not know any protocol: what a message means is the
//! machine's business.
//!
//! | module | holds |
//! | --- | --- |
//! | [`mod@driver`] | [`Driver`]: a machine on a socket, in tokio |
//! | [`socket`] | [`Socket`]: what the driver needs of one |
//! | [`udp`] | [`Udp`]: datagrams |
//! | [`icmpv6`] | [`Icmpv6`]: ICMPv6 messages of one type on one interface |
//! | [`raw`] | [`Raw`]: messages of an IPv6 protocol, with the extension headers around them |
//! | [`packet`] | [`PacketSocket`]: what crosses interfaces, with the kernel's time stamps |
//! | [`clock`] | [`now`] and [`stamp`], and deadlines as tokio has them |
//! | [`outlet`] | [`Outlet`]: lines out, without waiting for who reads them |
//! | `room` | who may fill a send buffer |
//! | `intake` | who is heard first when more comes than is taken in |
//! | `batch` | one system call receives many messages |

mod batch;
pub mod clock;
pub mod driver;
mod error;
pub mod icmpv6;
mod intake;
pub mod outlet;
pub mod packet;
pub mod raw;
mod room;
pub mod socket;
pub mod udp;

pub use clock::{instant, now, stamp, was_set_ahead_ns};
pub use driver::{Driver, Ignored};
pub use error::OpenError;
pub use icmpv6::Icmpv6;
pub use outlet::Outlet;
pub use packet::{Buffers, PacketSocket};
pub use raw::Raw;
pub use socket::{Received, Socket};
pub use udp::Udp;
