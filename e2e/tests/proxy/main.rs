//! The agent as a reverse proxy before real and before misbehaving peers. Run by `cargo xtask test proxy`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "all of it is tests, helpers included"
)]

mod bodies;
mod browser;
mod floods;
mod framing;
mod headers;
mod operation;
mod programs;
mod setup;
mod upstreams;
