//! What stands before every HTTP server here: so many connections that are cut off when they are silent, and requests
//! that ask as who they are.
//!
//! Knows nothing of what is asked for, nor of how a refusal looks. A page of somebody's in a browser on the same machine
//! may send requests. It reads no answer, since there is no CORS; a foreign `Origin` is refused; and a name of its own that
//! it points here is not among those that are answered to (`Host`).
//!
//! | item | is |
//! | --- | --- |
//! | [`check`] | whether a request asks as who it is |
//! | [`Host`] | whom a Host header names |
//! | [`Bounded`] | a listener for [`axum::serve()`] with so many places |
//! | [`Connection`] | a connection that is closed when it is silent |

#![forbid(unsafe_code)]

mod connection;
mod origin;

pub use connection::{Bounded, Connection, Patience};
pub use origin::{Host, Stranger, check};
