//! pcapng (draft-ietf-opsawg-pcapng): sections of blocks.

use std::io::Read;

use units::SimTime;

use super::source::{MAX_BLOCK, Source};
use super::{LeftOut, Order, Stop};
use crate::packet::{Interface, LinkType, Packet};

/// Type of a Section Header Block, the same in both byte orders.
pub(super) const SECTION_HEADER: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

const INTERFACE_DESCRIPTION: u32 = 1;
const OBSOLETE_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;

const OPT_COMMENT: u16 = 1;
const IF_NAME: u16 = 2;
const IF_DESCRIPTION: u16 = 3;
const IF_TSRESOL: u16 = 9;
const IF_TSOFFSET: u16 = 14;

/// A pcapng file, inside a section.
pub(super) struct PcapNg {
    order: Order,
    /// Interfaces of earlier sections: where this section's interface 0 stands.
    base: usize,
    /// What this section's interfaces say about their packets.
    clocks: Vec<Clock>,
    left_out: LeftOut,
}

/// How an interface counts time.
struct Clock {
    /// `if_tsresol`: units of 10^-n s, or of 2^-n s if the highest bit is set.
    resolution: u8,
    /// `if_tsoffset`, seconds.
    offset: i64,
}

impl Clock {
    fn time(&self, ticks: u64) -> Option<SimTime> {
        let exponent = u32::from(self.resolution & 0x7f);
        let ticks = u128::from(ticks);
        let nanos = if self.resolution & 0x80 != 0 {
            // 2^64 * 10^9 has fewer than 94 bits.
            (ticks * 1_000_000_000).checked_shr(exponent).unwrap_or(0)
        } else if exponent <= 9 {
            ticks * 10_u128.pow(9 - exponent)
        } else {
            // 2^64 is less than 10^20: what a higher power divides is less than 1 ns.
            ticks / 10_u128.pow((exponent - 9).min(20))
        };
        let nanos = i128::try_from(nanos).ok()? + i128::from(self.offset) * 1_000_000_000;
        u64::try_from(nanos).ok().map(SimTime::from_nanos)
    }
}

impl PcapNg {
    /// The first section, whose block type was read.
    pub(super) fn start<R: Read>(source: &mut Source<R>) -> Result<PcapNg, Stop> {
        let mut ng = PcapNg {
            order: Order::Little,
            base: 0,
            clocks: Vec::new(),
            left_out: LeftOut::default(),
        };
        ng.section(source, 0)?;
        Ok(ng)
    }

    /// The next packet; blocks without one are passed over.
    pub(super) fn packet<R: Read>(
        &mut self,
        source: &mut Source<R>,
        interfaces: &mut Vec<Interface>,
    ) -> Result<Packet, Stop> {
        loop {
            let kind = source.take()?;
            if kind == SECTION_HEADER {
                self.section(source, interfaces.len())?;
                continue;
            }
            let length = self.order.u32(source.more()?);
            let body = self.body(source, length, 8)?;
            let mut body = Body {
                bytes: &body,
                order: self.order,
            };
            let packet = match self.order.u32(kind) {
                INTERFACE_DESCRIPTION => {
                    interfaces.push(self.interface(&mut body)?);
                    continue;
                }
                ENHANCED_PACKET => self.enhanced(&mut body)?,
                OBSOLETE_PACKET => self.obsolete(&mut body)?,
                SIMPLE_PACKET => {
                    self.left_out.untimed += 1;
                    continue;
                }
                // "Readers MUST ignore blocks they do not recognise."
                _ => continue,
            };
            match packet {
                Some(packet) => return Ok(packet),
                None => self.left_out.mistimed += 1,
            }
        }
    }

    /// The packets without a time so far.
    pub(super) fn left_out(&self) -> LeftOut {
        self.left_out
    }

    /// A Section Header Block after its type: byte order, then nothing that matters here.
    fn section<R: Read>(&mut self, source: &mut Source<R>, base: usize) -> Result<(), Stop> {
        let length = source.more()?;
        self.order = match source.more()? {
            [0x4d, 0x3c, 0x2b, 0x1a] => Order::Little,
            [0x1a, 0x2b, 0x3c, 0x4d] => Order::Big,
            magic => {
                return Err(Stop::Malformed(format!(
                    "a section header with byte-order magic {magic:02x?}"
                )));
            }
        };
        self.base = base;
        self.clocks.clear();
        self.body(source, self.order.u32(length), 12)?;
        Ok(())
    }

    /// The rest of a block of `length` bytes, of which `read` were read, without its trailer.
    fn body<R: Read>(
        &self,
        source: &mut Source<R>,
        length: u32,
        read: usize,
    ) -> Result<Vec<u8>, Stop> {
        let length = length as usize;
        if !length.is_multiple_of(4) || length < read + 4 || length > MAX_BLOCK {
            return Err(Stop::Malformed(format!("a block of {length} bytes")));
        }
        let body = source.bytes(length - read - 4)?;
        let trailer = self.order.u32(source.more()?) as usize;
        if trailer != length {
            return Err(Stop::Malformed(format!(
                "a block that starts with length {length} and ends with {trailer}"
            )));
        }
        Ok(body)
    }

