//! The Local Binding Cache of a client (CoMP §3.1 and figure 3; CoMM §4).
//!
//! One entry per P_Addr that the client talks to: T_Addr, Lifetime, H_Flag. "The Lifetime
//! value of 0 at LBC indicates that an LBC entry for the CoAP node must be deleted and
//! retrieved from the entry of the CoAP node in the MMT of the WMMS" (CoMP §3.1).

use crate::table::{self, Table};

/// What a client knows about one P_Addr; when its lifetime ends, it must be discovered again.
pub type Entry = table::Entry<()>;

/// The cache.
pub type Lbc = Table<()>;
