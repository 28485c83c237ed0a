//! Captures and events to figures: delays, losses, round-trip times, and whether a run's
//! expectations hold.
//!
//! Owns the reading of CoAP traffic out of captures ([`analysis`]), the format of `result.json`
//! ([`result`]) and the judgement of expectations. Knows nothing of namespaces, radios, QEMU
//! or how a run is made: its input is a capture that anybody took, or a run directory. A
//! delay, a loss or a round-trip time comes from a capture alone; event logs only add names,
//! phases and what radios used.
//!
//! ```
//! use measure::analysis::{Analysis, Options};
//! use measure::selftest::{Truth, synthesize};
//! use measure::text::{Table, report};
//!
//! let file = synthesize(&Truth::default())?; // Or capture::read("client.eth0.pcapng").
//! let capture = capture::Capture::from_reader("client.eth0", &file[..])?;
//! let analysis = Analysis::of(&[capture], &Options::default());
//! let handovers = analysis.flows[0].handovers();
//! assert_eq!(handovers[0].duration().unwrap().as_millis(), 1540);
//! assert!(report(&analysis, Table::None).contains("handover   1540.000 ms"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | module | holds |
//! | --- | --- |
//! | [`dissect`] | what packets mean: whose messages, about whom; a file for each protocol |
//! | [`analysis`] | captures to exchanges, flows and their pauses |
//! | [`attachment`] | which pauses are handovers |
//! | [`calls`] | what clients were to ask, by their own account |
//! | [`result`] | the types of `result.json` |
//! | [`assemble`] | plan, events and captures to a [`RunResult`] |
//! | [`run`] | a run directory to `result.json` and `all.pcapng`; the files of `wpanlab analyze` |
//! | [`mobility`] | handovers as the nodes' events tell them |
//! | [`phases`] | values by phase of a handover |
//! | [`sequence`] | who sent what to whom, in the order of time |
//! | [`signalling`] | what a handover cost in messages and bytes |
//! | [`applications`] | what nodes sent and received for their applications |
//! | [`http`] | what clients asked gateways by HTTP |
//! | `recent` | a map that forgets the oldest |
//! | [`text`] | reports as plain text |
//! | [`export`] | an analysis as JSON |
//! | [`distribution`] | a figure's distribution over runs with different seeds |
//! | `wireshark` | with which keys Wireshark checks what is protected |
//! | [`mod@selftest`] | a capture with known figures, measured back |

#![forbid(unsafe_code)]

mod air;
pub mod analysis;
pub mod applications;
pub mod assemble;
pub mod attachment;
pub mod calls;
pub mod dissect;
pub mod distribution;
mod expect;
pub mod export;
pub mod http;
pub mod mobility;
pub mod phases;
mod recent;
pub mod result;
pub mod run;
pub mod selftest;
pub mod sequence;
pub mod signalling;
pub mod text;
mod wireshark;

pub use result::RunResult;
pub use run::{MeasureError, analyze, read_capture, run_dir};
pub use selftest::selftest;
