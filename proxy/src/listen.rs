//! A listener: takes connections and serves each until it ends or the drain does.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use portcullis_framing::Rejection;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{interval, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tracing::{debug, info, warn};

use crate::activity::{Activity, Idle};
use crate::connect::keep_alive;
use crate::counters::ConnectionFault;
use crate::guarded::{Guarded, Patience, Refusal, Told};
use crate::inspect::{Inspect, TlsFacts};
use crate::proxy_protocol::{self, Progress};
use crate::service::{Connection, Shared};
use crate::settings::Preamble;
use crate::workers::Workers;

/// HTTP/2 bounds: what an honest client needs, and what floods run into.
const H2_STREAMS: u32 = 128;
const H2_PENDING_RESETS: usize = 32;
const H2_LOCAL_RESETS: usize = 64;
const H2_HEADERS: u32 = 64 * 1024;
/// Bytes of bodies that an HTTP/2 client may send ahead, on a stream and on a connection.
const H2_STREAM_WINDOW: u32 = 128 * 1024;
const H2_CONNECTION_WINDOW: u32 = 256 * 1024;
/// The first bytes of HTTP/2 (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// How long a connection that is to be closed may take to say goodbye.
const FAREWELL: Duration = Duration::from_secs(5);
/// How often idle upstream connections are looked at.
const TIDY: Duration = Duration::from_secs(5);

/// Serves `socket` by `workers`, for each of which there is a `shared`, until `stop` turns true; then lets the exchanges
/// under way end.
pub(crate) async fn serve<I: Inspect>(
    socket: TcpListener,
    all: Vec<Arc<Shared<I>>>,
    tls: Option<TlsAcceptor>,
    workers: Arc<Workers>,
    mut stop: watch::Receiver<bool>,
) {
    let Some(shared) = all.first() else { return };
    let listener = shared.name.to_string();
    let places = Arc::new(Semaphore::new(shared.listener.connections));
    let (open, watched) = watch::channel(());
    let mut tidy = interval(TIDY);
    loop {
        let accepted = async {
            // Beyond the limit they wait in the backlog.
            let place = Arc::clone(&places).acquire_owned().await;
            (socket.accept().await, place)
        };
        let (accepted, place) = tokio::select! {
            biased;
            () = stopped(&mut stop) => break,
            accepted = accepted => accepted,
            _ = tidy.tick() => {
                all.iter().for_each(|shared| shared.upstreams.tidy(Instant::now()));
                continue;
            }
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                shared.counters.connection_failed(ConnectionFault::Accept);
                warn!(listener, %error, "connection not accepted");
                // Out of file descriptors: accepting again at once would only spin.
                sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        // The worker waits for it by itself.
        let Ok(stream) = stream.into_std() else { continue };
        let (all, tls, stop, watched) = (&all, tls.clone(), stop.clone(), watched.clone());
        workers.spawn(|index| {
            let shared = all.get(index).map(Arc::clone);
            async move {
                let _held = (place, watched);
                let Some(shared) = shared else { return };
                shared.counters.connections.add();
                let served =
                    async { connection(TcpStream::from_std(stream)?, peer, &shared, tls, stop).await };
                if let Err(error) = served.await {
                    debug!(listener = &*shared.name, %peer, %error, "connection ended");
                }
                shared.counters.closed.add();
            }
        });
    }
    drop((socket, watched));
    let drained = async {
        open.closed().await;
        shared.tunnels.closed().await;
    };
    info!(listener, open = open.receiver_count(), "draining");
    if timeout(shared.listener.limits.shutdown, drained).await.is_err() {
        let (open, switched) = (open.receiver_count(), shared.tunnels.receiver_count());
        warn!(listener, open, switched, "exchanges were cut off: shutdown-timeout is over");
    }
}

async fn connection<I: Inspect>(
    mut stream: TcpStream,
    peer: SocketAddr,
    shared: &Arc<Shared<I>>,
    tls: Option<TlsAcceptor>,
    mut stop: watch::Receiver<bool>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let limits = &shared.listener.limits;
    if let Some(idle) = limits.keepalive {
        keep_alive(&stream, idle)?;
    }
    let failed = |fault, error: io::Error| {
        let slow = error.kind() == io::ErrorKind::TimedOut;
        shared.counters.connection_failed(if slow { ConnectionFault::Slow } else { fault });
        error
    };
    let client = match shared.listener.preamble {
        Preamble::None => peer,
        Preamble::ProxyProtocol => {
            let Some(read) = opening(limits.header, preamble(&mut stream), &mut stop).await else {
                return Ok(());
            };
            read.map_err(|error| failed(ConnectionFault::Preamble, error))?.unwrap_or(peer)
        }
    };
    let Some(tls) = tls else {
        return plain(stream, client, shared, stop).await;
    };
    let handshake = opening(limits.handshake, tls.accept(stream), &mut stop).await;
    let Some(handshake) = handshake else { return Ok(()) };
    let stream = handshake.map_err(|error| failed(ConnectionFault::Tls, error))?;
    let (_, session) = stream.get_ref();
    let http2 = session.alpn_protocol() == Some(b"h2");
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
    http(Start { stream, read: Vec::new(), http2, client, tls: Some(Arc::new(facts)) }, shared, stop).await
}

/// Cleartext: the first bytes tell which protocol is spoken.
async fn plain<I: Inspect>(
    mut stream: TcpStream,
    client: SocketAddr,
    shared: &Arc<Shared<I>>,
    mut stop: watch::Receiver<bool>,
) -> io::Result<()> {
    let mut read = Vec::new();
    if shared.listener.http2 {
        let first = opening(shared.listener.limits.header, preface(&mut stream, &mut read), &mut stop).await;
        let Some(first) = first else { return Ok(()) };
        if first.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::TimedOut) {
            shared.counters.connection_failed(ConnectionFault::Slow);
        }
        first?;
    }
    let http2 = read == PREFACE;
    http(Start { stream, read, http2, client, tls: None }, shared, stop).await
}

