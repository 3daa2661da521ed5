//! A small HTTP client: a new connection each time, over HTTP/1.1 or HTTP/2 with prior knowledge.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Body as _, Frame, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::stats::Stats;

/// How long any one exchange may take before it counts as hung.
const PATIENCE: Duration = Duration::from_secs(20);

type Body = UnsyncBoxBody<Bytes, std::convert::Infallible>;

/// The protocol of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2 over cleartext with prior knowledge.
    Http2,
}

/// What a request's body is.
#[derive(Clone, Debug, Default)]
pub enum Payload {
    /// None at all.
    #[default]
    None,
    /// These bytes, their length announced.
    Whole(Bytes),
    /// These pieces, no length announced: chunked over HTTP/1.1.
    Pieces(Vec<Bytes>),
    /// These bytes, then trailers.
    WithTrailers(Bytes, HeaderMap),
}

/// One request, as plain data.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The protocol.
    pub protocol: Protocol,
    /// The method.
    pub method: Method,
    /// Path and query, sent as they are.
    pub target: String,
    /// Headers besides `host`.
    pub headers: HeaderMap,
    /// The body.
    pub payload: Payload,
}

impl Ask {
    /// A GET of `target` over HTTP/1.1.
    #[must_use]
    pub fn get(target: &str) -> Self {
        Self {
            protocol: Protocol::Http1,
            method: Method::GET,
            target: target.to_owned(),
            headers: HeaderMap::new(),
            payload: Payload::None,
        }
    }

    /// A POST of `body` to `target` over HTTP/1.1.
    #[must_use]
    pub fn post(target: &str, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        let mut ask = Self::get(target);
        ask.method = Method::POST;
        ask.payload = Payload::Whole(body.into());
        ask.header("content-type", content_type)
    }

    /// The same, with one header more.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
            self.headers.append(HeaderName::from_static(name), value);
        }
        self
    }

    /// The same, over another protocol.
    #[must_use]
    pub fn over(mut self, protocol: Protocol) -> Self {
        self.protocol = protocol;
        self
    }

    /// Sends it and reads the whole answer.
    ///
    /// # Errors
    /// When the exchange breaks off or takes longer than 20 s.
    pub async fn send(self, to: SocketAddr) -> Result<Answer> {
        let what = format!("{} {}", self.method, self.target);
        tokio::time::timeout(PATIENCE, self.exchange(to))
            .await
            .with_context(|| format!("{what}: no answer within {} s", PATIENCE.as_secs()))?
            .with_context(|| what)
    }

    async fn exchange(self, to: SocketAddr) -> Result<Answer> {
        let stream = TokioIo::new(TcpStream::connect(to).await?);
        let uri = match self.protocol {
            Protocol::Http1 => self.target.clone(),
            Protocol::Http2 => format!("http://{to}{}", self.target),
        };
        let mut request = Request::new(body(self.payload));
        *request.method_mut() = self.method;
        *request.uri_mut() = uri.parse()?;
        *request.headers_mut() = self.headers;
        let response = match self.protocol {
            Protocol::Http1 => {
                request.headers_mut().insert("host", HeaderValue::from_str(&to.to_string())?);
                let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await?;
                tokio::spawn(connection);
                sender.send_request(request).await?
            }
            Protocol::Http2 => {
                let (mut sender, connection) =
                    hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await?;
                tokio::spawn(connection);
                sender.send_request(request).await?
            }
        };
        Answer::read(response).await
    }
}

fn body(payload: Payload) -> Body {
    match payload {
        Payload::None => Full::new(Bytes::new()).boxed_unsync(),
        Payload::Whole(bytes) => Full::new(bytes).boxed_unsync(),
        Payload::Pieces(pieces) => {
            let frames = pieces.into_iter().map(|piece| Ok(Frame::data(piece)));
            StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync()
        }
        Payload::WithTrailers(bytes, trailers) => {
            Full::new(bytes).with_trailers(async move { Some(Ok(trailers)) }).boxed_unsync()
        }
    }
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
    /// Its trailers; empty where there were none.
    pub trailers: HeaderMap,
}

