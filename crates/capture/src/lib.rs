//! Capture files (pcap and pcapng) and the packets in them.
//!
//! Owns the reading and writing of capture files, the merging of several into one, marks (what
//! happened, beside what was on the wire) and the way from a captured frame to a UDP
//! datagram or to the bytes of a TCP connection. Knows nothing of CoAP, topologies, runs or sockets: what a datagram means is the
//! business of `measure`, and who captures is the business of `testbed`.
//!
//! ```
//! use capture::{Capture, Interface, LinkType, Packet, Writer};
//! use units::SimTime;
//!
//! let mut writer = Writer::new(Vec::new(), &[Interface::new("client.eth0", LinkType::ETHERNET)])?;
//! writer.write(&Packet::new(0, SimTime::from_nanos(1_500_000_000), vec![0; 60]))?;
//! let file = writer.finish()?;
//!
//! let capture = Capture::from_reader("client.eth0.pcapng", &file[..])?;
//! assert_eq!(capture.interfaces[0].name, "client.eth0");
//! assert_eq!(capture.packets[0].time, SimTime::from_nanos(1_500_000_000));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | module | holds |
//! | --- | --- |
//! | [`packet`] | [`Packet`], [`Interface`], [`LinkType`] |
//! | [`writer`] | [`Writer`]: pcapng with nanosecond time stamps |
//! | [`reader`] | [`Reader`] and [`Capture`]: pcap and pcapng of any byte order and resolution |
//! | [`mod@merge`] | several captures and [`Mark`]s in one, in time order |
//! | [`decode`] | frames to IP packets: link layers, IEEE 802.15.4, 6LoWPAN, IP, tunnels, UDP |
//! | [`reassembly`] | datagrams out of fragments |
//! | [`stream`] | bytes out of TCP segments |
//! | [`sightings`] | which packets are one that was seen several times |
//! | [`tap`] | [`TapHeader`]: the pseudo-header of a frame captured on the air |

#![forbid(unsafe_code)]

pub mod decode;
mod hash;
pub mod merge;
pub mod packet;
pub mod reader;
pub mod reassembly;
pub mod sightings;
pub mod stream;
pub mod tap;
pub mod writer;

pub use merge::{Mark, annotate, merge};
pub use packet::{Interface, LinkType, Packet};
pub use reader::{Capture, ReadError, Reader, read};
pub use tap::TapHeader;
pub use writer::{Section, WriteError, Writer};
