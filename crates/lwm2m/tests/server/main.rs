//! The server from outside, against scripted clients: two CoAP endpoints and no network.

mod aiocoap;
mod aiocoap_bootstrap;
mod bootstraps;
mod composites;
mod observations;
mod operations;
mod queue;
mod registrations;
mod reports;
mod scale;
mod scripts;
mod snapshots;
mod support;
