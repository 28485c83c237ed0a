//! The radio model: medium, parts, loss on the way, MAC.

use std::borrow::Cow;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::json;
use units::{Db, Dbm, LossRatio};

use super::place::Pair;
use crate::decode::{At, Block, Decode, Decoder};
use crate::diagnostic::{Span, misspelt, not_a_word};
use crate::plan::Medium;
use crate::scalar::{Hertz, Metres, Milliamperes, Volts};
use crate::schema::parts::as_schema;
use crate::tree::{Tree, Value};

tables! {
    /// How frames get from radio to radio.
    pub struct Radio {
        /// `edges`: the kernel's own hwsim edges, instant and lossless: an edge exists while the
        /// signal is at or over the sensitivity. `phy`: the per-frame air, with CSMA-CA, airtime,
        /// collisions, acknowledgements and loss; default `edges`.
        pub medium: Option<At<Medium>>,
        /// `phy`: the part of every radio that does not name its own, by name or as a table of
        /// its figures; default cc2420.
        pub profile: Option<Profile>,
        /// Transmit power of every radio; under `phy` from -60 dBm to 30 dBm; default 0 dBm, under
        /// `phy` that of the profile.
        pub tx_power: Option<At<Dbm>>,
        /// `edges`: a frame whose power at the receiver is under this is not received; default
        /// -85 dBm, the least that IEEE 802.15.4-2006 §6.5.3.3 asks for. Under `phy` the profile
        /// says it.
        pub sensitivity: Option<At<Dbm>>,
        /// What nodes with a position lose on the way; default log-distance.
        pub path_loss: Option<PathLoss>,
        /// `phy`: MAC of every radio.
        pub mac: Option<Block<MacParameters>>,
        /// `phy`: whether captures/air.pcapng has the frames that were lost too; default false.
        pub capture_lost: Option<At<bool>>,
        /// `phy`: a frame that is handed over later than this after its instant makes the run say
        /// so; over 0 s; default 1 ms.
        pub lateness_limit: Option<At<Duration>>,
    }

    /// The figures of a radio part, as its datasheet gives them.
    pub struct ProfileTable {
        /// The part's name: lower-case letters, digits and hyphens.
        pub part: At<String>,
        /// Transmit power.
        pub tx_power: At<Dbm>,
        /// Power at which 1 % of frames with a 20-byte PSDU are lost.
        pub sensitivity: At<Dbm>,
        /// Noise of the receiver over thermal noise; default what the sensitivity implies.
        pub noise_figure: Option<At<Db>>,
        /// A channel with this much energy is busy.
        pub cca_threshold: At<Dbm>,
        /// From receiving to transmitting and back; at most 192 us; default 192 us.
        pub turnaround: Option<At<Duration>>,
        /// Supply voltage at which the currents are drawn.
        pub supply: At<Volts>,
        /// Current while transmitting.
        pub tx: At<Milliamperes>,
        /// Current while receiving a frame.
        pub rx: At<Milliamperes>,
        /// Current while awake and neither transmitting nor receiving; default as receiving.
        pub listen: Option<At<Milliamperes>>,
        /// Current while asleep.
        pub sleep: At<Milliamperes>,
        /// Where the figures are from: datasheet and section.
        pub source: At<String>,
    }

    /// Free space: 20 log10(4 pi d f / c).
    pub struct FreeSpace also ["model"] {
        /// Frequency; from 2.4 GHz to 2.4835 GHz; default 2.44 GHz.
        pub frequency: Option<At<Hertz>>,
        /// `phy`: loss on top.
        pub shadowing: Option<Block<Shadowing>>,
    }

    /// Log-distance: reference_loss + 10 exponent log10(d / 1 m).
    pub struct LogDistance also ["model"] {
        /// Loss at 1 m; default 40.2 dB (free space, 2.44 GHz).
        pub reference_loss: Option<At<Db>>,
        /// Path-loss exponent; default 3.0. Free space has 2.
        pub exponent: Option<At<f64>>,
        /// `phy`: loss on top.
        pub shadowing: Option<Block<Shadowing>>,
    }

    /// Two rays, one of them reflected by flat ground: free space up to 4 pi h^2 f / c, the
    /// fourth power of the distance from there on.
    pub struct TwoRay also ["model"] {
        /// Height of every antenna over the ground.
        pub height: At<Metres>,
        /// Frequency; from 2.4 GHz to 2.4835 GHz; default 2.44 GHz.
        pub frequency: Option<At<Hertz>>,
        /// `phy`: loss on top.
        pub shadowing: Option<Block<Shadowing>>,
    }

    /// Log-normal shadowing per link, reciprocal, and correlated over the distance moved by both
    /// ends (Gudmundson 1991).
    pub struct Shadowing {
        /// Standard deviation.
        pub sigma: At<Db>,
        /// Distance moved after which the correlation is 1/e.
        pub decorrelation: At<Metres>,
    }

    /// Unslotted CSMA-CA and retransmission (IEEE 802.15.4-2006 table 86), and the queue.
    pub struct MacParameters {
        /// macMinBE, first backoff exponent; from 0 to `max_be`; default 3.
        pub min_be: Option<At<u32>>,
        /// macMaxBE, last backoff exponent; from 3 to 8; default 5.
        pub max_be: Option<At<u32>>,
        /// macMaxCSMABackoffs; from 0 to 5; default 4.
        pub max_csma_backoffs: Option<At<u32>>,
        /// macMaxFrameRetries; from 0 to 7; default 3.
        pub max_frame_retries: Option<At<u32>>,
        /// Frames that wait for the radio; default 300, as of the kernel's wpan interfaces.
        pub queue: Option<At<u32>>,
        /// Whether unicast frames ask for an acknowledgement; default true.
        pub acks: Option<At<bool>>,
    }

    /// The link of two radios at the start: `attenuation`, or `trace`, and a `loss` beside them.
    #[schemars(extend("anyOf" = [
        { "required": ["attenuation"] }, { "required": ["trace"] }, { "required": ["loss"] }
    ]))]
    pub struct Link {
        /// The two nodes.
        pub link: Pair,
        /// Attenuation; at least 0 dB.
        pub attenuation: Option<At<Db>>,
        /// `phy`: file of its loss over time, relative to this file: lines `seconds,dB`, linear
        /// between, and `#` for comments.
        pub trace: Option<At<String>>,
        /// `phy`: what share of its frames is lost by chance, in both directions, acknowledgements
        /// too, beyond what noise and collisions destroy; default 0 %.
        pub loss: Option<At<LossRatio>>,
    }
}

