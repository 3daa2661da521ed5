//! `envoy.service.ext_proc.v3`.

use bytes::Bytes;
use prost::Message;

use super::core::{HeaderMap, HeaderValueOption, HttpStatus, Named, Struct};
use crate::listen::grpc::shape::{LEAF, Shape, Shaped};

/// A step of an exchange between client and application.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct ProcessingRequest {
    #[prost(oneof = "Step", tags = "2, 3, 4, 5, 6, 7")]
    pub(crate) step: Option<Step>,
    #[prost(message, repeated, tag = "9")]
    pub(crate) attributes: Vec<Named>,
    #[prost(bool, tag = "10")]
    pub(crate) observability_mode: bool,
    #[prost(message, optional, tag = "11")]
    pub(crate) protocol_config: Option<ProtocolConfiguration>,
}

/// Which step it is.
#[derive(Clone, PartialEq, Eq, prost::Oneof)]
pub(crate) enum Step {
    #[prost(message, tag = "2")]
    RequestHeaders(HttpHeaders),
    #[prost(message, tag = "3")]
    ResponseHeaders(HttpHeaders),
    #[prost(message, tag = "4")]
    RequestBody(HttpBody),
    #[prost(message, tag = "5")]
    ResponseBody(Unread),
    #[prost(message, tag = "6")]
    RequestTrailers(Unread),
    #[prost(message, tag = "7")]
    ResponseTrailers(Unread),
}

/// Headers, and whether nothing follows them.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct HttpHeaders {
    #[prost(message, optional, tag = "1")]
    pub(crate) headers: Option<HeaderMap>,
    #[prost(bool, tag = "3")]
    pub(crate) end_of_stream: bool,
}

/// A piece of a body, and whether it is the last.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct HttpBody {
    #[prost(bytes = "bytes", tag = "1")]
    pub(crate) body: Bytes,
    #[prost(bool, tag = "2")]
    pub(crate) end_of_stream: bool,
}

/// A message that nothing is read of.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(crate) struct Unread {}

/// How Envoy is configured.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(crate) struct ProtocolConfiguration {
    #[prost(int32, tag = "1")]
    pub(crate) request_body_mode: i32,
    #[prost(bool, tag = "3")]
    pub(crate) send_body_without_waiting_for_header_response: bool,
}

impl Shaped for ProcessingRequest {
    const SHAPE: Shape = Shape(&[(2, HEADERS), (3, HEADERS), (9, Shape(&[(2, Shape(&[(1, LEAF)]))]))]);
}

const HEADERS: Shape = Shape(&[(1, Shape(&[(1, LEAF)]))]);

/// What is to be done.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ProcessingResponse {
    #[prost(oneof = "Done", tags = "1, 2, 3, 4, 5, 6, 7")]
    pub(crate) done: Option<Done>,
    #[prost(message, optional, tag = "8")]
    pub(crate) dynamic_metadata: Option<Struct>,
    #[prost(message, optional, tag = "9")]
    pub(crate) mode_override: Option<ProcessingMode>,
}

/// The answer to a step, or the end of all.
#[derive(Clone, PartialEq, Eq, prost::Oneof)]
pub(crate) enum Done {
    #[prost(message, tag = "1")]
    RequestHeaders(StepResponse),
    #[prost(message, tag = "2")]
    ResponseHeaders(StepResponse),
    #[prost(message, tag = "3")]
    RequestBody(StepResponse),
    #[prost(message, tag = "4")]
    ResponseBody(StepResponse),
    #[prost(message, tag = "5")]
    RequestTrailers(TrailersResponse),
    #[prost(message, tag = "6")]
    ResponseTrailers(TrailersResponse),
    #[prost(message, tag = "7")]
    ImmediateResponse(ImmediateResponse),
}

/// Headers and bodies are answered alike.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct StepResponse {
    #[prost(message, optional, tag = "1")]
    pub(crate) response: Option<CommonResponse>,
}

/// What is done to a message before it goes on.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct CommonResponse {
    #[prost(message, optional, tag = "2")]
    pub(crate) header_mutation: Option<HeaderMutation>,
}

/// Trailers go on as they are.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(crate) struct TrailersResponse {}

/// Headers to set and to remove.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct HeaderMutation {
    #[prost(message, repeated, tag = "1")]
    pub(crate) set_headers: Vec<HeaderValueOption>,
    #[prost(string, repeated, tag = "2")]
    pub(crate) remove_headers: Vec<String>,
}

/// What the client is answered.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct ImmediateResponse {
    #[prost(message, optional, tag = "1")]
    pub(crate) status: Option<HttpStatus>,
    #[prost(message, optional, tag = "2")]
    pub(crate) headers: Option<HeaderMutation>,
    #[prost(bytes = "bytes", tag = "3")]
    pub(crate) body: Bytes,
    #[prost(string, tag = "5")]
    pub(crate) details: String,
}

/// Which steps Envoy sends from now on.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(crate) struct ProcessingMode {
    #[prost(int32, tag = "1")]
    pub(crate) request_header_mode: i32,
    #[prost(int32, tag = "2")]
    pub(crate) response_header_mode: i32,
    #[prost(int32, tag = "3")]
    pub(crate) request_body_mode: i32,
}
