//! What the proxy asks of whoever runs it: a judgement before a request is forwarded, and an ear for what came of it.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode, Uri, Version};
use portcullis_framing::Rejection;

use crate::failure::Reason;

/// Judges requests and hears what came of them.
pub trait Inspect: Send + Sync + 'static {
    /// Judges a request. Must answer in bounded time: the request waits for it.
    fn inspect(&self, request: Arc<Seen>) -> impl Future<Output = Judgement> + Send;

    /// Judges a text message of a WebSocket. Must answer in bounded time.
    fn inspect_message(&self, message: Message) -> impl Future<Output = Judgement> + Send;

    /// Hears of a request that was answered. Must not block.
    fn answered(&self, outcome: &Outcome);

    /// What the access log may show of a request. Must not block.
    fn shown(&self, seen: &Seen) -> Shown;
}

/// What the access log shows of what a client sent: texts without secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The target.
    pub target: String,
    /// The Referer, where there is one.
    pub referer: Option<String>,
    /// The User-Agent, where there is one.
    pub user_agent: Option<String>,
}

impl Seen {
    /// The target as it was sent: HTTP/2 has scheme and authority beside the path.
    #[must_use]
    pub fn target(&self) -> String {
        match self.uri.path_and_query() {
            Some(path) if self.version == Version::HTTP_2 => path.as_str().to_owned(),
            _ => self.uri.to_string(),
        }
    }
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
    /// What came behind the body, where all of it is held.
    pub trailers: Option<Box<HeaderMap>>,
    /// TLS facts of the client's connection.
    pub tls: Option<Arc<TlsFacts>>,
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
    /// What is changed in the headers of the response.
    pub response: Vec<Edit>,
}

/// A change to headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// The header has this value and no other.
    Set(HeaderName, HeaderValue),
    /// The header has this value, too.
    Add(HeaderName, HeaderValue),
    /// The header is not there.
    Remove(HeaderName),
}

impl Edit {
    /// Makes the change.
    pub fn apply(&self, headers: &mut HeaderMap) {
        match self {
            Self::Set(name, value) => drop(headers.insert(name, value.clone())),
            Self::Add(name, value) => drop(headers.append(name, value.clone())),
            Self::Remove(name) => drop(headers.remove(name)),
        }
    }
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
        /// What the client is shown in place of the proxy's own text.
        page: Option<Page>,
    },
    /// It was not inspected; the listener's failure mode says what happens.
    NotInspected,
}

/// A request whose framing was refused: the [`Seen`] beside it holds what could be read of it without a doubt.
#[derive(Clone, Debug)]
pub struct Refused {
    /// Why.
    pub rejection: Rejection,
    /// How it began, for the log.
    pub start: Bytes,
}

/// A body for a client that is stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Its media type.
    pub content_type: HeaderValue,
    /// Headers that go with it.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Its bytes.
    pub body: Bytes,
}

/// What came of a request.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The request, as far as it is kept for the report.
    pub seen: Arc<Seen>,
    /// The judgement; `None` where none was asked for, or the client did not wait for it.
    pub judgement: Option<Judgement>,
    /// Why the framing was refused, where it was.
    pub refused: Option<Refused>,
    /// Why the client has no whole answer of an upstream, where it has none and was not blocked.
    pub failure: Option<Reason>,
    /// The status the client got; 499 where it did not wait.
    pub status: StatusCode,
    /// The response's headers.
    pub headers: HeaderMap,
    /// Bytes of the response's body that were sent.
    pub bytes: u64,
    /// From the request's head to the end of the response.
    pub took: Duration,
    /// The last upstream that was asked.
    pub upstream: Option<Arc<str>>,
}
