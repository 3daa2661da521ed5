//! A client connection whose HTTP/1 bytes pass the framing guard before the server reads them, and whose peer may neither
//! send a head nor read an answer arbitrarily slowly.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use portcullis_framing::{Guard, Limits, Part, Rejection, encode_target};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use crate::activity::Activity;
use crate::memory::Share;

/// What the server reads in place of a refused request: the service answers it 400, see [`Refusal::of`].
const STAND_IN: &[u8] = b"GET / HTTP/1.1\r\nhost: refused\r\nconnection: close\r\n\r\n";
/// How much of a refused head is kept for the log.
const START: usize = 1024;
/// A head that is longer and not whole counts against what all may hold.
const SMALL_HEAD: usize = 4096;

/// What the guard told about a connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Refusal(Arc<Guarding>);

#[derive(Debug, Default)]
struct Guarding {
    /// Whether there is a refusal: asked of every request, and almost never so.
    any: AtomicBool,
    refused: Mutex<Option<Refused>>,
    tunnel: AtomicBool,
}

#[derive(Clone, Debug)]
struct Refused {
    /// The number of the refused request on its connection, from 0.
    request: u64,
    rejection: Rejection,
    /// How its head began, where the head was refused.
    start: Bytes,
}

impl Refusal {
    /// Why request number `index` of the connection was refused and how it began, where it was: the request that the
    /// service holds is then only a stand-in.
    pub(crate) fn of(&self, index: u64) -> Option<(Rejection, Bytes)> {
        if !self.0.any.load(Ordering::Acquire) {
            return None;
        }
        self.refused()
            .clone()
            .filter(|refused| refused.request == index)
            .map(|refused| (refused.rejection, refused.start))
    }

    /// Why request number `index` of the connection or one behind it was refused, where one was.
    pub(crate) fn since(&self, index: u64) -> Option<Rejection> {
        if !self.0.any.load(Ordering::Acquire) {
            return None;
        }
        self.refused().as_ref().filter(|refused| refused.request >= index).map(|refused| refused.rejection)
    }

    /// Ends the guard's work: the connection was switched to another protocol.
    pub(crate) fn tunnel(&self) {
        self.0.tunnel.store(true, Ordering::Release);
    }

    fn refuse(&self, refused: Refused) {
        *self.refused() = Some(refused);
        self.0.any.store(true, Ordering::Release);
    }

    fn refused(&self) -> MutexGuard<'_, Option<Refused>> {
        self.0.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The connection.
#[derive(Debug)]
pub(crate) struct Guarded<S> {
    stream: S,
    protocol: Protocol,
    /// Bytes that the server has not read yet.
    ready: BytesMut,
    ended: Ended,
    patience: Patience,
    activity: Arc<Activity>,
    writing: Option<Pin<Box<Sleep>>>,
}

/// Whether the server is given more to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// It is.
    Not,
    /// It finds the end.
    Here,
    /// It waits: an end would keep it from answering the stand-in.
    Silently,
}

/// What goes with an HTTP/1 connection.
#[derive(Debug)]
pub(crate) struct Told {
    /// Hears of a refusal.
    pub refusal: Refusal,
    /// Hears of a slow peer.
    pub activity: Arc<Activity>,
    /// What long heads count against.
    pub share: Share,
}

#[derive(Debug)]
enum Protocol {
    Http1(Box<Http1>),
    /// It has framing of its own.
    Http2,
}

#[derive(Debug)]
struct Http1 {
    guard: Guard,
    refusal: Refusal,
    tunnel: bool,
    share: Share,
    /// How the head that is not whole yet began, for the log.
    start: Vec<u8>,
    /// Until when a head that has begun must be whole.
    heading: Option<Pin<Box<Sleep>>>,
}

/// How long a peer may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// From the first byte of a head to its last.
    pub head: Duration,
    /// Between two parts of an answer that it reads.
    pub write: Duration,
}

impl<S> Guarded<S> {
    /// Guards an HTTP/1 connection of which `read` was read.
    pub(crate) fn http1(stream: S, read: &[u8], told: Told, patience: Patience) -> Self {
        let Told { refusal, activity, share } = told;
        let http1 = Http1 {
            guard: Guard::new(Limits::default()),
            refusal,
            tunnel: false,
            share,
            start: Vec::new(),
            heading: None,
        };
        let protocol = Protocol::Http1(Box::new(http1));
        let mut guarded = Self {
            stream,
            protocol,
            ready: BytesMut::new(),
            ended: Ended::Not,
            patience,
            activity,
            writing: None,
        };
        if !read.is_empty() {
            guarded.take(read);
        }
        guarded
    }

    /// Takes over an HTTP/2 connection of which `read` was read.
    pub(crate) fn http2(stream: S, read: &[u8], activity: Arc<Activity>, patience: Patience) -> Self {
        let (protocol, ready) = (Protocol::Http2, read.into());
        Self { stream, protocol, ready, ended: Ended::Not, patience, activity, writing: None }
    }

