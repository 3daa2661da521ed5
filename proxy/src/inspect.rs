//! What the proxy asks of whoever runs it: a judgement before a request is forwarded, and an ear for what came of it.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode, Uri, Version};
use portcullis_framing::Rejection;

/// Judges requests and hears what came of them.
pub trait Inspect: Send + Sync + 'static {
    /// Judges a request. Must answer in bounded time: the request waits for it.
    fn inspect(&self, request: Seen) -> impl Future<Output = Judgement> + Send;

    /// Judges a text message of a WebSocket. Must answer in bounded time.
    fn inspect_message(&self, message: Message) -> impl Future<Output = Judgement> + Send;

    /// Hears of a request that was answered. Must not block.
    fn answered(&self, outcome: &Outcome);
}

/// A request as the proxy read it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The listener's name.
    pub listener: Arc<str>,
    /// The client: the peer, or whom a PROXY protocol header named.
    pub client: SocketAddr,
    /// Method.
    pub method: Method,
    /// Target.
    pub uri: Uri,
    /// Version the client speaks.
    pub version: Version,
    /// Headers as they came.
    pub headers: HeaderMap,
    /// The held part of the body.
    pub body: Bytes,
    /// Whether the body goes on.
    pub truncated: bool,
    /// TLS facts of the client's connection.
    pub tls: Option<TlsFacts>,
}

/// What a TLS handshake told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFacts {
    /// Version, `TLSv1.3`.
    pub version: String,
    /// Cipher suite.
    pub cipher: String,
    /// Server name that the client asked for.
    pub server_name: String,
}

/// A WebSocket text message.
#[derive(Clone, Debug)]
pub struct Message {
    /// The request that opened the WebSocket.
    pub request: Arc<Seen>,
    /// The text.
    pub text: Bytes,
    /// Who sent it.
    pub direction: Direction,
}

/// Which way a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client.
    ToUpstream,
    /// To the client.
    ToClient,
}

/// What was decided.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// What happens to the request.
    pub action: Action,
    /// The agent response code, for logs and records: 200, the block's status, or 0 and less for "not inspected".
    pub code: i32,
    /// The request's id, where it has one.
    pub request_id: Option<String>,
    /// The signals' names, for logs.
    pub signals: Vec<String>,
    /// How long it took.
    pub took: Duration,
}

/// What happens to a request.
#[derive(Clone, Debug)]
pub enum Action {
    /// It is forwarded with these headers set.
    Forward {
        /// Headers for the application; a header that came in under the same name is replaced.
        headers: Vec<(HeaderName, HeaderValue)>,
    },
    /// It is answered at once.
    Block {
        /// The status.
        status: StatusCode,
        /// Where a redirect goes.
        location: Option<HeaderValue>,
    },
    /// It was not inspected; the listener's failure mode says what happens.
    NotInspected,
}

/// What came of a request.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The request, as far as it is kept for the report.
    pub seen: Arc<Seen>,
    /// The judgement; `None` where the framing was refused before one was asked for.
    pub judgement: Option<Judgement>,
    /// Why the framing was refused, where it was.
    pub rejection: Option<Rejection>,
    /// The status the client got.
    pub status: StatusCode,
    /// The response's headers.
    pub headers: HeaderMap,
    /// Bytes of the response's body that were sent.
    pub bytes: u64,
    /// From the request's head to the end of the response.
    pub took: Duration,
    /// Which upstream answered; empty where none did.
    pub upstream: String,
}
