//! The reverse proxy: takes requests, has them inspected, and forwards those that pass.
//!
//! This crate is the data path and knows no engine: whoever runs it supplies an [`Inspect`]. [`Proxy::bind`] opens every
//! listener before any serves, so that a fault in one is an error at start and not a surprise later.
#![forbid(unsafe_code)]

mod access_log;
mod balance;
mod body;
mod connect;
mod failure;
mod forward;
mod guarded;
mod hold;
mod inspect;
mod listen;
mod proxy;
mod proxy_protocol;
mod service;
mod settings;
mod tls;
mod upgrade;
mod upstream;
mod websocket;

pub use crate::failure::Fault;
pub use crate::inspect::{Action, Direction, Inspect, Judgement, Message, Outcome, Seen, TlsFacts};
pub use crate::proxy::{Logs, Proxy, StartError};
pub use crate::settings::{Listener, SettingsError};
pub use crate::tls::TlsError;
