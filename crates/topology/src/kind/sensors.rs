//! What a node serves: CoAP resources.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use units::ByteSize;
use units::quantity::duration;

use super::{Served, Serves, ServiceFacts};
use crate::decode::{At, Block, Decode, Decoder};
use crate::plan::Bytes;
use crate::resolve::timers::s;
use crate::resolve::{Context, Resolver, or};
use crate::scalar::ContentFormat;
use crate::tree::Tree;

/// The resource of a service that names none.
const DEFAULT_PATH: &str = "/temperature";
/// Size of a reading that names none.
const DEFAULT_SIZE: ByteSize = ByteSize(16);
/// As much as a client puts together from blocks.
const MAX_SIZE: ByteSize = ByteSize(65_000);
/// `text/plain; charset=utf-8` and `application/octet-stream` (RFC 7252 §12.3).
const TEXT_PLAIN: u16 = 0;
const OCTET_STREAM: u16 = 42;

/// The resources of a node; none named: `/temperature` of 16 B.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(transparent)]
pub struct Sensors(pub(super) Option<Vec<Resource>>);

impl Decode for Sensors {
    fn decode(tree: &Tree, d: &mut Decoder) -> Option<Self> {
        Decode::decode(tree, d).map(Sensors)
    }
}

tables! {
    /// A CoAP resource.
    pub struct Resource {
        /// Path, such as `/temperature`, unique in the node.
        pub path: At<String>,
        /// Payload size of its representation: a shorter reading is followed by spaces, a longer
        /// one is cut, and one longer than `block_size` crosses block by block (RFC 7959); at most
        /// 65000 B; default 16 B, of a constant and of a file as long as it is.
        pub size: Option<At<ByteSize>>,
        /// It changes by itself, this often, and can be observed (RFC 7641); over 0 s; default it
        /// is made anew for every request and cannot.
        pub changes_every: Option<At<Duration>>,
        /// From the start of the scenario to the first change; over 0 s and at most
        /// `changes_every`; default from the seed, so that nodes alike are out of step.
        pub phase: Option<At<Duration>>,
        /// What it holds; default a reading, which walks as a `random_walk` without keys does.
        pub value: Option<Block<Source>>,
        /// Content-Format of its representation, by number or name; default `text/plain`, of a file
        /// that is no text `application/octet-stream`.
        pub content_format: Option<At<ContentFormat>>,
        /// Whether PUT, POST, PATCH, iPATCH and DELETE change it: then it can be observed, too,
        /// and what was written stays; default false.
        pub writable: Option<At<bool>>,
    }

    /// A reading that goes up, request by request or change by change.
    pub struct Counter {
        /// Where it starts; default 0.
        pub start: Option<At<f64>>,
        /// What is added; default 1.
        pub step: Option<At<f64>>,
    }

    /// A sine over scenario time.
    pub struct Sine {
        /// Mean.
        pub mean: At<f64>,
        /// Amplitude.
        pub amplitude: At<f64>,
        /// Period.
        pub period: At<Duration>,
        /// The time after the start of the scenario at which it is at its mean and rises; default 0 s.
        pub phase: Option<At<Duration>>,
    }

    /// A random walk: each reading is the one before, or a step up or down.
    pub struct RandomWalk {
        /// Where it starts; default 21.5.
        pub start: Option<At<f64>>,
        /// Step; default 0.1.
        pub step: Option<At<f64>>,
        /// Least reading; default -40.
        pub min: Option<At<f64>>,
        /// Greatest reading; default 85.
        pub max: Option<At<f64>>,
    }

    /// The readings of a file over scenario time: each holds until the next.
    pub struct Replay {
        /// The file, relative to this one: lines `seconds,value` in time order, and `#` for
        /// comments.
        pub file: At<String>,
        /// Whether it begins anew at its end, instead of holding its last reading; default false.
        pub repeat: Option<At<bool>>,
    }
}

/// Where the representation of a resource comes from.
#[derive(Clone, Debug, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// This text.
    Constant(At<String>),
    /// A reading that goes up.
    Counter(Counter),
    /// A sine.
    Sine(Sine),
    /// A random walk.
    RandomWalk(RandomWalk),
    /// The readings of a file.
    Replay(Replay),
    /// The bytes of a file, relative to this one.
    File(At<String>),
}

impl Source {
    const WORDS: [&'static str; 6] = [
        "constant",
        "counter",
        "sine",
        "random_walk",
        "replay",
        "file",
    ];
}

