//! Frames of IEEE 802.15.4, laid out by hand from the standard, with an uncompressed IPv6 packet
//! behind the 6LoWPAN dispatch 0x41.

use proptest::prelude::*;
use smoltcp::wire::{Ieee802154Address, Ieee802154Frame, Ieee802154Repr};
use smoltcp::wire::{Ieee802154FrameType, Ieee802154FrameVersion, Ieee802154Pan};
use units::{Channel, Eui64, ShortAddress};

use super::super::*;
use super::{Udp, frame, unread, v6_packet};
use crate::tap::TapHeader;

/// 6LoWPAN with the datagram `hello`.
fn payload() -> Vec<u8> {
    [&[0x41][..], &v6_packet(b"hello")].concat()
}

/// A frame with this header and [`payload`].
pub(super) fn mpdu(header: &[u8]) -> Vec<u8> {
    [header, &payload()].concat()
}

fn read(link_type: LinkType, bytes: &[u8]) -> Option<Sender> {
    let mut decoder = Decoder::default();
    let packet = decoder.read(frame(link_type, bytes))?;
    assert_eq!(Udp::of(&packet).unwrap().payload, b"hello");
    packet.sender
}

const NOFCS: LinkType = LinkType::IEEE802_15_4_NOFCS;

fn short(pan: u16, address: u16, sequence: Option<u8>) -> Option<Sender> {
    Some(Sender {
        pan: PanId(pan),
        address: LinkAddress::Short(ShortAddress(address)),
        sequence,
    })
}

fn extended(pan: u16, octets: [u8; 8], sequence: Option<u8>) -> Option<Sender> {
    Some(Sender {
        pan: PanId(pan),
        address: LinkAddress::Extended(Eui64(octets)),
        sequence,
    })
}

const NODE: [u8; 8] = [2, 0, 0, 0, 0, 0, 0xaa, 0xbb];
/// [`NODE`] as it is sent.
const SENT: [u8; 8] = [0xbb, 0xaa, 0, 0, 0, 0, 0, 2];

#[test]
fn a_frame_of_2003_or_2006_has_its_addresses_where_the_standard_says() {
    // Data, PAN ID compression, short to short; data, both PAN IDs, 2006; from the coordinator's
    // short address without a destination; extended to broadcast with an ACK asked for.
    let cases = [
        (
            &[0x41, 0x88, 7, 1, 0, 0xff, 0xff, 5, 0][..],
            short(1, 5, Some(7)),
        ),
        (
            &[0x01, 0x98, 8, 1, 0, 9, 0, 2, 0, 5, 0],
            short(1, 5, Some(8)),
        ),
        (&[0x01, 0x80, 9, 3, 0, 5, 0], short(3, 5, Some(9))),
    ];
    for (header, sender) in cases {
        assert_eq!(read(NOFCS, &mpdu(header)), sender, "{header:02x?}");
    }
    let header = [&[0x61, 0xc8, 7, 1, 0, 0xff, 0xff][..], &SENT].concat();
    assert_eq!(read(NOFCS, &mpdu(&header)), extended(1, NODE, Some(7)));
}

#[test]
fn a_frame_of_2015_has_the_pan_ids_of_table_7_2() {
    let ext = |start: &[u8]| [start, &SENT].concat();
    let both = |start: &[u8]| [start, &SENT, &SENT].concat();
    let cases = [
        // Source only: PAN ID, or none.
        (ext(&[0x01, 0xe0, 7, 1, 0]), extended(1, NODE, Some(7))),
        (ext(&[0x41, 0xe0, 7]), extended(0xffff, NODE, Some(7))),
        // Both extended: the destination's, or none.
        (both(&[0x01, 0xec, 7, 1, 0]), extended(1, NODE, Some(7))),
        (both(&[0x41, 0xec, 7]), extended(0xffff, NODE, Some(7))),
        // Both short: both, or the destination's.
        (
            vec![0x01, 0xa8, 7, 1, 0, 9, 0, 2, 0, 5, 0],
            short(1, 5, Some(7)),
        ),
        (vec![0x41, 0xa8, 7, 1, 0, 9, 0, 5, 0], short(1, 5, Some(7))),
        // Without a sequence number.
        (vec![0x41, 0xa9, 1, 0, 9, 0, 5, 0], short(1, 5, None)),
    ];
    for (header, sender) in cases {
        assert_eq!(read(NOFCS, &mpdu(&header)), sender, "{header:02x?}");
    }
}

