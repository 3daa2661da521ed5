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
    /// Shown as headers behind the others, where all of the body is at hand.
    pub(crate) trailers: Headers,
    /// Since 1970.
    pub(crate) came: std::time::Duration,
    pub(crate) protocol: Vec<u8>,
    pub(crate) tls_version: Vec<u8>,
    pub(crate) tls_cipher: Vec<u8>,
    /// Asked for when it is needed: each attribute is a call to the host.
    about: Option<Box<About>>,
}

/// What only the agent needs to know.
#[derive(Clone, Debug, Default)]
struct About {
    remote_addr: Vec<u8>,
    sni: Vec<u8>,
    ja3: Vec<u8>,
    ja4: Vec<u8>,
    mtls: bool,
    route_name: Vec<u8>,
    virtual_host: Vec<u8>,
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
    /// Takes down the request whose headers the host has just shown, as far as the engine looks at it.
    pub(crate) fn collect(
        host: &impl Host,
        config: &Config,
        headers: Headers,
        came: std::time::Duration,
    ) -> Self {
        // Each attribute is a call to the host, so the engine gets those that can mean something to it: TLS where the
        // scheme does not say that there is none, the protocol where a coding of the message depends on it.
        let mut facts = Self { headers, came, ..Self::default() };
        if facts.headers.first(":scheme") != Some(b"http") {
            facts.ask_for_tls(host, config);
        }
        if facts.headers.first("transfer-encoding").is_some() {
            facts.protocol = property(host, PROTOCOL);
        }
        facts
    }

    fn ask_for_tls(&mut self, host: &impl Host, config: &Config) {
        self.tls_version = property(host, &["connection", "tls_version"]);
        // One question is enough to learn that there is no TLS.
        if !self.tls_version.is_empty() {
            self.tls_cipher = state(host, &config.fingerprints.cipher);
        }
    }

    /// Asks the host for the rest.
    pub(crate) fn complete(&mut self, host: &impl Host, config: &Config) {
        if self.about.is_some() {
            return;
        }
        if self.protocol.is_empty() {
            self.protocol = property(host, PROTOCOL);
        }
        if self.tls_version.is_empty() {
            self.ask_for_tls(host, config);
        }
        let mut about = About {
            remote_addr: peer(host),
            route_name: property(host, &["xds", "route_name"]),
            virtual_host: property(host, &["xds", "virtual_host_name"]),
            ..About::default()
        };
        if !self.tls_version.is_empty() {
            about.sni = property(host, &["connection", "requested_server_name"]);
            about.ja3 = state(host, &config.fingerprints.ja3);
            about.ja4 = state(host, &config.fingerprints.ja4);
            about.mtls = property(host, &["connection", "mtls"]) == [1];
        }
        self.about = Some(Box::new(about));
    }