impl Decode for Source {
    fn decode(tree: &Tree, d: &mut Decoder) -> Option<Self> {
        let expected = "one source, such as `{ constant: \"on\" }` or `{ file: body.json }`";
        let (key, value) = d.only_entry(tree, &Source::WORDS, expected)?;
        d.within(key.to_owned(), |d| match key {
            "constant" => Decode::decode(value, d).map(Source::Constant),
            "counter" => Decode::decode(value, d).map(Source::Counter),
            "sine" => Decode::decode(value, d).map(Source::Sine),
            "random_walk" => Decode::decode(value, d).map(Source::RandomWalk),
            "replay" => Decode::decode(value, d).map(Source::Replay),
            "file" => Decode::decode(value, d).map(Source::File),
            _ => None,
        })
    }
}

/// What a node serves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SensorsPlan {
    /// CoAP resources.
    pub resources: Vec<ResourcePlan>,
}

/// A CoAP resource.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResourcePlan {
    /// Path, such as `/temperature`, unique in the node.
    pub path: String,
    /// Payload size of its representation.
    pub size: ByteSize,
    /// Content-Format of its representation (RFC 7252 §12.3).
    pub content_format: u16,
    /// What it holds.
    pub value: SourcePlan,
    /// When it changes by itself, if it does; then it can be observed (RFC 7641).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes: Option<ChangesPlan>,
    /// Whether it can be written; then it can be observed, too.
    pub writable: bool,
}

/// When a resource changes by itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangesPlan {
    /// Period.
    #[serde(with = "duration")]
    pub every: Duration,
    /// From the start of the scenario to the first change.
    #[serde(with = "duration")]
    pub phase: Duration,
}

/// Where the representation of a resource comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum SourcePlan {
    /// A sensor's reading, of a resource that names no source: a walk as a `random_walk` without keys
    /// is one. Those of a service that are read anew for every request share one, and all of them
    /// draw from one stream.
    Reading,
    /// These bytes.
    Constant(Bytes),
    /// A reading that goes up, request by request or change by change.
    Counter {
        /// Where it starts.
        start: f64,
        /// What is added.
        step: f64,
    },
    /// A sine over scenario time.
    Sine {
        /// Mean.
        mean: f64,
        /// Amplitude.
        amplitude: f64,
        /// Period.
        #[serde(with = "duration")]
        period: Duration,
        /// When it is at its mean and rises.
        #[serde(with = "duration")]
        phase: Duration,
    },
    /// A random walk.
    RandomWalk {
        /// Where it starts.
        start: f64,
        /// Step.
        step: f64,
        /// Least reading.
        min: f64,
        /// Greatest reading.
        max: f64,
    },
    /// Readings over scenario time.
    Replay {
        /// The readings in time order, each until the next.
        points: Vec<ReadingPlan>,
        /// Whether they begin anew at the end.
        repeat: bool,
    },
}

/// A reading from an instant on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadingPlan {
    /// Scenario time.
    #[serde(with = "duration")]
    pub at: Duration,
    /// The reading.
    pub value: f64,
}

impl Serves for Sensors {
    fn served(&self) -> Vec<Served<'_>> {
        let Some(resources) = &self.0 else {
            return vec![Served {
                path: DEFAULT_PATH,
                observable: false,
                writable: false,
            }];
        };
        let resources = resources.iter().map(|resource| Served {
            path: &resource.path.value,
            observable: resource.can_be_observed(),
            writable: or(resource.writable, false),
        });
        resources.collect()
    }
}

impl ServiceFacts for SensorsPlan {
    fn is_coap(&self) -> bool {
        true
    }

    fn paths(&self) -> Vec<&str> {
        self.resources.iter().map(|r| r.path.as_str()).collect()
    }

    fn describe(&self) -> Vec<String> {
        self.resources.iter().map(|r| r.path.clone()).collect()
    }
}

impl Sensors {
    /// The plan of the service at `path`.
    pub(super) fn plan<'t>(
        &self,
        r: &mut Resolver<'t>,
        _: &Context<'_, 't>,
        path: &str,
    ) -> SensorsPlan {
        let Some(resources) = &self.0 else {
            let resources = vec![ResourcePlan {
                path: DEFAULT_PATH.to_owned(),
                size: DEFAULT_SIZE,
                content_format: TEXT_PLAIN,
                value: SourcePlan::Reading,
                changes: None,
                writable: false,
            }];
            return SensorsPlan { resources };
        };
        let mut plans: Vec<ResourcePlan> = Vec::new();
        for (i, resource) in resources.iter().enumerate() {
            let path = format!("{path}[{i}]");
            let uri = &resource.path;
            r.check_uri_path(&format!("{path}.path"), uri);
            if plans.iter().any(|plan| plan.path == uri.value) {
                let message = format!(
                    "`{path}.path`: duplicate path `{}`; give each resource its own",
                    uri.value
                );
                r.problem(uri.span, message);
            }
            plans.push(resource.plan(r, &path));
        }
        SensorsPlan { resources: plans }
    }
}

