//! A listener's settings as the data path uses them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use http::Uri;
use http::uri::{Authority, Scheme};
use portcullis_config::ListenerSettings;
use tokio::sync::Semaphore;

use crate::forward::Rewriting;

/// A time-out without an end is written as zero.
fn limit(span: Duration) -> Option<Duration> {
    (!span.is_zero()).then_some(span)
}

/// What is wrong with a listener.
#[derive(Debug, thiserror::Error)]
#[error("revproxy-listener.{listener}.{key}: {reason}")]
pub struct SettingsError {
    /// The listener.
    pub listener: String,
    /// Its faulty key.
    pub key: &'static str,
    /// What is wrong.
    pub reason: String,
}

/// One listener, checked.
#[derive(Clone, Debug)]
pub struct Listener {
    /// Its name.
    pub name: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// Certificate and key of an https listener.
    pub tls: Option<ServerTls>,
    /// Where it sends requests.
    pub upstreams: Vec<Upstream>,
    /// What it serves.
    pub kind: Kind,
    /// Client connections at once.
    pub connections: usize,
    /// Whether HTTP/1 headers keep their case.
    pub header_case: bool,
    /// How it treats headers.
    pub rewriting: Rewriting,
    /// Which Host the upstream sees.
    pub host: Host,
    /// Whether a PROXY protocol header comes first.
    pub preamble: Preamble,
    /// What becomes of a request that could not be inspected.
    pub failure: Failure,
    /// What becomes of a connection whose framing was refused.
    pub smuggling: Smuggling,
    /// Whether clients may speak HTTP/2.
    pub http2: bool,
    /// The time-outs and bounds.
    pub limits: Limits,
    /// TLS toward upstreams.
    pub upstream_tls: UpstreamTls,
    /// Where and how requests are logged.
    pub access_log: Option<AccessLog>,
    /// Whether the errors of clients are logged.
    pub log_all_errors: bool,
    /// Whether WebSocket text is inspected.
    pub inspect_websocket: bool,
}

/// Certificate and key, PEM files.
#[derive(Clone, Debug)]
pub struct ServerTls {
    /// Certificate chain.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// What opens an encrypted key.
    pub passphrase: Option<Passphrase>,
    /// Least version.
    pub least: TlsVersion,
}

/// Where a passphrase is.
#[derive(Clone)]
pub enum Passphrase {
    /// Here.
    Text(String),
    /// In an environment variable.
    Environment(String),
    /// In the first line of a file.
    File(PathBuf),
}

impl std::fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Text(_) => "Text(***)",
            Self::Environment(_) => "Environment",
            Self::File(_) => "File",
        })
    }
}

impl Passphrase {
    fn parse(text: &str) -> Option<Self> {
        match text.split_once(':')? {
            ("pass", text) => Some(Self::Text(text.to_owned())),
            ("env", name) => Some(Self::Environment(name.to_owned())),
            ("file", path) => Some(Self::File(path.into())),
            _ => None,
        }
    }
}

/// A TLS version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// RFC 5246.
    Tls12,
    /// RFC 8446.
    Tls13,
}

/// Where requests are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// http or https.
    pub scheme: Scheme,
    /// Host and port.
    pub authority: Authority,
    /// The protocol spoken to it.
    pub protocol: UpstreamProtocol,
}

/// The protocol spoken to an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamProtocol {
    /// HTTP/1.1, or HTTP/2 where an https upstream agrees to it by ALPN.
    Negotiated,
    /// HTTP/1.1 only.
    Http1,
    /// HTTP/2 only, with prior knowledge.
    Http2,
}

/// What a listener serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// HTTP of any kind.
    Any,
    /// gRPC alone: a body is held up to its first message, because a stream may wait for the answer before it goes on.
    Grpc,
}

/// Which Host the upstream sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host {
    /// The client's (`pass-host-header`).
    Client,
    /// The upstream's own.
    Upstream,
}

/// What comes before the first request of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preamble {
    /// Nothing.
    None,
    /// A PROXY protocol header.
    ProxyProtocol,
}

/// What becomes of a request that could not be inspected in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It passes.
    Open,
    /// It is answered 503.
    Closed,
}

/// What becomes of a connection after a request whose framing was refused within its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Smuggling {
    /// It is closed after the answer.
    Close,
    /// It is closed once its other requests are done; a refused head always closes it.
    Finish,
}

