//! What is opened as a capture: compressed, empty, cut short, or none at all.

use std::io::Write;
use std::path::{Path, PathBuf};

use capture::{Capture, ReadError, read};
use flate2::Compression;
use flate2::write::GzEncoder;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name)
}

fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(data(name)).unwrap()
}

fn compressed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn refused(bytes: &[u8]) -> ReadError {
    Capture::from_reader("file", bytes).unwrap_err()
}

#[test]
fn what_gzip_compressed_reads_as_it_was_before() {
    for name in ["libcoap-lo.pcapng", "libcoap-raw.pcap"] {
        let plain = read(data(name)).unwrap();
        let gzip = Capture::from_reader(name, &compressed(&bytes(name))[..]).unwrap();
        assert!(gzip.damage.is_none(), "{:?}", gzip.damage);
        assert_eq!(gzip.packets, plain.packets);
        assert_eq!(gzip.interfaces, plain.interfaces);
    }
}

#[test]
fn members_of_gzip_that_were_put_one_behind_the_other_are_one_file() {
    let (first, second) = (bytes("libcoap-lo.pcapng"), bytes("libcoap-lo.pcapng"));
    let file = [compressed(&first), compressed(&second)].concat();
    let capture = Capture::from_reader("two", &file[..]).unwrap();
    assert!(capture.damage.is_none(), "{:?}", capture.damage);
    assert_eq!(capture.packets.len(), 30);
}

#[test]
fn compressed_data_that_ends_early_keeps_the_packets_before_its_end() {
    let whole = compressed(&bytes("libcoap-raw.pcap"));
    let all = read(data("libcoap-raw.pcap")).unwrap().packets;
    let mut kept = 0;
    for length in 1..whole.len() {
        match Capture::from_reader("cut", &whole[..length]) {
            Ok(capture) => {
                assert!(capture.damage.is_some(), "{length} bytes");
                assert_eq!(capture.packets, all[..capture.packets.len()]);
                kept = kept.max(capture.packets.len());
            }
            Err(
                ReadError::NotACapture { .. }
                | ReadError::Truncated { packet: 1, .. }
                | ReadError::Malformed { packet: 1, .. },
            ) => {}
            Err(error) => panic!("{length} bytes: {error}"),
        }
    }
    assert_eq!(kept, all.len(), "only the check at its end is missing");
}

#[test]
fn damaged_compressed_data_is_the_files_fault_and_keeps_what_came_before() {
    let mut file = compressed(&bytes("libcoap-raw.pcap"));
    let end = file.len() - 8;
    file[end] ^= 0xff; // its checksum
    let capture = Capture::from_reader("damaged", &file[..]).unwrap();
    assert_eq!(capture.packets.len(), 15);
    let damage = capture.damage.unwrap();
    assert!(matches!(damage, ReadError::Malformed { .. }), "{damage}");
    assert!(damage.to_string().contains("compressed data"), "{damage}");
}

#[test]
fn an_empty_file_is_called_empty_compressed_or_not() {
    for file in [Vec::new(), compressed(&[])] {
        let error = refused(&file);
        assert!(matches!(error, ReadError::Empty { .. }), "{error}");
        assert_eq!(error.to_string(), "file: the file is empty");
    }
}

#[test]
fn a_directory_is_called_one() {
    let directory = tempfile::tempdir().unwrap();
    let error = read(directory.path()).unwrap_err();
    assert!(matches!(error, ReadError::Directory { .. }), "{error}");
    assert!(error.to_string().contains("is a directory"), "{error}");
}

#[test]
fn what_another_program_compressed_is_named() {
    for (start, program) in [
        (&[0x28, 0xb5, 0x2f, 0xfd, 0, 0][..], "zstd"),
        (b"\xfd7zXZ\0", "xz"),
        (b"BZh91AY", "bzip2"),
        (b"\x1f\x9d\x90\0", "compress"),
        (b"\x5d\0\0\x80\0", "lzma"),
        (
            &compressed(&compressed(&bytes("libcoap-raw.pcap"))),
            "gzip, twice,",
        ),
    ] {
        let text = refused(start).to_string();
        assert!(text.contains(&format!("{program} compressed it")), "{text}");
    }
    let text = refused(b"snoop\0\0\0").to_string();
    assert!(text.contains("it is snoop; `editcap -F pcapng`"), "{text}");
    let text = refused(b"hello").to_string();
    assert_eq!(
        text,
        "file: not a pcap or pcapng file (it starts with 68656c6c)"
    );
    let text = refused(b"h").to_string();
    assert_eq!(text, "file: not a pcap or pcapng file (it starts with 68)");
}

