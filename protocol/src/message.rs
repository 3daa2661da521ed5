//! The three messages.

use serde::Deserialize;

use crate::any::Fields;
use crate::bytestr::ByteStr;
use crate::decode::{self, DecodeError};
use crate::encode::Map;
use crate::lenient;

/// A header: name and value.
pub type Pair<'a> = (ByteStr<'a>, ByteStr<'a>);

/// A request put before the agent: by PreRequest alone, by PostRequest together with its response.
///
/// Whatever a sender leaves out has its default value. What only our filter knows (`response_flags`, and all
/// from `proxy_request_id` on) is left out of the message where it says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default, bound(deserialize = "'de: 'a"))]
pub struct RpcMsgIn<'a> {
    /// Public half of the key pair.
    #[serde(rename = "AccessKeyID")]
    pub access_key_id: ByteStr<'a>,
    /// Name and version of the sender.
    pub module_version: ByteStr<'a>,
    /// Version of the server that the sender is part of.
    pub server_version: ByteStr<'a>,
    /// What kind of server that is.
    pub server_flavor: ByteStr<'a>,
    /// Host header or `:authority`.
    pub server_name: ByteStr<'a>,
    /// When the request came, in seconds since 1970.
    #[serde(deserialize_with = "lenient::int")]
    pub timestamp: i64,
    /// When the request came, in milliseconds since 1970.
    #[serde(deserialize_with = "lenient::int")]
    pub now_millis: i64,
    /// Address of the socket's peer, without port.
    pub remote_addr: ByteStr<'a>,
    /// Method token.
    pub method: ByteStr<'a>,
    /// `http` or `https`.
    pub scheme: ByteStr<'a>,
    /// Request target as received.
    #[serde(rename = "URI")]
    pub uri: ByteStr<'a>,
    /// Protocol version; one module sends `1.1` for `HTTP/1.1`.
    pub protocol: ByteStr<'a>,
    /// TLS version, empty without TLS.
    #[serde(rename = "TLSProtocol")]
    pub tls_protocol: ByteStr<'a>,
    /// TLS cipher, empty without TLS.
    #[serde(rename = "TLSCipher")]
    pub tls_cipher: ByteStr<'a>,
    /// The verdict that the sender acted on.
    #[serde(rename = "WAFResponse", deserialize_with = "lenient::maybe_int")]
    pub waf_response: Option<i64>,
    /// Status of the response, -1 where it is not known yet.
    #[serde(deserialize_with = "lenient::maybe_int")]
    pub response_code: Option<i64>,
    /// Time to the response, in milliseconds.
    #[serde(deserialize_with = "lenient::maybe_int")]
    pub response_millis: Option<i64>,
    /// Bytes of the response, -1 where they are not known yet.
    #[serde(deserialize_with = "lenient::maybe_int")]
    pub response_size: Option<i64>,
    /// The proxy's flags for the response, a bit each; 0 where there are none.
    #[serde(deserialize_with = "lenient::int")]
    pub response_flags: i64,
    /// Request headers, in order, duplicates kept.
    #[serde(deserialize_with = "lenient::pairs")]
    pub headers_in: Vec<Pair<'a>>,
    /// Response headers.
    #[serde(deserialize_with = "lenient::pairs")]
    pub headers_out: Vec<Pair<'a>>,
    /// The part of the request body that the sender has.
    pub post_body: ByteStr<'a>,
    /// Id of the request, where the sender has one.
    #[serde(rename = "RequestID")]
    pub request_id: ByteStr<'a>,
    /// The proxy's own id of the request.
    #[serde(rename = "ProxyRequestID")]
    pub proxy_request_id: ByteStr<'a>,
    /// Bytes of the whole body, where known.
    #[serde(deserialize_with = "lenient::maybe_int")]
    pub body_total: Option<i64>,
    /// Whether the body goes on after `post_body`.
    #[serde(deserialize_with = "lenient::flag")]
    pub body_truncated: bool,
    /// Server name of the TLS handshake.
    #[serde(rename = "ServerNameIndication")]
    pub sni: ByteStr<'a>,
    /// JA3 fingerprint of the TLS handshake.
    #[serde(rename = "JA3")]
    pub ja3: ByteStr<'a>,
    /// JA4 fingerprint of the TLS handshake.
    #[serde(rename = "JA4")]
    pub ja4: ByteStr<'a>,
    /// Name of the proxy's route.
    pub route_name: ByteStr<'a>,
    /// Name of the proxy's virtual host.
    pub virtual_host: ByteStr<'a>,
    /// Whether the client presented a certificate that the proxy verified.
    #[serde(rename = "MTLS", deserialize_with = "lenient::flag")]
    pub mtls: bool,
}

