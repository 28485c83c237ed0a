//! The server from outside, against scripted clients: two CoAP endpoints and no network.

mod composites;
mod observations;
mod operations;
mod queue;
mod registrations;
mod reports;
mod scripts;
mod support;