impl Answer {
    async fn read(response: http::Response<Incoming>) -> Result<Self> {
        let (parts, body) = response.into_parts();
        let body = body.collect().await?;
        let trailers = body.trailers().cloned().unwrap_or_default();
        Ok(Self { status: parts.status, headers: parts.headers, body: body.to_bytes(), trailers })
    }

    /// What the sample application said about the request it saw.
    ///
    /// # Errors
    /// When the answer is not the sample application's.
    pub fn report(&self) -> Result<serde_json::Value> {
        serde_json::from_slice(&self.body).with_context(|| format!("{} with {:?}", self.status, self.body))
    }
}

/// Opens a WebSocket, sends `text` and returns what comes back.
///
/// # Errors
/// When the handshake is refused, the echo does not come, or either takes longer than 20 s.
pub async fn websocket(to: SocketAddr, target: &str, headers: &HeaderMap, text: &str) -> Result<String> {
    let exchange = async {
        let mut request = format!("ws://{to}{target}").into_client_request()?;
        request.headers_mut().extend(headers.clone());
        let (mut socket, _) = tokio_tungstenite::client_async(request, TcpStream::connect(to).await?).await?;
        socket.send(Message::text(text)).await?;
        match socket.next().await.context("the socket was closed without an echo")?? {
            Message::Text(echo) => Ok(echo.to_string()),
            other => bail!("an echo of another kind: {other:?}"),
        }
    };
    tokio::time::timeout(PATIENCE, exchange).await.context("the WebSocket hung")?
}

/// Opens a gRPC-like stream, sends one message after the other, each after the echo of the one before, and returns
/// the closing `grpc-status`.
///
/// # Errors
/// When an echo differs or does not come, or the stream takes longer than 20 s.
pub async fn grpc_echo(
    to: SocketAddr,
    target: &str,
    headers: &HeaderMap,
    messages: &[&str],
) -> Result<String> {
    tokio::time::timeout(PATIENCE, grpc_exchange(to, target, headers, messages))
        .await
        .context("the gRPC-like stream hung")?
}

async fn grpc_exchange(
    to: SocketAddr,
    target: &str,
    headers: &HeaderMap,
    messages: &[&str],
) -> Result<String> {
    let stream = TokioIo::new(TcpStream::connect(to).await?);
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await?;
    tokio::spawn(connection);
    let (feed, mut frames) = tokio::sync::mpsc::channel::<Bytes>(1);
    let frames = futures_util::stream::poll_fn(move |context| {
        let next = frames.poll_recv(context);
        next.map(|piece| piece.map(|piece| Ok::<_, std::convert::Infallible>(Frame::data(piece))))
    });
    let mut request = Request::new(StreamBody::new(frames));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = format!("http://{to}{target}").parse()?;
    *request.headers_mut() = headers.clone();
    request.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    request.headers_mut().insert("te", HeaderValue::from_static("trailers"));
    let response = sender.send_request(request).await?;
    if response.status() != StatusCode::OK {
        bail!("the stream was answered {}", response.status());
    }
    let mut echoes = response.into_body();
    for message in messages {
        feed.send(framed(message)).await?;
        let mut echo = Vec::new();
        while echo.len() < message.len() + 5 {
            let frame = echoes.frame().await.context("the stream ended before the echo")??;
            echo.extend_from_slice(&frame.into_data().unwrap_or_default());
        }
        if echo != framed(message) {
            bail!("sent {message:?}, got {:?}", String::from_utf8_lossy(&echo));
        }
    }
    drop(feed);
    let mut status = String::new();
    while !echoes.is_end_stream() {
        let Some(frame) = echoes.frame().await else { break };
        if let Some(trailer) = frame?.trailers_ref().and_then(|trailers| trailers.get("grpc-status")) {
            status = trailer.to_str()?.to_owned();
        }
    }
    Ok(status)
}

/// A message with gRPC's prefix: not compressed, and its length.
fn framed(message: &str) -> Bytes {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    let mut frame = vec![0];
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(message.as_bytes());
    frame.into()
}

/// Envoy's counters.
///
/// # Errors
/// When the admin port does not answer.
pub async fn stats(admin: SocketAddr) -> Result<Stats> {
    let answer = Ask::get("/stats/prometheus").send(admin).await?;
    Ok(Stats::new(String::from_utf8_lossy(&answer.body).into_owned()))
}