/// A radio part: a name, or a table of its figures.
#[derive(Clone, Debug)]
pub enum Profile {
    /// One of `medium::Profile::NAMES`.
    Named(At<String>),
    /// All its figures.
    Table(Box<Block<ProfileTable>>),
}

impl Decode for Profile {
    fn decode(tree: &Tree, d: &mut Decoder) -> Option<Self> {
        match tree.value {
            Value::Scalar(_) => Decode::decode(tree, d).map(Profile::Named),
            Value::Table(_) => Decode::decode(tree, d).map(Profile::Table),
            _ => {
                d.wrong_shape(tree, "a part's name, `cc2420`, or a table of its figures");
                None
            }
        }
    }
}

impl JsonSchema for Profile {
    fn schema_name() -> Cow<'static, str> {
        "Profile".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        as_schema(json!({
            "description": "A radio part: a name, or a table of its figures.",
            "anyOf": [
                { "type": "string", "enum": medium::Profile::NAMES },
                generator.subschema_for::<ProfileTable>(),
            ],
        }))
    }
}

/// Loss on the way; `model` says which keys there are.
#[derive(Clone, Debug, JsonSchema)]
#[serde(tag = "model", rename_all = "kebab-case")]
pub enum PathLoss {
    /// Free space.
    FreeSpace(FreeSpace),
    /// Log-distance.
    LogDistance(LogDistance),
    /// Two rays.
    TwoRay(TwoRay),
}

impl Decode for PathLoss {
    fn decode(tree: &Tree, d: &mut Decoder) -> Option<Self> {
        let model: At<String> = d.table_key(tree, "model")?;
        let words = ["free-space", "log-distance", "two-ray"];
        let mut word = model.as_str();
        if !words.contains(&word) && !word.is_empty() {
            d.report(model.span, format!("model {}", not_a_word(word, &words)));
            word = misspelt(word, &words)?;
        }
        match word {
            "free-space" => Decode::decode(tree, d).map(PathLoss::FreeSpace),
            "log-distance" => Decode::decode(tree, d).map(PathLoss::LogDistance),
            "two-ray" => Decode::decode(tree, d).map(PathLoss::TwoRay),
            _ => None,
        }
    }
}

impl Profile {
    /// Where it stands.
    pub fn span(&self) -> Span {
        match self {
            Profile::Named(name) => name.span,
            Profile::Table(table) => table.span,
        }
    }
}
