//! The classic format: a 24-byte header, then 16 bytes before every packet.

use std::io::Read;

use units::SimTime;

use super::source::Source;
use super::{Order, Stop};
use crate::packet::{Interface, LinkType, Packet};

/// A pcap file whose magic number was read.
pub(super) struct Pcap {
    order: Order,
    nanoseconds: bool,
}

impl Pcap {
    /// The four magic numbers: microseconds and nanoseconds, both byte orders.
    pub(super) fn from_magic(magic: [u8; 4]) -> Option<Pcap> {
        let (order, nanoseconds) = match magic {
            [0xd4, 0xc3, 0xb2, 0xa1] => (Order::Little, false),
            [0xa1, 0xb2, 0xc3, 0xd4] => (Order::Big, false),
            [0x4d, 0x3c, 0xb2, 0xa1] => (Order::Little, true),
            [0xa1, 0xb2, 0x3c, 0x4d] => (Order::Big, true),
            _ => return None,
        };
        Some(Pcap { order, nanoseconds })
    }

    /// The rest of the file header: version, time zone, accuracy, snap length, link type.
    pub(super) fn header<R: Read>(&mut self, source: &mut Source<R>) -> Result<Interface, Stop> {
        let [_, _, _, _, network] = self.words::<5, R>(source, false)?;
        // The upper bits hold the FCS length; link types have 16 bits.
        Ok(Interface::new("", LinkType(network as u16)))
    }

    /// The next packet.
    pub(super) fn packet<R: Read>(&mut self, source: &mut Source<R>) -> Result<Packet, Stop> {
        let [seconds, fraction, captured, original] = self.words::<4, R>(source, true)?;
        let unit = if self.nanoseconds { 1 } else { 1000 };
        // Some writers count on beyond a second: what is over carries into the seconds.
        let nanos = u64::from(seconds) * 1_000_000_000 + u64::from(fraction) * unit;
        Ok(Packet {
            interface: 0,
            time: SimTime::from_nanos(nanos),
            original_len: original,
            data: source.bytes(captured as usize)?,
            comment: None,
        })
    }

    fn words<const N: usize, R: Read>(
        &self,
        source: &mut Source<R>,
        may_end: bool,
    ) -> Result<[u32; N], Stop> {
        let mut words = [0; N];
        for (i, word) in words.iter_mut().enumerate() {
            let bytes = if i == 0 && may_end {
                source.take()?
            } else {
                source.more()?
            };
            *word = self.order.u32(bytes);
        }
        Ok(words)
    }
}
