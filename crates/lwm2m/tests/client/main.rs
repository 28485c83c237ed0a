//! The client, as a server sees it: over two CoAP endpoints, without sockets.

mod batch;
mod bootstrap;
mod connectivity;
mod figure4;
mod interleavings;
mod location;
mod machines;
mod notify;
mod observing;
mod registration;
mod requests;
mod sending;
mod support;