impl<'a> RpcMsgIn<'a> {
    /// Reads the message that is the whole of `bytes`, and borrows from it.
    ///
    /// # Errors
    ///
    /// When `bytes` is not one map, or a known key has a value of an impossible type.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        decode::map(bytes)
    }

    /// Writes the message.
    pub fn encode(&self) -> Vec<u8> {
        let mut map = Map::with_capacity(self.encoded_size_hint());
        map.str("AccessKeyID", &self.access_key_id);
        map.str("ModuleVersion", &self.module_version);
        map.str("ServerVersion", &self.server_version);
        map.str("ServerFlavor", &self.server_flavor);
        map.str("ServerName", &self.server_name);
        map.int("Timestamp", self.timestamp);
        map.int("NowMillis", self.now_millis);
        map.str("RemoteAddr", &self.remote_addr);
        map.str("Method", &self.method);
        map.str("Scheme", &self.scheme);
        map.str("URI", &self.uri);
        map.str("Protocol", &self.protocol);
        map.str("TLSProtocol", &self.tls_protocol);
        map.str("TLSCipher", &self.tls_cipher);
        map.maybe_int("WAFResponse", self.waf_response);
        map.maybe_int("ResponseCode", self.response_code);
        map.maybe_int("ResponseMillis", self.response_millis);
        map.maybe_int("ResponseSize", self.response_size);
        map.maybe_int("ResponseFlags", Some(self.response_flags).filter(|flags| *flags != 0));
        map.pairs("HeadersIn", &self.headers_in);
        map.maybe_pairs("HeadersOut", &self.headers_out);
        map.str("PostBody", &self.post_body);
        map.maybe_str("RequestID", &self.request_id);
        map.maybe_str("ProxyRequestID", &self.proxy_request_id);
        map.maybe_int("BodyTotal", self.body_total);
        map.flag("BodyTruncated", self.body_truncated);
        map.maybe_str("ServerNameIndication", &self.sni);
        map.maybe_str("JA3", &self.ja3);
        map.maybe_str("JA4", &self.ja4);
        map.maybe_str("RouteName", &self.route_name);
        map.maybe_str("VirtualHost", &self.virtual_host);
        map.flag("MTLS", self.mtls);
        map.finish()
    }

    // The rest of a message is about 400 bytes of keys and short values.
    fn encoded_size_hint(&self) -> usize {
        let headers: usize = self
            .headers_in
            .iter()
            .chain(&self.headers_out)
            .map(|(name, value)| name.len() + value.len() + 7)
            .sum();
        512 + headers + self.uri.len() + self.post_body.len()
    }
}

/// The response of a request that was given an id.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default, bound(deserialize = "'de: 'a"))]
pub struct RpcMsgIn2<'a> {
    /// The id; one module leaves it out when it had no answer.
    #[serde(rename = "RequestID")]
    pub request_id: ByteStr<'a>,
    /// Status of the response, -1 where it is not known.
    #[serde(deserialize_with = "lenient::int_or_unknown")]
    pub response_code: i64,
    /// Time to the response in milliseconds, -1 where it is not known.
    #[serde(deserialize_with = "lenient::int_or_unknown")]
    pub response_millis: i64,
    /// Bytes of the response, -1 where they are not known.
    #[serde(deserialize_with = "lenient::int_or_unknown")]
    pub response_size: i64,
    /// Response headers.
    #[serde(deserialize_with = "lenient::pairs")]
    pub headers_out: Vec<Pair<'a>>,
    /// The verdict that the sender acted on.
    #[serde(rename = "WAFResponse", deserialize_with = "lenient::maybe_int")]
    pub waf_response: Option<i64>,
    /// The proxy's flags for the response, a bit each; 0 where there are none. From our filter only.
    #[serde(deserialize_with = "lenient::int")]
    pub response_flags: i64,
}

