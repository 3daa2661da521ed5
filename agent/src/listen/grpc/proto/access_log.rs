//! `envoy.service.accesslog.v3` and `envoy.data.accesslog.v3`.

use bytes::Bytes;
use prost::Message;

use super::core::{Address, Entry, Named, Time, UInt32Value};
use crate::listen::grpc::shape::{LEAF, Shape, Shaped};

/// Some entries, and in the first message of a stream who sends them.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct StreamAccessLogsMessage {
    #[prost(message, optional, tag = "1")]
    pub(crate) identifier: Option<Identifier>,
    #[prost(message, optional, tag = "2")]
    pub(crate) http_logs: Option<HttpLogEntries>,
}

/// Who sends.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Identifier {
    #[prost(bytes = "bytes", tag = "2")]
    pub(crate) log_name: Bytes,
}

/// The entries, each still to be read as an [`HttpLogEntry`]: so only one at a time takes memory.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct HttpLogEntries {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    pub(crate) log_entry: Vec<Bytes>,
}

impl Shaped for StreamAccessLogsMessage {
    const SHAPE: Shape = Shape(&[(2, Shape(&[(1, LEAF)]))]);
}

/// A request with its response.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct HttpLogEntry {
    #[prost(message, optional, tag = "1")]
    pub(crate) common_properties: Option<Common>,
    #[prost(int32, tag = "2")]
    pub(crate) protocol_version: i32,
    #[prost(message, optional, tag = "3")]
    pub(crate) request: Option<RequestProperties>,
    #[prost(message, optional, tag = "4")]
    pub(crate) response: Option<ResponseProperties>,
}

/// What holds for all protocols.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Common {
    #[prost(message, optional, tag = "2")]
    pub(crate) downstream_remote_address: Option<Address>,
    #[prost(message, optional, tag = "5")]
    pub(crate) start_time: Option<Time>,
    #[prost(message, optional, tag = "12")]
    pub(crate) time_to_last_downstream_tx_byte: Option<Time>,
    #[prost(message, optional, tag = "17")]
    pub(crate) metadata: Option<Metadata>,
    #[prost(message, optional, tag = "23")]
    pub(crate) duration: Option<Time>,
}

/// What filters left behind.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Metadata {
    #[prost(message, repeated, tag = "1")]
    pub(crate) filter_metadata: Vec<Named>,
}

/// The request.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct RequestProperties {
    #[prost(int32, tag = "1")]
    pub(crate) request_method: i32,
    #[prost(bytes = "bytes", tag = "2")]
    pub(crate) scheme: Bytes,
    #[prost(bytes = "bytes", tag = "3")]
    pub(crate) authority: Bytes,
    #[prost(bytes = "bytes", tag = "5")]
    pub(crate) path: Bytes,
    #[prost(bytes = "bytes", tag = "6")]
    pub(crate) user_agent: Bytes,
    #[prost(bytes = "bytes", tag = "8")]
    pub(crate) forwarded_for: Bytes,
    #[prost(bytes = "bytes", tag = "10")]
    pub(crate) original_path: Bytes,
    /// Those that `additional_request_headers_to_log` names.
    #[prost(message, repeated, tag = "13")]
    pub(crate) request_headers: Vec<Entry>,
}

/// The response.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct ResponseProperties {
    #[prost(message, optional, tag = "1")]
    pub(crate) response_code: Option<UInt32Value>,
    #[prost(uint64, tag = "3")]
    pub(crate) response_body_bytes: u64,
    /// Those that `additional_response_headers_to_log` names.
    #[prost(message, repeated, tag = "4")]
    pub(crate) response_headers: Vec<Entry>,
    #[prost(bytes = "bytes", tag = "6")]
    pub(crate) response_code_details: Bytes,
}

impl Shaped for HttpLogEntry {
    const SHAPE: Shape = Shape(&[(1, COMMON), (3, Shape(&[(13, LEAF)])), (4, Shape(&[(4, LEAF)]))]);
}

const COMMON: Shape = Shape(&[(17, Shape(&[(1, Shape(&[(2, Shape(&[(1, LEAF)]))]))]))]);

/// What the stream is answered when it ends.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(crate) struct StreamAccessLogsResponse {}
