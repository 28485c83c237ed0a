//! What the paper leaves open or says twice, and how it is read.

use serde::{Serialize, Serializer};

use crate::Model;

/// First, last and step of figure 15's wireless delay, milliseconds: ours.
pub const FIGURE_15_MS: [u32; 3] = [10, 80, 5];
/// First, last and step of figure 16's packet rate: ours, up to the highest of section 5.1.
pub const FIGURE_16_PER_S: [u32; 3] = [5, 55, 5];

/// Declares one ambiguity as an enum; the first choice is the default.
macro_rules! choices {
    (
        $(#[$doc:meta])* $name:ident;
        $first:ident: $first_text:literal, $first_means:literal;
        $($variant:ident: $text:literal, $means:literal;)*
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub enum $name {
            #[default]
            #[doc = $first_means]
            $first,
            $(#[doc = $means] $variant,)*
        }

        impl $name {
            /// All; the default is the first.
            pub const CHOICES: &'static [Choice] = &[
                Choice { name: $first_text, means: $first_means },
                $(Choice { name: $text, means: $means },)*
            ];

            /// The name in JSON and in `NAME=VALUE`.
            pub fn name(self) -> &'static str {
                match self {
                    $name::$first => $first_text,
                    $($name::$variant => $text,)*
                }
            }

            fn of_name(name: &str) -> Option<$name> {
                match name {
                    $first_text => Some($name::$first),
                    $($text => Some($name::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

choices! {
    /// Which way t(HA,CN) is, that equation 1, made for a node on a wireless link, does not fit.
    HaCnPath;
    Wired: "wired", "all hops between HA and CN are wired";
    Equation1: "equation-1", "equation 1 to the letter: one wireless and d - 1 wired hops";
}

choices! {
    /// Where St counts, that equation 1 prints for every wired hop of every message.
    Tunnel;
    None: "none", "no signalling message is tunnelled";
    HomeAgent: "home-agent", "St on t(B,HA): section 4.1's tunnel of MIPv6";
    EveryPath: "every-path", "equation 1 to the letter: St on every wired hop, CoMP's too";
}

choices! {
    /// What CoMP's binding update takes, that table 3 and the text give differently.
    CompUpdate;
    Table3: "table-3", "t(B,WMMS) + t(WMMS,B) + t(B,A), one after the other";
    Text: "text", "sections 4.1 and 5.3: request and ACK, t(B,WMMS) + t(WMMS,B)";
}

choices! {
    /// How often tBU counts: section 4.1 adds it to tIP, which has it already; table 3 does not.
    BindingDelay;
    Once: "once", "table 3: tL2 + tMD + tAC + tBU";
    Twice: "twice", "section 4.1: tL2 + tIP + tBU with tIP = tMD + tAC + tBU";
}

choices! {
    /// What CoMP loses: table 4 says zero, section 5.4 almost nothing, less than the others.
    CompLoss;
    Zero: "zero", "table 4: nothing, because of the hold mode";
    LambdaD: "lambda-d", "section 4.2's formula for all protocols: CoMP without hold";
}

choices! {
    /// What figure 17 varies, that its text and its caption give differently.
    Figure17Axis;
    WiredDelay: "wired-delay", "the text: Lw from 10 to 80 ms, Lwl 2 ms";
    WirelessDelay: "wireless-delay",
        "the caption, with the text's symbols exchanged: Lwl from 10 to 80 ms, Lw 2 ms";
}

/// One way to read an ambiguity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Choice {
    /// What is written after `NAME=`.
    pub name: &'static str,
    /// What it means.
    pub means: &'static str,
}

/// The readings that are a choice between names. The hop counts that the paper omits and its
/// range of bandwidths are read in [`crate::Parameters`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Readings {
    /// Which way t(HA,CN) is.
    pub ha_cn_path: HaCnPath,
    /// Where St counts.
    pub tunnel: Tunnel,
    /// What CoMP's binding update takes.
    pub comp_update: CompUpdate,
    /// How often tBU counts.
    pub binding_delay: BindingDelay,
    /// What CoMP loses.
    pub comp_loss: CompLoss,
    /// What figure 17 varies.
    pub figure_17_axis: Figure17Axis,
}

impl Readings {
    /// Sets a reading; `None` if there is none of that name, an error with the choices if the
    /// value is not one of them.
    pub(crate) fn set(&mut self, name: &str, text: &str) -> Option<Result<(), Vec<&'static str>>> {
        macro_rules! set {
            ($field:expr, $choice:ident) => {
                match $choice::of_name(text) {
                    Some(choice) => {
                        $field = choice;
                        Ok(())
                    }
                    None => Err($choice::CHOICES.iter().map(|c| c.name).collect()),
                }
            };
        }
        Some(match name {
            "ha_cn_path" => set!(self.ha_cn_path, HaCnPath),
            "tunnel" => set!(self.tunnel, Tunnel),
            "comp_update" => set!(self.comp_update, CompUpdate),
            "binding_delay" => set!(self.binding_delay, BindingDelay),
            "comp_loss" => set!(self.comp_loss, CompLoss),
            "figure_17_axis" => set!(self.figure_17_axis, Figure17Axis),
            _ => return None,
        })
    }
}

/// One ambiguity of the paper and how it was read: what every output says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reading {
    /// The name in JSON and, if `choices` are there, in `NAME=VALUE`.
    #[serde(skip)]
    pub name: &'static str,
    /// What is open.
    pub question: &'static str,
    /// What was used.
    pub used: String,
    /// What is used unless something else is asked for.
    pub default: String,
    /// What can be asked for by the reading's name.
    pub choices: &'static [Choice],
    /// The parameters that decide it instead.
    pub parameters: &'static [&'static str],
}

impl Model {
    /// Every ambiguity, and how this model reads it.
    pub fn readings(&self) -> Vec<Reading> {
        let mut readings = self.hop_and_bandwidth_readings().to_vec();
        let r = &self.readings;
        let d = Readings::default();
        macro_rules! chosen {
            ($field:ident, $choice:ident, $question:literal) => {
                Reading {
                    name: stringify!($field),
                    question: $question,
                    used: r.$field.name().to_owned(),
                    default: d.$field.name().to_owned(),
                    choices: $choice::CHOICES,
                    parameters: &[],
                }
            };
        }
        readings.extend([
            chosen!(
                ha_cn_path,
                HaCnPath,
                "t(HA,CN): equation 1 has one wireless hop, the way between HA and CN none"
            ),
            chosen!(
                tunnel,
                Tunnel,
                "St: equation 1 adds it to every message, the text tunnels only in MIPv6"
            ),
            chosen!(
                comp_update,
                CompUpdate,
                "CoMP's tBU: table 3 adds t(B,A), the text has request and ACK only"
            ),
            chosen!(
                binding_delay,
                BindingDelay,
                "tBU: section 4.1's sum has it twice, table 3 once"
            ),
            chosen!(
                comp_loss,
                CompLoss,
                "CoMP's loss: table 4 has zero, section 4.2 lambda D for every protocol"
            ),
            chosen!(
                figure_17_axis,
                Figure17Axis,
                "figure 17: its text varies Lw, its caption says wireless"
            ),
        ]);
        readings.extend(ranges());
        readings
    }

    fn hop_and_bandwidth_readings(&self) -> [Reading; 2] {
        let omitted = |p: &crate::Parameters| {
            format!(
                "router-HA {}, router-CN {}, router-MAP {}",
                p.router_ha_hops, p.router_correspondent_hops, p.router_map_hops
            )
        };
        let d = crate::Parameters::default();
        [
            Reading {
                name: "omitted_hops",
                question: "section 5.1 has no hops from the router to HA, CN and MAP",
                used: omitted(&self.parameters),
                default: omitted(&d),
                choices: &[],
                parameters: &[
                    "router_ha_hops",
                    "router_correspondent_hops",
                    "router_map_hops",
                ],
            },
            Reading {
                name: "wireless_bandwidth_of_range",
                question: "Bwl: table 5 has a range, 20~250 kb/s",
                used: self.parameters.wireless_bandwidth.to_string(),
                default: d.wireless_bandwidth.to_string(),
                choices: &[],
                parameters: &["wireless_bandwidth"],
            },
        ]
    }
}

/// The abscissas that only the paper's images show. Ours, and not to be changed.
fn ranges() -> [Reading; 2] {
    let range = |name, question, used: String| Reading {
        name,
        question,
        default: used.clone(),
        used,
        choices: &[],
        parameters: &[],
    };
    let [from, to, step] = FIGURE_15_MS;
    let fifteen = format!("Lwl from {from} to {to} ms by {step} ms, as in figure 17");
    let [from, to, step] = FIGURE_16_PER_S;
    let sixteen = format!("lambda from {from}/s to {to}/s by {step}/s, section 5.1's highest");
    [
        range(
            "figure_15_range",
            "figure 15: the text has no range",
            fifteen,
        ),
        range(
            "figure_16_range",
            "figure 16: the text has no range",
            sixteen,
        ),
    ]
}

/// `name: row` of rows that carry their name, in their order.
pub(crate) fn by_name<S: Serializer, T: Serialize>(
    rows: &[T],
    name: impl Fn(&T) -> &'static str,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(rows.iter().map(|row| (name(row), row)))
}
