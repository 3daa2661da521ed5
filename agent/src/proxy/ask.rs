//! A proxied request as the inspector is shown it.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::Version;
use http::header::{CONTENT_TYPE, HOST};
use portcullis_detect::{Body, Header, Request as Detected};
use portcullis_proxy::{Direction, Seen};

use crate::request::Request;
use crate::service::Ask;

/// Says who reports, in records.
const FLAVOR: &[u8] = concat!("portcullis-proxy/", env!("CARGO_PKG_VERSION")).as_bytes();

/// A request to show.
#[derive(Debug)]
pub(super) struct Asked {
    /// What the proxy read.
    pub(super) seen: Arc<Seen>,
    told: Told,
    client: Option<IpAddr>,
    peer: String,
    millis: i64,
}

/// What of it is shown.
#[derive(Debug)]
pub(super) enum Told {
    /// All.
    Request,
    /// A message of the WebSocket that it opened, in the place of the body.
    Message(Bytes, Direction),
    /// How it began: it was refused before it was read.
    Start(Bytes),
}

impl Asked {
    /// Shows what `told` says of `seen`, whose client is `client` where headers are not to say so.
    pub(super) fn new(seen: Arc<Seen>, told: Told, client: Option<IpAddr>) -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let millis = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
        let peer = seen.client.ip().to_canonical().to_string();
        Self { seen, told, client, peer, millis }
    }

    /// About how many bytes have to be read.
    pub(super) fn size(&self) -> usize {
        let body = match &self.told {
            Told::Request => self.seen.body.len(),
            Told::Message(text, _) => text.len(),
            Told::Start(start) => start.len(),
        };
        let headers = self.seen.headers.iter().map(|(name, value)| name.as_str().len() + value.len());
        let target = self.seen.uri.path_and_query().map_or(0, |target| target.as_str().len());
        headers.sum::<usize>() + target + body
    }

    fn body(&self) -> Body<'_> {
        match &self.told {
            Told::Request => Body { bytes: &self.seen.body, truncated: self.seen.truncated },
            Told::Message(text, _) => Body { bytes: text, truncated: false },
            Told::Start(_) => Body { bytes: &[], truncated: false },
        }
    }

    /// The first line of a request that was refused, as far as it has one.
    fn line(&self) -> (&[u8], &[u8]) {
        let Told::Start(start) = &self.told else { return (&[], &[]) };
        let mut lines = start.split(|&byte| matches!(byte, b'\r' | b'\n'));
        let line = lines.find(|line| !line.is_empty()).unwrap_or_default();
        let mut words = line.split(|&byte| byte == b' ');
        (words.next().unwrap_or_default(), words.next().unwrap_or_default())
    }
}

impl Ask for Asked {
    fn with_request<R>(&self, judge: impl FnOnce(&Request<'_>) -> R) -> R {
        let seen = &*self.seen;
        let authority = authority(seen);
        let mut headers = Vec::with_capacity(seen.headers.len() + 1);
        if seen.uri.authority().is_some() && !seen.headers.contains_key(HOST) {
            // The application gets one.
            headers.push(Header { name: b"host", value: authority });
        }
        let message = matches!(self.told, Told::Message(..));
        // Some applications read trailers as headers.
        let all = seen.headers.iter().chain(seen.trailers.iter().flat_map(|trailers| trailers.iter()));
        let shown = all.filter(|(name, _)| !message || *name != CONTENT_TYPE);
        headers.extend(
            shown.map(|(name, value)| Header { name: name.as_str().as_bytes(), value: value.as_bytes() }),
        );
        let target = target(seen);
        let line = self.line();
        let (method, target) = match &self.told {
            Told::Request => (seen.method.as_str().as_bytes(), target.as_bytes()),
            // Which way it goes is told by the method: as a request, or as none that a client ever sends.
            Told::Message(_, Direction::ToUpstream) => (&b"WEBSOCKET"[..], target.as_bytes()),
            Told::Message(_, Direction::ToClient) => (&b"WEBSOCKET-RESPONSE"[..], target.as_bytes()),
            Told::Start(_) => line,
        };
        let tls = seen.tls.as_deref();
        judge(&Request {
            seen: Detected {
                method,
                scheme: if tls.is_some() { b"https" } else { b"http" },
                authority,
                target,
                protocol: protocol(seen.version),
                tls_protocol: tls.map_or(b"", |tls| tls.version.as_bytes()),
                tls_cipher: tls.map_or(b"", |tls| tls.cipher.as_bytes()),
                headers: &headers,
                body: self.body(),
            },
            remote_addr: self.peer.as_bytes(),
            client: self.client,
            millis: self.millis,
            server_flavor: FLAVOR,
            ja3: "",
            ja4: "",
        })
    }
}

/// The host asked for: the target's own outranks the header.
fn authority(seen: &Seen) -> &[u8] {
    match seen.uri.authority() {
        Some(authority) => authority.as_str().as_bytes(),
        None => seen.headers.get(HOST).map(http::HeaderValue::as_bytes).unwrap_or_default(),
    }
}

/// The target as an application sees it: HTTP/2 sends scheme and authority beside the path.
fn target(seen: &Seen) -> Cow<'_, str> {
    match seen.uri.path_and_query() {
        Some(path) if seen.version == Version::HTTP_2 || seen.uri.scheme().is_none() => path.as_str().into(),
        _ => seen.uri.to_string().into(),
    }
}

fn protocol(version: Version) -> &'static [u8] {
    match version {
        Version::HTTP_10 => b"HTTP/1.0",
        Version::HTTP_2 => b"HTTP/2.0",
        _ => b"HTTP/1.1",
    }
}
