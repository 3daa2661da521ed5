//! What the engine is given: a request or a response as the caller received it, borrowed, not decoded.

use crate::scan;

/// One header, in the order and spelling in which it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// Field name, any case.
    pub name: &'a [u8],
    /// Field value without the line end.
    pub value: &'a [u8],
}

/// The part of a body that the caller has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Body<'a> {
    /// The first bytes of the body, still in its content coding.
    pub bytes: &'a [u8],
    /// Whether the body goes on after `bytes`.
    pub truncated: bool,
}

/// A request as it came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// Method token.
    pub method: &'a [u8],
    /// `http` or `https`; empty where the caller does not know.
    pub scheme: &'a [u8],
    /// Host header or `:authority`.
    pub authority: &'a [u8],
    /// Request target exactly as received (RFC 9112 section 3.2): path and query, not decoded.
    pub target: &'a [u8],
    /// Protocol version, `HTTP/1.1`.
    pub protocol: &'a [u8],
    /// TLS version as the caller names it, empty without TLS.
    pub tls_protocol: &'a [u8],
    /// TLS cipher as the caller names it, empty without TLS.
    pub tls_cipher: &'a [u8],
    /// All headers, duplicates kept.
    pub headers: &'a [Header<'a>],
    /// The body.
    pub body: Body<'a>,
}

impl Default for Request<'_> {
    fn default() -> Self {
        Self {
            method: b"GET",
            scheme: b"",
            authority: b"",
            target: b"/",
            protocol: b"HTTP/1.1",
            tls_protocol: b"",
            tls_cipher: b"",
            headers: &[],
            body: Body::default(),
        }
    }
}

impl<'a> Request<'a> {
    /// Yields the values of the headers called `name`, compared without case.
    pub fn header_values(&self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.headers
            .iter()
            .filter(move |header| scan::same(header.name, name.as_bytes()))
            .map(|header| header.value)
    }
}

/// A response, as far as the engine needs it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Response<'a> {
    /// Status code.
    pub code: u16,
    /// Target of the request that it answers; empty where the caller does not know.
    pub target: &'a [u8],
    /// Headers sent to the client.
    pub headers: &'a [Header<'a>],
}