#[test]
fn information_elements_are_passed_over() {
    let header = [0x41, 0xaa, 7, 1, 0, 9, 0, 5, 0];
    let cases: [&[u8]; 4] = [
        // A header IE of 2 bytes, element 0x1e (Time Correction); Header Termination 2.
        &[0x02, 0x0f, 1, 2, 0x80, 0x3f],
        // Header Termination 1, a payload IE of 3 bytes of group 1 (MLME), Payload Termination.
        &[0x00, 0x3f, 0x03, 0x88, 1, 2, 3, 0x00, 0xf8],
        // Header Termination 2 alone.
        &[0x80, 0x3f],
        &[0x00, 0x3f, 0x00, 0xf8],
    ];
    for ies in cases {
        let frame = [&header[..], ies, &payload()].concat();
        assert_eq!(read(NOFCS, &frame), short(1, 5, Some(7)), "{ies:02x?}");
    }
    // Without a termination there is no payload.
    let ends = [&header[..], &[0x02, 0x0f, 1, 2]].concat();
    assert_eq!((read(NOFCS, &ends), unread(NOFCS, &ends)), (None, None));
    let cut = [&header[..], &[0x09, 0x0f, 1, 2]].concat();
    let malformed = Unread::Malformed("IEEE 802.15.4 information element");
    assert_eq!(unread(NOFCS, &cut), Some(malformed));
}

#[test]
fn what_carries_no_data_is_passed_over_and_what_is_not_read_is_told() {
    for (bytes, expected) in [
        // ACK, beacon, command.
        (&[0x02, 0, 7][..], None),
        (&[0x00, 0x80, 7, 1, 0, 5, 0, 0xff, 0xcf, 0, 0], None),
        (&[0x03, 0xc8, 7, 1, 0], None),
        // Data without a payload.
        (&[0x41, 0x88, 7, 1, 0, 9, 0, 5, 0], None),
        // Data with security; multipurpose; version 3; addressing mode 1; cut.
        (
            &[0x49, 0x88, 7, 1, 0, 9, 0, 5, 0, 0x0d],
            Some(Unread::Named("IEEE 802.15.4 without keys")),
        ),
        (
            &[0x05, 0, 7],
            Some(Unread::Value("IEEE 802.15.4 frame type", 5)),
        ),
        (
            &[0x41, 0xb8, 7],
            Some(Unread::Value("IEEE 802.15.4 frame version", 3)),
        ),
        (
            &[0x41, 0x84, 7],
            Some(Unread::Malformed("IEEE 802.15.4 header")),
        ),
        (
            &[0x41, 0x88, 7, 1, 0],
            Some(Unread::Malformed("IEEE 802.15.4 header")),
        ),
    ] {
        assert_eq!(unread(NOFCS, bytes), expected, "{bytes:02x?}");
        assert_eq!(read(NOFCS, bytes), None);
    }
}

/// A frame whose FCS is right, as the peers' captures have it: `medium::mpdu` computes it in the
/// air, and Wireshark finds it right there.
fn with_fcs() -> Vec<u8> {
    let mut frame = mpdu(&[0x41, 0x88, 7, 1, 0, 0xff, 0xff, 5, 0]);
    let fcs = frame.iter().fold(0_u16, |crc, byte| {
        (0..8).fold(crc, |crc, bit| {
            let carry = (crc ^ u16::from(*byte >> bit)) & 1;
            (crc >> 1) ^ (carry * 0x8408)
        })
    });
    frame.extend(fcs.to_le_bytes());
    frame
}

