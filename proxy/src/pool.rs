//! Connections to one upstream: idle ones kept, new ones made, one shared by all requests where it speaks HTTP/2.
//!
//! A pool of its own, keyed by the upstream: general clients key theirs by the request's authority, which is the client's
//! to choose where it is passed on, and they do not tell whether a connection had been idle, which decides whether a
//! request may be sent again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tracing::debug;

use crate::connect::{Alpn, Connect, ConnectError, Stream};
use crate::counters::Counters;
use crate::hold::Outgoing;
use crate::settings::UpstreamProtocol;

/// Bytes of the headers of an HTTP/2 response.
const H2_HEADERS: u32 = 64 * 1024;
/// How long an HTTP/2 upstream may take to answer a ping.
const H2_PONG: Duration = Duration::from_secs(20);

/// The connections to one upstream.
#[derive(Debug)]
pub(crate) struct Pool {
    connect: Connect,
    protocol: UpstreamProtocol,
    limits: Limits,
    counters: Arc<Counters>,
    /// HTTP/1 connections without a request, the one last used at the end.
    idle: Mutex<Vec<Idle>>,
    shared: Mutex<Option<http2::SendRequest<Outgoing>>>,
    /// Held while a connection is made that all would share.
    connecting: tokio::sync::Mutex<()>,
    speaks_http2: AtomicBool,
}

/// What a pool keeps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Idle connections.
    pub idle: usize,
    /// How long.
    pub idle_time: Duration,
    /// Whether headers keep their case.
    pub header_case: bool,
    /// How often an HTTP/2 connection is pinged.
    pub ping: Option<Duration>,
}

#[derive(Debug)]
struct Idle {
    sender: http1::SendRequest<Outgoing>,
    since: Instant,
}

/// A connection for one request.
#[derive(Debug)]
pub(crate) struct Lease {
    sender: Sender,
    /// Whether it served requests before.
    pub used: bool,
    pool: Arc<Pool>,
}

#[derive(Debug)]
enum Sender {
    Http1(http1::SendRequest<Outgoing>),
    Http2(http2::SendRequest<Outgoing>),
}

/// What the request on a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// An exchange.
    Exchange,
    /// An exchange for which no idle connection is good enough.
    Afresh,
    /// A switch of protocols, which only HTTP/1 can make.
    Switch,
}

impl Pool {
    /// A pool without connections.
    pub(crate) fn new(
        connect: Connect,
        protocol: UpstreamProtocol,
        limits: Limits,
        counters: Arc<Counters>,
    ) -> Arc<Self> {
        Arc::new(Self {
            connect,
            protocol,
            limits,
            counters,
            idle: Mutex::default(),
            shared: Mutex::default(),
            connecting: tokio::sync::Mutex::default(),
            speaks_http2: AtomicBool::new(protocol == UpstreamProtocol::Http2),
        })
    }

    /// A connection: an idle one, the shared one, or a new one.
    ///
    /// # Errors
    /// Where none can be made.
    pub(crate) async fn lease(self: &Arc<Self>, purpose: Purpose) -> Result<Lease, ConnectError> {
        if purpose == Purpose::Exchange {
            if let Some(sender) = self.idle() {
                return Ok(self.lent(Sender::Http1(sender), true));
            }
            if let Some(sender) = self.shared() {
                return Ok(self.lent(Sender::Http2(sender), true));
            }
        }
        if purpose == Purpose::Switch || !self.speaks_http2.load(Ordering::Relaxed) {
            return self.open(purpose).await;
        }
        let _one = self.connecting.lock().await;
        // Another may have made it meanwhile.
        match self.shared() {
            Some(sender) => Ok(self.lent(Sender::Http2(sender), purpose != Purpose::Afresh)),
            None => self.open(purpose).await,
        }
    }

    /// Closes connections that have been idle for too long.
    pub(crate) fn tidy(&self, now: Instant) {
        let kept = self.limits.idle_time;
        let fresh = |idle: &Idle| !idle.sender.is_closed() && now.duration_since(idle.since) < kept;
        lock(&self.idle).retain(fresh);
    }

    fn lent(self: &Arc<Self>, sender: Sender, used: bool) -> Lease {
        Lease { sender, used, pool: Arc::clone(self) }
    }

    fn idle(&self) -> Option<http1::SendRequest<Outgoing>> {
        let mut idle = lock(&self.idle);
        while let Some(last) = idle.pop() {
            if last.sender.is_ready() && last.since.elapsed() < self.limits.idle_time {
                return Some(last.sender);
            }
        }
        None
    }

    fn shared(&self) -> Option<http2::SendRequest<Outgoing>> {
        let mut shared = lock(&self.shared);
        if shared.as_ref().is_some_and(http2::SendRequest::is_closed) {
            *shared = None;
        }
        shared.clone()
    }

    async fn open(self: &Arc<Self>, purpose: Purpose) -> Result<Lease, ConnectError> {
        let alpn = match (purpose, self.protocol) {
            (Purpose::Switch, _) | (_, UpstreamProtocol::Http1) => Alpn::Http1,
            (_, UpstreamProtocol::Negotiated) => Alpn::Either,
            (_, UpstreamProtocol::Http2) => Alpn::Http2,
        };
        let stream = self.connect.open(alpn).await?;
        self.counters.upstream_connections.add();
        let http2 = match self.protocol {
            UpstreamProtocol::Http2 => purpose != Purpose::Switch,
            UpstreamProtocol::Http1 | UpstreamProtocol::Negotiated => stream.agreed_on_http2(),
        };
        if http2 {
            self.speaks_http2.store(true, Ordering::Relaxed);
            let sender = self.http2(stream).await?;
            *lock(&self.shared) = Some(sender.clone());
            return Ok(self.lent(Sender::Http2(sender), false));
        }
        let sender = self.http1(stream).await?;
        Ok(self.lent(Sender::Http1(sender), false))
    }

    async fn http1(&self, stream: Stream) -> Result<http1::SendRequest<Outgoing>, ConnectError> {
        let (sender, connection) = http1::Builder::new()
            .preserve_header_case(self.limits.header_case)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(ConnectError::Http)?;
        tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                debug!(%error, "upstream connection ended");
            }
        });
        Ok(sender)
    }

    async fn http2(&self, stream: Stream) -> Result<http2::SendRequest<Outgoing>, ConnectError> {
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .adaptive_window(true)
            .max_header_list_size(H2_HEADERS)
            .keep_alive_interval(self.limits.ping)
            .keep_alive_timeout(H2_PONG)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(ConnectError::Http)?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                debug!(%error, "upstream connection ended");
            }
        });
        Ok(sender)
    }
}

impl Lease {
    /// Whether requests on it need a whole target in place of Host.
    pub(crate) fn is_http2(&self) -> bool {
        matches!(self.sender, Sender::Http2(_))
    }

    /// Sends a request.
    ///
    /// # Errors
    /// Gives the request back where nothing of it was sent.
    pub(crate) async fn send(
        &mut self,
        request: Request<Outgoing>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Outgoing>>> {
        match &mut self.sender {
            Sender::Http1(sender) => sender.try_send_request(request).await,
            Sender::Http2(sender) => sender.try_send_request(request).await,
        }
    }

    /// Lets others use the connection, if the exchange on it is over.
    pub(crate) fn give_back(self) {
        let Sender::Http1(sender) = self.sender else { return };
        if sender.is_ready() {
            let mut idle = lock(&self.pool.idle);
            if idle.len() < self.pool.limits.idle {
                idle.push(Idle { sender, since: Instant::now() });
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
