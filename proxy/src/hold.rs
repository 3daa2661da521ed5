//! Bodies that are held until the verdict, and sent on after it.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Instant;

use crate::failure::{Failed, Reason};
use crate::forward;
use crate::memory::Share;
use crate::patience::Patience;

/// The first bytes of a body, and what follows them.
#[derive(Debug)]
pub(crate) struct Held {
    /// What was read before the verdict, at most the limit and the rest of the frame that reached it.
    pub bytes: Bytes,
    /// Trailers, where the body ended with some while it was held.
    pub trailers: Option<Box<http::HeaderMap>>,
    /// The part of the body that was not read.
    pub rest: Option<Incoming>,
    exact: Option<u64>,
    share: Option<Share>,
}

/// How much of a body is held, and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    /// Bytes.
    pub bytes: usize,
    /// Where it may end before.
    pub until: Until,
    /// Longest wait for the next part.
    pub idle: Duration,
    /// Longest wait for all.
    pub whole: Duration,
    /// Longest wait for the first part, after which nothing is held.
    pub first: Option<Duration>,
}

/// Where holding ends, unless the limit of bytes comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// With the body.
    End,
    /// With the first gRPC message: a stream may wait for its answer before it goes on.
    Message,
}

impl Held {
    /// Reads `body` as far as `extent` says.
    ///
    /// # Errors
    /// Where the client is too slow, breaks off or sends what is no body, or others hold too much.
    pub(crate) async fn read(body: Incoming, extent: Extent, share: Share) -> Result<Self, Failed> {
        let exact = body.size_hint().exact();
        if body.is_end_stream() {
            return Ok(Self { bytes: Bytes::new(), trailers: None, rest: None, exact, share: None });
        }
        if extent.bytes == 0 {
            return Ok(Self { bytes: Bytes::new(), trailers: None, rest: Some(body), exact, share: None });
        }
        Self::collect(body, extent, share).await
    }

    async fn collect(mut body: Incoming, extent: Extent, mut share: Share) -> Result<Self, Failed> {
        let mut held = Self {
            bytes: Bytes::new(),
            trailers: None,
            rest: None,
            exact: body.size_hint().exact(),
            share: None,
        };
        let mut buffer = BytesMut::new();
        let last = Instant::now() + extent.whole;
        let mut patience = Patience::new(extent.first.unwrap_or(extent.idle).min(extent.whole));
        let mut begun = false;
        loop {
            let next = poll_fn(|cx| match Pin::new(&mut body).poll_frame(cx) {
                Poll::Ready(frame) => Poll::Ready(Some(frame)),
                Poll::Pending => patience.poll_over(cx).map(|()| None),
            });
            let frame = match next.await {
                Some(Some(frame)) => frame,
                Some(None) => break,
                None if extent.first.is_some() && !begun => {
                    held.rest = Some(body);
                    return Ok(held);
                }
                None => return Err(Reason::BodyTimeout.into()),
            };
            begun = true;
            patience.extend(extent.idle, Some(last));
            let frame = frame.map_err(|error| Failed {
                reason: Reason::BodyBroken,
                upstream: None,
                cause: Some(error.into()),
            })?;
            match frame.into_data() {
                Ok(data) => {
                    share.grow(data.len()).map_err(|_| Failed::from(Reason::NoMemory))?;
                    // The ordinary body is one frame: keep it without copying.
                    if buffer.is_empty() && (data.len() >= extent.bytes || body.is_end_stream()) {
                        held.bytes = data;
                    } else {
                        buffer.extend_from_slice(&data);
                    }
                }
                Err(frame) => {
                    held.trailers = frame.into_trailers().ok().map(forward::onward_trailers).map(Box::new);
                    break;
                }
            }
            if body.is_end_stream() {
                break;
            }
            let so_far: &[u8] = if held.bytes.is_empty() { &buffer } else { &held.bytes };
            if so_far.len() >= extent.bytes || (extent.until == Until::Message && has_message(so_far)) {
                held.rest = Some(body);
                break;
            }
        }
        if !buffer.is_empty() {
            held.bytes = buffer.freeze();
        }
        held.share = Some(share);
        Ok(held)
    }

