//! A side of a WebSocket whose messages count against what all may hold while they are under way.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::memory::{Memory, Share};

/// The side.
#[derive(Debug)]
pub(crate) struct Metered<S> {
    stream: S,
    meter: Meter,
}

/// What was read of messages that are not done with.
#[derive(Clone, Debug)]
pub(crate) struct Meter(Arc<Mutex<Share>>);

impl Meter {
    /// Has read nothing.
    pub(crate) fn new(memory: &Arc<Memory>) -> Self {
        Self(Arc::new(Mutex::new(memory.share())))
    }

    /// Counts what is read of `stream`, which fails as out of memory where others hold too much.
    pub(crate) fn on<S>(&self, stream: S) -> Metered<S> {
        Metered { stream, meter: self.clone() }
    }

    /// Notes that a message is done with. What was read of the next one is forgotten, which is no more than one read.
    pub(crate) fn message(&self) {
        self.share().release();
    }

    /// Notes that a frame of `bytes` is done with that may have come within a message.
    pub(crate) fn control(&self, bytes: usize) {
        self.share().shrink(bytes);
    }

    fn share(&self) -> MutexGuard<'_, Share> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let grown = self.meter.share().grow(buf.filled().len().saturating_sub(before));
        Poll::Ready(grown.map_err(|full| io::Error::new(io::ErrorKind::OutOfMemory, full)))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
