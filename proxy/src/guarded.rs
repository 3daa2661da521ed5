//! A client connection whose HTTP/1 bytes pass the framing guard before the server reads them.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use portcullis_framing::{Guard, Limits, Part, Rejection};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How much is read from the client at once.
const CHUNK: usize = 16 * 1024;
/// The first bytes of HTTP/2 (RFC 9113 section 3.4), which has framing of its own.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// What the server reads in place of a refused request: the service answers it 400, see [`Refusal::of`].
const STAND_IN: &[u8] = b"GET / HTTP/1.1\r\nhost: refused\r\nconnection: close\r\n\r\n";

/// What the guard told about a connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Refusal(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// The number of the refused request on its connection, from 0, and why it was refused.
    refused: Option<(u64, Rejection)>,
    tunnel: bool,
}

impl Refusal {
    /// Why request number `index` of the connection was refused, where it was: the request that the service holds is
    /// then only a stand-in.
    pub(crate) fn of(&self, index: u64) -> Option<Rejection> {
        self.state().refused.filter(|&(refused, _)| refused == index).map(|(_, rejection)| rejection)
    }

    /// Ends the guard's work: the connection was switched to another protocol.
    pub(crate) fn tunnel(&self) {
        self.state().tunnel = true;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The connection.
#[derive(Debug)]
pub(crate) struct Guarded<S> {
    stream: S,
    guard: Guard,
    refusal: Refusal,
    /// Bytes that passed and the server has not read yet.
    ready: BytesMut,
    protocol: Protocol,
    ended: bool,
}

#[derive(Debug)]
enum Protocol {
    /// This much of the preface was seen.
    Unknown(Vec<u8>),
    Http1,
    Http2,
}

impl<S> Guarded<S> {
    /// Guards `stream`, of which nothing was read.
    pub(crate) fn new(stream: S, limits: Limits) -> Self {
        Self {
            stream,
            guard: Guard::new(limits),
            refusal: Refusal::default(),
            ready: BytesMut::new(),
            protocol: Protocol::Unknown(Vec::new()),
            ended: false,
        }
    }

    /// Where the guard's refusals can be asked for.
    pub(crate) fn refusal(&self) -> Refusal {
        self.refusal.clone()
    }

    /// How many of the next bytes the server may read without the guard.
    fn free(&mut self) -> u64 {
        match self.protocol {
            Protocol::Http2 => u64::MAX,
            Protocol::Unknown(_) => 0,
            Protocol::Http1 => {
                if self.refusal.state().tunnel {
                    self.guard.tunnel();
                }
                self.guard.free()
            }
        }
    }

    /// Takes what the client sent.
    fn take(&mut self, received: &[u8]) {
        match &mut self.protocol {
            Protocol::Http2 => self.ready.extend_from_slice(received),
            Protocol::Http1 => self.pass(received),
            Protocol::Unknown(seen) => {
                seen.extend_from_slice(received);
                let seen = std::mem::take(seen);
                if seen.starts_with(PREFACE) {
                    self.protocol = Protocol::Http2;
                    self.ready.extend_from_slice(&seen);
                } else if PREFACE.starts_with(&seen) {
                    self.protocol = Protocol::Unknown(seen);
                } else {
                    self.protocol = Protocol::Http1;
                    self.pass(&seen);
                }
            }
        }
    }

    fn pass(&mut self, received: &[u8]) {
        let mut passed = Vec::new();
        let outcome = self.guard.feed(received, &mut passed);
        self.ready.extend_from_slice(&passed);
        if let Err(rejection) = outcome {
            self.ended = true;
            let index = match self.guard.refused_in() {
                // The server sees the stand-in as the next request of the connection.
                Some(Part::Head) => {
                    self.ready.extend_from_slice(STAND_IN);
                    self.guard.heads()
                }
                // The server has the request already; its body ends short of what was announced.
                Some(Part::Body) | None => self.guard.heads().saturating_sub(1),
            };
            self.refusal.state().refused = Some((index, rejection));
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if !this.ready.is_empty() {
                let n = this.ready.len().min(buf.remaining());
                buf.put_slice(&this.ready.split_to(n));
                return Poll::Ready(Ok(()));
            }
            if this.ended {
                return Poll::Ready(Ok(()));
            }
            let free = usize::try_from(this.free()).unwrap_or(usize::MAX);
            if free > 0 {
                let room = free.min(buf.remaining());
                let mut part = ReadBuf::new(buf.initialize_unfilled_to(room));
                ready!(Pin::new(&mut this.stream).poll_read(cx, &mut part))?;
                let n = part.filled().len();
                buf.advance(n);
                this.guard.skip(n as u64);
                return Poll::Ready(Ok(()));
            }
            let mut chunk = [0; CHUNK];
            let mut received = ReadBuf::new(&mut chunk);
            ready!(Pin::new(&mut this.stream).poll_read(cx, &mut received))?;
            if received.filled().is_empty() {
                this.ended = true;
                // A preface cut short is HTTP/1 to the server, which then answers it.
                if let Protocol::Unknown(seen) = &mut this.protocol {
                    let seen = std::mem::take(seen);
                    this.protocol = Protocol::Http1;
                    this.pass(&seen);
                }
                continue;
            }
            this.take(received.filled());
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    async fn through(sent: &[u8]) -> (Vec<u8>, Refusal) {
        let (mut client, server) = duplex(64);
        let mut guarded = Guarded::new(server, Limits::default());
        let refusal = guarded.refusal();
        let send = async {
            // The guard stops reading once it refuses.
            let _ = client.write_all(sent).await;
            let _ = client.shutdown().await;
            drop(client);
        };
        let mut read = Vec::new();
        let receive = async {
            guarded.read_to_end(&mut read).await.unwrap();
            drop(guarded);
        };
        tokio::join!(send, receive);
        (read, refusal)
    }

    #[tokio::test]
    async fn passes_sound_requests_unchanged() {
        for sent in [
            &b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200\r\n\r\n"[..],
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
        ] {
            let sent = [sent, &[b'x'; 200]].concat();
            let (read, refusal) = through(&sent).await;
            assert_eq!(read, sent, "{}", sent.escape_ascii());
            assert_eq!(refusal.of(0), None);
        }
    }

    #[tokio::test]
    async fn a_refused_head_becomes_a_stand_in_with_its_number() {
        let good = b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n";
        let (read, refusal) = through(&[&good[..], b"GET /2 HTTP/1.1\nHost: a\r\n\r\n"].concat()).await;
        assert_eq!(read, [&good[..], STAND_IN].concat());
        assert_eq!(refusal.of(0), None);
        assert_eq!(refusal.of(1), Some(Rejection::BareLineFeed));
    }

    #[tokio::test]
    async fn a_body_refused_on_its_way_ends_short() {
        let sent = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX";
        let (read, refusal) = through(sent).await;
        assert!(!read.ends_with(STAND_IN));
        assert_eq!(refusal.of(0), Some(Rejection::ChunkEnd));
    }
}
