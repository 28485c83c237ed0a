//! Mobile IPv6 and its kin, from outside: one program, since linking nine takes longer than running them.

mod support;

mod agent;
mod anchor;
mod closed_forms;
mod correspondent;
mod gateway;
mod hierarchy;
mod mobile;
mod route_optimization;
mod wire;
