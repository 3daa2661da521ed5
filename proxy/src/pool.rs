//! Connections to one upstream: idle ones kept, new ones made, one shared by all requests where it speaks HTTP/2.
//!
//! A pool of its own, keyed by the upstream: general clients key theirs by the request's authority, which is the client's
//! to choose where it is passed on, and they do not tell whether a connection had been idle, which decides whether a
//! request may be sent again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tracing::debug;

use crate::connect::{Alpn, Connect, ConnectError, Stream};
use crate::counters::Counters;
use crate::hold::Outgoing;
use crate::lease::{Lease, Sender};
use crate::settings::UpstreamProtocol;
use crate::shelves::{Kept, Shelf};
use crate::wire::Wire;

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
    shelf: Shelf,
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
    /// A pool without connections, for the first of `workers` threads.
    pub(crate) fn new(
        connect: Connect,
        protocol: UpstreamProtocol,
        limits: Limits,
        counters: Arc<Counters>,
        workers: usize,
    ) -> Arc<Self> {
        Self::with(connect, protocol, limits, counters, Shelf::new(workers))
    }

    /// A pool of connections to the same upstream for the thread of number `worker`.
    pub(crate) fn beside(&self, worker: usize) -> Arc<Self> {
        let (connect, counters) = (self.connect.clone(), Arc::clone(&self.counters));
        Self::with(connect, self.protocol, self.limits, counters, self.shelf.beside(worker))
    }

    fn with(
        connect: Connect,
        protocol: UpstreamProtocol,
        limits: Limits,
        counters: Arc<Counters>,
        shelf: Shelf,
    ) -> Arc<Self> {
        Arc::new(Self {
            connect,
            protocol,
            limits,
            counters,
            shelf,
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
            if let Some(connection) = self.shelf.take(self.limits.idle_time) {
                let sender = match connection {
                    Kept::Wire(wire) => Sender::Wire(wire),
                    Kept::Http1(connection) => Sender::Http1(connection),
                };
                return Ok(self.lent(sender, true));
            }
            if let Some(sender) = self.shared() {
                return Ok(self.lent(Sender::Http2(sender), true));
            }
        }
        if purpose == Purpose::Switch || !self.speaks_http2.load(Ordering::Relaxed) {
            return self.open(purpose).await;
        }
        // One that hangs is waited for as long as it may take, and not by each in turn.
        let one = tokio::time::timeout(self.connect.patience(), self.connecting.lock()).await;
        let _one = one.map_err(|_| ConnectError::Slow)?;
        // Another may have made it meanwhile.
        match self.shared() {
            Some(sender) => Ok(self.lent(Sender::Http2(sender), purpose != Purpose::Afresh)),
            None => self.open(purpose).await,
        }
    }

    /// Closes connections that have been idle for too long.
    pub(crate) fn tidy(&self, now: Instant) {
        self.shelf.tidy(now, self.limits.idle_time);
    }

    /// Keeps a connection, if it can be used again.
    pub(crate) fn keep(&self, connection: Kept) {
        self.shelf.keep(connection, self.limits.idle);
    }

    /// Whether headers keep their case, which only hyper knows.
    pub(crate) fn keeps_header_case(&self) -> bool {
        self.limits.header_case
    }

    fn lent(self: &Arc<Self>, sender: Sender, used: bool) -> Lease {
        Lease::new(sender, used, Arc::clone(self))
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
        let mut lease = self.lent(Sender::Wire(Box::new(Wire::new(stream))), false);
        if purpose == Purpose::Switch {
            lease.through_hyper().await.map_err(ConnectError::Http)?;
            lease.detach();
        }
        Ok(lease)
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;

    use super::*;
    use crate::connect::Tls;
    use crate::settings::UpstreamTls;
    use crate::tls;

    #[tokio::test(start_paused = true)]
    async fn requests_do_not_wait_in_line_for_an_upstream_that_hangs() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let tls = UpstreamTls { roots: None, verify: false, server_name: None, verify_name: None };
        let connect = Connect {
            host: "127.0.0.1".to_owned(),
            port: listener.local_addr().unwrap().port(),
            timeout: Duration::from_secs(1),
            handshake: Duration::from_secs(1),
            keepalive: None,
            tls: Some(Tls {
                name: "localhost".try_into().unwrap(),
                configs: Arc::new(tls::clients(&tls).unwrap()),
            }),
        };
        let limits = Limits { idle: 1, idle_time: Duration::from_secs(1), header_case: false, ping: None };
        let pool = Pool::new(connect, UpstreamProtocol::Http2, limits, Arc::default(), 1);
        let started = tokio::time::Instant::now();
        let leases = join_all((0..20).map(|_| pool.lease(Purpose::Exchange))).await;
        assert!(leases.iter().all(Result::is_err));
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    }
}
