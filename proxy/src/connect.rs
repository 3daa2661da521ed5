//! Connections to an upstream: TCP, and TLS over it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::failure::Reason;

/// Why a connection was not made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// It took longer than `conn-timeout`.
    #[error("conn-timeout is over")]
    Slow,
    /// The TLS handshake took longer than `tls-handshake-timeout`.
    #[error("tls-handshake-timeout is over")]
    SlowHandshake,
    /// The network failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The TLS handshake failed.
    #[error(transparent)]
    Tls(io::Error),
    /// The upstream does not speak HTTP/2, or not well.
    #[error(transparent)]
    Http(hyper::Error),
}

impl ConnectError {
    /// What it is called.
    pub(crate) fn reason(&self) -> Reason {
        match self {
            Self::Slow | Self::SlowHandshake => Reason::ConnectTimeout,
            Self::Io(_) | Self::Http(_) => Reason::Connect,
            Self::Tls(_) => Reason::Tls,
        }
    }
}

/// Makes connections to one upstream.
#[derive(Clone, Debug)]
pub(crate) struct Connect {
    /// Host, without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Longest time for a TCP connection.
    pub timeout: Duration,
    /// Longest time for a TLS handshake.
    pub handshake: Duration,
    /// Idle time after which TCP probes the peer.
    pub keepalive: Option<Duration>,
    /// How an https upstream is spoken to; `None` for http.
    pub tls: Option<Tls>,
}

/// TLS toward one upstream.
#[derive(Clone, Debug)]
pub(crate) struct Tls {
    /// Name that is sent.
    pub name: ServerName<'static>,
    /// By protocol offered.
    pub configs: Arc<Configs>,
}

/// How upstreams are spoken to, by what is offered.
#[derive(Debug)]
pub(crate) struct Configs {
    /// HTTP/1.1.
    pub http1: Arc<ClientConfig>,
    /// HTTP/2.
    pub http2: Arc<ClientConfig>,
    /// Both.
    pub either: Arc<ClientConfig>,
}

/// What is offered to an https upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alpn {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
    /// Both.
    Either,
}

impl Connect {
    /// The longest that making a connection takes.
    pub(crate) fn patience(&self) -> Duration {
        if self.tls.is_some() { self.timeout.saturating_add(self.handshake) } else { self.timeout }
    }

    /// Makes a connection.
    ///
    /// # Errors
    /// Where the upstream takes none.
    pub(crate) async fn open(&self, alpn: Alpn) -> Result<Stream, ConnectError> {
        let tcp = tokio::time::timeout(self.timeout, TcpStream::connect((self.host.as_str(), self.port)))
            .await
            .map_err(|_| ConnectError::Slow)??;
        tcp.set_nodelay(true)?;
        if let Some(idle) = self.keepalive {
            keep_alive(&tcp, idle)?;
        }
        let Some(tls) = &self.tls else { return Ok(Stream::Plain(tcp)) };
        let config = match alpn {
            Alpn::Http1 => &tls.configs.http1,
            Alpn::Http2 => &tls.configs.http2,
            Alpn::Either => &tls.configs.either,
        };
        let handshake = TlsConnector::from(Arc::clone(config)).connect(tls.name.clone(), tcp);
        let tls = tokio::time::timeout(self.handshake, handshake)
            .await
            .map_err(|_| ConnectError::SlowHandshake)?
            .map_err(ConnectError::Tls)?;
        Ok(Stream::Tls(Box::new(tls)))
    }
}

/// Has TCP probe a peer that is silent for `idle`.
///
/// # Errors
/// Where the system refuses.
pub(crate) fn keep_alive(tcp: &TcpStream, idle: Duration) -> io::Result<()> {
    // Whole seconds are the least that systems count in.
    let idle = idle.max(Duration::from_secs(1));
    let keepalive = socket2::TcpKeepalive::new().with_time(idle).with_interval(idle);
    socket2::SockRef::from(tcp).set_tcp_keepalive(&keepalive)
}

/// A connection to an upstream.
#[derive(Debug)]
pub(crate) enum Stream {
    /// Cleartext.
    Plain(TcpStream),
    /// TLS.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    /// The same connection, waited for by the runtime at hand; none where it cannot be moved there.
    pub(crate) fn rehomed(self) -> Option<Self> {
        match self {
            Self::Plain(tcp) => TcpStream::from_std(tcp.into_std().ok()?).ok().map(Self::Plain),
            // The TCP connection is within the session.
            Self::Tls(_) => None,
        }
    }

    /// Whether the upstream chose HTTP/2.
    pub(crate) fn agreed_on_http2(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(tls) => tls.get_ref().1.alpn_protocol() == Some(b"h2"),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_write_vectored(cx, bufs),
        }
    }
}
