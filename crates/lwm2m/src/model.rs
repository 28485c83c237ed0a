//! Object models: what an object's resources are (LwM2M 1.1 Core §7.1, appendix D), from OMA's XML.
//!
//! The registry of this crate ([`Registry::built_in`]) holds objects of our own wording: the numbers and
//! types are OMA's, the descriptions are not. Three of them OMA has not: Batch (2346) and Notify (2347)
//! are the paper's and unassigned; 3360 is the paper's Position, while OMA's registry has another
//! object under that number today.

mod xml;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use crate::path::Path;
use crate::value::Type;

pub use xml::{ModelError, parse};

/// What a server may do to a resource (LwM2M 1.1 Core appendix D).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Operations {
    /// R
    pub read: bool,
    /// W
    pub write: bool,
    /// E
    pub execute: bool,
}

/// A resource of an object.
#[derive(Clone, Debug, PartialEq)]
pub struct ResourceModel {
    /// Its ID.
    pub id: u16,
    /// Its name.
    pub name: String,
    /// What may be done to it by a server.
    pub operations: Operations,
    /// Whether it has instances of its own.
    pub multiple: bool,
    /// Whether every instance of the object has it.
    pub mandatory: bool,
    /// Its type; none of what is executable only.
    pub ty: Option<Type>,
    /// The numbers that it may hold, if the model says so in a form that is understood.
    pub range: Option<RangeInclusive<f64>>,
    /// Its unit, `Cel`.
    pub units: String,
}

/// An object.
#[derive(Clone, Debug, PartialEq)]
pub struct ObjectModel {
    /// Its ID.
    pub id: u16,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: Version,
    /// Whether it may have several instances.
    pub multiple: bool,
    /// Whether every client has it.
    pub mandatory: bool,
    /// Its resources.
    pub resources: BTreeMap<u16, ResourceModel>,
}

/// A version, `1.1`: of LwM2M or of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// Before the point.
    pub major: u8,
    /// After the point.
    pub minor: u8,
}

impl Version {
    /// 1.0, which is meant where none is named.
    pub const V1_0: Version = Version { major: 1, minor: 0 };
    /// 1.1
    pub const V1_1: Version = Version { major: 1, minor: 1 };
    /// 1.2
    pub const V1_2: Version = Version { major: 1, minor: 2 };
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// What is no version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no version: expected two numbers like 1.1")]
pub struct VersionError(pub String);

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Version, VersionError> {
        let numbers = text.split_once('.');
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        let parse = |text: &str| text.parse().ok().filter(|_| digits(text));
        numbers
            .and_then(|(major, minor)| {
                Some(Version {
                    major: parse(major)?,
                    minor: parse(minor)?,
                })
            })
            .ok_or_else(|| VersionError(text.to_owned()))
    }
}

/// The object models that somebody knows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Registry {
    objects: BTreeMap<u16, ObjectModel>,
}

impl Registry {
    /// No objects.
    pub const fn new() -> Registry {
        Registry {
            objects: BTreeMap::new(),
        }
    }

    /// Objects 0 to 7, 2346 Batch, 2347 Notify, 3303 Temperature, 3304 Humidity and 3360 Position.
    pub fn built_in() -> Registry {
        let mut registry = Registry::new();
        for (name, text) in BUILT_IN {
            match parse(text) {
                Ok(objects) => objects
                    .into_iter()
                    .for_each(|object| registry.insert(object)),
                // Its tests read every file.
                Err(error) => unreachable!("{name}: {error}"),
            }
        }
        registry
    }

    /// Adds an object, in the place of one with its ID.
    pub fn insert(&mut self, object: ObjectModel) {
        self.objects.insert(object.id, object);
    }

    /// An object by its ID.
    pub fn object(&self, id: u16) -> Option<&ObjectModel> {
        self.objects.get(&id)
    }

    /// The objects in the order of their IDs.
    pub fn objects(&self) -> impl Iterator<Item = &ObjectModel> {
        self.objects.values()
    }

    /// The resource that `path`, of a resource or of one of its instances, names.
    pub fn resource(&self, path: &Path) -> Option<&ResourceModel> {
        self.object(path.object_id()?)?
            .resources
            .get(&path.resource_id()?)
    }

    /// The type of what `path` names.
    pub fn type_of(&self, path: &Path) -> Option<Type> {
        self.resource(path)?.ty
    }
}

macro_rules! built_in {
    ($($file:literal),+ $(,)?) => {
        &[$(($file, include_str!(concat!("../objects/", $file)))),+]
    };
}

/// The files of [`Registry::built_in`].
const BUILT_IN: &[(&str, &str)] = built_in![
    "0-security.xml",
    "1-server.xml",
    "2-access-control.xml",
    "3-device.xml",
    "4-connectivity-monitoring.xml",
    "5-firmware-update.xml",
    "6-location.xml",
    "7-connectivity-statistics.xml",
    "2346-batch.xml",
    "2347-notify.xml",
    "3303-temperature.xml",
    "3304-humidity.xml",
    "3360-position.xml",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registry_has_the_objects_of_a_testbed() {
        let registry = Registry::built_in();
        let ids: Vec<u16> = registry.objects().map(|object| object.id).collect();
        assert_eq!(ids, [0, 1, 2, 3, 4, 5, 6, 7, 2346, 2347, 3303, 3304, 3360]);
        let lifetime = registry.resource(&Path::resource(1, 0, 1)).unwrap();
        assert_eq!(
            (lifetime.name.as_str(), lifetime.ty),
            ("Lifetime", Some(Type::Integer))
        );
        assert!(lifetime.operations.read && lifetime.operations.write && !lifetime.multiple);
        let links = registry
            .resource(&Path::resource_instance(2346, 0, 5913, 2))
            .unwrap();
        assert!(links.multiple && links.mandatory && links.operations.write);
    }

    #[test]
    fn versions_are_two_numbers() {
        assert_eq!("1.2".parse(), Ok(Version::V1_2));
        for text in ["1", "1.", ".1", "1.x", "+1.0", "1.0.0", "256.0"] {
            assert!(text.parse::<Version>().is_err(), "{text}");
        }
    }
}
