//! Protocol switches: WebSocket and others over HTTP/1.1 Upgrade, and over HTTP/2 extended CONNECT (RFC 8441).

use http::header::{
    CONNECTION, HeaderName, HeaderValue, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY, UPGRADE,
};
use http::{Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use hyper::ext::Protocol;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::sync::watch;
use tracing::debug;

use crate::activity::Busy;
use crate::body::Answer;
use crate::inspect::Inspect;
use crate::lease::Received;
use crate::service::SWITCHING;
use crate::upstream::Held;
use crate::websocket::{self, Watch};

/// A switch that a client asks for.
#[derive(Debug)]
pub(crate) struct Wanted {
    client: OnUpgrade,
    protocol: HeaderValue,
    form: Form,
}

#[derive(Debug, PartialEq, Eq)]
enum Form {
    /// `Connection: Upgrade`, answered 101.
    Http1,
    /// Extended CONNECT, answered 200.
    Http2,
}

/// The switch that `request` asks for. h2c is not one of them: switching to it would hide requests from inspection.
pub(crate) fn wanted(request: &mut Request<Incoming>) -> Option<Wanted> {
    let (protocol, form) = asked(request)?;
    if protocol.as_bytes().to_ascii_lowercase().windows(3).any(|three| three == b"h2c") {
        return None;
    }
    Some(Wanted { client: hyper::upgrade::on(request), protocol, form })
}

fn asked(request: &Request<Incoming>) -> Option<(HeaderValue, Form)> {
    if request.version() == Version::HTTP_2 {
        let protocol = request.extensions().get::<Protocol>()?;
        return Some((HeaderValue::from_str(protocol.as_str()).ok()?, Form::Http2));
    }
    let asks = words(request.headers().get_all(CONNECTION)).any(|word| word.eq_ignore_ascii_case(b"upgrade"));
    let protocol = request.headers().get(UPGRADE).filter(|_| asks)?;
    Some((protocol.clone(), Form::Http1))
}

/// The words of lists separated by commas.
fn words<'a>(values: impl IntoIterator<Item = &'a HeaderValue>) -> impl Iterator<Item = &'a [u8]> {
    values.into_iter().flat_map(|value| value.as_bytes().split(|&byte| byte == b',')).map(<[u8]>::trim_ascii)
}

impl Wanted {
    /// Asks the upstream for the same switch, in HTTP/1.1.
    pub(crate) fn announce(&self, head: &mut http::request::Parts, inspected: bool) {
        head.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        head.headers.insert(UPGRADE, self.protocol.clone());
        if inspected {
            // Compressed frames could not be read without their whole history.
            head.headers.remove(SEC_WEBSOCKET_EXTENSIONS);
        }
        if self.form == Form::Http2 {
            head.method = Method::GET;
            head.version = Version::HTTP_11;
            // RFC 8441 section 5 leaves the key out; a WebSocket server over HTTP/1.1 insists on one.
            head.headers
                .entry(SEC_WEBSOCKET_KEY)
                .or_insert(HeaderValue::from_static("cG9ydGN1bGxpcy1wcm94eQ=="));
            let version = HeaderName::from_static("sec-websocket-version");
            head.headers.entry(version).or_insert(HeaderValue::from_static("13"));
        }
    }

    /// Whether the bytes behind the head belong to the new protocol already.
    pub(crate) fn takes_the_body(&self) -> bool {
        self.form == Form::Http2
    }

    /// Whether `status` without a switch would tell the client that there was one (RFC 8441 section 5).
    pub(crate) fn is_mistaken_for_one(&self, status: StatusCode) -> bool {
        self.form == Form::Http2 && status.is_success()
    }

    /// Joins both sides once the upstream has switched, and gives the client's answer.
    pub(crate) fn accept<I: Inspect>(
        self,
        upstream: &mut Response<Received>,
        sides: Sides<I>,
    ) -> Response<Answer> {
        let mut response = Response::new(Answer::empty());
        *response.headers_mut() = upstream.headers().clone();
        match self.form {
            Form::Http1 => *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS,
            Form::Http2 => {
                for name in [CONNECTION, UPGRADE, HeaderName::from_static("sec-websocket-accept")] {
                    response.headers_mut().remove(name);
                }
            }
        }
        // The upstream may have chosen it out of several, and need not say so.
        let switched = upstream.headers().get_all(UPGRADE).iter().chain([&self.protocol]);
        let is_websocket = words(switched).any(|word| word.eq_ignore_ascii_case(b"websocket"));
        let upstream = hyper::upgrade::on(upstream);
        tokio::spawn(async move {
            let Sides { watch, lease: _lease, open: _open, busy: _busy } = sides;
            let both = async { tokio::try_join!(self.client, upstream) };
            let (client, upstream) = match tokio::time::timeout(SWITCHING, both).await {
                Ok(Ok(sides)) => sides,
                Ok(Err(error)) => return debug!(%error, "protocol switch failed"),
                Err(_) => return debug!("protocol switch took too long"),
            };
            let (mut client, mut upstream) = (TokioIo::new(client), TokioIo::new(upstream));
            let outcome = match watch.filter(|_| is_websocket) {
                Some(watch) => websocket::relay(client, upstream, &watch).await,
                None => tokio::io::copy_bidirectional(&mut client, &mut upstream).await.map(drop),
            };
            if let Err(error) = outcome {
                debug!(%error, "switched connection ended");
            }
        });
        response
    }
}

/// What goes with a switched connection, and is given back at its end.
pub(crate) struct Sides<I> {
    /// How messages are judged, where they are.
    pub watch: Option<Watch<I>>,
    /// The upstream's connection.
    pub lease: Held,
    /// Tells the drain that it is open.
    pub open: watch::Receiver<()>,
    /// Tells the client's connection that it is in use.
    pub busy: Busy,
}
