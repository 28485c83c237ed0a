//! [`Path`]: where something is in a client's tree (LwM2M 1.1 Core §7.1).

use std::fmt;
use std::str::FromStr;

/// The ID that no object instance may have (LwM2M 1.1 Core §7.1, table 7.1-1), and which stands for none in an
/// object link.
pub const NO_ID: u16 = u16::MAX;

/// The most IDs in a path.
const MAX_LEVEL: usize = 4;

/// A path of none to four IDs: `/`, `/3303`, `/3303/0`, `/3303/0/5700`, `/2346/0/5913/2`. The order is that
/// of a tree: what stands above comes before what is below it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Path {
    // An unused place holds zero, so that the derived order needs `level` only between a path and what
    // begins with it followed by zeros.
    ids: [u16; MAX_LEVEL],
    level: u8,
}

/// What a path names, by its number of IDs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// The whole tree, `/`.
    Root,
    /// An object, `/3303`.
    Object,
    /// An object instance, `/3303/0`.
    Instance,
    /// A resource, `/3303/0/5700`.
    Resource,
    /// An instance of a multiple resource, `/2346/0/5913/2`.
    ResourceInstance,
}

/// What is no path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// It does not begin with a slash.
    #[error("`{0}` does not begin with `/`: expected a path like `/3303/0/5700`")]
    NoSlash(String),
    /// A segment is no number from 0 to 65535, in decimal without leading zeros.
    #[error(
        "`{segment}` in `{path}` is no ID: expected a number from 0 to 65535 without leading zeros"
    )]
    NoId {
        /// The whole.
        path: String,
        /// The segment.
        segment: String,
    },
    /// More than four segments.
    #[error("`{0}` has more than four IDs: object, instance, resource, resource instance")]
    TooLong(String),
    /// An object instance of 65535.
    #[error("`{0}` names object instance 65535, which no object has")]
    Reserved(String),
}

impl Path {
    /// The whole tree, `/`.
    pub const ROOT: Path = Path {
        ids: [0; MAX_LEVEL],
        level: 0,
    };

    /// The path of these IDs; `None` for more than four.
    pub fn new(ids: &[u16]) -> Option<Path> {
        let mut path = Path {
            level: u8::try_from(ids.len())
                .ok()
                .filter(|n| usize::from(*n) <= MAX_LEVEL)?,
            ..Path::ROOT
        };
        path.ids[..ids.len()].copy_from_slice(ids);
        Some(path)
    }

    /// `/object`
    pub const fn object(object: u16) -> Path {
        Path {
            ids: [object, 0, 0, 0],
            level: 1,
        }
    }

    /// `/object/instance`
    pub const fn instance(object: u16, instance: u16) -> Path {
        Path {
            ids: [object, instance, 0, 0],
            level: 2,
        }
    }

    /// `/object/instance/resource`
    pub const fn resource(object: u16, instance: u16, resource: u16) -> Path {
        Path {
            ids: [object, instance, resource, 0],
            level: 3,
        }
    }

    /// `/object/instance/resource/resource instance`
    pub const fn resource_instance(object: u16, instance: u16, resource: u16, riid: u16) -> Path {
        Path {
            ids: [object, instance, resource, riid],
            level: 4,
        }
    }

    /// Its IDs.
    pub fn ids(&self) -> &[u16] {
        &self.ids[..usize::from(self.level)]
    }

    /// What it names.
    pub fn level(&self) -> Level {
        match self.level {
            0 => Level::Root,
            1 => Level::Object,
            2 => Level::Instance,
            3 => Level::Resource,
            _ => Level::ResourceInstance,
        }
    }

    /// The ID of its object.
    pub fn object_id(&self) -> Option<u16> {
        self.ids().first().copied()
    }

    /// The ID of its object instance.
    pub fn instance_id(&self) -> Option<u16> {
        self.ids().get(1).copied()
    }

    /// The ID of its resource.
    pub fn resource_id(&self) -> Option<u16> {
        self.ids().get(2).copied()
    }

