//! `envoy-grpc-address`: gRPC as Envoy speaks it. ext_authz, ext_proc, access logs and health, all on one address.

mod access_log;
mod arrival;
mod codec;
mod ext_authz;
mod ext_proc;
mod handler;
mod health;
mod proto;
mod question;
mod reply;
mod shape;
mod tls;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use portcullis_config::Settings;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tonic::body::Body;
use tonic::{Code, Status};
use tracing::debug;

use self::arrival::Arrival;
use self::codec::Bounded;
use self::handler::Handler;
use self::question::{Outcome, Question};
use crate::drain::Watch;
use crate::health::Health;
use crate::listen::bind::Listener;
use crate::listen::stream::Stream;
use crate::listen::{Limits, accept};
use crate::service::Service;

/// Calls under way on one connection; Envoy opens another connection for more.
const STREAMS: u32 = 1024;

/// The same on all connections together: a call of ext_proc is as long as the request it is about.
const CALLS: usize = 16_384;

/// Bytes of a body that are sent without waiting for us.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 8 * 1024 * 1024;

/// Bytes of a call's own headers; those of the request it is about are in its body.
const HEADER_BYTES: u32 = 16 * 1024;

/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// A peer that has vanished is found out by asking, and its place freed.
const ASK_EVERY: Duration = Duration::from_secs(30);
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// How long a call that only waits may go on once the agent stops: Envoy writes its access log once a second.
const LAST_WORDS: Duration = Duration::from_millis(1500);

/// What serves Envoy.
pub struct Server {
    service: Arc<Service>,
    health: Arc<Health>,
    options: Options,
    tls: Option<TlsAcceptor>,
    calls: Arc<Semaphore>,
}

/// What the configuration says.
#[derive(Clone, Copy, Debug)]
struct Options {
    /// Bytes of a message.
    message: usize,
    /// Bytes of a body that are inspected.
    body: usize,
    processing: Processing,
    responses: Responses,
    anomaly_size: u64,
    anomaly_time: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Processing {
    Served,
    NotServed,
}

/// Whether the response of a request that ext_authz asked about is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Responses {
    /// By the access log; the request's record waits for it.
    Awaited,
    Unreported,
}

/// What a call needs, for as long as it is under way.
#[derive(Clone)]
struct Call {
    server: Arc<Server>,
    drain: Watch,
    #[expect(dead_code, reason = "held, not read")]
    place: Arc<OwnedSemaphorePermit>,
}

impl Server {
    /// Puts requests before `service`.
    ///
    /// # Errors
    ///
    /// When certificate and key can not be used.
    pub fn new(
        settings: &Settings,
        limits: Limits,
        service: Arc<Service>,
        health: Arc<Health>,
    ) -> Result<Self, tls::TlsOptionError> {
        let processing =
            if *settings.envoy_extproc_enabled { Processing::Served } else { Processing::NotServed };
        let responses =
            if *settings.envoy_expect_response_data > 0 { Responses::Awaited } else { Responses::Unreported };
        let options = Options {
            message: limits.message.bytes,
            body: usize::try_from(settings.inspection_max_content_length.0).unwrap_or(usize::MAX),
            processing,
            responses,
            anomaly_size: settings.inspection_anomaly_size.0,
            anomaly_time: settings.inspection_anomaly_duration.0,
        };
        let calls = Arc::new(Semaphore::new(CALLS));
        Ok(Self { service, health, options, tls: tls::acceptor(settings)?, calls })
    }

    /// Serves `listener` until `drain` says so and all is done that was begun.
    pub async fn serve(self: Arc<Self>, listener: Listener, connections: usize, drain: Watch) {
        let service = Arc::clone(&self.service);
        accept(listener, &service, connections, drain, move |stream, drain| {
            let server = Arc::clone(&self);
            async move {
                server.service.counters.connections.add();
                server.connection(stream, drain).await;
                server.service.counters.closed.add();
            }
        })
        .await;
    }

    async fn connection(self: &Arc<Self>, stream: Stream, drain: Watch) {
        let Some(tls) = &self.tls else { return self.speak(stream, drain).await };
        match timeout(HANDSHAKE, tls.accept(stream)).await {
            Ok(Ok(stream)) => self.speak(stream, drain).await,
            Ok(Err(error)) => self.broken("tls handshake", &error),
            Err(late) => self.broken("tls handshake", &late),
        }
    }

    fn broken(&self, what: &str, error: &dyn std::error::Error) {
        self.service.counters.cut_off.add();
        debug!(%error, "{what} failed");
        self.service.debug.connection(what, error);
    }

