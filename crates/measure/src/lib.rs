//! Captures and events to a result.
