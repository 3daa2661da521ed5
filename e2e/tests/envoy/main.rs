//! The shipped configuration, the real filter and a real Envoy; the real agent, or a scripted one where a test needs
//! an agent to misbehave. Run by `cargo xtask test envoy`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "all of it is tests, helpers included"
)]

mod body;
mod breaker;
mod config;
mod dashboard;
mod failures;
mod grpc;
mod local;
mod matrix;
mod pages;
mod path;
mod policy;
mod scripted;
mod secure;
mod setup;
mod streams;
mod verdicts;
