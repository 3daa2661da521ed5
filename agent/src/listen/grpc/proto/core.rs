//! What several services have in common: `envoy.config.core.v3`, `envoy.type.v3`, `google.protobuf`.

use bytes::Bytes;
use prost::Message;

/// One header; the value is in one of two fields.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct HeaderValue {
    #[prost(bytes = "bytes", tag = "1")]
    pub(crate) key: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub(crate) value: Bytes,
    #[prost(bytes = "bytes", tag = "3")]
    pub(crate) raw_value: Bytes,
}

/// Headers in order, duplicates kept.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct HeaderMap {
    #[prost(message, repeated, tag = "1")]
    pub(crate) headers: Vec<HeaderValue>,
}

/// A header to set.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct HeaderValueOption {
    #[prost(message, optional, tag = "1")]
    pub(crate) header: Option<HeaderValue>,
    #[prost(int32, tag = "3")]
    pub(crate) append_action: i32,
}

/// `append_action`: leaves what is there.
pub(crate) const APPEND_IF_EXISTS_OR_ADD: i32 = 0;

/// `append_action`: replaces what is there.
pub(crate) const OVERWRITE_IF_EXISTS_OR_ADD: i32 = 2;

/// One pair of a `map<string, string>`.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Entry {
    #[prost(bytes = "bytes", tag = "1")]
    pub(crate) key: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub(crate) value: Bytes,
}

/// Where a peer is.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Address {
    #[prost(message, optional, tag = "1")]
    pub(crate) socket_address: Option<SocketAddress>,
}

/// Where a peer is on a network.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct SocketAddress {
    #[prost(bytes = "bytes", tag = "2")]
    pub(crate) address: Bytes,
}

/// A status to answer with.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct HttpStatus {
    #[prost(int32, tag = "1")]
    pub(crate) code: i32,
}

/// `google.protobuf.Timestamp` and `google.protobuf.Duration`, which look alike.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(crate) struct Time {
    #[prost(int64, tag = "1")]
    pub(crate) seconds: i64,
    #[prost(int32, tag = "2")]
    pub(crate) nanos: i32,
}

impl Time {
    /// In milliseconds.
    pub(crate) fn millis(self) -> i64 {
        self.seconds.saturating_mul(1000).saturating_add(i64::from(self.nanos / 1_000_000))
    }
}

/// A number that may be missing.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(crate) struct UInt32Value {
    #[prost(uint32, tag = "1")]
    pub(crate) value: u32,
}

/// `google.protobuf.Struct` as it is sent.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Struct {
    #[prost(message, repeated, tag = "1")]
    pub(crate) fields: Vec<Field>,
}

/// One pair of it.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Field {
    #[prost(string, tag = "1")]
    pub(crate) key: String,
    #[prost(message, optional, tag = "2")]
    pub(crate) value: Option<Value>,
}

/// One of these is set.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Value {
    #[prost(double, optional, tag = "2")]
    pub(crate) number: Option<f64>,
    #[prost(string, optional, tag = "3")]
    pub(crate) text: Option<String>,
    #[prost(message, optional, tag = "5")]
    pub(crate) fields: Option<Struct>,
    #[prost(message, optional, tag = "6")]
    pub(crate) list: Option<List>,
}

/// Several.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct List {
    #[prost(message, repeated, tag = "1")]
    pub(crate) values: Vec<Value>,
}

/// `google.protobuf.Struct` as far as it is read: the texts at its top.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Texts {
    #[prost(message, repeated, tag = "1")]
    pub(crate) fields: Vec<TextField>,
}

/// One pair of it.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct TextField {
    #[prost(bytes = "bytes", tag = "1")]
    pub(crate) key: Bytes,
    #[prost(message, optional, tag = "2")]
    pub(crate) value: Option<Text>,
}

/// A value, if it is text.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Text {
    #[prost(bytes = "bytes", tag = "3")]
    pub(crate) text: Bytes,
}

/// One pair of a `map<string, google.protobuf.Struct>`.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Named {
    #[prost(bytes = "bytes", tag = "1")]
    pub(crate) key: Bytes,
    #[prost(message, optional, tag = "2")]
    pub(crate) value: Option<Texts>,
}

impl Named {
    /// The text called `name` in the struct called `space`.
    pub(crate) fn find(all: &[Self], space: &str, name: &str) -> Option<Bytes> {
        let space = all.iter().find(|named| named.key == space.as_bytes())?.value.as_ref()?;
        let field = space.fields.iter().find(|field| field.key == name.as_bytes())?;
        field.value.as_ref().map(|value| value.text.clone()).filter(|text| !text.is_empty())
    }
}
