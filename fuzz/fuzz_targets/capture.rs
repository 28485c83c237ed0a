//! pcap and pcapng: what is read and written again reads equal; a file that is cut anywhere keeps
//! every packet before the cut and names the next one; etherparse finds the same datagrams.

#![no_main]

use std::cell::Cell;
use std::io::{self, Read};

use capture::reassembly::Reassembler;
use capture::{Capture, LinkType, Packet, ReadError, Reader, Writer, decode};
use etherparse::{SlicedPacket, TransportSlice};
use libfuzzer_sys::fuzz_target;

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
    let mut reassembler = Reassembler::default();
    for packet in &whole.packets {
        let link_type = whole.interfaces[packet.interface].link_type;
        datagrams_agree(link_type, packet);
        if let Some(ip) = decode::ip(link_type, &packet.data) {
            reassembler.push(packet.time, &ip);
        }
    }
    assert!(reassembler.incomplete() <= whole.packets.len());
});

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

fn datagrams_agree(link_type: LinkType, packet: &Packet) {
    let ours = decode::udp(link_type, &packet.data);
    if let Some(ours) = &ours {
        assert!(ours.payload.len() <= packet.data.len());
    }
    let theirs = match link_type {
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
    let Some(ours) = ours else {
        panic!("etherparse finds a datagram in {packet:?}");
    };
    assert_eq!(ours.src.port(), udp.source_port());
    assert_eq!(ours.dst.port(), udp.destination_port());
    if udp.length() >= 8 {
        assert_eq!(ours.payload, udp.payload());
    }
}
