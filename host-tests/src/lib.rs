//! A proxy-wasm host that runs the finished `filter.wasm` by script, and the model of Envoy's filter chain around it.
//!
//! A test plays the client, the application and the agent: it sends headers, parts of a body, replies, and ends. What
//! the filter does to the proxy is written down; a test names exactly what it expects, and a [`Vm`] that is dropped with
//! anything unnamed fails. So does a hostcall that a proxy would not allow at that moment, and any trap.
//!
//! ```no_run
//! use portcullis_host_tests::{Did, Reply, Request, Settings, Vm};
//!
//! let mut vm = Vm::start(&Settings::default());
//! let stream = vm.open(&Request::get("/"));
//! vm.expect(&[Did::call("/v1/pre-request")]);
//! vm.reply(stream, &Reply::verdict(406));
//! vm.expect(&[Did::Answer(406)]);
//! vm.finish(stream);
//! assert!(vm.app(stream).saw_nothing());
//! vm.expect_metrics(&[("requests.total", 1), ("decisions.block.total", 1), ("callout_us", 1)]);
//! ```
#![expect(clippy::panic, clippy::expect_used, reason = "a test host fails by panicking")]

mod chain;
mod exchange;
mod imports;
mod memory;
mod module;
mod script;
mod vm;
mod world;

pub use crate::exchange::{App, Pair, StreamId};
pub use crate::script::{Did, HeaderPause, Reply, ReplyContext, Request, Response, Settings};
pub use crate::vm::Vm;
