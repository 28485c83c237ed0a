//! pcap and pcapng: what is read and written again reads equal; a file that is cut anywhere keeps
//! every packet before the cut and names the next one. The frames in it: each gives a packet, or
//! waits, or is counted as not read; etherparse finds the same datagrams, smoltcp the same addresses
//! in IEEE 802.15.4 and 6LoWPAN; a copy is one of a packet that was seen before.

#![no_main]

use std::cell::Cell;
use std::io::{self, Read};

use capture::decode::{Decoder, Frame, IpPacket, Unread};
use capture::sightings::{Sighting, Sightings};
use capture::{Capture, Interface, LinkType, Packet, ReadError, Reader, Writer};
use etherparse::{SlicedPacket, TransportSlice};
use libfuzzer_sys::fuzz_target;
use smoltcp::wire::{
    Ieee802154Address, Ieee802154Frame, Ieee802154FrameType, Ieee802154FrameVersion,
    SixlowpanIphcPacket, SixlowpanIphcRepr, SixlowpanPacket,
};

fuzz_target!(|bytes: &[u8]| {
    let Some((cut, file)) = bytes.split_last_chunk::<2>().map(|(file, cut)| (cut, file)) else {
        return;
    };
    let Ok(whole) = Capture::from_reader("whole", file) else {
        return;
    };
    written_again_it_reads_equal(&whole);
    let cut = usize::from(u16::from_be_bytes(*cut)) % (file.len() + 1);
    a_cut_costs_only_what_is_behind_it(&whole, file, cut);
    every_frame_is_accounted_for(&whole);
    for packet in &whole.packets {
        let interface = &whole.interfaces[packet.interface];
        datagrams_agree(interface, packet);
        compressed_headers_agree(interface, packet);
    }
});

/// One decoder over all frames, as at one point: it says of each what became of it.
fn every_frame_is_accounted_for(capture: &Capture) {
    let mut decoder = Decoder::default();
    let mut sightings = Sightings::default();
    let (mut read, mut known) = (0, 0);
    for packet in &capture.packets {
        let interface = &capture.interfaces[packet.interface];
        let Some(ip) = decoder.read(Frame::of(interface, packet)) else {
            continue;
        };
        read += 1;
        assert!(ip.began <= ip.time || ip.fragments > 0);
        let (Sighting::Again(earlier) | Sighting::Twin(earlier)) = sightings.see(&ip, known) else {
            known += 1;
            continue;
        };
        assert!(earlier <= known);
        known += 1;
    }
    let unread: u64 = decoder.unread().values().sum();
    let frames = capture.packets.len() as u64;
    assert!(read + unread <= frames);
    assert!(decoder.dropped() <= decoder.incomplete());
    // A datagram with a missing fragment has at least one.
    assert!(decoder.incomplete() <= frames);
    assert!(decoder.repeated() <= frames);
    let again: u64 = decoder.again().iter().map(Decoder::incomplete).sum();
    assert_eq!(again, 0, "it has seen nothing yet");
}

/// What a decoder that has seen nothing makes of a frame.
fn alone<'p>(interface: &Interface, packet: &'p Packet) -> Result<IpPacket<'p>, Option<Unread>> {
    let mut decoder = Decoder::default();
    let read = decoder.read(Frame::of(interface, packet));
    read.ok_or_else(|| decoder.unread().keys().next().copied())
}

fn written_again_it_reads_equal(capture: &Capture) {
    let mut writer = Writer::new(Vec::new(), &capture.interfaces).unwrap();
    for packet in &capture.packets {
        writer.write(packet).unwrap();
    }
    let again = Capture::from_reader("again", &writer.finish().unwrap()[..]).unwrap();
    assert!(again.damage.is_none(), "{:?}", again.damage);
    // A comment can be longer than an option; then it is cut.
    let cut = |packet: &Packet| packet.comment.as_ref().is_some_and(|c| c.len() > 0xfffc);
    assert_eq!(again.interfaces, capture.interfaces);
    assert_eq!(again.packets.len(), capture.packets.len());
    for (read, written) in again.packets.iter().zip(&capture.packets) {
        assert!(
            read == written || cut(written),
            "{read:?} is not {written:?}"
        );
    }
}

/// Counts what is read.
struct Counted<'a> {
    bytes: &'a [u8],
    read: &'a Cell<usize>,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.bytes.read(buffer)?;
        self.read.set(self.read.get() + read);
        Ok(read)
    }
}

