//! The messages of Envoy's services, cut down to the fields that are used, under their official numbers.
//!
//! Text from clients is declared as bytes: on the wire it is the same, and what is not UTF-8 must be inspected, not
//! refused. Maps are lists of pairs, which keeps their order and lets them be counted before they are read.

pub(super) mod access_log;
pub(super) mod auth;
pub(super) mod core;
pub(super) mod health;
pub(super) mod process;
