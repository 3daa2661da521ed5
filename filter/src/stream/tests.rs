//! Requests, callback by callback.