    /// Takes bytes that do not pass as they are.
    fn take(&mut self, received: &[u8]) {
        let Protocol::Http1(http1) = &mut self.protocol else {
            self.ready.extend_from_slice(received);
            return;
        };
        let mut rest = received;
        while !rest.is_empty() {
            // A line at most, so that a head ends where a piece does.
            let end = rest.iter().position(|&byte| byte == b'\n').map_or(rest.len(), |at| at + 1);
            let (line, behind) = rest.split_at_checked(end).unwrap_or((rest, &[]));
            let (heads, begun) = (http1.guard.heads(), http1.guard.begun().len());
            let mut passed = Vec::new();
            if begun < START {
                http1.start.truncate(begun);
                http1.start.extend_from_slice(line);
            }
            if let Err(rejection) = http1.guard.feed(line, &mut passed) {
                self.ready.extend_from_slice(&passed);
                let start = std::mem::take(&mut http1.start);
                return self.refuse(rejection, &start);
            }
            if http1.guard.heads() > heads {
                let mut encoded = Vec::with_capacity(passed.len());
                encode_target(&passed, &mut encoded);
                passed = encoded;
            }
            self.ready.extend_from_slice(&passed);
            let (n, outcome) = http1.guard.pass(behind);
            self.ready.extend_from_slice(behind.get(..n).unwrap_or_default());
            if let Err(rejection) = outcome {
                return self.refuse(rejection, &[]);
            }
            rest = behind.get(n..).unwrap_or_default();
        }
        let begun = http1.guard.begun().len();
        self.activity.heading(begun > 0);
        if begun <= SMALL_HEAD {
            http1.share.release();
        } else if http1.share.grow_to(begun).is_err() {
            self.ended = Ended::Here;
        }
        if begun == 0 {
            http1.heading = None;
            http1.start = Vec::new();
        }
    }

    fn refuse(&mut self, rejection: Rejection, start: &[u8]) {
        let Protocol::Http1(http1) = &mut self.protocol else { return };
        self.activity.heading(false);
        self.ended = Ended::Here;
        let (request, start) = match http1.guard.refused_in() {
            // The server sees the stand-in as the next request of the connection.
            Some(Part::Head) => {
                self.ready.extend_from_slice(STAND_IN);
                self.ended = Ended::Silently;
                (http1.guard.heads(), Bytes::copy_from_slice(start.get(..START).unwrap_or(start)))
            }
            // The server has the request already; its body ends short of what was announced.
            Some(Part::Body) | None => (http1.guard.heads().saturating_sub(1), Bytes::new()),
        };
        http1.refusal.refuse(Refused { request, rejection, start });
    }

    /// Judges what was read to `filled`: how much of it the server may see as it is.
    fn judge(&mut self, filled: &[u8]) -> usize {
        let Protocol::Http1(http1) = &mut self.protocol else { return filled.len() };
        let (passed, outcome) = http1.guard.pass(filled);
        if let Err(rejection) = outcome {
            self.refuse(rejection, &[]);
            return passed;
        }
        if let Some(rest) = filled.get(passed..).filter(|rest| !rest.is_empty()) {
            self.take(rest);
        }
        passed
    }
}

impl Http1 {
    /// Lets everything pass, once the connection was switched to another protocol.
    fn switch(&mut self, ready: &mut BytesMut) {
        if !self.tunnel && self.refusal.0.tunnel.load(Ordering::Acquire) {
            self.tunnel = true;
            self.heading = None;
            ready.extend_from_slice(&self.guard.tunnel());
        }
    }

    /// Whether a head that has begun has taken too long.
    fn is_slow(&mut self, patience: Duration, cx: &mut Context<'_>) -> bool {
        if self.guard.begun().is_empty() {
            return false;
        }
        let timer = self.heading.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        timer.as_mut().poll(cx).is_ready()
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
            if let Protocol::Http1(http1) = &mut this.protocol {
                http1.switch(&mut this.ready);
            }
            if !this.ready.is_empty() {
                let n = this.ready.len().min(buf.remaining());
                buf.put_slice(&this.ready.split_to(n));
                return Poll::Ready(Ok(()));
            }
            match this.ended {
                Ended::Not if buf.remaining() > 0 => {}
                Ended::Not | Ended::Here => return Poll::Ready(Ok(())),
                Ended::Silently => return Poll::Pending,
            }
            let before = buf.filled().len();
            match Pin::new(&mut this.stream).poll_read(cx, buf) {
                Poll::Ready(outcome) => outcome?,
                Poll::Pending => {
                    let head = this.patience.head;
                    if let Protocol::Http1(http1) = &mut this.protocol
                        && http1.is_slow(head, cx)
                    {
                        this.activity.slow();
                        return Poll::Ready(Err(slow("the head came too slowly")));
                    }
                    return Poll::Pending;
                }
            }
            let filled = buf.filled().get(before..).unwrap_or_default();
            if filled.is_empty() {
                this.ended = Ended::Here;
                return Poll::Ready(Ok(()));
            }
            let passed = this.judge(filled);
            // What did not pass is taken back.
            buf.set_filled(before + passed);
            if passed > 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> Guarded<S> {
    /// Sees to it that a peer that reads nothing is not waited for.
    fn patiently<T>(
        &mut self,
        cx: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut S>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if let Poll::Ready(outcome) = write(Pin::new(&mut self.stream), cx) {
            self.writing = None;
            return Poll::Ready(outcome);
        }
        let limit = self.patience.write;
        let timer =
            self.writing.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + limit)));
        ready!(timer.as_mut().poll(cx));
        self.activity.slow();
        Poll::Ready(Err(slow("the answer was read too slowly")))
    }
}

fn slow(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, what)
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.patiently(cx, |stream, cx| stream.poll_write(cx, buf))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.patiently(cx, AsyncWrite::poll_flush)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.patiently(cx, AsyncWrite::poll_shutdown)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.patiently(cx, |stream, cx| stream.poll_write_vectored(cx, bufs))
    }
}

#[cfg(test)]
mod tests;
