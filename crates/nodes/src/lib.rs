//! The node daemons.