/// TLS toward upstreams.
#[derive(Clone, Debug)]
pub struct UpstreamTls {
    /// Roots to trust, PEM; the system's where not set.
    pub roots: Option<PathBuf>,
    /// Whether certificates are checked.
    pub verify: bool,
    /// Name that is sent, instead of the upstream's host.
    pub server_name: Option<String>,
    /// Name the certificate must have, instead of the name that is sent.
    pub verify_name: Option<String>,
}

/// Where and how requests are logged.
#[derive(Clone, Debug)]
pub struct AccessLog {
    /// The file.
    pub path: PathBuf,
    /// A line's form.
    pub format: AccessLogFormat,
}

/// A line's form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessLogFormat {
    /// NCSA common log format.
    Common,
    /// Common with Referer and User-Agent.
    Combined,
    /// A JSON object.
    Json,
}

/// Time-outs and bounds. `None` is no limit.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a body that are held and inspected.
    pub body: usize,
    /// A request's header.
    pub header: Duration,
    /// Between two parts of a request's body, or of an answer that the client reads.
    pub body_idle: Duration,
    /// The part of a body that is held.
    pub body_whole: Duration,
    /// An idle client connection.
    pub idle: Duration,
    /// A whole exchange.
    pub request: Option<Duration>,
    /// An upstream's response header.
    pub response_header: Option<Duration>,
    /// Connecting to an upstream.
    pub connect: Duration,
    /// A TLS handshake.
    pub handshake: Duration,
    /// TCP keep-alive of upstream connections.
    pub keepalive: Option<Duration>,
    /// An idle upstream connection.
    pub upstream_idle: Duration,
    /// Idle connections kept.
    pub upstream_idle_most: usize,
    /// Connections to one upstream.
    pub upstream_most: Option<usize>,
    /// Exchanges under way after the drain began.
    pub shutdown: Duration,
}

/// Longest header read where no option says otherwise: slow senders must not hold connections.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest wait for the next part of a body where no option says otherwise.
const BODY_IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest time to hold a body where no option says otherwise: a slow line needs it, a slow sender must not have more.
const BODY_TIMEOUT: Duration = Duration::from_secs(300);
/// Client connections at once where no option says otherwise.
const CONNECTIONS: usize = 10_000;
/// Longest idle time of a client connection where no option says otherwise.
const IDLE_TIMEOUT: Duration = Duration::from_secs(120);