#[test]
fn a_fraction_of_more_than_a_second_carries_into_the_seconds() {
    let mut file = bytes("libcoap-raw.pcap");
    let header = 24; // Its time stamps count nanoseconds.
    let first = read(data("libcoap-raw.pcap")).unwrap().packets[0].time;
    let field = header + 4..header + 8;
    let fraction = u32::from_le_bytes(file[field.clone()].try_into().unwrap());
    file[field].copy_from_slice(&(fraction + 1_200_000_000).to_le_bytes());
    let capture = Capture::from_reader("over", &file[..]).unwrap();
    assert!(capture.damage.is_none());
    assert_eq!(capture.packets.len(), 15);
    let later = capture.packets[0].time.saturating_since(first);
    assert_eq!(later.as_millis(), 1200);
}

#[test]
fn packets_without_a_time_are_left_out_and_told_at_the_end() {
    let block = |kind: u32, body: &[u8]| {
        let length = (12 + body.len() as u32).to_le_bytes();
        [&kind.to_le_bytes()[..], &length, body, &length].concat()
    };
    let section = [0x1a2b_3c4d_u32, 1, u32::MAX, u32::MAX].map(u32::to_le_bytes);
    let timed = [0_u32, 0, 5_000_000, 4, 4, 0x55aa].map(u32::to_le_bytes);
    let simple = [4_u32, 0x55aa].map(u32::to_le_bytes).concat();
    let file = [
        block(0x0a0d_0d0a, section.as_flattened()),
        block(1, &[101, 0, 0, 0, 0, 0, 0, 0]),
        block(3, &simple),
        block(6, timed.as_flattened()),
        block(3, &simple),
    ]
    .concat();
    let capture = Capture::from_reader("simple", &file[..]).unwrap();
    let times: Vec<_> = capture.packets.iter().map(|p| p.time.as_nanos()).collect();
    assert_eq!(times, [5_000_000_000]);
    let damage = capture.damage.unwrap();
    assert_eq!(
        damage.to_string(),
        "simple: 2 packets have no time stamp (simple packet blocks) and were left out"
    );
    // A packet has the number that Wireshark gives it.
    let cut = Capture::from_reader("simple", &file[..file.len() - 1]).unwrap();
    let damage = cut.damage.unwrap();
    assert!(
        matches!(damage, ReadError::Truncated { packet: 3, .. }),
        "{damage}"
    );
}

#[test]
fn a_packet_with_an_impossible_time_stamp_is_left_out_and_told() {
    let block = |kind: u32, body: &[u8]| {
        let length = (12 + body.len() as u32).to_le_bytes();
        [&kind.to_le_bytes()[..], &length, body, &length].concat()
    };
    let section = [0x1a2b_3c4d_u32, 1, u32::MAX, u32::MAX].map(u32::to_le_bytes);
    let timed = |high: u32, low: u32| {
        let words = [0_u32, high, low, 4, 4, 0x55aa].map(u32::to_le_bytes);
        block(6, words.as_flattened())
    };
    let file = [
        block(0x0a0d_0d0a, section.as_flattened()),
        block(1, &[101, 0, 0, 0, 0, 0, 0, 0]),
        timed(0, 5_000_000),
        timed(u32::MAX, u32::MAX),
        timed(0, 6_000_000),
    ]
    .concat();
    let capture = Capture::from_reader("file", &file[..]).unwrap();
    let times: Vec<_> = capture.packets.iter().map(|p| p.time.as_nanos()).collect();
    assert_eq!(times, [5_000_000_000, 6_000_000_000]);
    assert_eq!(
        capture.damage.unwrap().to_string(),
        "file: 1 packets have a time stamp that is out of range and were left out"
    );
}
