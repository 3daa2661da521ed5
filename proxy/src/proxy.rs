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
}

/// Listeners that are bound.
#[derive(Debug)]
pub struct Proxy<I> {
    bound: Vec<Bound<I>>,
    counters: Arc<Counters>,
}

#[derive(Debug)]
struct Bound<I> {
    socket: TcpListener,
    shared: Arc<Shared<I>>,
    tls: Option<Arc<tokio_rustls::rustls::ServerConfig>>,
}

impl<I: Inspect> Proxy<I> {
    /// Binds every listener, each with who judges its requests.
    ///
    /// # Errors
    /// The first listener that cannot be set up; none serves then.
    pub fn bind(listeners: Vec<(Listener, Arc<I>)>) -> Result<Self, StartError> {
        let (counters, memory) = (Arc::<Counters>::default(), Arc::<Memory>::default());
        let bound = listeners
            .into_iter()
            .map(|(listener, inspect)| bind(listener, inspect, Arc::clone(&counters), Arc::clone(&memory)));
        let bound: Result<Vec<_>, _> = bound.collect();
        Ok(Self { bound: bound?, counters })
    }

    /// The addresses in use, by listener name; they differ from the configured ones where a port was 0.
    pub fn addresses(&self) -> impl Iterator<Item = (&str, SocketAddr)> {
        let address = |bound: &Bound<I>| bound.socket.local_addr().unwrap_or(bound.shared.listener.address);
        self.bound.iter().map(move |bound| (&*bound.shared.name, address(bound)))
    }

    /// A handle that opens every access log again, and tells what happened.
    pub fn handle(&self) -> Handle<I> {
        let listeners = self.bound.iter().map(|bound| Arc::clone(&bound.shared)).collect();
        Handle { listeners, counters: Arc::clone(&self.counters) }
    }

    /// Serves until `stop` turns true, then drains every listener.
    pub async fn run(self, stop: watch::Receiver<bool>) {
        let mut listeners = JoinSet::new();
        for Bound { socket, shared, tls } in self.bound {
            let address = socket.local_addr().unwrap_or(shared.listener.address);
            info!(listener = &*shared.name, %address, "reverse proxy listening");
            listeners.spawn(listen::serve(socket, shared, tls.map(TlsAcceptor::from), stop.clone()));
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
        self.listeners.iter().filter_map(|shared| shared.access_log.as_ref())
    }
}

fn bind<I: Inspect>(
    listener: Listener,
    inspect: Arc<I>,
    counters: Arc<Counters>,
    memory: Arc<Memory>,
) -> Result<Bound<I>, StartError> {
    let name = || listener.name.clone();
    let tls_fault = |source| StartError::Tls { listener: name(), source };
    let tls = listener.tls.as_ref().map(|files| tls::server(files, listener.http2));
    let tls = tls.transpose().map_err(tls_fault)?;
    let upstreams = Upstreams::new(&listener, &counters, Instant::now()).map_err(tls_fault)?;
    let access_log = match &listener.access_log {
        Some(log) => Some(AccessLog::open(&log.path, log.format).map_err(|source| {
            StartError::AccessLog { listener: name(), path: log.path.display().to_string(), source }
        })?),
        None => None,
    };
    let socket = socket(listener.address).map_err(|source| StartError::Bind {
        listener: name(),
        address: listener.address,
        source,
    })?;
    let name = listener.name.as_str().into();
    let (tunnels, _) = watch::channel(());
    let shared = Shared { listener, name, upstreams, inspect, access_log, counters, memory, tunnels };
    Ok(Bound { socket, shared: Arc::new(shared), tls })
}

fn socket(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A restarted agent must not wait for the connections of the one before.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}
