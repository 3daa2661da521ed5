//! The crate as its callers know it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    clippy::needless_pass_by_value,
    unreachable_pub,
    reason = "a test"
)]

mod actions;
mod common;
mod conditions;
mod document;
mod properties;
mod scenarios;
mod schema;
