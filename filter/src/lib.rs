//! The proxy-wasm filter: shows each request to the agent before the application sees any of it, and acts on the verdict.
//!
//! Everything the proxy can do is the trait [`host::Host`]; the logic above it is [`stream::Stream`], a state machine
//! tested natively. What speaks the Wasm ABI is thin and exists only for wasm32. docs/filter.md describes the
//! configuration and what the host must offer.
#![deny(clippy::indexing_slicing)]

mod breaker;
pub mod config;
pub mod failure;
mod follow_up;
pub mod headers;
pub mod host;
mod local;
mod message;
pub mod metrics;
pub mod plugin;
pub mod reports;
pub mod stream;
pub mod verdict;

#[cfg(target_arch = "wasm32")]
mod wasm;
