//! HTTP/1.1 and HTTP/2 as the filter speaks it: the same messages, one a request.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use portcullis_protocol::http as wire;
use thiserror::Error;
use tokio::time::timeout;
use tracing::debug;

use crate::drain::Watch;
use crate::listen::stream::Stream;
use crate::memory::{self, Held};
use crate::service::Service;

/// How long a body may take to arrive.
const ARRIVAL: Duration = Duration::from_secs(5);

/// How long an HTTP/1 connection may wait for its next request.
const IDLE: Duration = Duration::from_secs(120);

/// Requests under way on one HTTP/2 connection; Envoy opens another connection for more.
const STREAMS: u32 = 256;

/// Bytes of a body that are sent without waiting for us: most bodies arrive in one go.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 8 * 1024 * 1024;

/// Bytes of a request's headers; a message's own headers are in the body.
const HEADER_BYTES: u32 = 16 * 1024;

/// Serves one connection until its peer leaves, or `drain` says so and its requests are answered.
pub(super) async fn serve(stream: Stream, service: Arc<Service>, most: usize, mut drain: Watch) {
    let debugging = Arc::clone(&service);
    let handler = service_fn(move |request| {
        let service = Arc::clone(&service);
        async move { Ok::<_, Infallible>(handle(request, &service, most).await) }
    });
    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http1().timer(TokioTimer::new()).header_read_timeout(IDLE).max_buf_size(64 * 1024);
    server
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(HEADER_BYTES);
    let connection = std::pin::pin!(server.serve_connection(TokioIo::new(stream), handler));
    if let Err(error) = drain.serve(connection, auto::Connection::graceful_shutdown).await {
        debug!(error, "http connection ended");
        if let Some(error) = error.downcast_ref::<hyper::Error>() {
            debugging.debug.connection("http connection", error);
        }
    }
}

/// Why a request is not answered with a message.
#[derive(Debug, Error)]
enum Refusal {
    #[error("no such path")]
    Path,
    #[error("use POST")]
    Method,
    #[error("name a version of the protocol; this agent speaks up to {}", wire::VERSION)]
    Version,
    #[error("body too large")]
    TooLarge,
    #[error("body took too long to arrive")]
    Late,
    #[error("too many requests are arriving slowly")]
    Crowded,
    #[error("body is cut off")]
    CutOff,
    #[error("body is not a message: {0}")]
    Message(#[from] portcullis_protocol::DecodeError),
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::Path => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Late => StatusCode::REQUEST_TIMEOUT,
            Self::Crowded => StatusCode::SERVICE_UNAVAILABLE,
            Self::Version | Self::CutOff | Self::Message(_) => StatusCode::BAD_REQUEST,
        }
    }
}

async fn handle(request: Request<Incoming>, service: &Arc<Service>, most: usize) -> Response<Full<Bytes>> {
    match answer(request, service, most).await {
        Ok((version, message)) => {
            let mut response = Response::new(Full::new(message));
            let headers = response.headers_mut();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(wire::CONTENT_TYPE));
            headers.insert(wire::VERSION_HEADER, HeaderValue::from(version));
            response
        }
        Err(refusal) => {
            match refusal {
                Refusal::Crowded => service.counters.crowded_out.add(),
                _ => service.counters.refused.add(),
            }
            debug!(reason = %refusal, "request refused");
            service.debug.connection("http request", &refusal);
            let mut response = Response::new(Full::new(Bytes::from(refusal.to_string())));
            *response.status_mut() = refusal.status();
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
            if matches!(refusal, Refusal::Method) {
                response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
            }
            response
        }
    }
}

#[derive(Clone, Copy)]
enum Call {
    Ask,
    Post,
    Update,
    Response,
    Reports,
    Local,
}

/// The message that answers a request, and the version of the protocol that both sides speak.
async fn answer(
    request: Request<Incoming>,
    service: &Arc<Service>,
    most: usize,
) -> Result<(u16, Bytes), Refusal> {
    let call = match request.uri().path() {
        wire::PRE_REQUEST => Call::Ask,
        wire::POST_REQUEST => Call::Post,
        wire::UPDATE_REQUEST => Call::Update,
        wire::RESPONSE => Call::Response,
        wire::REPORTS => Call::Reports,
        wire::LOCAL => Call::Local,
        _ => return Err(Refusal::Path),
    };
    if request.method() != Method::POST {
        return Err(Refusal::Method);
    }
    let offer = request.headers().get(wire::VERSION_HEADER).ok_or(Refusal::Version)?;
    let version = wire::agreed(offer.as_bytes()).ok_or(Refusal::Version)?;
    let mut held = service.memory.hold();
    let message = body(request.into_body(), most, &mut held).await?;
    let reply = match call {
        Call::Ask => {
            let answer = service.pre_request(message).await?;
            let message = answer.to_filter_speaking(version);
            service.debug.output(&message);
            message.encode().into()
        }
        Call::Post => {
            service.post_request(&message)?;
            Bytes::from_static(wire::ACK)
        }
        Call::Update => {
            service.update_request(&message)?;
            Bytes::from_static(wire::ACK)
        }
        Call::Response => {
            let answer = service.about_response(&message)?;
            answer.about_response().encode().into()
        }
        Call::Reports => {
            service.reports(&message)?;
            Bytes::from_static(wire::ACK)
        }
        Call::Local => service.local(&message)?.into(),
    };
    Ok((version, reply))
}

async fn body(body: Incoming, most: usize, held: &mut Held) -> Result<Bytes, Refusal> {
    let mut body = Limited::new(body, most);
    let arrival = async {
        let mut first = Bytes::new();
        let mut all = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
            // Most bodies come in one piece, which is used as it is.
            if first.is_empty() && all.is_empty() {
                first = data;
                continue;
            }
            held.grow_to(first.len() + all.len() + data.len()).map_err(|memory::Full| Refusal::Crowded)?;
            all.extend_from_slice(&std::mem::take(&mut first));
            all.extend_from_slice(&data);
        }
        Ok(if all.is_empty() { first } else { all.freeze() })
    };
    timeout(ARRIVAL, arrival).await.unwrap_or(Err(Refusal::Late))
}

#[expect(clippy::needless_pass_by_value, reason = "called by map_err")]
fn broken(error: Box<dyn std::error::Error + Send + Sync>) -> Refusal {
    if error.is::<LengthLimitError>() { Refusal::TooLarge } else { Refusal::CutOff }
}