impl Default for RpcMsgIn2<'_> {
    fn default() -> Self {
        Self {
            request_id: ByteStr::EMPTY,
            response_code: -1,
            response_millis: -1,
            response_size: -1,
            headers_out: Vec::new(),
            waf_response: None,
            response_flags: 0,
        }
    }
}

impl<'a> RpcMsgIn2<'a> {
    /// Reads the message that is the whole of `bytes`, and borrows from it.
    ///
    /// # Errors
    ///
    /// When `bytes` is not one map, or a known key has a value of an impossible type.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        decode::map(bytes)
    }

    /// Writes the message.
    pub fn encode(&self) -> Vec<u8> {
        let mut map = Map::with_capacity(256);
        map.maybe_int("WAFResponse", self.waf_response);
        map.str("RequestID", &self.request_id);
        map.int("ResponseCode", self.response_code);
        map.int("ResponseMillis", self.response_millis);
        map.int("ResponseSize", self.response_size);
        map.pairs("HeadersOut", &self.headers_out);
        map.maybe_int("ResponseFlags", Some(self.response_flags).filter(|flags| *flags != 0));
        map.finish()
    }
}

/// The agent's answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RpcMsgOut<'a> {
    /// 200 allows, 300 to 599 block with that status; anything else means that the request was not inspected.
    pub waf_response: i32,
    /// Id of the request; not empty exactly where the agent wants to hear of the response.
    pub request_id: ByteStr<'a>,
    /// Headers for the application, and for a 3xx the pair that names its Location.
    pub request_headers: Vec<Pair<'a>>,
    /// Changes to the response's headers.
    pub resp_actions: Vec<RespAction<'a>>,
    /// The agent wants to be asked about the response before it goes out. For our filter only.
    pub ask_response: bool,
    /// What a client that is stopped is shown in the place of the filter's own text, empty for that text. For our filter
    /// only, and only where it speaks [`PAGES`](crate::http::PAGES).
    pub page: ByteStr<'a>,
    /// The page's media type.
    pub page_type: ByteStr<'a>,
    /// Headers that go with the page.
    pub page_headers: Vec<Pair<'a>>,
}

impl<'a> RpcMsgOut<'a> {
    /// Reads the message that is the whole of `bytes`, and borrows from it.
    ///
    /// # Errors
    ///
    /// When `bytes` is not one map, has no `WAFResponse`, or a known key has a value of an impossible type.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut fields = Fields::read(bytes)?;
        Ok(Self {
            waf_response: fields.code("WAFResponse")?,
            request_id: fields.string("RequestID")?,
            request_headers: fields.pairs("RequestHeaders")?,
            resp_actions: fields.actions("RespActions")?,
            ask_response: fields.flag("AskResponse")?,
            page: fields.string("Page")?,
            page_type: fields.string("PageType")?,
            page_headers: fields.pairs("PageHeaders")?,
        })
    }

    /// Writes the message in the form that every module reads: `WAFResponse` first and of a fixed width, no `str 8`,
    /// no binary, no nil, and `RespActions` only where there are any.
    pub fn encode(&self) -> Vec<u8> {
        let mut map = Map::with_capacity(256 + self.page.len());
        map.verdict("WAFResponse", self.waf_response);
        map.str("RequestID", &self.request_id);
        map.pairs("RequestHeaders", &self.request_headers);
        map.maybe_actions("RespActions", &self.resp_actions);
        map.flag("AskResponse", self.ask_response);
        map.maybe_str("Page", &self.page);
        map.maybe_str("PageType", &self.page_type);
        map.maybe_pairs("PageHeaders", &self.page_headers);
        map.finish()
    }
}

/// A change to the response's headers: 1 adds, 2 sets, 3 sets if absent, 4 deletes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RespAction<'a> {
    /// What to do.
    pub code: i8,
    /// The header's name, and its value unless it is deleted.
    pub args: Vec<ByteStr<'a>>,
}
