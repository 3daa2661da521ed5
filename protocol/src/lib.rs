//! What crosses a socket between a module or the filter and the agent: messages, the msgpack-RPC envelope, framing.
//!
//! No I/O, and it builds for wasm32. Messages are decoded without copying their bytes; every declared length and
//! depth is checked before anything is allocated. docs/protocol.md describes the wire.
//!
//! ```
//! use portcullis_protocol::{RpcMsgIn, RpcMsgOut};
//!
//! let asked = RpcMsgIn { method: "GET".into(), uri: "/hello?name=bob".into(), ..RpcMsgIn::default() };
//! let wire = asked.encode();
//! assert_eq!(RpcMsgIn::decode(&wire)?.uri, asked.uri);
//!
//! let answer = RpcMsgOut { waf_response: 200, ..RpcMsgOut::default() }.encode();
//! assert_eq!(RpcMsgOut::decode(&answer)?.waf_response, 200);
//! # Ok::<(), portcullis_protocol::DecodeError>(())
//! ```
#![forbid(unsafe_code)]
#![deny(clippy::indexing_slicing)]

mod any;
mod bytestr;
mod decode;
mod encode;
pub mod envelope;
pub mod frame;
pub mod http;
mod lenient;
mod local;
mod message;
pub mod names;

pub use crate::bytestr::ByteStr;
pub use crate::decode::DecodeError;
pub use crate::local::{Concern, LocalFacts, LocalQuery, ReportBatch};
pub use crate::message::{Pair, RespAction, RpcMsgIn, RpcMsgIn2, RpcMsgOut};
