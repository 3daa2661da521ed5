//! All listeners of an agent.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tracing::info;

use crate::access_log::AccessLog;
use crate::counters::Counters;
use crate::inspect::Inspect;
use crate::listen;
use crate::memory::Memory;
use crate::service::Shared;
use crate::settings::Listener;
use crate::tls::{self, TlsError};
use crate::upstream::Upstreams;
use crate::workers::Workers;

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 1024;

/// Why the proxy cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A listener's address cannot be bound.
    #[error("revproxy-listener.{listener}: cannot listen on {address}")]
    Bind {
        /// The listener.
        listener: String,
        /// Its address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A listener's access log cannot be opened.
    #[error("revproxy-listener.{listener}.access-log: cannot open {path}")]
    AccessLog {
        /// The listener.
        listener: String,
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A listener's TLS cannot be set up.
    #[error("revproxy-listener.{listener}: TLS")]
    Tls {
        /// The listener.
        listener: String,
        /// Why.
        #[source]
        source: TlsError,
    },
    /// The threads that serve cannot be started.
    #[error("cannot start threads")]
    Threads(#[source] io::Error),
}

/// Listeners that are bound.
#[derive(Debug)]
pub struct Proxy<I> {
    bound: Vec<Bound<I>>,
    counters: Arc<Counters>,
    workers: Workers,
}

#[derive(Debug)]
struct Bound<I> {
    socket: TcpListener,
    /// For each worker.
    shared: Vec<Arc<Shared<I>>>,
    tls: Option<Arc<tokio_rustls::rustls::ServerConfig>>,
}

impl<I: Inspect> Proxy<I> {
    /// Binds every listener, each with who judges its requests, and starts `threads` threads to serve them.
    ///
    /// # Errors
    /// The first listener that cannot be set up; none serves then.
    pub fn bind(listeners: Vec<(Listener, Arc<I>)>, threads: usize) -> Result<Self, StartError> {
        let (counters, memory) = (Arc::<Counters>::default(), Arc::<Memory>::default());
        let workers = Workers::start(threads).map_err(StartError::Threads)?;
        let bound = listeners
            .into_iter()
            .map(|(listener, inspect)| {
                bind(listener, inspect, Arc::clone(&counters), Arc::clone(&memory), workers.count())
            })
            .map(|bound| bound.map(|(socket, shared, tls)| Bound::new(socket, shared, tls, workers.count())));
        let bound: Result<Vec<_>, _> = bound.collect();
        Ok(Self { bound: bound?, counters, workers })
    }

    /// The addresses in use, by listener name; they differ from the configured ones where a port was 0.
    pub fn addresses(&self) -> impl Iterator<Item = (&str, SocketAddr)> {
        self.bound.iter().filter_map(|bound| {
            let shared = bound.shared.first()?;
            Some((&*shared.name, bound.socket.local_addr().unwrap_or(shared.listener.address)))
        })
    }

    /// A handle that opens every access log again, and tells what happened.
    pub fn handle(&self) -> Handle<I> {
        let listeners = self.bound.iter().filter_map(|bound| bound.shared.first().cloned()).collect();
        Handle { listeners, counters: Arc::clone(&self.counters) }
    }

    /// Serves until `stop` turns true, then drains every listener.
    pub async fn run(self, stop: watch::Receiver<bool>) {
        for (listener, address) in self.addresses() {
            info!(listener, %address, "reverse proxy listening");
        }
        let workers = Arc::new(self.workers);
        let mut listeners = JoinSet::new();
        for Bound { socket, shared, tls } in self.bound {
            let (tls, workers) = (tls.map(TlsAcceptor::from), Arc::clone(&workers));
            listeners.spawn(listen::serve(socket, shared, tls, workers, stop.clone()));
        }
        while listeners.join_next().await.is_some() {}
    }
}

/// What can be asked of a proxy that serves.
#[derive(Debug)]
pub struct Handle<I> {
    listeners: Vec<Arc<Shared<I>>>,
    counters: Arc<Counters>,
}

impl<I> Handle<I> {
    /// Opens every access log again by its name.
    pub fn reopen(&self) {
        self.logs().for_each(AccessLog::reopen);
    }

    /// What happened.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// How many access log lines were dropped.
    pub fn lines_lost(&self) -> u64 {
        self.logs().map(AccessLog::dropped).sum()
    }

    /// Bytes that requests hold which wait for their verdict.
    pub fn memory_held(&self) -> usize {
        self.listeners.first().map_or(0, |shared| shared.memory.held())
    }

    fn logs(&self) -> impl Iterator<Item = &AccessLog> {
        self.listeners.iter().filter_map(|shared| shared.access_log.as_deref())
    }
}

impl<I> Bound<I> {
    fn new(
        socket: TcpListener,
        first: Shared<I>,
        tls: Option<Arc<tokio_rustls::rustls::ServerConfig>>,
        workers: usize,
    ) -> Self {
        let others: Vec<_> = (1..workers).map(|worker| Arc::new(first.beside(worker))).collect();
        let shared = std::iter::once(Arc::new(first)).chain(others).collect();
        Self { socket, shared, tls }
    }
}

type Prepared<I> = (TcpListener, Shared<I>, Option<Arc<tokio_rustls::rustls::ServerConfig>>);

fn bind<I: Inspect>(
    listener: Listener,
    inspect: Arc<I>,
    counters: Arc<Counters>,
    memory: Arc<Memory>,
    workers: usize,
) -> Result<Prepared<I>, StartError> {
    let name = || listener.name.clone();
    let tls_fault = |source| StartError::Tls { listener: name(), source };
    let tls = listener.tls.as_ref().map(|files| tls::server(files, listener.http2));
    let tls = tls.transpose().map_err(tls_fault)?;
    let upstreams = Upstreams::new(&listener, &counters, workers, Instant::now()).map_err(tls_fault)?;
    let access_log = match &listener.access_log {
        Some(log) => Some(Arc::new(AccessLog::open(&log.path, log.format).map_err(|source| {
            StartError::AccessLog { listener: name(), path: log.path.display().to_string(), source }
        })?)),
        None => None,
    };
    let socket = socket(listener.address).map_err(|source| StartError::Bind {
        listener: name(),
        address: listener.address,
        source,
    })?;
    let name = listener.name.as_str().into();
    let (tunnels, _) = watch::channel(());
    let messages = Arc::default();
    let shared =
        Shared { listener, name, upstreams, inspect, access_log, counters, memory, messages, tunnels };
    Ok((socket, shared, tls))
}

fn socket(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A restarted agent must not wait for the connections of the one before.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}