#[test]
fn an_fcs_is_taken_off_and_a_frame_with_a_wrong_one_is_not_read() {
    let fcs = LinkType::IEEE802_15_4;
    let wrong = Some(Unread::Named("IEEE 802.15.4 with a wrong FCS"));
    let mut frame = with_fcs();
    assert_eq!(read(fcs, &frame), short(1, 5, Some(7)));
    // Of a receiver that writes RSSI and correlation instead.
    let at = frame.len() - 2;
    frame[at..].copy_from_slice(&[0xd3, 0x80 | 105]);
    assert_eq!(read(fcs, &frame), short(1, 5, Some(7)));
    frame[at..].copy_from_slice(&[0xd3, 105]);
    assert_eq!((read(fcs, &frame), unread(fcs, &frame)), (None, wrong));
    assert!(unread(fcs, &[0x41]).is_some());

    let tap = TapHeader {
        channel: Channel::try_from(26).unwrap(),
        rss: None,
        lqi: None,
    };
    let link_type = LinkType::IEEE802_15_4_TAP;
    assert_eq!(
        read(link_type, &tap.packet(&with_fcs())),
        short(1, 5, Some(7))
    );
    assert_eq!(unread(link_type, &tap.packet(&frame)), wrong);
    // Its FCS type is none.
    let bare = [&[0, 0, 4, 0][..], &mpdu(&[0x41, 0x88, 7, 1, 0, 9, 0, 5, 0])].concat();
    assert_eq!(read(link_type, &bare), short(1, 5, Some(7)));
    let cut = Unread::Malformed("IEEE 802.15.4 TAP header");
    assert_eq!(unread(link_type, &[0, 0, 9]), Some(cut));
}

#[test]
fn a_wrong_fcs_is_not_taken_for_a_receivers_word_where_others_are_right() {
    let good = with_fcs();
    let mut bad = good.clone();
    let at = bad.len() - 2;
    bad[at..].copy_from_slice(&[0xd3, 0x80 | 105]);
    let read = |decoder: &mut Decoder, frames: &[&Vec<u8>]| {
        let at = |(n, bytes)| Frame {
            // Two seconds apart they are no repetitions.
            time: SimTime::from_nanos(n as u64 * 2_000_000_000),
            ..frame(LinkType::IEEE802_15_4, bytes)
        };
        let frames = frames.iter().copied().map(|f| &f[..]).enumerate().map(at);
        frames.filter(|f| decoder.read(*f).is_some()).count()
    };
    let mut decoder = Decoder::default();
    assert_eq!(read(&mut decoder, &[&bad, &good, &bad]), 3);
    let mut again = decoder.again().unwrap();
    assert_eq!(read(&mut again, &[&bad, &good, &bad]), 1);
    let wrong = Unread::Named("IEEE 802.15.4 with a wrong FCS");
    assert_eq!(again.unread(), &BTreeMap::from([(wrong, 2)]));
    assert!(again.again().is_none());

    // One of many that is right by chance.
    let mut decoder = Decoder::default();
    let mut frames = vec![&bad; 40];
    frames.push(&good);
    assert_eq!(read(&mut decoder, &frames), 41);
    assert!(decoder.again().is_none());
}

#[test]
fn an_fcs_of_32_bits_is_checked() {
    // TAP: FCS type 2. The FCS of this frame as Wireshark has it; of the acknowledgement, filled up
    // and not.
    let tap = |mpdu: &[u8], fcs: u32| {
        let header = [0, 0, 12, 0, 0, 0, 1, 0, 2, 0, 0, 0];
        [&header[..], mpdu, &fcs.to_le_bytes()].concat()
    };
    let mpdu = mpdu(&[0x41, 0x88, 7, 1, 0, 0xff, 0xff, 5, 0]);
    let link_type = LinkType::IEEE802_15_4_TAP;
    let right = tap(&mpdu, 0xd43c_6a13);
    assert_eq!(read(link_type, &right), short(1, 5, Some(7)));
    assert_eq!(unread(link_type, &tap(&[2, 0, 7], 0xc40c_8150)), None);
    assert_eq!(unread(link_type, &tap(&[2, 0, 7], 0x62a1_98df)), None);
    let wrong = Some(Unread::Named("IEEE 802.15.4 with a wrong FCS"));
    for bit in [0, 31] {
        assert_eq!(
            unread(link_type, &tap(&mpdu, 0xd43c_6a13 ^ 1 << bit)),
            wrong
        );
        assert_eq!(
            unread(link_type, &tap(&[2, 0, 7], 0xc40c_8150 ^ 1 << bit)),
            wrong
        );
    }
}