impl Listener {
    /// `http` or `https`.
    pub(crate) fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// Checks the listener called `name`; `body` is the most bytes of a body that are inspected, `connections` the most
    /// connections where 0 leaves it to the proxy.
    ///
    /// # Errors
    /// The first key that cannot be used, and why.
    pub fn new(
        name: &str,
        settings: &ListenerSettings,
        body: u64,
        connections: u64,
    ) -> Result<Self, SettingsError> {
        let fault =
            |key, reason: &str| SettingsError { listener: name.to_owned(), key, reason: reason.to_owned() };
        let (scheme, authority) = url(&settings.listener)
            .ok_or_else(|| fault("listener", "expected http://HOST:PORT or https://HOST:PORT"))?;
        let port = authority.port_u16().ok_or_else(|| fault("listener", "the port is missing"))?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let host = if host == "localhost" { "127.0.0.1" } else { host };
        let ip =
            host.parse().map_err(|_| fault("listener", "the host must be an IP address of this machine"))?;
        let passphrase =
            match settings.tls_key_passphrase.expose() {
                "" => None,
                text => Some(Passphrase::parse(text).ok_or_else(|| {
                    fault("tls-key-passphrase", "expected pass:TEXT, env:NAME or file:PATH")
                })?),
            };
        let tls = match (scheme == Scheme::HTTPS, settings.tls_cert.as_ref(), settings.tls_key.as_ref()) {
            (false, None, None) => None,
            (false, _, _) => {
                return Err(fault("tls-cert", "an http listener has no certificate: write https"));
            }
            (true, Some(certificate), Some(key)) => Some(ServerTls {
                certificate: certificate.clone(),
                key: key.clone(),
                passphrase,
                least: match settings.tls_min_version.as_str() {
                    "1.2" => TlsVersion::Tls12,
                    "1.3" => TlsVersion::Tls13,
                    _ => return Err(fault("tls-min-version", "expected 1.2 or 1.3")),
                },
            }),
            (true, None, _) => return Err(fault("tls-cert", "an https listener needs a certificate")),
            (true, Some(_), None) => return Err(fault("tls-key", "an https listener needs a key")),
        };
        let mut upstreams = Vec::new();
        for text in settings.upstreams.iter() {
            let (scheme, authority) = url(text)
                .ok_or_else(|| fault("upstreams", "expected http://HOST[:PORT] or https://HOST[:PORT]"))?;
            let protocol = match (*settings.grpc, *settings.http2_upstreams) {
                (true, _) => UpstreamProtocol::Http2,
                (false, true) => UpstreamProtocol::Negotiated,
                (false, false) => UpstreamProtocol::Http1,
            };
            upstreams.push(Upstream { scheme, authority, protocol });
        }
        if upstreams.is_empty() {
            return Err(fault("upstreams", "at least one is needed"));
        }
        let rewriting = match (*settings.minimal_header_rewriting, *settings.trust_proxy_headers) {
            (true, _) => Rewriting::Minimal,
            (false, true) => Rewriting::Extend,
            (false, false) => Rewriting::Replace,
        };
        let preamble = match settings.remote_addr.as_str() {
            "" => Preamble::None,
            "proxy-protocol" => Preamble::ProxyProtocol,
            _ => return Err(fault("remote-addr", "expected proxy-protocol")),
        };
        let format = match settings.access_log_format.as_str() {
            "common" => AccessLogFormat::Common,
            "combined" => AccessLogFormat::Combined,
            "json" => AccessLogFormat::Json,
            _ => return Err(fault("access-log-format", "expected common, combined or json")),
        };
        let body = settings.inspection_max_content_length.as_ref().map_or(body, |size| size.0);
        let named = |name: &String| (!name.is_empty()).then(|| name.clone());
        let connections = usize::try_from(connections).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        Ok(Self {
            name: name.to_owned(),
            address: SocketAddr::new(ip, port),
            tls,
            upstreams,
            kind: if *settings.grpc { Kind::Grpc } else { Kind::Any },
            connections: if connections == 0 { CONNECTIONS } else { connections },
            header_case: *settings.expose_raw_headers,
            rewriting,
            host: if *settings.pass_host_header { Host::Client } else { Host::Upstream },
            preamble,
            failure: if *settings.fail_open { Failure::Open } else { Failure::Closed },
            smuggling: if *settings.close_conn_on_request_smuggling {
                Smuggling::Close
            } else {
                Smuggling::Finish
            },
            http2: *settings.http2,
            limits: Limits {
                body: usize::try_from(body).unwrap_or(usize::MAX),
                header: limit(settings.read_timeout.0).unwrap_or(HEADER_TIMEOUT),
                body_idle: limit(settings.read_timeout.0)
                    .map_or(BODY_IDLE_TIMEOUT, |read| read.min(BODY_IDLE_TIMEOUT)),
                body_whole: limit(settings.read_timeout.0).unwrap_or(BODY_TIMEOUT),
                idle: limit(settings.idle_timeout.0)
                    .or(limit(settings.read_timeout.0))
                    .unwrap_or(IDLE_TIMEOUT),
                request: limit(settings.request_timeout.0),
                response_header: limit(settings.response_header_timeout.0),
                connect: limit(settings.conn_timeout.0).unwrap_or(Duration::from_secs(30)),
                handshake: limit(settings.tls_handshake_timeout.0).unwrap_or(Duration::from_secs(10)),
                keepalive: limit(settings.conn_keepalive.0),
                upstream_idle: settings.conn_idle_timeout.0,
                upstream_idle_most: usize::try_from(*settings.conn_idle_max).unwrap_or(usize::MAX),
                upstream_most: usize::try_from(*settings.conn_max_per_host).ok().filter(|&most| most > 0),
                shutdown: settings.shutdown_timeout.0,
            },
            upstream_tls: UpstreamTls {
                roots: settings.tls_ca_roots.as_ref().cloned(),
                verify: !*settings.tls_insecure_skip_verify,
                server_name: named(&settings.tls_host_override),
                verify_name: named(&settings.tls_verify_servername),
            },
            access_log: settings.access_log.as_ref().map(|path| AccessLog { path: path.clone(), format }),
            log_all_errors: *settings.log_all_errors,
            inspect_websocket: *settings.inspect_websocket,
        })
    }
}

/// Scheme and authority of a URL that has nothing else.
fn url(text: &str) -> Option<(Scheme, Authority)> {
    let uri: Uri = text.parse().ok()?;
    let parts = uri.into_parts();
    let scheme = parts.scheme.filter(|scheme| *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS)?;
    let bare = parts.path_and_query.is_none_or(|path| path.as_str() == "/");
    bare.then_some((scheme, parts.authority?))
}