    /// The ID of its resource instance.
    pub fn resource_instance_id(&self) -> Option<u16> {
        self.ids().get(3).copied()
    }

    /// What is directly below it with that ID; `None` below a resource instance.
    pub fn child(&self, id: u16) -> Option<Path> {
        let level = usize::from(self.level);
        let mut child = *self;
        *child.ids.get_mut(level)? = id;
        child.level += 1;
        Some(child)
    }

    /// What it is directly below of; `None` of the root.
    pub fn parent(&self) -> Option<Path> {
        let level = self.level.checked_sub(1)?;
        let mut parent = Path { level, ..*self };
        parent.ids[usize::from(level)] = 0;
        Some(parent)
    }

    /// Whether it names object instance 65535, which no object has.
    pub fn is_reserved(&self) -> bool {
        self.instance_id() == Some(NO_ID)
    }

    /// Its first `level` IDs; itself where it has no more.
    pub fn truncated(&self, level: Level) -> Path {
        let keep = (level as usize).min(self.ids().len());
        Path::new(&self.ids()[..keep]).unwrap_or_default()
    }

    /// Whether `other` is the same or below.
    pub fn contains(&self, other: &Path) -> bool {
        other.ids().starts_with(self.ids())
    }

    /// Whether one contains the other.
    pub fn meets(&self, other: &Path) -> bool {
        self.contains(other) || other.contains(self)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.level == 0 {
            return f.write_str("/");
        }
        self.ids().iter().try_for_each(|id| write!(f, "/{id}"))
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Path {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Path, PathError> {
        let rest = (text.strip_prefix('/')).ok_or_else(|| PathError::NoSlash(text.to_owned()))?;
        let mut path = Path::ROOT;
        for segment in rest.split('/').filter(|_| !rest.is_empty()) {
            let no_id = || PathError::NoId {
                path: text.to_owned(),
                segment: segment.to_owned(),
            };
            let id = parse_id(segment).ok_or_else(no_id)?;
            path = path
                .child(id)
                .ok_or_else(|| PathError::TooLong(text.to_owned()))?;
        }
        match path.is_reserved() {
            true => Err(PathError::Reserved(text.to_owned())),
            false => Ok(path),
        }
    }
}

/// A decimal number from 0 to 65535 without sign and leading zeros.
fn parse_id(text: &str) -> Option<u16> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_what_it_prints() {
        for text in ["/", "/0", "/3303/0/5700", "/2346/0/5913/255", "/65535"] {
            assert_eq!(text.parse::<Path>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_path_is_named() {
        for text in [
            "",
            "3/0",
            "//",
            "/3/",
            "/03",
            "/+3",
            "/65536",
            "/a",
            "/1/2/3/4/5",
            "/3/65535/0",
        ] {
            let error = text.parse::<Path>().unwrap_err().to_string();
            assert!(error.contains(text), "{error}");
        }
    }

    #[test]
    fn paths_have_the_order_of_a_tree() {
        let texts = [
            "/", "/0", "/0/0", "/0/0/0", "/0/0/0/0", "/0/0/0/1", "/0/0/1", "/0/1", "/1",
        ];
        let paths: Vec<Path> = texts.iter().map(|t| t.parse().unwrap()).collect();
        assert!(paths.is_sorted());
        for (path, parent) in paths.iter().filter_map(|p| Some((p, p.parent()?))) {
            assert!(parent < *path && parent.contains(path) && !path.contains(&parent));
            assert_eq!(parent.child(*path.ids().last().unwrap()), Some(*path));
        }
    }

    #[test]
    fn a_path_is_cut_to_a_level_that_it_has() {
        let path = Path::resource(3303, 1, 5700);
        assert_eq!(path.truncated(Level::Instance), Path::instance(3303, 1));
        assert_eq!(path.truncated(Level::ResourceInstance), path);
        assert!(path.meets(&Path::object(3303)) && !path.meets(&Path::instance(3303, 0)));
    }
}
