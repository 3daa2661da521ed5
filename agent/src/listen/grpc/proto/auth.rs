//! `envoy.service.auth.v3`: ext_authz.

use bytes::Bytes;
use prost::Message;

use super::core::{Address, Entry, HeaderMap, HeaderValueOption, HttpStatus, Struct, Time};
use crate::listen::grpc::shape::{LEAF, Shape, Shaped};

/// A question.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct CheckRequest {
    #[prost(message, optional, tag = "1")]
    pub(crate) attributes: Option<AttributeContext>,
}

/// What Envoy knows.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct AttributeContext {
    #[prost(message, optional, tag = "1")]
    pub(crate) source: Option<Peer>,
    #[prost(message, optional, tag = "4")]
    pub(crate) request: Option<Request>,
    #[prost(message, optional, tag = "12")]
    pub(crate) tls_session: Option<TlsSession>,
}

/// Who asks Envoy.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Peer {
    #[prost(message, optional, tag = "1")]
    pub(crate) address: Option<Address>,
}

/// What TLS told.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct TlsSession {
    #[prost(bytes = "bytes", tag = "1")]
    pub(crate) sni: Bytes,
}

/// The request with its time.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Request {
    #[prost(message, optional, tag = "1")]
    pub(crate) time: Option<Time>,
    #[prost(message, optional, tag = "2")]
    pub(crate) http: Option<HttpRequest>,
}

/// The request.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct HttpRequest {
    #[prost(bytes = "bytes", tag = "2")]
    pub(crate) method: Bytes,
    /// Names in lower case, values of a name joined.
    #[prost(message, repeated, tag = "3")]
    pub(crate) headers: Vec<Entry>,
    /// Instead of `headers`, with `encode_raw_headers`.
    #[prost(message, optional, tag = "13")]
    pub(crate) header_map: Option<HeaderMap>,
    /// With the query.
    #[prost(bytes = "bytes", tag = "4")]
    pub(crate) path: Bytes,
    #[prost(bytes = "bytes", tag = "5")]
    pub(crate) host: Bytes,
    #[prost(bytes = "bytes", tag = "6")]
    pub(crate) scheme: Bytes,
    /// Of the body, -1 where it is not known.
    #[prost(int64, tag = "9")]
    pub(crate) size: i64,
    #[prost(bytes = "bytes", tag = "10")]
    pub(crate) protocol: Bytes,
    #[prost(bytes = "bytes", tag = "11")]
    pub(crate) body: Bytes,
    /// Instead of `body`, with `pack_as_bytes`.
    #[prost(bytes = "bytes", tag = "12")]
    pub(crate) raw_body: Bytes,
}

impl Shaped for CheckRequest {
    const SHAPE: Shape = Shape(&[(1, ATTRIBUTES)]);
}

const ATTRIBUTES: Shape = Shape(&[(4, Shape(&[(2, HTTP)]))]);
const HTTP: Shape = Shape(&[(3, LEAF), (13, Shape(&[(1, LEAF)]))]);

/// An answer.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct CheckResponse {
    #[prost(message, optional, tag = "1")]
    pub(crate) status: Option<RpcStatus>,
    #[prost(message, optional, tag = "2")]
    pub(crate) denied_response: Option<DeniedHttpResponse>,
    #[prost(message, optional, tag = "3")]
    pub(crate) ok_response: Option<OkHttpResponse>,
    #[prost(message, optional, tag = "4")]
    pub(crate) dynamic_metadata: Option<Struct>,
}

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct RpcStatus {
    #[prost(int32, tag = "1")]
    pub(crate) code: i32,
}

/// What the client is answered.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct DeniedHttpResponse {
    #[prost(message, optional, tag = "1")]
    pub(crate) status: Option<HttpStatus>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) headers: Vec<HeaderValueOption>,
    #[prost(string, tag = "3")]
    pub(crate) body: String,
}

/// What is done to the request before it goes on.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct OkHttpResponse {
    #[prost(message, repeated, tag = "2")]
    pub(crate) headers: Vec<HeaderValueOption>,
    #[prost(string, repeated, tag = "5")]
    pub(crate) headers_to_remove: Vec<String>,
    #[prost(message, repeated, tag = "6")]
    pub(crate) response_headers_to_add: Vec<HeaderValueOption>,
}
