//! A request as Envoy tells of it, in either language, on its way to the inspector.

use bytes::Bytes;
use portcullis_protocol::{ByteStr, Pair, RpcMsgIn, RpcMsgIn2};

use super::proto::auth::AttributeContext;
use super::proto::core::{Entry, HeaderMap, Named, Time};
use super::reply::is_reserved;

/// Says who asks, in records.
const MODULE: &str = concat!("portcullis-envoy-grpc ", env!("CARGO_PKG_VERSION"));

/// Set by ext_authz itself, not by a client.
const PARTIAL_BODY: &[u8] = b"x-envoy-auth-partial-body";

/// Where Envoy puts attributes of a request that it was asked for.
const PROCESSOR: &str = "envoy.filters.http.ext_proc";

/// What is known of a request.
#[derive(Clone, Debug, Default)]
pub(super) struct Question {
    pub(super) method: Bytes,
    pub(super) scheme: Bytes,
    pub(super) authority: Bytes,
    pub(super) target: Bytes,
    pub(super) protocol: Bytes,
    pub(super) remote_addr: Bytes,
    pub(super) sni: Bytes,
    pub(super) tls_protocol: Bytes,
    /// Since 1970.
    pub(super) millis: i64,
    /// Without pseudo-headers.
    pub(super) headers: Vec<(Bytes, Bytes)>,
    pub(super) body: Bytes,
    /// Whether there is more of the body.
    pub(super) truncated: bool,
}

impl Question {
    /// What ext_authz asks; none where it does not ask about an HTTP request.
    pub(super) fn from_check(attributes: AttributeContext) -> Option<Self> {
        let request = attributes.request?;
        let http = request.http?;
        let headers = match http.header_map {
            Some(headers) => pairs(headers),
            None => http.headers.into_iter().map(|Entry { key, value }| (key, value)).collect(),
        };
        let body = if http.raw_body.is_empty() { http.body } else { http.raw_body };
        let partial = headers.iter().any(|(name, value)| name == PARTIAL_BODY && value == "true".as_bytes());
        // A proxy that sends no bodies sends their lengths; a body that is not shown is not a cut one.
        let longer = usize::try_from(http.size).is_ok_and(|size| size > body.len());
        let address = attributes.source.and_then(|source| source.address);
        let mut question = Self {
            method: http.method,
            scheme: http.scheme,
            authority: http.host,
            target: http.path,
            protocol: http.protocol,
            remote_addr: address
                .and_then(|address| address.socket_address)
                .map(|socket| socket.address)
                .unwrap_or_default(),
            sni: attributes.tls_session.map(|session| session.sni).unwrap_or_default(),
            tls_protocol: Bytes::new(),
            millis: request.time.map_or(0, Time::millis),
            truncated: !body.is_empty() && (partial || longer),
            headers,
            body,
        };
        question.headers.retain(|(name, _)| name != PARTIAL_BODY);
        question.tidy();
        Some(question)
    }

    /// What ext_proc shows of a request; its body comes later.
    pub(super) fn from_headers(headers: HeaderMap, attributes: &[Named], millis: i64) -> Self {
        let attribute = |name| Named::find(attributes, PROCESSOR, name).unwrap_or_default();
        let mut question = Self {
            protocol: attribute("request.protocol"),
            remote_addr: without_port(attribute("source.address")),
            sni: attribute("connection.requested_server_name"),
            tls_protocol: attribute("connection.tls_version"),
            millis,
            headers: pairs(headers),
            ..Self::default()
        };
        for (name, place) in [
            (":method", &mut question.method),
            (":scheme", &mut question.scheme),
            (":authority", &mut question.authority),
            (":path", &mut question.target),
        ] {
            let found = question.headers.iter().find(|(have, _)| have == name.as_bytes());
            *place = found.map(|(_, value)| value.clone()).unwrap_or_default();
        }
        question.tidy();
        question
    }

    /// The names under which the client pretends to be an agent.
    pub(super) fn forged(&self) -> Vec<&[u8]> {
        let mut names: Vec<&[u8]> =
            self.headers.iter().map(|(name, _)| &name[..]).filter(|name| is_reserved(name)).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The message that the service takes.
    pub(super) fn message(&self) -> RpcMsgIn<'_> {
        RpcMsgIn {
            module_version: MODULE.into(),
            server_flavor: "envoy".into(),
            server_name: text(&self.authority),
            timestamp: self.millis / 1000,
            now_millis: self.millis,
            remote_addr: text(&self.remote_addr),
            method: text(&self.method),
            scheme: text(&self.scheme),
            uri: text(&self.target),
            protocol: text(&self.protocol),
            tls_protocol: text(&self.tls_protocol),
            sni: text(&self.sni),
            headers_in: borrowed(&self.headers),
            post_body: text(&self.body),
            body_truncated: self.truncated,
            ..RpcMsgIn::default()
        }
    }

