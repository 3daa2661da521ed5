//! The agent: sockets, files, clocks and threads around the engine and the policy.
//!
//! Every listener turns what it reads into the same [`request::Request`], puts it before [`inspector::Inspector`], and
//! turns the answer into its own language. [`serve`] ties them together; `main.rs` only chooses a command.
#![forbid(unsafe_code)]

pub mod admin;
pub mod anonymous;
pub mod answer;
pub mod aside;
pub mod check_config;
pub mod client;
pub mod clock;
pub mod config;
pub mod contexts;
pub mod counters;
pub mod debug_log;
pub mod drain;
pub mod events;
pub mod geo;
pub mod headers;
pub mod health;
pub mod ids;
pub mod inspect;
pub mod inspector;
mod known;
pub mod latency;
pub mod lines;
pub mod listen;
pub mod local;
pub mod logging;
pub mod memory;
pub mod metrics;
pub mod otlp;
pub mod outlets;
pub mod policy_command;
pub mod policy_files;
pub mod process;
pub mod proxy;
pub mod record;
pub mod reload;
pub mod repeats;
pub mod request;
pub mod serve;
pub mod service;
pub mod sink;
pub mod sleep;
pub mod snapshot;
pub mod startup;
pub mod state;
pub mod statsd;
pub mod uploads;
pub mod watch;
