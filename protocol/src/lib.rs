//! What crosses a socket between a module or the filter and the agent: messages, the msgpack-RPC envelope, framing.
//!
//! No I/O. The messages are those of the module RPC; docs/protocol.md describes them byte for byte.
#![forbid(unsafe_code)]
#![deny(clippy::indexing_slicing)]