impl Resource {
    /// Whether somebody can be told of its changes.
    fn can_be_observed(&self) -> bool {
        let source = self.value.as_ref().map(|block| &block.table);
        let replays = matches!(source, Some(Source::Replay(_)));
        replays || self.changes_every.is_some() || or(self.writable, false)
    }

    fn plan(&self, r: &mut Resolver<'_>, path: &str) -> ResourcePlan {
        let source = self.value.as_ref().map(|block| &block.table);
        let value = source.and_then(|source| source.plan(r, &format!("{path}.value")));
        // One that cannot be read has been reported.
        let value = value.unwrap_or(SourcePlan::Reading);
        let (natural, is_text) = match &value {
            SourcePlan::Constant(bytes) => (ByteSize(bytes.0.len() as u64), bytes.is_text()),
            _ => (DEFAULT_SIZE, true),
        };
        let fits = |size: ByteSize| size <= MAX_SIZE;
        let right = "a size up to 65000 B, which a client puts together from blocks";
        let size_path = format!("{path}.size");
        let size = r.checked(
            &size_path,
            self.size,
            natural,
            |s| s.to_string(),
            fits,
            right,
        );
        if self.size.is_none()
            && let Some(block) = self.value.as_ref().filter(|_| !fits(natural))
        {
            r.problem(
                block.span,
                format!("`{path}.value`: `{natural}` is not {right}"),
            );
        }
        let default_format = if is_text { TEXT_PLAIN } else { OCTET_STREAM };
        ResourcePlan {
            path: self.path.value.clone(),
            size,
            content_format: self
                .content_format
                .map_or(default_format, |format| format.value.0),
            value,
            changes: self.changes(r, path),
            writable: or(self.writable, false),
        }
    }

    fn changes(&self, r: &mut Resolver<'_>, path: &str) -> Option<ChangesPlan> {
        let phase_path = format!("{path}.phase");
        let Some(every) = self.changes_every else {
            if let Some(phase) = self.phase {
                let message = format!(
                    "`{phase_path}`: a resource that does not change by itself has no phase; add \
                     `changes_every`, or remove it"
                );
                r.problem(phase.span, message);
            }
            return None;
        };
        let every = r.positive(&format!("{path}.changes_every"), Some(every), s(1));
        let phase = r.phase_after(&phase_path, self.phase, every);
        Some(ChangesPlan { every, phase })
    }
}

impl Source {
    /// The source at `path`; none if its file cannot be used, which is reported.
    pub(super) fn plan(&self, r: &mut Resolver<'_>, path: &str) -> Option<SourcePlan> {
        Some(match self {
            Source::Constant(text) => SourcePlan::Constant(Bytes(text.value.clone().into())),
            Source::Counter(counter) => SourcePlan::Counter {
                start: or(counter.start, 0.0),
                step: or(counter.step, 1.0),
            },
            Source::Sine(sine) => SourcePlan::Sine {
                mean: sine.mean.value,
                amplitude: sine.amplitude.value,
                period: r.positive(&format!("{path}.sine.period"), Some(sine.period), s(1)),
                phase: or(sine.phase, Duration::ZERO),
            },
            Source::RandomWalk(walk) => {
                let (start, min) = (or(walk.start, 21.5), or(walk.min, -40.0));
                let max = or(walk.max, 85.0);
                let given = [walk.start, walk.min, walk.max]
                    .into_iter()
                    .flatten()
                    .next();
                if let Some(given) = given.filter(|_| !(min <= start && start <= max)) {
                    let message = format!(
                        "`{path}.random_walk`: it starts at `{start}`, which is not from {min} to \
                         {max}"
                    );
                    r.problem(given.span, message);
                }
                SourcePlan::RandomWalk {
                    start,
                    step: or(walk.step, 0.1),
                    min,
                    max,
                }
            }
            Source::Replay(replay) => {
                let readings = r.readings(&format!("{path}.replay.file"), &replay.file)?;
                let points = readings.into_iter();
                SourcePlan::Replay {
                    points: points
                        .map(|(at, value)| ReadingPlan { at, value })
                        .collect(),
                    repeat: or(replay.repeat, false),
                }
            }
            Source::File(file) => {
                SourcePlan::Constant(Bytes(r.bytes(&format!("{path}.file"), file)?))
            }
        })
    }
}
