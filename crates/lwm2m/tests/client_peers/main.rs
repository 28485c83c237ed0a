//! The client on the loopback interface, with servers that were made by others.

mod aiocoap;
mod aiocoap_bootstrap;
mod live;
mod node_lib;