    /// Makes it sendable, more than once as long as nothing was sent; `idle` is the longest wait for a part that is
    /// still to come.
    pub(crate) fn replay(self, idle: Option<Duration>) -> Replay {
        Replay(Arc::new(Source {
            held: Mutex::new(Some(self)),
            idle,
            progress: AtomicU8::new(WAITING),
            moved: AtomicBool::new(false),
            waits: AtomicBool::new(false),
        }))
    }
}

/// Whether `bytes` begin with a whole gRPC message: a flag, four bytes of length, and as many as that.
fn has_message(bytes: &[u8]) -> bool {
    let Some((&[_, a, b, c, d], rest)) = bytes.split_first_chunk::<5>() else { return false };
    usize::try_from(u32::from_be_bytes([a, b, c, d])).is_ok_and(|length| rest.len() >= length)
}

/// A held body that can be offered to one upstream after the other until one of them starts to read it.
#[derive(Clone, Debug)]
pub(crate) struct Replay(Arc<Source>);

#[derive(Debug)]
struct Source {
    held: Mutex<Option<Held>>,
    idle: Option<Duration>,
    progress: AtomicU8,
    /// Whether a part went on since that was last asked.
    moved: AtomicBool,
    /// Whether the client's next part is waited for.
    waits: AtomicBool,
}

const WAITING: u8 = 0;
const SENT: u8 = 1;
const BROKEN: u8 = 2;
const SLOW: u8 = 3;

impl Replay {
    /// The body to send.
    pub(crate) fn body(&self) -> Outgoing {
        let held = self.0.held.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut exact, mut empty) = (None, false);
        if let Some(held) = held.as_ref() {
            // Trailers need chunks, so they forbid a length.
            exact = match (&held.rest, &held.trailers) {
                (None, None) => Some(held.bytes.len() as u64),
                (None, Some(_)) => None,
                (Some(_), _) => held.exact,
            };
            empty = held.bytes.is_empty() && held.rest.is_none() && held.trailers.is_none();
        }
        Outgoing { source: self.clone(), state: State::Untouched, exact, empty, patience: None }
    }

    /// All of it, where all of it is here and it has no trailers.
    pub(crate) fn whole(&self) -> Option<Bytes> {
        let held = self.0.held.lock().unwrap_or_else(PoisonError::into_inner);
        let held = held.as_ref().filter(|held| held.rest.is_none() && held.trailers.is_none());
        held.map(|held| held.bytes.clone())
    }

    /// Whether there is nothing to send.
    pub(crate) fn is_empty(&self) -> bool {
        self.whole().is_some_and(|bytes| bytes.is_empty())
    }

    /// Whether nothing was sent yet, so that another upstream may be tried.
    pub(crate) fn is_untouched(&self) -> bool {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Whether nobody sends it any more.
    pub(crate) fn is_over(&self) -> bool {
        // Whatever is sent holds the source.
        Arc::strong_count(&self.0) == 1
    }

    /// Whether, since this was last asked, parts went on, or it is the client that is waited for. Never of a stream: there a
    /// client waits for its answer, too.
    pub(crate) fn has_moved(&self) -> bool {
        let Source { idle, moved, waits, .. } = &*self.0;
        let moved = moved.swap(false, Ordering::Relaxed) || waits.load(Ordering::Relaxed);
        moved && idle.is_some()
    }

    /// What the client did to its own request while it was sent on.
    pub(crate) fn fault(&self) -> Option<Reason> {
        match self.0.progress.load(Ordering::Relaxed) {
            BROKEN => Some(Reason::BodyBroken),
            SLOW => Some(Reason::BodyTimeout),
            _ => None,
        }
    }
}

