//! The whole path on one machine: a sample application, the real agent and a real Envoy with the real filter.
//!
//! [`stack::Stack`] starts the three from the shipped `envoy/envoy.yaml`; the demo (`cargo xtask run`), its smoke
//! run and the end-to-end tests (`cargo xtask test envoy`) all stand on it.
#![forbid(unsafe_code)]

pub mod app;
pub mod browser;
pub mod certificate;
pub mod challenge;
pub mod client;
pub mod config;
pub mod process;
pub mod proxied;
pub mod samples;
pub mod smoke;
pub mod stack;
pub mod stats;
pub mod wait;