    /// The message, borrowing from here.
    pub(crate) fn message<'a>(&'a self, body: Body<'a>) -> RpcMsgIn<'a> {
        let header = |name| ByteStr::from(self.headers.first(name).unwrap_or_default());
        static NOTHING: About = About {
            remote_addr: Vec::new(),
            sni: Vec::new(),
            ja3: Vec::new(),
            ja4: Vec::new(),
            mtls: false,
            route_name: Vec::new(),
            virtual_host: Vec::new(),
        };
        let about = self.about.as_deref().unwrap_or(&NOTHING);
        let authority = header(":authority");
        let mut headers_in = Vec::with_capacity(32);
        // HTTP/2 has no Host header and the host turns HTTP/1's into the pseudo-header; detection looks for the header.
        if !authority.is_empty() {
            headers_in.push(("Host".into(), authority.clone()));
        }
        let named = self.fields().filter(|(name, _)| !name.starts_with(b":"));
        headers_in.extend(named.map(|(name, value)| (name.into(), value.into())));
        RpcMsgIn {
            module_version: MODULE.into(),
            server_flavor: "envoy".into(),
            server_name: authority,
            timestamp: i64::try_from(self.came.as_secs()).unwrap_or(i64::MAX),
            now_millis: i64::try_from(self.came.as_millis()).unwrap_or(i64::MAX),
            remote_addr: about.remote_addr.as_slice().into(),
            method: header(":method"),
            scheme: header(":scheme"),
            uri: header(":path"),
            protocol: self.protocol.as_slice().into(),
            tls_protocol: self.tls_version.as_slice().into(),
            tls_cipher: self.tls_cipher.as_slice().into(),
            headers_in,
            post_body: body.bytes.into(),
            proxy_request_id: header("x-request-id"),
            body_total: body.total.and_then(|total| i64::try_from(total).ok()),
            body_truncated: body.extent == Extent::Truncated,
            sni: about.sni.as_slice().into(),
            ja3: about.ja3.as_slice().into(),
            ja4: about.ja4.as_slice().into(),
            route_name: about.route_name.as_slice().into(),
            virtual_host: about.virtual_host.as_slice().into(),
            mtls: about.mtls,
            ..RpcMsgIn::default()
        }
    }

    /// Headers and trailers.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.headers.iter().chain(self.trailers.iter())
    }

    /// The body's length as the client announced it.
    pub(crate) fn content_length(&self) -> Option<usize> {
        std::str::from_utf8(self.headers.first("content-length")?).ok()?.parse().ok()
    }

    /// Whether the request opens a stream that has no end to wait for: its frames must flow both ways at once. One that
    /// announces a body is judged by that body, or a header would be a way around inspection.
    pub(crate) fn is_stream(&self) -> bool {
        self.headers.first(":method") == Some(b"CONNECT")
            || (self.content_length().unwrap_or(0) == 0 && (self.is_upgrade() || self.is_grpc()))
    }

    /// Whether the client speaks gRPC: hosts put the body of an answer into a header of theirs for it.
    pub(crate) fn is_grpc(&self) -> bool {
        let media = self.headers.first("content-type").unwrap_or_default();
        media.get(..GRPC.len()).is_some_and(|start| start.eq_ignore_ascii_case(GRPC))
    }

    /// The host tunnels only where both headers agree.
    fn is_upgrade(&self) -> bool {
        let lists_upgrade = |value: &[u8]| {
            value.split(|byte| *byte == b',').any(|token| token.trim_ascii().eq_ignore_ascii_case(b"upgrade"))
        };
        self.headers.first("upgrade").is_some()
            && self.headers.iter().any(|(name, value)| name == b"connection" && lists_upgrade(value))
    }
}

/// An attribute, empty where the host does not have it or cannot give it as bytes.
fn property(host: &impl Host, path: &[&str]) -> Vec<u8> {
    host.property(path).ok().flatten().unwrap_or_default()
}

/// A value of filter state, empty where no name is configured.
fn state(host: &impl Host, name: &str) -> Vec<u8> {
    if name.is_empty() { Vec::new() } else { property(host, &["filter_state", name]) }
}

/// The address of the stream's peer.
pub(crate) fn peer(host: &impl Host) -> Vec<u8> {
    without_port(&property(host, &["source", "address"])).to_vec()
}

const PROTOCOL: &[&str] = &["request", "protocol"];

/// Who reports.
pub(crate) const MODULE: &str = concat!("portcullis-filter ", env!("CARGO_PKG_VERSION"));

/// The address in `address:port` or `[address]:port`.
fn without_port(peer: &[u8]) -> &[u8] {
    let colon = peer.iter().rposition(|byte| *byte == b':').unwrap_or(peer.len());
    let address = peer.get(..colon).unwrap_or(peer);
    address.strip_prefix(b"[").and_then(|rest| rest.strip_suffix(b"]")).unwrap_or(address)
}

const GRPC: &[u8] = b"application/grpc";

#[cfg(test)]
mod tests;
