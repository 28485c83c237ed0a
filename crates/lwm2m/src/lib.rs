//! OMA Lightweight M2M 1.0 to 1.2: data model, formats, client and server, and the objects Batch (2346) and
//! Notify (2347) of the paper "Batch and Notify" (the third paper).
//!
//! Owns what LwM2M says above CoAP. It must not know of sockets, clocks, files or the testbed: the
//! client and the server are [`service::Service`]s, and whoever runs a CoAP endpoint can run them.
//!
//! | module | holds |
//! | --- | --- |
//! | [`path`] | [`Path`]: `/object/instance/resource/resource instance` |
//! | [`value`] | [`Value`], [`Type`], the text form of each type |
//! | [`model`] | [`Registry`]: object models, from OMA's XML |
//! | [`store`] | [`Store`]: a client's tree, changed by transactions |
//! | [`account`] | what a client knows of a server: Security and Server instances |
//! | [`access`] | who may do what, by the Access Control object |
//! | [`attributes`] | when an observed value is told |
//! | [`operations`] | what servers do to a tree, without CoAP |
//! | [`batch`], [`notify`] | the objects of the paper |
//! | [`client`] | [`Client`]: bootstrap, registration, requests, observations, Notify, Send |
//! | [`server`] | [`Server`]: registrations, operations, queue mode |
//! | [`refusal`] | [`Refusal`]: an error response and its reason |
//! | [`mod@format`] | Content-Formats: [`Record`]s and the bytes that stand for them |
//!
//! # Sources
//!
//! OMA-TS-LightweightM2M_Core and _Transport, cited here as "LwM2M 1.1 Core §6.3"; TLV, text and LwM2M
//! JSON as in LwM2M 1.0 §6.4; SenML RFC 8428.

#![forbid(unsafe_code)]

pub mod access;
pub mod account;
pub mod attributes;
pub mod batch;
pub mod client;
pub mod format;
pub mod model;
pub mod notify;
pub mod operations;
pub mod path;
pub mod refusal;
pub mod server;
pub mod store;
pub mod value;

pub use client::Client;
pub use format::{Format, Record};
pub use model::Registry;
pub use path::Path;
pub use refusal::Refusal;
pub use server::Server;
pub use store::Store;
pub use value::{ObjectLink, Type, Value};
