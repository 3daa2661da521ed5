//! Strict framing of HTTP/1 requests, checked before any parser interprets them.
//!
//! Request smuggling lives on messages that two parsers delimit differently. [`Guard`] stands in front of the server's
//! parser, lets bytes through only where RFC 9112 leaves one reading, and refuses the rest with a [`Rejection`] that
//! names the reason. It never changes a byte. No I/O.
//!
//! ```
//! use portcullis_framing::{Guard, Limits, Rejection};
//!
//! let mut guard = Guard::new(Limits::default());
//! let mut passed = Vec::new();
//! let smuggled = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n";
//! assert_eq!(guard.feed(smuggled, &mut passed), Err(Rejection::LengthAndChunked));
//! assert!(passed.is_empty());
//! ```
#![forbid(unsafe_code)]
#![deny(clippy::indexing_slicing)]

mod chunked;
mod guard;
mod head;
mod rejection;

pub use crate::guard::{Guard, Limits, Part};
pub use crate::head::{encode_target, is_odd_target};
pub use crate::rejection::Rejection;