fn a_cut_costs_only_what_is_behind_it(whole: &Capture, file: &[u8], cut: usize) {
    let read = Cell::new(0);
    let counted = Counted {
        bytes: file,
        read: &read,
    };
    let Ok(mut reader) = Reader::new("counted", counted) else {
        panic!("it has been read once");
    };
    let mut before = 0;
    while let Some(Ok(_)) = reader.next()
        && read.get() <= cut
    {
        before += 1;
    }
    let Ok(part) = Capture::from_reader("part", &file[..cut]) else {
        assert_eq!(before, 0, "there was a packet before the cut");
        return;
    };
    assert_eq!(part.packets, whole.packets[..before]);
    match part.damage {
        None => {}
        Some(ReadError::Truncated { packet, .. } | ReadError::Malformed { packet, .. }) => {
            assert_eq!(packet, before as u64 + 1);
        }
        Some(other) => panic!("{other}"),
    }
}

fn datagrams_agree(interface: &Interface, packet: &Packet) {
    let ours = alone(interface, packet);
    let theirs = match interface.link_type {
        LinkType::ETHERNET => SlicedPacket::from_ethernet(&packet.data),
        LinkType::LINUX_SLL => SlicedPacket::from_linux_sll(&packet.data),
        LinkType::RAW | LinkType::IPV4 | LinkType::IPV6 => SlicedPacket::from_ip(&packet.data),
        _ => return,
    };
    let Ok(theirs) = theirs else {
        return;
    };
    let Some(TransportSlice::Udp(udp)) = theirs.transport else {
        return;
    };
    let ports = [udp.source_port(), udp.destination_port()];
    if ports.iter().any(|port| CARRIERS.contains(port)) {
        return;
    }
    let ours = match &ours {
        Err(Some(Unread::Malformed("UDP header"))) if (1..8).contains(&udp.length()) => return,
        // Its records are not read.
        Err(Some(Unread::Named("DTLS"))) => return,
        Err(unread) => panic!("etherparse finds a datagram in {packet:?}: {unread:?}"),
        Ok(ip) => ip.udp(),
    };
    let Some(ours) = ours else {
        panic!("etherparse finds a datagram in {packet:?}");
    };
    assert!(ours.payload.len() <= packet.data.len());
    assert_eq!(ours.src.port(), udp.source_port());
    assert_eq!(ours.dst.port(), udp.destination_port());
    if udp.length() >= 8 {
        assert_eq!(ours.payload, udp.payload());
    }
}

/// UDP ports of what carries packets: ZEP is read, the others are told.
const CARRIERS: [u16; 9] = [2152, 3544, 4500, 4789, 6081, 6635, 8472, 17754, 51820];

/// Where smoltcp reads a compressed header behind a MAC header of 2003 or 2006, and we read the
/// packet, both find the same addresses and the same hop limit.
fn compressed_headers_agree(interface: &Interface, packet: &Packet) {
    if interface.link_type != LinkType::IEEE802_15_4_NOFCS {
        return;
    }
    let Ok(frame) = Ieee802154Frame::new_checked(&packet.data[..]) else {
        return;
    };
    let old = [
        Ieee802154FrameVersion::Ieee802154_2003,
        Ieee802154FrameVersion::Ieee802154_2006,
    ];
    // smoltcp has other ideas of where the PAN IDs are in a frame without one of the addresses.
    let [to, from] = [frame.dst_addr(), frame.src_addr()];
    let absent = |address| matches!(address, None | Some(Ieee802154Address::Absent));
    if frame.frame_type() != Ieee802154FrameType::Data
        || !old.contains(&frame.frame_version())
        || frame.security_enabled()
        || absent(to)
        || absent(from)
    {
        return;
    }
    let Some(payload) = frame.payload() else {
        return;
    };
    if !matches!(
        SixlowpanPacket::dispatch(payload),
        Ok(SixlowpanPacket::IphcHeader)
    ) {
        return;
    }
    let Ok(iphc) = SixlowpanIphcPacket::new_checked(payload) else {
        return;
    };
    let theirs = SixlowpanIphcRepr::parse(&iphc, from, to, &[]);
    let (Ok(theirs), Ok(ours)) = (theirs, alone(interface, packet)) else {
        return;
    };
    let outermost = ours.outer.first().unwrap_or(&ours.header);
    assert_eq!(outermost.src, theirs.src_addr);
    assert_eq!(outermost.dst, theirs.dst_addr);
    assert_eq!(outermost.hop_limit, theirs.hop_limit);
}
