//! From a request as the host shows it to the message that the agent reads.

use portcullis_protocol::{ByteStr, RpcMsgIn};

use crate::config::Config;
use crate::headers::Headers;
use crate::host::Host;

/// What is known of a request once its headers have come. Kept until the stream ends: the report of an anomalous
/// response repeats it, and by then the host's headers are no longer those that the client sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) headers: Headers,
    /// Since 1970.
    pub(crate) came: std::time::Duration,
    remote_addr: Vec<u8>,
    protocol: Vec<u8>,
    tls: Tls,
    route_name: Vec<u8>,
    virtual_host: Vec<u8>,
}

#[derive(Clone, Debug, Default)]
struct Tls {
    version: Vec<u8>,
    cipher: Vec<u8>,
    sni: Vec<u8>,
    ja3: Vec<u8>,
    ja4: Vec<u8>,
    mtls: bool,
}

/// The part of a body that the agent is shown.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Body<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) total: Option<usize>,
    pub(crate) extent: Extent,
}

/// Whether a body goes on after what is shown of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Extent {
    #[default]
    Whole,
    Truncated,
}

impl Facts {
    /// Takes down the request whose headers the host has just shown.
    pub(crate) fn collect(host: &impl Host, config: &Config, headers: Headers) -> Self {
        // An attribute that the host does not have, or cannot give as bytes, is one that the agent is not told.
        let property = |path: &[&str]| host.property(path).ok().flatten().unwrap_or_default();
        Self {
            headers,
            came: host.now(),
            remote_addr: without_port(&property(&["source", "address"])).to_vec(),
            protocol: property(&["request", "protocol"]),
            tls: Tls::collect(config, property),
            route_name: property(&["xds", "route_name"]),
            virtual_host: property(&["xds", "virtual_host_name"]),
        }
    }

    /// The message, borrowing from here.
    pub(crate) fn message<'a>(&'a self, body: Body<'a>) -> RpcMsgIn<'a> {
        let header = |name| ByteStr::from(self.headers.first(name).unwrap_or_default());
        let authority = header(":authority");
        let mut headers_in = Vec::with_capacity(32);
        // HTTP/2 has no Host header and the host turns HTTP/1's into the pseudo-header; detection looks for the header.
        if !authority.is_empty() {
            headers_in.push(("Host".into(), authority.clone()));
        }
        let named = self.headers.iter().filter(|(name, _)| !name.starts_with(b":"));
        headers_in.extend(named.map(|(name, value)| (name.into(), value.into())));
        RpcMsgIn {
            module_version: concat!("portcullis-filter ", env!("CARGO_PKG_VERSION")).into(),
            server_flavor: "envoy".into(),
            server_name: authority,
            timestamp: i64::try_from(self.came.as_secs()).unwrap_or(i64::MAX),
            now_millis: i64::try_from(self.came.as_millis()).unwrap_or(i64::MAX),
            remote_addr: self.remote_addr.as_slice().into(),
            method: header(":method"),
            scheme: header(":scheme"),
            uri: header(":path"),
            protocol: self.protocol.as_slice().into(),
            tls_protocol: self.tls.version.as_slice().into(),
            tls_cipher: self.tls.cipher.as_slice().into(),
            headers_in,
            post_body: body.bytes.into(),
            body_total: body.total.and_then(|total| i64::try_from(total).ok()),
            body_truncated: body.extent == Extent::Truncated,
            sni: self.tls.sni.as_slice().into(),
            ja3: self.tls.ja3.as_slice().into(),
            ja4: self.tls.ja4.as_slice().into(),
            route_name: self.route_name.as_slice().into(),
            virtual_host: self.virtual_host.as_slice().into(),
            mtls: self.tls.mtls,
            ..RpcMsgIn::default()
        }
    }

    /// The body's length as the client announced it.
    pub(crate) fn content_length(&self) -> Option<usize> {
        std::str::from_utf8(self.headers.first("content-length")?).ok()?.parse().ok()
    }

    /// Whether the request opens a stream that has no end to wait for: its frames must flow both ways at once.
    pub(crate) fn is_stream(&self) -> bool {
        let media = self.headers.first("content-type").unwrap_or_default();
        self.headers.first(":method") == Some(b"CONNECT")
            || self.is_upgrade()
            || media.get(..GRPC.len()).is_some_and(|start| start.eq_ignore_ascii_case(GRPC))
    }

    /// The host tunnels only where both headers agree. One that announces a body is judged by that body, or the
    /// header would be a way around inspection.
    fn is_upgrade(&self) -> bool {
        let lists_upgrade = |value: &[u8]| {
            value.split(|byte| *byte == b',').any(|token| token.trim_ascii().eq_ignore_ascii_case(b"upgrade"))
        };
        self.headers.first("upgrade").is_some()
            && self.headers.iter().any(|(name, value)| name == b"connection" && lists_upgrade(value))
            && self.content_length().unwrap_or(0) == 0
    }
}

impl Tls {
    fn collect(config: &Config, property: impl Fn(&[&str]) -> Vec<u8>) -> Self {
        let version = property(&["connection", "tls_version"]);
        // One question is enough to learn that there is no TLS.
        if version.is_empty() {
            return Self::default();
        }
        let state = |name: &str| {
            if name.is_empty() { Vec::new() } else { property(&["filter_state", name]) }
        };
        Self {
            version,
            cipher: state(&config.fingerprints.cipher),
            sni: property(&["connection", "requested_server_name"]),
            ja3: state(&config.fingerprints.ja3),
            ja4: state(&config.fingerprints.ja4),
            mtls: property(&["connection", "mtls"]) == [1],
        }
    }
}

/// The address in `address:port` or `[address]:port`.
fn without_port(peer: &[u8]) -> &[u8] {
    let colon = peer.iter().rposition(|byte| *byte == b':').unwrap_or(peer.len());
    let address = peer.get(..colon).unwrap_or(peer);
    address.strip_prefix(b"[").and_then(|rest| rest.strip_suffix(b"]")).unwrap_or(address)
}

const GRPC: &[u8] = b"application/grpc";

#[cfg(test)]
mod tests;