/// The body sent to an upstream: what was held, then what still comes.
#[derive(Debug)]
pub(crate) struct Outgoing {
    source: Replay,
    state: State,
    exact: Option<u64>,
    empty: bool,
    patience: Option<Patience>,
}

/// Why a body that is sent on breaks off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    /// The client broke it off.
    #[error("the client's body broke off")]
    Broken(#[source] hyper::Error),
    /// The client sends too slowly.
    #[error("the client's body came too slowly")]
    Slow,
}

#[derive(Debug)]
enum State {
    Untouched,
    Sending { rest: Option<Incoming>, trailers: Option<Box<http::HeaderMap>> },
    Ended,
}

impl Outgoing {
    fn note(&self, progress: u8) {
        self.source.0.progress.store(progress, Ordering::Relaxed);
    }

    /// Whether the next part has been awaited for too long.
    fn is_slow(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(idle) = self.source.0.idle else { return false };
        self.patience.get_or_insert_with(|| Patience::new(idle)).poll_over(cx).is_ready()
    }

    /// Starts the wait for the next part anew.
    fn advanced(&mut self) {
        self.source.0.waits.store(false, Ordering::Relaxed);
        self.source.0.moved.store(true, Ordering::Relaxed);
        if let (Some(patience), Some(idle)) = (&mut self.patience, self.source.0.idle) {
            patience.extend(idle, None);
        }
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        loop {
            match &mut self.state {
                State::Untouched => {
                    let held = self.source.0.held.lock().unwrap_or_else(PoisonError::into_inner).take();
                    self.note(SENT);
                    let Some(Held { bytes, trailers, rest, .. }) = held else {
                        self.state = State::Ended;
                        continue;
                    };
                    self.state = State::Sending { rest, trailers };
                    if !bytes.is_empty() {
                        return Poll::Ready(Some(Ok(Frame::data(bytes))));
                    }
                }
                State::Sending { rest: Some(rest), .. } => {
                    let frame = match Pin::new(rest).poll_frame(cx) {
                        Poll::Ready(frame) => frame,
                        Poll::Pending if self.is_slow(cx) => {
                            self.note(SLOW);
                            self.state = State::Ended;
                            return Poll::Ready(Some(Err(BodyError::Slow)));
                        }
                        Poll::Pending => {
                            self.source.0.waits.store(true, Ordering::Relaxed);
                            return Poll::Pending;
                        }
                    };
                    self.advanced();
                    return Poll::Ready(match frame {
                        None => {
                            self.state = State::Ended;
                            None
                        }
                        Some(Ok(frame)) => Some(Ok(match frame.into_trailers() {
                            Ok(trailers) => Frame::trailers(forward::onward_trailers(trailers)),
                            Err(frame) => frame,
                        })),
                        Some(Err(error)) => {
                            self.note(BROKEN);
                            self.state = State::Ended;
                            Some(Err(BodyError::Broken(error)))
                        }
                    });
                }
                State::Sending { rest: None, trailers } => {
                    let trailers = trailers.take();
                    self.state = State::Ended;
                    return Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(*trailers))));
                }
                State::Ended => return Poll::Ready(None),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.state {
            State::Untouched => self.empty,
            State::Sending { rest, trailers } => rest.is_none() && trailers.is_none(),
            State::Ended => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.state, self.exact) {
            (State::Untouched, Some(exact)) => SizeHint::with_exact(exact),
            (State::Sending { rest: Some(rest), .. }, _) => rest.size_hint(),
            (State::Untouched | State::Sending { .. }, _) => SizeHint::default(),
            (State::Ended, _) => SizeHint::with_exact(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_a_whole_message() {
        assert!(!has_message(b"\0\0\0\0"));
        assert!(has_message(b"\0\0\0\0\0"));
        assert!(!has_message(b"\0\0\0\0\x03ab"));
        assert!(has_message(b"\x01\0\0\0\x03abc..."));
        assert!(!has_message(b"\0\xff\xff\xff\xff"));
    }
}
