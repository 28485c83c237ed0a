//! What resources there are, and where their representations come from.

use std::time::Duration;

use coap::Code;
use thiserror::Error;

use super::replay::Replay;

/// A resource.
#[derive(Clone, Debug, PartialEq)]
pub struct Resource {
    /// Its path, `/temperature`.
    pub path: String,
    /// Where its representation comes from.
    pub source: Source,
    /// Content-Format of its representation (RFC 7252 §12.3); 0 is `text/plain; charset=utf-8`.
    pub content_format: u16,
    /// Bytes of a representation that is generated: filled with spaces, or cut. None: as it is.
    pub size: Option<usize>,
    /// When it changes by itself. A [`Source::Replay`] does so at its own instants without this.
    pub changes: Option<Changes>,
    /// How it may be written.
    pub writes: Writes,
}

/// Where a representation comes from, until it is written.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// A sensor's reading: [`Walk::reading`]. All resources of a node that are read anew for every
    /// request share one; one that changes by itself has its own, and all draw from one stream.
    Reading,
    /// Always the same bytes: a text, or what a file holds.
    Constant(Vec<u8>),
    /// A number that counts up or down.
    Counter(Counter),
    /// A sine of the time since the scenario's start.
    Sine(Sine),
    /// A random walk, with a stream of its own.
    Walk(Walk),
    /// A series of values in time, from the scenario's start on.
    Replay(Replay),
}

/// A number that counts up or down.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Counter {
    /// The first.
    pub start: f64,
    /// From one to the next.
    pub step: f64,
    /// Digits after the point, up to [`MAX_DECIMALS`]; start and step have no more.
    pub decimals: u8,
}

impl Counter {
    /// Counts up by 1.
    pub const fn up_from(start: f64) -> Counter {
        Counter {
            start,
            step: 1.0,
            decimals: 0,
        }
    }
}

/// `mean + amplitude * sin(2 pi * (time + phase) / period)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sine {
    /// Mean.
    pub mean: f64,
    /// Amplitude.
    pub amplitude: f64,
    /// Period.
    pub period: Duration,
    /// How far into the period it begins.
    pub phase: Duration,
    /// Digits after the point, up to [`MAX_DECIMALS`].
    pub decimals: u8,
}

/// A walk by one step down, none or one up, each as likely, between two bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Walk {
    /// Where it starts.
    pub start: f64,
    /// A step.
    pub step: f64,
    /// The lower bound.
    pub low: f64,
    /// The upper bound.
    pub high: f64,
    /// Digits after the point, up to [`MAX_DECIMALS`]; start, step and bounds have no more.
    pub decimals: u8,
}

impl Walk {
    /// A temperature: from 21.5 by 0.1 between -40 and 85.
    pub const fn reading() -> Walk {
        Walk {
            start: 21.5,
            step: 0.1,
            low: -40.0,
            high: 85.0,
            decimals: 1,
        }
    }
}

/// The most digits after the point.
pub const MAX_DECIMALS: u8 = 9;

/// When a resource changes by itself: at `start of the scenario + phase + n * every`, after it.
/// Resources that are to be out of step have different phases: none is drawn here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Changes {
    /// Period.
    pub every: Duration,
    /// From the start of the scenario to the first change; zero: a period.
    pub phase: Duration,
}

/// The methods by which a resource may be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Writes {
    /// PUT.
    pub put: bool,
    /// POST.
    pub post: bool,
    /// PATCH.
    pub patch: bool,
    /// iPATCH.
    pub ipatch: bool,
    /// DELETE.
    pub delete: bool,
}

/// The methods by name.
const NAMES: [(Code, &str); 7] = [
    (Code::GET, "GET"),
    (Code::FETCH, "FETCH"),
    (Code::PUT, "PUT"),
    (Code::POST, "POST"),
    (Code::PATCH, "PATCH"),
    (Code::IPATCH, "iPATCH"),
    (Code::DELETE, "DELETE"),
];

impl Writes {
    /// All of them.
    pub const ALL: Writes = Writes {
        put: true,
        post: true,
        patch: true,
        ipatch: true,
        delete: true,
    };

    /// Whether a method may be used; whoever is written can be read.
    pub fn allows(&self, method: Code) -> bool {
        match method {
            Code::PUT => self.put,
            Code::POST => self.post,
            Code::PATCH => self.patch,
            Code::IPATCH => self.ipatch,
            Code::DELETE => self.delete,
            other => other.is_safe(),
        }
    }

    /// Whether there is a method to write by.
    pub fn any(&self) -> bool {
        *self != Writes::default()
    }

    /// The methods that may be used, for a diagnostic payload.
    pub(super) fn names(&self) -> String {
        let allowed = NAMES.iter().filter(|(method, _)| self.allows(*method));
        let names: Vec<&str> = allowed.map(|(_, name)| *name).collect();
        names.join(", ")
    }
}

impl Resource {
    /// A reading at `path`, as text, made anew for every GET.
    pub fn new(path: &str) -> Resource {
        Resource {
            path: path.to_owned(),
            source: Source::Reading,
            content_format: 0,
            size: None,
            changes: None,
            writes: Writes::default(),
        }
    }

    /// Whether it can be observed: it changes by itself, or is written.
    pub fn is_observable(&self) -> bool {
        let replayed = matches!(self.source, Source::Replay(_));
        replayed || self.changes.is_some() || self.writes.any()
    }
}

/// Why a resource cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SensorError {
    /// Two have the same path.
    #[error("two resources at {0}")]
    Twice(String),
    /// Its period is zero.
    #[error("resource {0}: a period of zero")]
    NoPeriod(String),
    /// A number of it is no number, or infinite.
    #[error("resource {0}: a number that is not finite")]
    NotFinite(String),
    /// A number of it has more digits than fit.
    #[error("resource {0}: {1} decimals, expected at most {MAX_DECIMALS}")]
    Decimals(String, u8),
    /// Its walk starts outside its bounds.
    #[error("resource {0}: a walk that starts outside its bounds")]
    OutOfBounds(String),
}

impl Resource {
    /// Whether everything about it fits.
    pub(super) fn check(&self) -> Result<(), SensorError> {
        let path = || self.path.clone();
        if self.changes.is_some_and(|changes| changes.every.is_zero()) {
            return Err(SensorError::NoPeriod(path()));
        }
        let (numbers, decimals) = match &self.source {
            Source::Counter(counter) => (vec![counter.start, counter.step], counter.decimals),
            Source::Sine(sine) => (vec![sine.mean, sine.amplitude], sine.decimals),
            Source::Walk(walk) => {
                let numbers = vec![walk.start, walk.step, walk.low, walk.high];
                (numbers, walk.decimals)
            }
            _ => (Vec::new(), 0),
        };
        if !numbers.iter().all(|number| number.is_finite()) {
            return Err(SensorError::NotFinite(path()));
        }
        if decimals > MAX_DECIMALS {
            return Err(SensorError::Decimals(path(), decimals));
        }
        match &self.source {
            Source::Sine(sine) if sine.period.is_zero() => Err(SensorError::NoPeriod(path())),
            Source::Walk(walk) if !(walk.low..=walk.high).contains(&walk.start) => {
                Err(SensorError::OutOfBounds(path()))
            }
            _ => Ok(()),
        }
    }
}