/// Waits for what comes before a request, for `limit`; none where `stop` turns true, because a connection without a request
/// has nothing to end.
async fn opening<T>(
    limit: Duration,
    work: impl Future<Output = io::Result<T>>,
    stop: &mut watch::Receiver<bool>,
) -> Option<io::Result<T>> {
    tokio::select! {
        biased;
        done = timeout(limit, work) => Some(done.map_err(|_| io::ErrorKind::TimedOut.into()).flatten()),
        () = stopped(stop) => None,
    }
}

/// Reads as long as the bytes can be the preface of HTTP/2, and at most that.
async fn preface(stream: &mut TcpStream, read: &mut Vec<u8>) -> io::Result<()> {
    while read.len() < PREFACE.len() && PREFACE.starts_with(read) {
        let mut buffer = [0; PREFACE.len()];
        let room = buffer.get_mut(read.len()..).unwrap_or_default();
        let n = stream.read(room).await?;
        if n == 0 {
            return Ok(());
        }
        read.extend_from_slice(room.get(..n).unwrap_or_default());
    }
    Ok(())
}

/// A connection on which HTTP begins.
struct Start<S> {
    stream: S,
    read: Vec<u8>,
    http2: bool,
    client: SocketAddr,
    tls: Option<Arc<TlsFacts>>,
}

async fn http<I: Inspect, S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    start: Start<S>,
    shared: &Arc<Shared<I>>,
    stop: watch::Receiver<bool>,
) -> io::Result<()> {
    let Start { stream, read, http2, client, tls } = start;
    let limits = &shared.listener.limits;
    let (activity, refusal) = (Activity::new(), Refusal::default());
    let served = Connection::new(Arc::clone(shared), client, tls, refusal.clone(), Arc::clone(&activity));
    let served = Arc::new(served);
    let serving = Arc::clone(&served);
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let served = Arc::clone(&serving);
        async move { Ok::<_, Infallible>(served.serve(request).await) }
    });
    let (first, between) = (limits.header.min(limits.idle), limits.idle);
    let idle = Idle { first, between, unread: limits.body_idle };
    let patience = Patience { head: limits.header, write: limits.body_idle };
    let ended = if http2 {
        let stream = Guarded::http2(stream, &read, Arc::clone(&activity), patience);
        let mut server = http2::Builder::new(TokioExecutor::new());
        server
            .timer(TokioTimer::new())
            .auto_date_header(false)
            .max_concurrent_streams(H2_STREAMS)
            .initial_stream_window_size(H2_STREAM_WINDOW)
            .initial_connection_window_size(H2_CONNECTION_WINDOW)
            .max_pending_accept_reset_streams(H2_PENDING_RESETS)
            .max_local_error_reset_streams(H2_LOCAL_RESETS)
            .max_header_list_size(H2_HEADERS)
            .keep_alive_interval(limits.idle)
            .keep_alive_timeout(limits.idle)
            .enable_connect_protocol();
        drive(pin!(server.serve_connection(TokioIo::new(stream), service)), &activity, idle, stop).await
    } else {
        let told = Told { refusal, activity: Arc::clone(&activity), share: shared.memory.share() };
        let stream = Guarded::http1(stream, &read, told, patience);
        let mut server = http1::Builder::new();
        server
            .auto_date_header(false)
            .header_read_timeout(None)
            .preserve_header_case(shared.listener.header_case);
        let connection = server.serve_connection(TokioIo::new(stream), service).with_upgrades();
        drive(pin!(connection), &activity, idle, stop).await
    };
    if activity.was_slow() {
        shared.counters.connection_failed(ConnectionFault::Slow);
    }
    if let Some(rejection) = ended.as_ref().err().and_then(breach) {
        served.breached(rejection);
    }
    ended.map_err(io::Error::other)
}

