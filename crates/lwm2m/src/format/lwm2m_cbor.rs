//! application/vnd.oma.lwm2m+cbor (LwM2M 1.2 Core §7.4.5): maps in maps, with IDs as keys; an array of
//! IDs is a key for several levels at once. Paths begin at the root, whatever the message is of.

use minicbor::Encoder;
use minicbor::data::Type as Cbor;

use super::cbor::{Reader, Writer, done, write};
use super::senml::Wanted;
use super::tree::sorted;
use super::typed::{Scalar, expect_resource, from_scalar, push};
use super::{DecodeError, EncodeError, Format, Record, Style};
use crate::model::Registry;
use crate::path::Path;

/// With maps whose length is not said beforehand, as other makers write them.
pub(super) fn encode(records: &[Record], wanted: Wanted, style: Style) -> Vec<u8> {
    let mut cbor = Encoder::new(Vec::new());
    let records = sorted(records);
    // Every level that is open: what is left to write there, and how many IDs are above.
    let mut open: Vec<(&[&Record], usize)> = vec![(&records, 0)];
    done(cbor.begin_map());
    while let Some((left, depth)) = open.pop() {
        let Some(first) = left.iter().find(|r| r.path.ids().len() > depth) else {
            done(cbor.end());
            continue;
        };
        let id = first.path.ids()[depth];
        let group = (left.iter()).take_while(|r| r.path.ids().get(depth) == Some(&id));
        let (group, rest) = left.split_at(group.count());
        open.push((rest, depth));
        let common = common_level(group);
        write_key(&mut cbor, &first.path.ids()[depth..common]);
        match (group, wanted) {
            ([only], Wanted::Paths) if only.path.ids().len() == common => done(cbor.null()),
            ([only], Wanted::Values) if only.value.is_some() => {
                if let Some(value) = &only.value {
                    write(&mut cbor, value, style);
                }
            }
            _ => {
                done(cbor.begin_map());
                open.push((group, common));
            }
        }
    }
    cbor.into_writer()
}

/// What a Read-Composite asks for. A path below another one has no form: a key has one value. What it asks for is
/// asked for already.
pub(super) fn encode_paths(records: &[Record]) -> Result<Vec<u8>, EncodeError> {
    for pair in sorted(records).windows(2) {
        if pair[0].path.contains(&pair[1].path) {
            return Err(EncodeError::Below {
                path: pair[0].path,
                below: pair[1].path,
            });
        }
    }
    match records.iter().find(|record| record.path == Path::ROOT) {
        Some(root) => Err(EncodeError::NoForm {
            format: Format::Lwm2mCbor,
            path: root.path,
            found: "the root".to_owned(),
            expected: "a path of at least an object",
        }),
        None => Ok(encode(records, Wanted::Paths, Style::default())),
    }
}

/// How many IDs all paths of a group begin with.
fn common_level(group: &[&Record]) -> usize {
    match group {
        [first, .., last] => {
            // Between the first and the last of the order of a tree, all begin as these two do.
            let pairs = first.path.ids().iter().zip(last.path.ids());
            pairs.take_while(|(a, b)| a == b).count()
        }
        [only] => only.path.ids().len(),
        [] => 0,
    }
}

fn write_key(cbor: &mut Writer, ids: &[u16]) {
    if let [id] = ids {
        return done(cbor.u16(*id));
    }
    done(cbor.array(ids.len() as u64));
    for id in ids {
        done(cbor.u16(*id));
    }
}

pub(super) fn decode(
    payload: &[u8],
    wanted: Wanted,
    registry: &Registry,
) -> Result<Vec<Record>, DecodeError> {
    let mut reader = Reader::new(payload, Format::Lwm2mCbor);
    let mut records = Vec::new();
    let left = reader.read("a map", |cbor| cbor.map())?;
    // Every map that is open: its path, how many entries are left, whether it had one. Each is a level
    // of a path deeper than the one around it.
    let mut open = vec![(Path::ROOT, left, false)];
    while let Some((path, mut left, had)) = open.pop() {
        if !reader.more(&mut left)? {
            if !had && path != Path::ROOT {
                empty(&reader, path, wanted)?;
                push(&mut records, Record::named(path))?;
            }
            continue;
        }
        open.push((path, left, true));
        let path = key(&mut reader, path)?;
        let kind = reader.peek()?;
        let at = reader.at();
        if matches!(kind, Cbor::Map | Cbor::MapIndef) {
            let left = reader.read("a map", |cbor| cbor.map())?;
            open.push((path, left, false));
            continue;
        }
        let scalar = reader.scalar()?;
        let record = match (wanted, scalar) {
            (Wanted::Paths, Scalar::Null) => Record::named(path),
            (Wanted::Paths, other) => {
                return Err(reader.error(at, other.describe(), "null, or a map"));
            }
            (Wanted::Values, scalar) => {
                expect_resource(path, at)?;
                Record::new(path, from_scalar(scalar, path, at, registry)?)
            }
        };
        push(&mut records, record)?;
    }
    reader.end()?;
    Ok(records)
}

/// That an empty map may stand at `path`: what is there has nothing below it.
fn empty(reader: &Reader<'_>, path: Path, wanted: Wanted) -> Result<(), DecodeError> {
    let allowed = wanted == Wanted::Values && path.resource_instance_id().is_none();
    match allowed {
        true => Ok(()),
        false => Err(DecodeError::Level {
            path,
            at: reader.at(),
            found: "an empty map",
            expected: match wanted {
                Wanted::Values => "a value",
                Wanted::Paths => "null",
            },
        }),
    }
}

/// The path that a key below `path` names.
fn key(reader: &mut Reader<'_>, path: Path) -> Result<Path, DecodeError> {
    let at = reader.at();
    if !matches!(reader.peek()?, Cbor::Array | Cbor::ArrayIndef) {
        return below(reader, path);
    }
    let mut left = reader.read("IDs", |cbor| cbor.array())?;
    let mut whole = path;
    while reader.more(&mut left)? {
        whole = below(reader, whole)?;
    }
    match whole == path {
        true => Err(reader.error(at, "no ID".to_owned(), "at least one ID")),
        false => Ok(whole),
    }
}

fn below(reader: &mut Reader<'_>, path: Path) -> Result<Path, DecodeError> {
    let at = reader.at();
    let id = reader.read("an ID from 0 to 65535", |cbor| cbor.u16())?;
    let child = path.child(id).filter(|child| !child.is_reserved());
    child.ok_or_else(|| {
        let found = format!("ID {id} below `{path}`");
        reader.error(at, found, "at most four IDs, and no instance 65535")
    })
}