    async fn speak<S>(self: &Arc<Self>, stream: S, mut drain: Watch)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (server, watch) = (Arc::clone(self), drain.clone());
        let handler = service_fn(move |request| {
            let (server, watch) = (Arc::clone(&server), watch.clone());
            async move { Ok::<_, Infallible>(server.call(request, watch).await) }
        });
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(HEADER_BYTES)
            .keep_alive_interval(ASK_EVERY)
            .keep_alive_timeout(ANSWER_WITHIN);
        let connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), handler));
        if let Err(error) = drain.serve(connection, http2::Connection::graceful_shutdown).await {
            debug!(%error, "grpc connection ended");
            self.service.debug.connection("grpc connection", &error);
        }
    }

    async fn call(self: &Arc<Self>, request: Request<Incoming>, drain: Watch) -> Response<Body> {
        let response = match Arc::clone(&self.calls).try_acquire_owned() {
            Ok(place) => self.answer(request, drain, place).await,
            Err(_) => Status::resource_exhausted("too many calls are under way").into_http(),
        };
        // Only a call that fails before anything is said carries its status here.
        if let Some(status) =
            Status::from_header_map(response.headers()).filter(|status| status.code() != Code::Ok)
        {
            self.refused(&status);
        }
        response
    }

    /// Answers a call that has a place.
    async fn answer(
        self: &Arc<Self>,
        request: Request<Incoming>,
        drain: Watch,
        place: OwnedSemaphorePermit,
    ) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path().to_owned();
        let arrival = Arrival::new(body, self.service.memory.hold(), self.options.message);
        let request = Request::from_parts(parts, arrival);
        let call = Call { server: Arc::clone(self), drain, place: Arc::new(place) };
        match path.as_str() {
            ext_authz::CHECK => {
                let check = Handler(move |asked| ext_authz::check(call.clone(), asked));
                self.grpc().unary(check, request).await
            }
            access_log::STREAM => {
                let take = Handler(move |asked| access_log::take(call.clone(), asked));
                self.grpc().client_streaming(take, request).await
            }
            ext_proc::PROCESS if self.options.processing == Processing::Served => {
                let process = Handler(move |asked| ext_proc::process(call.clone(), asked));
                self.grpc().streaming(process, request).await
            }
            health::CHECK => {
                let check = Handler(move |asked| health::check(call.clone(), asked));
                self.grpc().unary(check, request).await
            }
            health::WATCH => {
                let watch = Handler(move |asked| health::watch(call.clone(), asked));
                self.grpc().server_streaming(watch, request).await
            }
            ext_proc::PROCESS => Status::unimplemented("envoy-extproc-enabled is not set").into_http(),
            _ => Status::unimplemented("no such method").into_http(),
        }
    }

    fn grpc<In, Out>(&self) -> tonic::server::Grpc<Bounded<In, Out>>
    where
        Bounded<In, Out>: tonic::codec::Codec,
    {
        tonic::server::Grpc::new(Bounded::default()).max_decoding_message_size(self.options.message)
    }

    /// Counts a call that ends with an error.
    fn refused(&self, status: &Status) {
        let counters = &self.service.counters;
        match status.code() {
            Code::ResourceExhausted => counters.crowded_out.add(),
            Code::DeadlineExceeded | Code::Cancelled => counters.cut_off.add(),
            _ => counters.refused.add(),
        }
        debug!(code = ?status.code(), reason = status.message(), "call refused");
        self.service.debug.connection("grpc call", status);
    }

    /// Reports `outcome` under `id`.
    fn update(&self, id: crate::ids::RequestId, outcome: &Outcome) {
        self.taken(self.service.update_request(&outcome.update(&id.to_string())));
    }

    /// Reports the response of a request without id, if it is worth it.
    fn post(&self, question: &Question, outcome: &Outcome, verdict: i32) {
        let over = |value: i64, limit: u64| u64::try_from(value).is_ok_and(|value| value >= limit);
        let millis = u64::try_from(self.options.anomaly_time.as_millis()).unwrap_or(u64::MAX);
        if outcome.code >= 300
            || over(outcome.size, self.options.anomaly_size)
            || over(outcome.millis, millis)
        {
            self.taken(self.service.post_request(&outcome.post(question, verdict)));
        }
    }

    fn taken(&self, taken: Result<(), portcullis_protocol::DecodeError>) {
        if let Err(error) = taken {
            self.service.counters.refused.add();
            debug!(%error, "report is not usable");
        }
    }
}

/// How long something took.
fn millis(since: std::time::Instant) -> i64 {
    i64::try_from(since.elapsed().as_millis()).unwrap_or(i64::MAX)
}
