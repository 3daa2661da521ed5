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
use crate::connect::Connect;
use crate::inspect::Inspect;
use crate::listen;
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
}

#[derive(Debug)]
struct Bound<I> {
    socket: TcpListener,
    shared: Arc<Shared<I>>,
    tls: Option<Arc<tokio_rustls::rustls::ServerConfig>>,
}

impl<I: Inspect> Proxy<I> {
    /// Binds every listener.
    ///
    /// # Errors
    /// The first listener that cannot be set up; none serves then.
    pub fn bind(listeners: Vec<Listener>, inspect: &Arc<I>) -> Result<Self, StartError> {
        let bound: Result<Vec<_>, _> =
            listeners.into_iter().map(|listener| bind(listener, inspect)).collect();
        Ok(Self { bound: bound? })
    }

    /// The addresses in use, by listener name; they differ from the configured ones where a port was 0.
    pub fn addresses(&self) -> impl Iterator<Item = (&str, SocketAddr)> {
        let address = |bound: &Bound<I>| bound.socket.local_addr().unwrap_or(bound.shared.listener.address);
        self.bound.iter().map(move |bound| (&*bound.shared.name, address(bound)))
    }

    /// A handle that opens every access log again.
    pub fn logs(&self) -> Logs<I> {
        Logs(self.bound.iter().map(|bound| Arc::clone(&bound.shared)).collect())
    }

    /// Serves until `stop` turns true, then drains every listener.
    pub async fn run(self, stop: watch::Receiver<bool>) {
        let mut listeners = JoinSet::new();
        for Bound { socket, shared, tls } in self.bound {
            let mut stop = stop.clone();
            let stopped = async move {
                // A sender that is gone stops the proxy, too.
                let _ = stop.wait_for(|&stop| stop).await;
            };
            info!(listener = &*shared.name, address = %shared.listener.address, "reverse proxy listening");
            listeners.spawn(listen::serve(socket, shared, tls.map(TlsAcceptor::from), stopped));
        }
        while listeners.join_next().await.is_some() {}
    }
}

/// The access logs of a proxy.
#[derive(Debug)]
pub struct Logs<I>(Vec<Arc<Shared<I>>>);

impl<I> Logs<I> {
    /// Opens every access log again by its name.
    pub fn reopen(&self) {
        for log in self.0.iter().filter_map(|shared| shared.access_log.as_ref()) {
            log.reopen();
        }
    }

    /// How many access log lines were dropped.
    pub fn dropped(&self) -> u64 {
        self.0.iter().filter_map(|shared| shared.access_log.as_ref()).map(AccessLog::dropped).sum()
    }
}

fn bind<I: Inspect>(listener: Listener, inspect: &Arc<I>) -> Result<Bound<I>, StartError> {
    let name = || listener.name.clone();
    let tls_fault = |source| StartError::Tls { listener: name(), source };
    let tls = listener
        .tls
        .as_ref()
        .map(|files| tls::server(files, listener.http2))
        .transpose()
        .map_err(tls_fault)?;
    let connect = Connect {
        timeout: listener.limits.connect,
        handshake: listener.limits.handshake,
        keepalive: listener.limits.keepalive,
        tls: tls::client(&listener.upstream_tls).map_err(tls_fault)?,
        server_name: listener.upstream_tls.server_name.clone(),
    };
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
    let upstreams = Upstreams::new(&listener, &connect, Instant::now());
    let name = listener.name.as_str().into();
    let shared = Arc::new(Shared { listener, name, upstreams, inspect: Arc::clone(inspect), access_log });
    Ok(Bound { socket, shared, tls })
}

fn socket(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A restarted agent must not wait for the connections of the one before.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}
