//! A player for a run directory, finished or growing: what `wpanlab view` serves.
//!
//! Owns what is known at an instant of a run ([`state`]), how any instant is found quickly in a file of a million
//! events without having them in memory ([`index`], [`replay`]), the page that plays them, and the HTTP on
//! loopback between the two. Knows nothing of packets but the frames of the air, nor of what makes a run. Events are read by [`rundir`]'s parser,
//! here and everywhere.
//!
//! ```text
//!   events.jsonl ──► Source ──► Index: offsets, some states
//!   plan.yaml          │          │ jump: a state and the lines after it
//!   result.json        ▼          ▼
//!   air.pcapng    GET /run,   GET /state, /events, /node  ──►  page: clock, map, lists
//!                    /frames
//! ```
//!
//! Who looks has an instant of their own: the page asks for a state and for ranges of events, and paces itself. So any
//! number look at one run, and the server remembers none of them. Of a run that goes on in virtual time the clock is everybody's: whoever pauses it
//! pauses it for all.
//!
//! | module | holds |
//! | --- | --- |
//! | [`state`] | what events change, and the fold of it (pure) |
//! | [`index`] | places and states of a file that grows (pure) |
//! | [`replay`] | a state or a range of events by instant or number, from anything that can be read and sought |
//! | [`frames`] | frames on the air (pure) |
//! | [`source`] | the directory: which files are there, whether they grow, what became of the run |
//! | [`pace`] | the clock that holds a run which is watched (pure) |
//! | `intervention` | what people want to happen in a run |
//! | `fixed` | plan and result as the page reads them |
//! | `answer` | what is asked by HTTP, and the answers |
//! | `shell` | the listener and whom it refuses |
//! | `stream` | events as one event stream |
//! | `page` | the page |

#![forbid(unsafe_code)]

mod answer;
mod fixed;
pub mod frames;
pub mod index;
mod intervention;
pub mod pace;
mod page;
pub mod replay;
mod shell;
pub mod source;
pub mod state;
mod stream;

pub use intervention::{Intervention, Steering};
pub use pace::{Pace, Pacer, Speed};
pub use shell::serve;
pub use source::{OpenError, Source};
