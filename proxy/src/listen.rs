//! A listener: takes connections and serves each until it ends or the drain does.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use portcullis_framing::Limits as FramingLimits;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tracing::{debug, info, warn};

use crate::guarded::Guarded;
use crate::inspect::{Inspect, TlsFacts};
use crate::proxy_protocol::{self, Progress};
use crate::service::{Connection, Shared};
use crate::settings::Preamble;

/// HTTP/2 bounds: what an honest client needs, and what floods run into.
const H2_STREAMS: u32 = 128;
const H2_PENDING_RESETS: usize = 32;
const H2_LOCAL_RESETS: usize = 64;
const H2_HEADERS: u32 = 64 * 1024;

/// Serves `socket` until `stop` is done, then lets the exchanges under way end.
pub(crate) async fn serve<I: Inspect>(
    socket: TcpListener,
    shared: Arc<Shared<I>>,
    tls: Option<TlsAcceptor>,
    stop: impl Future<Output = ()> + Send,
) {
    let graceful = GracefulShutdown::new();
    let listener = shared.name.to_string();
    tokio::pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = socket.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                warn!(listener, %error, "connection not accepted");
                // Out of file descriptors: accepting again at once would only spin.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let watcher = graceful.watcher();
        let (shared, tls) = (Arc::clone(&shared), tls.clone());
        tokio::spawn(async move {
            if let Err(error) = connection(stream, peer, &shared, tls, watcher).await {
                debug!(listener = &*shared.name, %peer, %error, "connection ended");
            }
        });
    }
    drop(socket);
    let limit = shared.listener.limits.shutdown;
    let open = graceful.count();
    info!(listener, open, "draining");
    if tokio::time::timeout(limit, graceful.shutdown()).await.is_err() {
        warn!(listener, "exchanges were cut off: shutdown-timeout is over");
    }
}

async fn connection<I: Inspect>(
    mut stream: TcpStream,
    peer: SocketAddr,
    shared: &Arc<Shared<I>>,
    tls: Option<TlsAcceptor>,
    watcher: hyper_util::server::graceful::Watcher,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let limits = &shared.listener.limits;
    let client = match shared.listener.preamble {
        Preamble::None => peer,
        Preamble::ProxyProtocol => {
            let read = preamble(&mut stream);
            tokio::time::timeout(limits.header, read)
                .await
                .map_err(|_| io::ErrorKind::TimedOut)??
                .unwrap_or(peer)
        }
    };
    let Some(tls) = tls else {
        return http(stream, client, None, shared, watcher).await;
    };
    let handshake = tls.accept(stream);
    let stream =
        tokio::time::timeout(limits.handshake, handshake).await.map_err(|_| io::ErrorKind::TimedOut)??;
    let (_, session) = stream.get_ref();
    let facts = TlsFacts {
        version: match session.protocol_version() {
            Some(tokio_rustls::rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2".to_owned(),
            Some(tokio_rustls::rustls::ProtocolVersion::TLSv1_3) => "TLSv1.3".to_owned(),
            _ => String::new(),
        },
        cipher: session
            .negotiated_cipher_suite()
            .and_then(|suite| suite.suite().as_str())
            .unwrap_or_default()
            .to_owned(),
        server_name: session.server_name().unwrap_or_default().to_owned(),
    };
    http(stream, client, Some(facts), shared, watcher).await
}

async fn http<I: Inspect, S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    client: SocketAddr,
    tls: Option<TlsFacts>,
    shared: &Arc<Shared<I>>,
    watcher: hyper_util::server::graceful::Watcher,
) -> io::Result<()> {
    let guarded = Guarded::new(stream, FramingLimits::default());
    let served = Arc::new(Connection::new(Arc::clone(shared), client, tls, guarded.refusal()));
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let served = Arc::clone(&served);
        async move { Ok::<_, std::convert::Infallible>(served.serve(request).await) }
    });
    let mut server = auto::Builder::new(TokioExecutor::new());
    let limits = &shared.listener.limits;
    server
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header.min(limits.idle))
        .pipeline_flush(true)
        .auto_date_header(false);
    server
        .http2()
        .timer(TokioTimer::new())
        .auto_date_header(false)
        .max_concurrent_streams(H2_STREAMS)
        .max_pending_accept_reset_streams(H2_PENDING_RESETS)
        .max_local_error_reset_streams(H2_LOCAL_RESETS)
        .max_header_list_size(H2_HEADERS)
        .keep_alive_interval(limits.idle)
        .keep_alive_timeout(limits.idle)
        .enable_connect_protocol();
    let server = if shared.listener.http2 { server } else { server.http1_only() };
    let connection = server.serve_connection_with_upgrades(TokioIo::new(guarded), service);
    watcher.watch(connection.into_owned()).await.map_err(io::Error::other)
}

/// Reads a PROXY protocol header off the stream, and nothing behind it.
async fn preamble(stream: &mut TcpStream) -> io::Result<Option<SocketAddr>> {
    let mut seen = Vec::new();
    loop {
        match proxy_protocol::read(&seen).map_err(io::Error::other)? {
            Progress::Complete(preamble) => return Ok(preamble.client),
            Progress::Incomplete { more } => {
                let begun = seen.len();
                seen.resize(begun + more, 0);
                stream.read_exact(seen.get_mut(begun..).unwrap_or_default()).await?;
            }
        }
    }
}
