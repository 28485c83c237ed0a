//! What SenML's two forms have in common: names, base values, times (RFC 8428 §4; LwM2M 1.1 Core §7.4.4).

use super::typed::{Scalar, expect_resource, from_scalar, push, quoted};
use super::{DecodeError, Format, Record};
use crate::model::Registry;
use crate::path::{Path, PathError};

/// The version of SenML that RFC 8428 defines.
pub(super) const VERSION: f64 = 10.0;

/// The longest name that can be a path, with a slash too many at its beginning and its end:
/// `//65535/65535/65535/65535/`.
const LONGEST_NAME: usize = 26;

/// What a message is read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Every record has a value.
    Values,
    /// No record has one: what a Read-Composite asks for.
    Paths,
}

/// One record as it is written.
#[derive(Debug, Default)]
pub(super) struct Fields {
    /// Where it begins, in bytes.
    pub(super) at: usize,
    pub(super) base_name: Option<String>,
    pub(super) base_time: Option<f64>,
    pub(super) name: Option<String>,
    pub(super) time: Option<f64>,
    /// The value, and where it is, in bytes.
    pub(super) value: Option<(Scalar, usize)>,
}

/// Records one after the other, with the base values that carry over.
pub(super) struct Pack<'a> {
    format: Format,
    wanted: Wanted,
    registry: &'a Registry,
    base_name: String,
    base_time: Option<f64>,
    records: Vec<Record>,
}

impl<'a> Pack<'a> {
    pub(super) fn new(format: Format, wanted: Wanted, registry: &'a Registry) -> Pack<'a> {
        Pack {
            format,
            wanted,
            registry,
            base_name: String::new(),
            base_time: None,
            records: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, fields: Fields) -> Result<(), DecodeError> {
        let at = fields.at;
        if let Some(name) = fields.base_name {
            expect_short(&name, at)?;
            self.base_name = name;
        }
        self.base_time = fields.base_time.or(self.base_time);
        let name = fields.name.unwrap_or_default();
        expect_short(&name, at)?;
        // SenML only joins the two; a slash at both is one too many and means one.
        let twice = self.base_name.ends_with('/') && name.starts_with('/');
        let path = parse_name(&self.base_name, &name[usize::from(twice)..], at)?;
        let time = match (self.base_time, fields.time) {
            (None, time) => time,
            (Some(base), time) => Some(base + time.unwrap_or(0.0)),
        };
        if time.is_some_and(|time| !time.is_finite()) {
            return Err(self.error(at, "a time without end".to_owned(), "a finite number"));
        }
        let value = match (self.wanted, fields.value) {
            (Wanted::Values, Some((scalar, at))) => {
                expect_resource(path, at)?;
                Some(from_scalar(scalar, path, at, self.registry)?)
            }
            (Wanted::Paths, None) => None,
            (Wanted::Values, None) => {
                return Err(self.error(at, "no value".to_owned(), "one value in every record"));
            }
            (Wanted::Paths, Some((scalar, at))) => {
                return Err(self.error(at, scalar.describe(), "names without values"));
            }
        };
        push(&mut self.records, Record { path, value, time })
    }

    pub(super) fn finish(self) -> Vec<Record> {
        self.records
    }

    fn error(&self, at: usize, found: String, expected: &'static str) -> DecodeError {
        DecodeError::Syntax {
            format: self.format,
            at,
            found,
            expected,
        }
    }
}

/// A name that is too long for a path is not joined to others again and again.
fn expect_short(name: &str, at: usize) -> Result<(), DecodeError> {
    match name.len() <= LONGEST_NAME {
        true => Ok(()),
        false => Err(DecodeError::Name {
            at,
            reason: PathError::TooLong(quoted(name)),
        }),
    }
}

/// The path that the two parts of a name are. A slash may stand at its end.
pub(super) fn parse_name(base: &str, name: &str, at: usize) -> Result<Path, DecodeError> {
    let whole = format!("{base}{name}");
    let path = match whole.strip_suffix('/') {
        Some(short) if !short.is_empty() => short,
        _ => &whole,
    };
    (path.parse()).map_err(|reason| DecodeError::Name { at, reason })
}

/// Joins the parts of a name with exactly one slash between them, as LwM2M JSON needs it.
pub(super) fn join(base: &str, name: &str, at: usize) -> Result<Path, DecodeError> {
    expect_short(base, at)?;
    expect_short(name, at)?;
    let base = base.strip_suffix('/').unwrap_or(base);
    match name.strip_prefix('/').unwrap_or(name) {
        "" if base.is_empty() => Ok(Path::ROOT),
        "" => parse_name(base, "", at),
        name => parse_name(base, &format!("/{name}"), at),
    }
}

/// The name of `path` below `base`: what is to be joined to `base` as it prints.
pub(super) fn name_below(base: &Path, path: &Path) -> String {
    let ids = &path.ids()[base.ids().len()..];
    ids.iter().map(|id| format!("/{id}")).collect()
}