/// The rules that the client broke, where its connection was ended for that without a request to tell of: those of
/// HTTP/2, or a target that the guard lets pass and the parser behind it does not.
fn breach(error: &hyper::Error) -> Option<Rejection> {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<h2::Error>());
    if cause.is_some_and(h2::Error::is_library) {
        return Some(Rejection::Http2);
    }
    error.is_parse().then_some(Rejection::RequestLine)
}

/// A connection that can be asked to end after what is under way.
trait Served: Future<Output = hyper::Result<()>> {
    fn end(self: Pin<&mut Self>);
}

impl<S, B, T> Served for http1::UpgradeableConnection<T, S>
where
    S: hyper::service::HttpService<Incoming, ResBody = B>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    B: http_body::Body + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    T: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    fn end(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<S, B, T, E> Served for http2::Connection<T, S, E>
where
    S: hyper::service::HttpService<Incoming, ResBody = B>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    B: http_body::Body + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    T: hyper::rt::Read + hyper::rt::Write + Unpin,
    E: hyper::rt::bounds::Http2ServerConnExec<S::Future, B>,
{
    fn end(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// Runs a connection to its end; asks it to end once it has been idle for as long as `idle` says, or `stop` turns true.
///
/// Each of these wakes the task when it happens, and shows without being polled: only then is more polled than the
/// connection.
async fn drive(
    mut connection: Pin<&mut impl Served>,
    activity: &Activity,
    idle: Idle,
    mut stop: watch::Receiver<bool>,
) -> hyper::Result<()> {
    let stopping = stop.clone();
    let (mut stopped, mut closed) = (pin!(stopped(&mut stop)), pin!(activity.closed()));
    let mut timer = pin!(sleep(idle.first));
    let mut begun = false;
    let ending = poll_fn(|cx| {
        if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
            return Poll::Ready(Ending::Ended(ended));
        }
        let first = !std::mem::replace(&mut begun, true);
        let stops = first || !matches!(stopping.has_changed(), Ok(false));
        let closes = first || activity.is_closing();
        if (stops && stopped.as_mut().poll(cx).is_ready()) || (closes && closed.as_mut().poll(cx).is_ready())
        {
            return Poll::Ready(Ending::Asked);
        }
        if first || timer.is_elapsed() {
            while timer.as_mut().poll(cx).is_ready() {
                let Some(left) = activity.left(idle) else { return Poll::Ready(Ending::Idle) };
                timer.as_mut().reset(tokio::time::Instant::now() + left.max(Duration::from_millis(10)));
            }
        }
        Poll::Pending
    });
    match ending.await {
        Ending::Ended(ended) => return ended,
        Ending::Asked => {
            connection.as_mut().end();
            return connection.await;
        }
        Ending::Idle => connection.as_mut().end(),
    }
    match timeout(FAREWELL, connection).await {
        Ok(ended) => ended,
        Err(_) => Ok(()),
    }
}

/// Why a connection is no longer just served.
enum Ending {
    /// It has ended.
    Ended(hyper::Result<()>),
    /// It is to end after what is under way.
    Asked,
    /// Nobody uses it.
    Idle,
}

/// Waits for the end of serving; a sender that is gone is one, too.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ended = stop.wait_for(|stop| *stop).await;
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