    fn interface(&mut self, body: &mut Body<'_>) -> Result<Interface, Stop> {
        let link_type = LinkType(body.u16()?);
        body.u16()?; // Reserved.
        let mut clock = Clock {
            resolution: 6,
            offset: 0,
        };
        body.u32()?; // Snap length.
        let mut interface = Interface::new("", link_type);
        for (code, value) in body.options() {
            match code {
                IF_NAME => interface.name = text(value),
                IF_DESCRIPTION => interface.description = Some(text(value)),
                IF_TSRESOL => clock.resolution = value.first().copied().unwrap_or(6),
                IF_TSOFFSET => {
                    let bytes = value.try_into().map_err(|_| {
                        Stop::Malformed(format!("an if_tsoffset of {} bytes", value.len()))
                    })?;
                    clock.offset = body.order.i64(bytes);
                }
                _ => {}
            }
        }
        self.clocks.push(clock);
        Ok(interface)
    }

    fn enhanced(&self, body: &mut Body<'_>) -> Result<Option<Packet>, Stop> {
        let interface = body.u32()?;
        self.timed(body, interface)
    }

    fn obsolete(&self, body: &mut Body<'_>) -> Result<Option<Packet>, Stop> {
        let interface = body.u16()?;
        body.u16()?; // Drop count.
        self.timed(body, u32::from(interface))
    }

    /// What both packet blocks with a time have in common; none if the time is out of range.
    fn timed(&self, body: &mut Body<'_>, interface: u32) -> Result<Option<Packet>, Stop> {
        let clock = self.clock(interface)?;
        let ticks = u64::from(body.u32()?) << 32 | u64::from(body.u32()?);
        let Some(time) = clock.time(ticks) else {
            return Ok(None);
        };
        let captured = body.u32()? as usize;
        let original_len = body.u32()?;
        let data = body.padded(captured)?.to_vec();
        let comments: Vec<String> = body
            .options()
            .filter(|(code, _)| *code == OPT_COMMENT)
            .map(|(_, value)| text(value))
            .collect();
        Ok(Some(Packet {
            interface: self.base + interface as usize,
            time,
            original_len,
            data,
            comment: (!comments.is_empty()).then(|| comments.join("\n")),
        }))
    }

    fn clock(&self, interface: u32) -> Result<&Clock, Stop> {
        self.clocks.get(interface as usize).ok_or_else(|| {
            Stop::Malformed(format!(
                "interface {interface}, but the section has described {}",
                self.clocks.len()
            ))
        })
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The body of a block, consumed from the front.
struct Body<'a> {
    bytes: &'a [u8],
    order: Order,
}

impl<'a> Body<'a> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Stop> {
        let (first, rest) = self
            .bytes
            .split_first_chunk::<N>()
            .ok_or_else(|| Stop::Malformed("a block too short for its fields".into()))?;
        self.bytes = rest;
        Ok(*first)
    }

    fn u16(&mut self) -> Result<u16, Stop> {
        Ok(self.order.u16(self.array()?))
    }

    fn u32(&mut self) -> Result<u32, Stop> {
        Ok(self.order.u32(self.array()?))
    }

    /// `len` bytes and the padding to a multiple of four.
    fn padded(&mut self, len: usize) -> Result<&'a [u8], Stop> {
        let (value, rest) = self.bytes.split_at_checked(len).ok_or_else(|| {
            Stop::Malformed(format!(
                "{len} captured bytes in a block that has {}",
                self.bytes.len()
            ))
        })?;
        self.bytes = rest.get(len.next_multiple_of(4) - len..).unwrap_or(&[]);
        Ok(value)
    }

    /// The options that follow; ends at `opt_endofopt` or where they stop making sense.
    fn options(&self) -> impl Iterator<Item = (u16, &'a [u8])> + use<'a> {
        let mut rest = Body {
            bytes: self.bytes,
            order: self.order,
        };
        std::iter::from_fn(move || {
            let code = rest.u16().ok()?;
            let length = rest.u16().ok()?;
            if code == 0 {
                return None;
            }
            Some((code, rest.padded(length.into()).ok()?))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(resolution: u8, offset: i64) -> Clock {
        Clock { resolution, offset }
    }

    #[test]
    fn time_stamps_of_every_resolution_become_nanoseconds() {
        let ns = |c: Clock, ticks| c.time(ticks).map(SimTime::as_nanos);
        assert_eq!(ns(clock(6, 0), 1_500_000), Some(1_500_000_000));
        assert_eq!(ns(clock(9, 0), 7), Some(7));
        assert_eq!(ns(clock(3, 0), 2), Some(2_000_000));
        assert_eq!(ns(clock(12, 0), 5_000), Some(5));
        assert_eq!(ns(clock(0x80 | 10, 0), 512), Some(500_000_000));
        assert_eq!(ns(clock(0x80 | 127, 0), u64::MAX), Some(0));
        assert_eq!(ns(clock(127, 0), u64::MAX), Some(0));
        assert_eq!(ns(clock(9, 1), 7), Some(1_000_000_007));
        assert_eq!(ns(clock(0, 0), u64::MAX), None);
        assert_eq!(ns(clock(9, -1), 7), None);
    }
}
