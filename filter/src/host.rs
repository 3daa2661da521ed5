//! Everything the proxy can do for the filter.

#[cfg(test)]
pub(crate) mod mock;

use std::time::Duration;

use thiserror::Error;

use crate::headers::Headers;

/// The proxy, as seen from one callback.
///
/// Calls act on the stream whose callback is running. No call panics and none is taken to succeed.
pub trait Host {
    /// The wall clock, as time since 1970.
    fn now(&self) -> Duration;
    /// Bytes of memory that the module has.
    fn memory(&self) -> u64;
    /// Writes a line to the proxy's log.
    fn log(&self, level: Level, message: &str);

    /// The request's headers, pseudo-headers first.
    fn request_headers(&self) -> Result<Headers, HostError>;
    /// The request's trailers, inside the callback that they came with.
    fn request_trailers(&self) -> Result<Headers, HostError>;
    /// The response's headers; the filter asks when they come, or when the stream has ended.
    fn response_headers(&self) -> Result<Headers, HostError>;
    /// At most `max` bytes of what the host shows of the request body, from `start` on.
    fn request_body(&self, start: usize, max: usize) -> Result<Vec<u8>, HostError>;
    /// An attribute of the stream, absent where the proxy has none of that name.
    fn property(&self, path: &[&str]) -> Result<Option<Vec<u8>>, HostError>;

    /// Sets a request header to one value.
    fn replace_request_header(&self, name: &[u8], value: &[u8]) -> Result<(), HostError>;
    /// Appends a request header.
    fn add_request_header(&self, name: &[u8], value: &[u8]) -> Result<(), HostError>;
    /// Removes all values of a request header.
    fn remove_request_header(&self, name: &[u8]) -> Result<(), HostError>;

    /// Removes all values of a request trailer, inside the callback that it came with.
    fn remove_request_trailer(&self, name: &[u8]) -> Result<(), HostError>;

    /// Sets a response header to one value, while the response's headers are held.
    fn replace_response_header(&self, name: &[u8], value: &[u8]) -> Result<(), HostError>;
    /// Appends a response header.
    fn add_response_header(&self, name: &[u8], value: &[u8]) -> Result<(), HostError>;
    /// Removes all values of a response header.
    fn remove_response_header(&self, name: &[u8]) -> Result<(), HostError>;

    /// Tells the proxy something about the stream, which access logs show as `wasm.` and this name.
    fn tell(&self, name: &str, value: &[u8]) -> Result<(), HostError>;

    /// Has what is told under this name outlive an internal redirect. Hosts need not be able to.
    fn keep_told(&self, name: &str) -> Result<(), HostError>;

    /// Lets the paused request go on.
    fn resume_request(&self) -> Result<(), HostError>;
    /// Lets the paused response go on.
    fn resume_response(&self) -> Result<(), HostError>;
    /// Answers the request in place of the application.
    fn respond(&self, answer: &Answer<'_>) -> Result<(), HostError>;
    /// Cuts the stream off.
    fn reset(&self) -> Result<(), HostError>;

    /// Sends an HTTP request to a cluster; the reply comes as a callback.
    fn call(&self, callout: &Callout<'_>) -> Result<Token, HostError>;
    /// Headers of the reply, inside its callback.
    fn reply_headers(&self) -> Result<Headers, HostError>;
    /// At most `max` bytes of the reply's body, inside its callback.
    fn reply_body(&self, max: usize) -> Result<Vec<u8>, HostError>;

    /// A value that all workers share, and what to name when it is replaced.
    fn shared_data(&self, key: &str) -> Result<Option<(Vec<u8>, u32)>, HostError>;
    /// Replaces a value that all workers share, unless somebody else has since `token` was given; 0 replaces any.
    fn set_shared_data(&self, key: &str, value: &[u8], token: u32) -> Result<(), HostError>;

    /// The plugin's configuration.
    fn configuration(&self) -> Result<Vec<u8>, HostError>;
    /// Asks for a tick every `period`.
    fn tick_every(&self, period: Duration) -> Result<(), HostError>;

    /// Makes a metric known; the same name gives the same id.
    fn define_metric(&self, kind: MetricKind, name: &str) -> Result<MetricId, HostError>;
    /// Adds to a counter or a gauge.
    fn add_to_metric(&self, metric: MetricId, by: i64) -> Result<(), HostError>;
    /// Sets a gauge or takes down a histogram's observation.
    fn record_metric(&self, metric: MetricId, value: u64) -> Result<(), HostError>;
}

/// Why the proxy refused.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum HostError {
    /// Nothing of that name, or none at this time.
    #[error("not found")]
    NotFound,
    /// The argument means nothing to the proxy: an unknown cluster, a map that is gone.
    #[error("bad argument")]
    BadArgument,
    /// The argument cannot be read.
    #[error("parse failure")]
    ParseFailure,
    /// The proxy could not do it now: a cluster without endpoints, an open circuit breaker.
    #[error("internal failure")]
    InternalFailure,
    /// Any other status.
    #[error("status {0}")]
    Other(u32),
}

/// Names a callout until its reply has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Token(pub u32);

/// Names a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetricId(pub u32);

/// What a metric's value does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Is many values.
    Histogram,
}

/// How grave a log line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Lifecycle.
    Info,
    /// Works, but not as it should.
    Warn,
    /// Someone must act.
    Error,
}

/// A request to a cluster.
#[derive(Clone, Copy, Debug)]
pub struct Callout<'a> {
    /// Name of the cluster.
    pub cluster: &'a str,
    /// All headers, pseudo-headers first.
    pub headers: &'a Headers,
    /// The whole body.
    pub body: &'a [u8],
    /// How long the proxy waits for the reply.
    pub timeout: Duration,
}

/// A response in place of the application's.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// Status code.
    pub status: u16,
    /// Headers apart from the status and the length.
    pub headers: &'a Headers,
    /// The whole body.
    pub body: &'a [u8],
    /// Shown in the proxy's access log as the response code's details.
    pub details: &'a str,
}
