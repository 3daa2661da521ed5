//! The agent: sockets, files, clocks and threads around the engine and the policy.
//!
//! Every listener turns what it reads into the same [`request::Request`], puts it before [`inspector::Inspector`], and
//! turns the answer into its own language. [`serve`] ties them together; `main.rs` only chooses a command.
#![forbid(unsafe_code)]

pub mod answer;
pub mod config;
pub mod counters;
pub mod drain;
pub mod ids;
pub mod inspector;
pub mod listen;
pub mod logging;
pub mod proxy;
pub mod request;
pub mod serve;
pub mod service;
pub mod snapshot;
