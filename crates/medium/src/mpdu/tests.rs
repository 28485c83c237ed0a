use super::*;

fn filter(pan_id: u16, short: Option<u16>) -> AddressFilter {
    AddressFilter {
        eui64: Eui64([0x02, 0x12, 0x4b, 0x00, 0x01, 0x02, 0x03, 0x04]),
        pan_id: PanId(pan_id),
        short: short.map(ShortAddress),
    }
}

const OTHER: Eui64 = Eui64([0x02, 0x12, 0x4b, 0x00, 0xaa, 0xbb, 0xcc, 0xdd]);

/// Data of a Linux 6LoWPAN interface: extended addresses, one PAN ID, ACK wanted, 2003.
#[rustfmt::skip]
const DATA_EXTENDED: &[u8] = &[
    // Frame control: 0xcc61 = source 3, version 0, destination 3, PAN ID compression, ACK, data.
    0x61, 0xcc,
    0x2a,                                           // sequence number
    0xcd, 0xab,                                     // destination PAN
    0x04, 0x03, 0x02, 0x01, 0x00, 0x4b, 0x12, 0x02, // destination
    0xdd, 0xcc, 0xbb, 0xaa, 0x00, 0x4b, 0x12, 0x02, // source
    0x7a, 0x33,                                     // payload
];

/// Data with both PAN IDs, short to extended, 2006, no ACK.
#[rustfmt::skip]
const DATA_TWO_PANS: &[u8] = &[
    // 0x9c01: source 2, version 1, destination 3, data.
    0x01, 0x9c,
    0x01,
    0xcd, 0xab,
    0x04, 0x03, 0x02, 0x01, 0x00, 0x4b, 0x12, 0x02,
    0x34, 0x12,                                     // source PAN
    0x07, 0x00,                                     // source
];

/// Beacon: no destination, short source.
#[rustfmt::skip]
const BEACON: &[u8] = &[
    // 0x8000: source 2, destination 0, beacon.
    0x00, 0x80,
    0x63,
    0xcd, 0xab,
    0x01, 0x00,
    0xff, 0xcf, 0x00, 0x00,                         // superframe, GTS, pending addresses
];

#[test]
fn extended_addresses_and_one_pan_id_are_read() {
    let header = Header::parse(DATA_EXTENDED).unwrap();
    let to = filter(0xabcd, None);
    assert_eq!(header.frame_type, FrameType::Data);
    assert!(header.ack_request && header.wants_ack());
    assert_eq!(header.sequence, 0x2a);
    let pan = PanId(0xabcd);
    assert_eq!(
        header.destination,
        Some((pan, MacAddress::Extended(to.eui64)))
    );
    assert_eq!(header.source, Some((pan, MacAddress::Extended(OTHER))));
    assert!(header.is_for(&to));
    assert!(!header.is_for(&AddressFilter { eui64: OTHER, ..to }));
    assert!(!header.is_for(&filter(0xabce, None)), "another PAN");
}

#[test]
fn two_pan_ids_and_version_2006_are_read() {
    let header = Header::parse(DATA_TWO_PANS).unwrap();
    assert!(!header.ack_request);
    let source = (PanId(0x1234), MacAddress::Short(ShortAddress(7)));
    assert_eq!(header.source, Some(source));
    assert!(header.is_for(&filter(0xabcd, Some(9))));
}

#[test]
fn broadcast_is_for_everyone_in_the_pan_and_needs_no_ack() {
    // 0x8861: short addresses, PAN ID compression, ACK asked for, which a broadcast must not.
    let header = Header::parse(&[0x61, 0x88, 1, 0xcd, 0xab, 0xff, 0xff, 1, 0]).unwrap();
    assert!(header.is_for(&filter(0xabcd, Some(5))));
    assert!(header.is_for(&filter(0xabcd, None)));
    assert!(!header.is_for(&filter(0x1234, Some(5))));
    assert!(!header.wants_ack());
    let all_pans = Header::parse(&[0x41, 0x88, 1, 0xff, 0xff, 0xff, 0xff, 1, 0]).unwrap();
    assert!(all_pans.is_for(&filter(0x1234, Some(5))));
}

#[test]
fn a_beacon_is_for_its_pan_and_for_radios_without_one() {
    let header = Header::parse(BEACON).unwrap();
    assert_eq!(header.destination, None);
    assert!(header.is_for(&filter(0xabcd, None)));
    assert!(header.is_for(&filter(0xffff, None)));
    assert!(!header.is_for(&filter(0x1234, None)));
}

#[test]
fn a_radio_without_short_address_is_not_reached_at_one() {
    let header = Header::parse(&[0x61, 0x88, 1, 0xcd, 0xab, 5, 0, 1, 0]).unwrap();
    assert!(header.is_for(&filter(0xabcd, Some(5))));
    assert!(!header.is_for(&filter(0xabcd, Some(6))));
    assert!(!header.is_for(&filter(0xabcd, None)));
}

#[test]
fn reserved_values_and_short_frames_are_malformed() {
    let parse = |bytes: &[u8]| Header::parse(bytes).unwrap_err();
    assert_eq!(parse(&[0x05, 0x00, 0]), Malformed::FrameType(5));
    assert_eq!(parse(&[0x01, 0x20, 0]), Malformed::Version(2));
    assert_eq!(parse(&[0x01, 0x04, 0]), Malformed::AddressingMode);
    assert_eq!(parse(&[0x01, 0x40, 0]), Malformed::AddressingMode);
    assert_eq!(parse(&[0x41, 0x08, 0]), Malformed::Compression);
    for length in 0..DATA_EXTENDED.len() - 2 {
        assert_eq!(parse(&DATA_EXTENDED[..length]), Malformed::Truncated);
    }
    assert!(Header::parse(&DATA_EXTENDED[..DATA_EXTENDED.len() - 2]).is_ok());
}

#[test]
fn the_standards_ack_has_the_standards_fcs() {
    // §7.2.1.9's example: an ACK without payload, MHR 0100 0000 0000 0000 0101 0110, has the
    // FCS 0010 0111 1001 1110, leftmost bits sent first, that is least significant first.
    assert_eq!(ack(0x6a), [0x02, 0x00, 0x6a]);
    assert_eq!(psdu(&ack(0x6a)), [0x02, 0x00, 0x6a, 0xe4, 0x79]);
    // The check value of this CRC (catalogued as CRC-16/KERMIT).
    assert_eq!(fcs(b"123456789"), 0x2189);
}