#[test]
fn a_packet_tells_which_link_it_crossed() {
    let address = |octet: u8| LinkAddress::Short(ShortAddress(octet.into()));
    let link = |channel: Option<u8>| Link {
        channel: channel.map(|number| Channel::try_from(number).unwrap()),
        pan: Some(PanId(1)),
        src: Some(address(5)),
        dst: Some(address(9)),
    };
    let of = |link_type, bytes: &[u8]| Decoder::default().read(frame(link_type, bytes))?.link;
    let mpdu = mpdu(&[0x41, 0x88, 7, 1, 0, 9, 0, 5, 0]);
    assert_eq!(of(NOFCS, &mpdu), Some(link(None)));
    // A TAP header with channel 20 of page 0 and without an FCS.
    let heard = [&[0, 0, 12, 0, 3, 0, 3, 0, 20, 0, 0, 0][..], &mpdu].concat();
    assert_eq!(of(LinkType::IEEE802_15_4_TAP, &heard), Some(link(Some(20))));
    assert_eq!(
        link(Some(20)).to_string(),
        "0x0005 to 0x0009 in PAN 0x0001 on channel 20"
    );
    // In a mesh under IP: between its ends.
    let mesh = [
        &[0x41, 0x88, 7, 1, 0, 4, 0, 3, 0, 0xb1, 0, 5, 0, 9],
        &payload()[..],
    ]
    .concat();
    assert_eq!(of(NOFCS, &mesh), Some(link(None)));

    let mac = |octet| LinkAddress::Ethernet(units::EthernetAddress([2, 0, 0, 0, 0, octet]));
    let ethernet = [
        &[2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 5, 0x86, 0xdd],
        &v6_packet(b"x")[..],
    ];
    let ethernet = of(LinkType::ETHERNET, &ethernet.concat()).unwrap();
    assert_eq!((ethernet.src, ethernet.dst), (Some(mac(5)), Some(mac(9))));
    assert_eq!((ethernet.pan, ethernet.channel), (None, None));
    assert_eq!(of(LinkType::RAW, &v6_packet(b"x")), None);
}

#[test]
fn a_frame_is_found_behind_its_preamble() {
    let link_type = LinkType::IEEE802_15_4_NONASK_PHY;
    let frame = with_fcs();
    let start = [0, 0, 0, 0, 0xa7, frame.len() as u8];
    let heard = [&start[..], &frame, &[0xee; 3]].concat();
    assert_eq!(read(link_type, &heard), short(1, 5, Some(7)));
    assert!(unread(link_type, &heard[1..]).is_some());
}

#[test]
fn a_cut_frame_has_no_fcs_to_take_off() {
    let bytes = with_fcs();
    let mut decoder = Decoder::default();
    let cut = Frame {
        length: bytes.len(),
        ..frame(LinkType::IEEE802_15_4, &bytes[..bytes.len() - 4])
    };
    let packet = decoder.read(cut).unwrap();
    let datagram = packet.udp().unwrap();
    assert_eq!((datagram.payload, datagram.truncated), (&b"hel"[..], true));
}

#[test]
fn a_frame_is_found_in_zep_of_both_versions() {
    let over_udp = |zep: &[u8]| {
        let mut bytes = Vec::new();
        etherparse::PacketBuilder::ipv4([192, 0, 2, 1], [192, 0, 2, 2], 64)
            .udp(17754, 17754)
            .write(&mut bytes, zep)
            .unwrap();
        bytes
    };
    // Channel, device ID, mode, LQI, the rest; from Wireshark's dissector.
    let zep = |version: u8, mode: u8, frame: &[u8]| {
        let (start, rest): (&[u8], _) = match version {
            1 => (&[1], 7),
            _ => (&[2, 1], 22),
        };
        let fields = [15, 0, 1, mode, 255];
        let length = [frame.len() as u8];
        over_udp(&[b"EX", start, &fields, &vec![0; rest], &length, frame].concat())
    };
    let good = with_fcs();
    let mut bad = good.clone();
    let at = bad.len() - 2;
    bad[at..].copy_from_slice(&[0xd3, 0x80 | 105]);
    for version in [1, 2] {
        let bytes = zep(version, 1, &good);
        assert_eq!(read(LinkType::RAW, &bytes), short(1, 5, Some(7)));
        let packet = super::ip(LinkType::RAW, &bytes).unwrap();
        // The sniffer's own addresses are no tunnel's.
        assert_eq!((packet.outer.len(), packet.header_bytes), (0, 40));
        let channel = packet.link.and_then(|link| link.channel);
        assert_eq!(channel.map(Channel::number), Some(15));
        // In CRC mode the frame has its FCS, in the other what the receiver wrote.
        let wrong = Some(Unread::Named("IEEE 802.15.4 with a wrong FCS"));
        assert_eq!(unread(LinkType::RAW, &zep(version, 1, &bad)), wrong);
        assert_eq!(
            read(LinkType::RAW, &zep(version, 0, &bad)),
            short(1, 5, Some(7))
        );
    }
    // ZEP's own acknowledgement; a version that is not known; cut.
    assert_eq!(
        unread(LinkType::RAW, &over_udp(b"EX\x02\x02\0\0\0\x01")),
        None
    );
    let other = Some(Unread::Value("ZEP version", 3));
    assert_eq!(unread(LinkType::RAW, &over_udp(b"EX\x03\x01")), other);
    let short = Some(Unread::Malformed("ZEP header"));
    assert_eq!(unread(LinkType::RAW, &over_udp(b"EX\x02\x01\x0f")), short);
}

