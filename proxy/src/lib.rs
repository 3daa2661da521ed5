//! The reverse proxy: takes requests, has them inspected, and forwards those that pass.
//!
//! This crate is the data path and knows no engine: whoever runs it supplies an [`Inspect`]. [`Proxy::bind`] opens every
//! listener before any serves, so that a fault in one is an error at start and not a surprise later.
#![forbid(unsafe_code)]

mod access_log;
mod activity;
mod balance;
mod body;
mod connect;
mod counters;
mod failure;
mod forward;
mod guarded;
mod hold;
mod http1;
mod inspect;
mod lease;
mod listen;
mod memory;
mod metered;
mod onward;
mod patience;
mod pool;
mod proxy;
mod proxy_protocol;
mod record;
mod service;
mod settings;
mod shelves;
mod tls;
mod unread;
mod upgrade;
mod upstream;
mod websocket;
mod wire;
mod workers;

pub use crate::counters::{Counters, Family};
pub use crate::failure::{Fault, Reason};
pub use crate::inspect::{
    Action, Direction, Edit, Inspect, Judgement, Message, Outcome, Page, Refused, Seen, Shown, TlsFacts,
};
pub use crate::proxy::{Handle, Proxy, StartError};
pub use crate::settings::{Listener, ServerTls, SettingsError, TlsVersion};
pub use crate::tls::{TlsError, client as client_config, server as server_config};
