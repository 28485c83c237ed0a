//! TLV of an object that nobody knows, read a second time as LwM2M 1.0 §6.4.3 draws it: accepted
//! exactly if that accepts it, the same bytes at the same paths, and never longer when written again.

#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use lwm2m::format::{DecodeError, Style, decode, encode};
use lwm2m::{Format, Path, Registry, Value};

const OBJECT: u16 = 9;

fuzz_target!(|payload: &[u8]| {
    let base = Path::object(OBJECT);
    let decoded = decode(Format::Tlv, &base, payload, &Registry::new());
    let mut plain = Vec::new();
    let read = read(payload, &[OBJECT], &mut plain);
    let records = match decoded {
        Ok(records) => records,
        // What a payload may say twice is no matter of its bytes.
        Err(DecodeError::Twice(_) | DecodeError::Below { .. }) => return,
        Err(error) => return assert!(read.is_none(), "{error}, but {plain:?}"),
    };
    assert!(read.is_some(), "{records:?}");
    let ours = records.iter().map(|record| {
        let bytes = match &record.value {
            Some(Value::Opaque(bytes)) => Some(bytes.clone()),
            None => None,
            Some(other) => panic!("{other:?} of an unknown type"),
        };
        (record.path.ids().to_vec(), bytes)
    });
    assert_eq!(ours.collect::<Vec<_>>(), plain);
    let again = encode(Format::Tlv, &base, &records, Style::default()).expect("it was said");
    assert!(again.len() <= payload.len(), "{again:?}");
    let second = decode(Format::Tlv, &base, &again, &Registry::new()).expect("we wrote it");
    let map = |records: Vec<lwm2m::Record>| {
        let entries = records
            .into_iter()
            .map(|r| (r.path, r.value.map(|v| v.to_text(Default::default()))));
        entries.collect::<BTreeMap<_, _>>()
    };
    assert_eq!(map(second), map(records));
});

/// The leaves below `path`, in their order.
fn read(
    mut bytes: &[u8],
    path: &[u16],
    leaves: &mut Vec<(Vec<u16>, Option<Vec<u8>>)>,
) -> Option<()> {
    while let [first, rest @ ..] = bytes {
        let kind = first >> 6;
        let (id, rest) = take(rest, 1 + (first >> 5 & 1))?;
        let (length, rest) = match first >> 3 & 3 {
            0 => (usize::from(first & 7), rest),
            size => take(rest, size)?,
        };
        let value = rest.get(..length)?;
        bytes = &rest[length..];
        let path = [path, &[u16::try_from(id).ok()?]].concat();
        let container = match (path.len(), kind) {
            (2, 0) if path[1] < u16::MAX => true,
            (3, 2) => true,
            (3, 3) | (4, 1) => false,
            _ => return None,
        };
        match (container, length) {
            (true, 0) => leaves.push((path, None)),
            (true, _) => read(value, &path, leaves)?,
            (false, _) => leaves.push((path, Some(value.to_vec()))),
        }
    }
    Some(())
}

/// A number of `size` bytes.
fn take(bytes: &[u8], size: u8) -> Option<(usize, &[u8])> {
    let (number, rest) = bytes.split_at_checked(size.into())?;
    Some((number.iter().fold(0, |n, b| n << 8 | usize::from(*b)), rest))
}