/// At which of these milliseconds, sequence numbers, and fates a frame gives a packet.
fn given(frames: &[(u64, u8, bool)]) -> (Vec<bool>, u64) {
    let mut decoder = Decoder::default();
    let given = frames.iter().map(|(ms, sequence, received)| {
        let bytes = mpdu(&[0x41, 0x88, *sequence, 1, 0, 9, 0, 5, 0]);
        let frame = Frame {
            time: SimTime::from_nanos(ms * 1_000_000),
            received: *received,
            ..frame(NOFCS, &bytes)
        };
        decoder.read(frame).is_some()
    });
    (given.collect(), decoder.repeated())
}

#[test]
fn a_repetition_of_the_mac_gives_nothing() {
    let frames = [(0, 7, true), (5, 7, true), (9, 7, true), (12, 8, true)];
    assert_eq!(given(&frames), (vec![true, false, false, true], 2));
    // The sequence number comes round.
    let frames = [
        (0, 7, true),
        (900, 7, true),
        (1_800, 7, true),
        (3_000, 7, true),
    ];
    assert_eq!(given(&frames), (vec![true, false, false, true], 2));
}

#[test]
fn a_repetition_that_was_received_is_given_where_the_first_was_lost() {
    let frames = [(0, 7, false), (5, 7, false), (9, 7, true), (12, 7, true)];
    assert_eq!(given(&frames), (vec![true, false, true, false], 3));
}

fn addresses() -> impl Strategy<Value = Ieee802154Address> {
    prop_oneof![
        any::<[u8; 2]>().prop_map(Ieee802154Address::Short),
        any::<[u8; 8]>().prop_map(Ieee802154Address::Extended),
    ]
}

proptest! {
    /// smoltcp writes the header.
    #[test]
    fn a_header_of_another_encoder_is_read(
        dst in addresses(), src in addresses(), pans: [u16; 2],
        compressed: bool, new: bool, sequence: u8, ack_request: bool,
    ) {
        let repr = Ieee802154Repr {
            frame_type: Ieee802154FrameType::Data,
            security_enabled: false,
            frame_pending: false,
            ack_request,
            sequence_number: Some(sequence),
            pan_id_compression: compressed,
            frame_version: match new {
                true => Ieee802154FrameVersion::Ieee802154_2006,
                false => Ieee802154FrameVersion::Ieee802154_2003,
            },
            dst_pan_id: Some(Ieee802154Pan(pans[0])),
            dst_addr: Some(dst),
            src_pan_id: Some(Ieee802154Pan(pans[1])),
            src_addr: Some(src),
        };
        let mut header = vec![0; repr.buffer_len()];
        repr.emit(&mut Ieee802154Frame::new_unchecked(&mut header[..]));
        let sender = Sender {
            pan: PanId(pans[0]),
            address: match src {
                // Both as they are printed, most significant byte first.
                Ieee802154Address::Short(s) => {
                    LinkAddress::Short(ShortAddress(u16::from_be_bytes(s)))
                }
                Ieee802154Address::Extended(e) => LinkAddress::Extended(Eui64(e)),
                Ieee802154Address::Absent => unreachable!(),
            },
            sequence: Some(sequence),
        };
        prop_assert_eq!(read(NOFCS, &mpdu(&header)), Some(sender));
    }

    #[test]
    fn no_frame_makes_the_decoder_panic(
        link in prop::sample::select(vec![195_u16, 215, 230, 283]),
        control: u16,
        rest in prop::collection::vec(any::<u8>(), 0..140),
        longer in 0_usize..20,
    ) {
        let bytes = [&control.to_le_bytes()[..], &rest].concat();
        let cut = Frame { length: bytes.len() + longer, ..frame(LinkType(link), &bytes) };
        let _ = Decoder::default().read(cut);
    }
}
