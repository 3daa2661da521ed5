//! Upstreams' bodies, and what becomes of one that its client stops reading.
//!
//! Over HTTP/1 such a client lets nothing be written to its connection, and there is a limit of time for that. Over HTTP/2 it
//! gives a stream no room, for which a server asks the body for nothing: the body cannot tell how long that lasts. So it
//! lies where the connection can take it away.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use crate::body::AnswerError;
use crate::lease::Received;
use crate::upstream::Held;

/// A body on its way to a client.
#[derive(Debug)]
pub(crate) struct Source(Arc<Mutex<State>>);

/// The same body, seen from the client's connection.
#[derive(Debug)]
pub(crate) struct Unread(Weak<Mutex<State>>);

#[derive(Debug)]
struct State {
    /// The body and the connection that it comes on; none once it was taken away.
    from: Option<(Received, Held)>,
    /// Since when it is the client that is waited for.
    offered: Option<Instant>,
}

impl Source {
    /// The body of an answer, of which nothing was read.
    pub(crate) fn new(body: Received, lease: Held) -> Self {
        Self(Arc::new(Mutex::new(State { from: Some((body, lease)), offered: Some(Instant::now()) })))
    }

    /// For the connection to look after it.
    pub(crate) fn unread(&self) -> Unread {
        Unread(Arc::downgrade(&self.0))
    }

    /// Reads the next part.
    pub(crate) fn poll_frame(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, AnswerError>>> {
        let mut state = lock(&self.0);
        let Some((body, lease)) = &mut state.from else {
            return Poll::Ready(Some(Err(AnswerError::Unread)));
        };
        let frame = lease.poll_frame(body, cx);
        state.offered = frame.is_ready().then(Instant::now);
        frame.map_err(AnswerError::Upstream)
    }

    /// Whether it is over, and what is known of the length of the rest.
    pub(crate) fn left(&self) -> (bool, SizeHint) {
        match &lock(&self.0).from {
            Some((body, lease)) => lease.left(body),
            None => (false, SizeHint::default()),
        }
    }

    /// Gives the connection back.
    pub(crate) fn give_back(&self) {
        let from = lock(&self.0).from.take();
        if let Some((_, lease)) = from {
            lease.give_back();
        }
    }
}

impl Unread {
    /// Whether there is nothing to look after any more.
    pub(crate) fn is_over(&self) -> bool {
        self.0.strong_count() == 0
    }

    /// How long it may still go unread. None where there is nothing to look after any more: it is over, or it has gone
    /// unread for `longest`, and was taken away.
    pub(crate) fn left(&self, longest: Duration) -> Option<Duration> {
        let state = self.0.upgrade()?;
        let mut state = lock(&state);
        let left = state.offered.map_or(longest, |since| longest.saturating_sub(since.elapsed()));
        if left.is_zero() {
            state.from = None;
        }
        state.from.is_some().then_some(left)
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