    /// About how many bytes it takes without its body.
    pub(super) fn size(&self) -> usize {
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + value.len() + 64).sum();
        headers + self.target.len()
    }

    /// The first value of a header.
    pub(super) fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers.iter().find(|(have, _)| have == name.as_bytes()).map(|(_, value)| &value[..])
    }

    /// Whether the request opens a stream that has no end to wait for. One that announces a body is judged by that body, or
    /// a header would be a way around inspection.
    pub(super) fn is_stream(&self) -> bool {
        let length = self.header("content-length").and_then(|value| std::str::from_utf8(value).ok());
        let announces = length.is_some_and(|length| length.trim() != "0");
        self.method == "CONNECT" || (!announces && (self.is_upgrade() || self.is_grpc()))
    }

    fn is_grpc(&self) -> bool {
        let media = self.header("content-type").unwrap_or_default();
        media.get(..GRPC.len()).is_some_and(|start| start.eq_ignore_ascii_case(GRPC))
    }

    fn is_upgrade(&self) -> bool {
        let lists_upgrade = |value: &[u8]| {
            value.split(|byte| *byte == b',').any(|token| token.trim_ascii().eq_ignore_ascii_case(b"upgrade"))
        };
        let mut headers = self.headers.iter();
        self.header("upgrade").is_some()
            && headers.any(|(name, value)| name == "connection".as_bytes() && lists_upgrade(value))
    }

    /// Envoy turns HTTP/1's Host header into a pseudo-header; detection looks for the header.
    fn tidy(&mut self) {
        self.headers.retain(|(name, _)| !name.starts_with(b":"));
        if !self.authority.is_empty() && self.header("host").is_none() {
            self.headers.insert(0, (Bytes::from_static(b"host"), self.authority.clone()));
        }
    }
}

/// A response, as far as it is known.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    pub(super) code: i64,
    /// -1 where it is not known.
    pub(super) millis: i64,
    /// -1 where it is not known.
    pub(super) size: i64,
    pub(super) headers: Vec<(Bytes, Bytes)>,
}

impl Outcome {
    /// The report of it under `id`.
    pub(super) fn update(&self, id: &str) -> Vec<u8> {
        let report = RpcMsgIn2 {
            request_id: id.into(),
            response_code: self.code,
            response_millis: self.millis,
            response_size: self.size,
            headers_out: borrowed(&self.headers),
            ..RpcMsgIn2::default()
        };
        report.encode()
    }

    /// The report of it together with its request, whose verdict was `verdict`.
    pub(super) fn post(&self, question: &Question, verdict: i32) -> Vec<u8> {
        let mut report = question.message();
        report.waf_response = Some(verdict.into());
        report.response_code = Some(self.code);
        report.response_millis = Some(self.millis);
        report.response_size = Some(self.size);
        report.headers_out = borrowed(&self.headers);
        report.encode()
    }
}

/// The pairs of a list; the value is in one of two fields.
pub(super) fn pairs(headers: HeaderMap) -> Vec<(Bytes, Bytes)> {
    let pair = |header: super::proto::core::HeaderValue| {
        (header.key, if header.raw_value.is_empty() { header.value } else { header.raw_value })
    };
    headers.headers.into_iter().map(pair).collect()
}

fn text(bytes: &Bytes) -> ByteStr<'_> {
    ByteStr::from(&bytes[..])
}

fn borrowed(headers: &[(Bytes, Bytes)]) -> Vec<Pair<'_>> {
    headers.iter().map(|(name, value)| (text(name), text(value))).collect()
}

/// The address in `address:port` or `[address]:port`.
fn without_port(peer: Bytes) -> Bytes {
    match peer.iter().rposition(|byte| *byte == b':') {
        Some(colon) if peer.first() == Some(&b'[') => peer.slice(1..colon.saturating_sub(1).max(1)),
        Some(colon) => peer.slice(..colon),
        None => peer,
    }
}

const GRPC: &[u8] = b"application/grpc";

#[cfg(test)]
mod tests;
