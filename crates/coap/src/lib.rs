//! CoAP endpoint: RFC 7252 message layer as a pure state machine, and its tokio shell.
pub mod machine;
pub mod message;
pub use machine::{Machine, Transmit};
pub use message::{Code, Kind, Options, Request, Response};
