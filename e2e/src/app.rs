//! The sample application: it answers anything, echoes WebSockets and gRPC-like streams, and counts what reached it.
//!
//! | request | answer |
//! |---|---|
//! | `GET /seen` | the counter, as JSON; itself not counted |
//! | `/status/NNN` | that status |
//! | `/moved/NAME` | 302 to `/NAME` of the same host |
//! | `/events` | two server-sent events; the second waits for a request for `/events/go-on` |
//! | a WebSocket handshake | 101, then every message back |
//! | `content-type: application/grpc…` | the request's bytes as they come, then `grpc-status: 0` |
//! | anything else | 200 and what the application saw of it, as JSON |

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

/// The request header by which a caller recognises its own request in the counter.
pub const ID_HEADER: &str = "x-demo-id";

/// The most distinct ids the counter tells apart; the rest count as `other`.
const MAX_IDS: usize = 1024;

type Body = UnsyncBoxBody<Bytes, hyper::Error>;

/// A running sample application. Dropping it stops it.
pub struct App {
    address: SocketAddr,
    seen: Seen,
    server: JoinHandle<()>,
}

impl App {
    /// Starts the application on a free loopback port.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0))
            .await
            .context("no port for the sample app")?;
        let address = listener.local_addr()?;
        let seen = Seen::default();
        let server = tokio::spawn(serve(listener, seen.clone()));
        Ok(Self { address, seen, server })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many requests with this id reached it.
    #[must_use]
    pub fn seen(&self, id: &str) -> u64 {
        self.seen.of(id)
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.server.abort();
    }
}

#[derive(Clone, Default)]
struct Seen {
    counts: Arc<Mutex<BTreeMap<String, u64>>>,
    /// The second event may be sent.
    go_on: Arc<Notify>,
}

impl Seen {
    fn count(&self, headers: &HeaderMap) {
        let id = headers.get(ID_HEADER).and_then(|id| id.to_str().ok()).unwrap_or("other");
        let mut seen = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let id = if seen.len() < MAX_IDS || seen.contains_key(id) { id } else { "other" };
        *seen.entry(id.to_owned()).or_default() += 1;
    }

    fn of(&self, id: &str) -> u64 {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).get(id).copied().unwrap_or_default()
    }

    fn report(&self) -> Bytes {
        let seen = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let report = serde_json::json!({"requests": seen.values().sum::<u64>(), "by_id": *seen});
        Bytes::from(format!("{report}\n"))
    }
}

async fn serve(listener: TcpListener, seen: Seen) {
    while let Ok((stream, _)) = listener.accept().await {
        let seen = seen.clone();
        tokio::spawn(async move {
            let service = hyper::service::service_fn(move |request| {
                let seen = seen.clone();
                async move { Ok::<_, Infallible>(answer(request, &seen).await) }
            });
            // A client that goes away in the middle is not this application's concern.
            let _gone = auto::Builder::new(TokioExecutor::new())
                .serve_connection_with_upgrades(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(request: Request<Incoming>, seen: &Seen) -> Response<Body> {
    if request.uri().path() == "/seen" {
        return json(StatusCode::OK, seen.report());
    }
    seen.count(request.headers());
    if let Some(key) = request.headers().get(header::SEC_WEBSOCKET_KEY) {
        let accept = derive_accept_key(key.as_bytes());
        return websocket(request, &accept);
    }
    if is_grpc(request.headers()) {
        return stream_back(request);
    }
    match request.uri().path() {
        "/events" => return events(Arc::clone(&seen.go_on)),
        "/events/go-on" => seen.go_on.notify_one(),
        _ => {}
    }
    if let Some(name) = request.uri().path().strip_prefix("/moved/") {
        return moved(request.headers(), name);
    }
    let (parts, body) = request.into_parts();
    let Ok(body) = body.collect().await else {
        return json(StatusCode::BAD_REQUEST, Bytes::from_static(b"{\"error\":\"the body broke off\"}\n"));
    };
    let trailers = body.trailers().cloned().unwrap_or_default();
    let report = serde_json::json!({
        "method": parts.method.as_str(),
        "target": parts.uri.path_and_query().map(ToString::to_string),
        "protocol": format!("{:?}", parts.version),
        "headers": pairs(&parts.headers),
        "body_bytes": body.to_bytes().len(),
        "trailers": pairs(&trailers),
    });
    // The server strips the body of an answer to HEAD over HTTP/1.1, but not over HTTP/2.
    let report = if parts.method == Method::HEAD { String::new() } else { format!("{report}\n") };
    json(wanted_status(parts.uri.path()), report.into())
}

fn moved(headers: &HeaderMap, name: &str) -> Response<Body> {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    let mut response = json(StatusCode::FOUND, Bytes::new());
    if let Ok(location) = HeaderValue::from_str(&format!("http://{host}/{name}")) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

fn wanted_status(path: &str) -> StatusCode {
    path.strip_prefix("/status/").and_then(|code| code.parse().ok()).unwrap_or(StatusCode::OK)
}

fn pairs(headers: &HeaderMap) -> Vec<(&str, String)> {
    headers
        .iter()
        .map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect()
}

fn json(status: StatusCode, body: Bytes) -> Response<Body> {
    let whole = Full::new(body).map_err(|never| match never {}).boxed_unsync();
    let mut response = Response::new(whole);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

/// Sends every piece back as it arrives: the shape of a bidirectional gRPC call.
fn stream_back(request: Request<Incoming>) -> Response<Body> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let data = request.into_body().map_frame(|frame| match frame.into_data() {
        Ok(data) => Frame::data(data),
        // Only trailers are not data; the stream's own follow below.
        Err(_) => Frame::data(Bytes::new()),
    });
    let mut response = Response::new(data.with_trailers(async move { Some(Ok(trailers)) }).boxed_unsync());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

/// One event at once, and one that waits: whoever holds a response back until it is whole waits for ever.
fn events(go_on: Arc<Notify>) -> Response<Body> {
    let event = |text: &'static str| Ok(Frame::data(Bytes::from_static(text.as_bytes())));
    let second = async move {
        go_on.notified().await;
        event("data: two\n\n")
    };
    let first = futures_util::stream::once(async move { event("data: one\n\n") });
    let both = first.chain(futures_util::stream::once(second));
    let mut response = Response::new(StreamBody::new(both).boxed_unsync());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response
}

fn websocket(request: Request<Incoming>, accept: &str) -> Response<Body> {
    tokio::spawn(async move {
        let Ok(upgraded) = hyper::upgrade::on(request).await else { return };
        let mut socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
        while let Some(Ok(message)) = socket.next().await {
            if (message.is_text() || message.is_binary()) && socket.send(message).await.is_err() {
                return;
            }
        }
    });
    let mut response = json(StatusCode::SWITCHING_PROTOCOLS, Bytes::new());
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_TYPE);
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    if let Ok(accept) = HeaderValue::from_str(accept) {
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    }
    response
}
