//! What tests say and expect.

use portcullis_protocol::{ByteStr, RpcMsgOut, http};

use crate::exchange::Pair;

/// How the proxy is set up.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The plugin's configuration.
    pub configuration: Vec<u8>,
    /// What a stop in the header callback means.
    pub header_pause: HeaderPause,
    /// Bytes of a request that the proxy buffers.
    pub buffer_limit: usize,
    /// Whose callback a reply is.
    pub reply_context: ReplyContext,
    /// A host function that does nothing and always answers with this status.
    pub broken: Option<(String, u32)>,
}

/// What a stop in the header callback means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderPause {
    /// Headers wait, the body is shown: `allow_on_headers_stop_iteration` is set.
    ShowBody,
    /// All waits, and no body is shown until the stream is resumed.
    StopAll,
}

/// Whose callback a reply is. Envoy says the stream's; the specification says the plugin's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyContext {
    /// The stream that made the call.
    Stream,
    /// The root context.
    Plugin,
}

impl Settings {
    /// A proxy as shipped, with this configuration of the plugin.
    pub fn with(configuration: &str) -> Self {
        Self { configuration: configuration.as_bytes().to_vec(), ..Self::default() }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            configuration: Vec::new(),
            header_pause: HeaderPause::ShowBody,
            buffer_limit: 1024 * 1024,
            reply_context: ReplyContext::Stream,
            broken: None,
        }
    }
}

/// A request as the client sends it.
#[derive(Clone, Debug)]
pub struct Request {
    pub(crate) headers: Vec<Pair>,
    pub(crate) properties: Vec<(String, Vec<u8>)>,
    pub(crate) more: bool,
}

impl Request {
    /// A request without body.
    pub fn get(path: &str) -> Self {
        Self::new("GET", path, false)
    }

    /// A request whose body follows.
    pub fn post(path: &str) -> Self {
        Self::new("POST", path, true)
    }

    fn new(method: &str, path: &str, more: bool) -> Self {
        let request = Self {
            headers: Vec::new(),
            properties: vec![("source\0address".to_owned(), b"192.0.2.7:40000".to_vec())],
            more,
        };
        let named =
            [(":authority", "shop.example"), (":path", path), (":method", method), (":scheme", "http")];
        named.iter().fold(request, |request, (name, value)| request.header(name, value))
    }

    /// Adds a header.
    #[must_use]
    pub fn header(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let mut headers = self.headers;
        headers.push((name.as_bytes().to_vec(), value.as_ref().to_vec()));
        Self { headers, ..self }
    }

    /// Lets a body follow.
    #[must_use]
    pub fn body(self) -> Self {
        Self { more: true, ..self }
    }

    /// Replaces the method.
    #[must_use]
    pub fn method(mut self, method: &str) -> Self {
        self.headers.retain(|(name, _)| name != b":method");
        self.header(":method", method)
    }

    /// Sets an attribute of the stream, by the parts of its name.
    #[must_use]
    pub fn property(mut self, path: &[&str], value: &[u8]) -> Self {
        self.properties.push((path.join("\0"), value.to_vec()));
        self
    }
}

/// A response of the application.
#[derive(Clone, Debug)]
pub struct Response {
    pub(crate) status: u16,
    pub(crate) size: usize,
    pub(crate) headers: Vec<Pair>,
}

impl Response {
    /// A response with this status and an empty body.
    pub fn status(status: u16) -> Self {
        let headers = vec![(b":status".to_vec(), status.to_string().into_bytes())];
        Self { status, size: 0, headers }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.as_bytes().to_vec(), value.as_bytes().to_vec()));
        self
    }

    /// Sets the length of the body.
    #[must_use]
    pub fn size(self, size: usize) -> Self {
        Self { size, ..self }
    }
}

/// What comes of a call to the agent.
#[derive(Clone, Debug)]
pub struct Reply {
    pub(crate) headers: Vec<Pair>,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    /// The agent's verdict with this code.
    pub fn verdict(code: i32) -> Self {
        Self::message(&RpcMsgOut { waf_response: code, ..RpcMsgOut::default() })
    }

    /// The agent's verdict with these headers.
    pub fn with_headers(code: i32, pairs: &[(&str, &str)]) -> Self {
        let request_headers = pairs.iter().map(|(n, v)| (ByteStr::from(*n), ByteStr::from(*v))).collect();
        Self::message(&RpcMsgOut { waf_response: code, request_headers, ..RpcMsgOut::default() })
    }

    /// A message of the agent.
    pub fn message(message: &RpcMsgOut<'_>) -> Self {
        Self::agent(message.encode())
    }

    /// A message of an agent that agreed on this version of the protocol.
    pub fn message_in(version: &str, message: &RpcMsgOut<'_>) -> Self {
        let pairs = [("content-type", http::CONTENT_TYPE), (http::VERSION_HEADER, version)];
        Self { body: message.encode(), ..Self::http(200, &pairs) }
    }

    /// The agent's word that it has a report.
    pub fn ack() -> Self {
        Self::agent(http::ACK.to_vec())
    }

    /// A good reply with any body.
    pub fn agent(body: Vec<u8>) -> Self {
        let pairs = [("content-type", http::CONTENT_TYPE), (http::VERSION_HEADER, http::VERSION)];
        Self { body, ..Self::http(200, &pairs) }
    }

    /// Any reply.
    pub fn http(status: u16, pairs: &[(&str, &str)]) -> Self {
        let status = status.to_string();
        let pairs = std::iter::once((":status", status.as_str())).chain(pairs.iter().copied());
        let headers = pairs.map(|(n, v)| (n.as_bytes().to_vec(), v.as_bytes().to_vec())).collect();
        Self { headers, body: Vec::new() }
    }

    /// What the proxy makes of a peer that is not there, does not answer in time, or does not speak HTTP.
    pub fn local(status: u16, body: &str) -> Self {
        let length = body.len().to_string();
        let headers = [("content-length", length.as_str()), ("content-type", "text/plain")];
        Self { body: body.as_bytes().to_vec(), ..Self::http(status, &headers) }
    }

    /// The peer broke off after the reply's headers.
    pub fn broken() -> Self {
        Self { headers: Vec::new(), body: Vec::new() }
    }
}

/// Something the filter did to the proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Did {
    /// Called the agent at this path.
    Call(String),
    /// Set a request header.
    Set(String, String),
    /// Added a request header.
    Add(String, String),
    /// Removed a request header.
    Remove(String),
    /// Did this to a header of the response.
    OfResponse(Box<Did>),
    /// Resumed the request.
    Resume,
    /// Resumed the response.
    ResumeResponse,
    /// Answered with this status.
    Answer(u16),
    /// Answered with this status and location.
    Redirect(u16, String),
    /// Cut the stream off.
    Close,
    /// Wrote a warning or an error to the log.
    Complain,
    /// Asked for ticks of so many milliseconds.
    Tick(u32),
}

impl Did {
    /// Called the agent at this path.
    pub fn call(path: &str) -> Self {
        Self::Call(path.to_owned())
    }

    /// Set a request header.
    pub fn set(name: &str, value: &str) -> Self {
        Self::Set(name.to_owned(), value.to_owned())
    }

    /// Added a request header.
    pub fn add(name: &str, value: &str) -> Self {
        Self::Add(name.to_owned(), value.to_owned())
    }

    /// Did this to a header of the response.
    #[must_use]
    pub fn of_response(self) -> Self {
        Self::OfResponse(Box::new(self))
    }

    /// Removed a request header.
    pub fn remove(name: &str) -> Self {
        Self::Remove(name.to_owned())
    }
}
