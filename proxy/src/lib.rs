//! The reverse proxy: takes requests, has them inspected, and forwards those that pass.
//!
//! This crate is the data path and knows no engine: whoever runs it supplies the inspection.
#![forbid(unsafe_code)]

mod balance;
mod connect;
mod failure;
mod forward;
mod guarded;
mod hold;
mod proxy_protocol;
mod settings;
mod upstream;
