//! Bodies that are held until the verdict, and sent on after it.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;

/// The first bytes of a body, and what follows them.
#[derive(Debug)]
pub(crate) struct Held {
    /// What was read before the verdict, at most the limit and the rest of the frame that reached it.
    pub bytes: Bytes,
    /// Trailers, where the body ended with some while it was held.
    pub trailers: Option<http::HeaderMap>,
    /// The part of the body that was not read.
    pub rest: Option<Incoming>,
    exact: Option<u64>,
}

/// Why a body could not be held.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HoldError {
    /// The client sent nothing for too long.
    #[error("the request's body came too slowly")]
    Slow,
    /// The client broke off, or sent what is no body.
    #[error("the request's body broke off")]
    Broken(#[source] hyper::Error),
}

impl Held {
    /// Reads at most `limit` bytes of `body`, waiting at most `idle` for each part.
    ///
    /// # Errors
    /// Where the client is too slow, breaks off or sends what is no body.
    pub(crate) async fn read(
        mut body: Incoming,
        limit: usize,
        idle: Option<Duration>,
    ) -> Result<Self, HoldError> {
        let exact = body.size_hint().exact();
        let mut held = Self { bytes: Bytes::new(), trailers: None, rest: None, exact };
        if body.is_end_stream() {
            return Ok(held);
        }
        let mut buffer = BytesMut::new();
        loop {
            let next = body.frame();
            let frame = match idle {
                Some(idle) => tokio::time::timeout(idle, next).await.map_err(|_| HoldError::Slow)?,
                None => next.await,
            };
            let Some(frame) = frame else { break };
            match frame.map_err(HoldError::Broken)?.into_data() {
                Ok(data) => {
                    // The ordinary body is one frame: keep it without copying.
                    if buffer.is_empty() && (data.len() >= limit || body.is_end_stream()) {
                        held.bytes = data;
                    } else {
                        buffer.extend_from_slice(&data);
                    }
                }
                Err(frame) => {
                    held.trailers = frame.into_trailers().ok();
                    break;
                }
            }
            if body.is_end_stream() {
                break;
            }
            if held.bytes.len().max(buffer.len()) >= limit {
                held.rest = Some(body);
                break;
            }
        }
        if !buffer.is_empty() {
            held.bytes = buffer.freeze();
        }
        Ok(held)
    }

    /// Holds nothing of `body`: all of it streams.
    pub(crate) fn untouched(body: Incoming) -> Self {
        let exact = body.size_hint().exact();
        let rest = (!body.is_end_stream()).then_some(body);
        Self { bytes: Bytes::new(), trailers: None, rest, exact }
    }

    /// Makes it sendable, more than once as long as nothing was sent.
    pub(crate) fn replay(self) -> Replay {
        Replay(Arc::new(Mutex::new(Some(self))))
    }
}

/// A held body that can be offered to one upstream after the other until one of them starts to read it.
#[derive(Clone, Debug)]
pub(crate) struct Replay(Arc<Mutex<Option<Held>>>);

impl Replay {
    /// The body to send.
    pub(crate) fn body(&self) -> Outgoing {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let exact = match held.as_ref() {
            Some(held) if held.rest.is_none() => Some(held.bytes.len() as u64),
            Some(held) => held.exact,
            None => None,
        };
        let empty = held
            .as_ref()
            .is_some_and(|held| held.bytes.is_empty() && held.rest.is_none() && held.trailers.is_none());
        Outgoing { source: self.clone(), state: State::Untouched, exact, empty }
    }

    /// Whether nothing was sent yet, so that another upstream may be tried.
    pub(crate) fn is_untouched(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }
}

/// The body sent to an upstream: what was held, then what still comes.
#[derive(Debug)]
pub(crate) struct Outgoing {
    source: Replay,
    state: State,
    exact: Option<u64>,
    empty: bool,
}

#[derive(Debug)]
enum State {
    Untouched,
    Sending { rest: Option<Incoming>, trailers: Option<http::HeaderMap> },
    Ended,
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        loop {
            match &mut self.state {
                State::Untouched => {
                    let held = self.source.0.lock().unwrap_or_else(PoisonError::into_inner).take();
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
                    let frame = std::task::ready!(Pin::new(rest).poll_frame(cx));
                    if frame.is_none() {
                        self.state = State::Ended;
                    }
                    return Poll::Ready(frame);
                }
                State::Sending { rest: None, trailers } => {
                    let trailers = trailers.take();
                    self.state = State::Ended;
                    return Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))));
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
