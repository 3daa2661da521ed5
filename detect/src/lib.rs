//! The detection engine: the bytes of a request in, [`Signals`] out.
//!
//! The crate is pure: no I/O, no clock, no randomness, and it builds for wasm32. Every value a client controls is
//! found by `input`, brought to each of its plain forms by `decode`, and read by every detector that its bytes
//! make possible, each with a lexer of the language it guards.
//!
//! ```
//! use portcullis_detect::{Engine, Header, Request, Tag};
//!
//! let headers = [Header { name: b"host", value: b"shop.example" }];
//! let request = Request { target: b"/items?id=1'+or+'1'='1", headers: &headers, ..Request::default() };
//! let signals = Engine::default().inspect(&request);
//! assert!(signals.iter().any(|signal| signal.tag == Tag::Sqli));
//! ```
#![forbid(unsafe_code)]

mod anchors;
mod budget;
mod decode;
mod detectors;
mod engine;
mod features;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod input;
mod lists;
mod memo;
mod patches;
mod possible;
mod request;
mod roles;
mod scan;
mod signal;
mod value;

pub use crate::budget::Budgets;
pub use crate::engine::Engine;
#[doc(hidden)]
pub use crate::engine::Form;
pub use crate::memo::{Looked, Memo};
pub use crate::patches::{Patch, UnknownPatch};
pub use crate::request::{Body, Header, Request, Response};
pub use crate::signal::{Kind, Location, Signal, Signals, Tag};
