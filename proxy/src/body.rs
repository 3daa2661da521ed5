//! Bodies given to clients: an upstream's, or a short text of the proxy's own. Each ends its request's record.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use tokio::time::Sleep;

use crate::failure::Reason;
use crate::lease::BoxError;
use crate::record::Record;
use crate::unread::Source;

/// A body given to a client.
#[derive(Debug)]
pub(crate) struct Answer {
    kind: Kind,
    /// Told of every byte, and ended with this.
    record: Option<Box<Record>>,
    /// When the whole exchange must be over.
    deadline: Option<Pin<Box<Sleep>>>,
    /// Why it breaks off, once what came before is on its way.
    broken: Option<AnswerError>,
    /// Its last frame was given.
    done: bool,
}

#[derive(Debug)]
enum Kind {
    /// Its connection goes back to the pool with its end.
    Upstream(Source),
    Own(Full<Bytes>),
}

/// Why a body given to a client breaks off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AnswerError {
    /// The upstream broke it off.
    #[error("the upstream's body broke off")]
    Upstream(#[source] BoxError),
    /// `request-timeout` is over.
    #[error("the exchange took too long")]
    Slow,
    /// The client left it unread for too long.
    #[error("the client did not read the answer")]
    Unread,
}

impl Answer {
    /// A text of the proxy's own.
    pub(crate) fn text(text: &'static str) -> Self {
        Self::own(Full::new(Bytes::from_static(text.as_bytes())))
    }

    /// A page that somebody else made.
    pub(crate) fn page(body: Bytes) -> Self {
        Self::own(Full::new(body))
    }

    /// Nothing.
    pub(crate) fn empty() -> Self {
        Self::own(Full::default())
    }

    fn own(body: Full<Bytes>) -> Self {
        // Short, and left out of an answer to HEAD: whether it was read tells nothing.
        Self { kind: Kind::Own(body), record: None, deadline: None, broken: None, done: true }
    }

    /// An upstream's body, passed on as it comes.
    pub(crate) fn upstream(source: Source, deadline: Option<Pin<Box<Sleep>>>) -> Self {
        Self { kind: Kind::Upstream(source), record: None, deadline, broken: None, done: false }
    }

    /// The same body, with its record.
    #[must_use]
    pub(crate) fn recorded(mut self, record: Box<Record>) -> Self {
        self.record = Some(record);
        self
    }

    fn failed(&mut self, reason: Reason, cause: &dyn std::error::Error) {
        if let Some(record) = &mut self.record {
            record.fail(reason, cause);
        }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = AnswerError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, AnswerError>>> {
        if let Some(broken) = self.broken.take() {
            return Poll::Ready(Some(Err(broken)));
        }
        // Asked first: where the client is what is slow there is always more to give it.
        if self.deadline.as_mut().is_some_and(|deadline| deadline.as_mut().poll(cx).is_ready()) {
            self.deadline = None;
            self.failed(Reason::ExchangeTimeout, &AnswerError::Slow);
            return Poll::Ready(Some(Err(AnswerError::Slow)));
        }
        let frame = match &mut self.kind {
            Kind::Upstream(source) => source.poll_frame(cx),
            Kind::Own(body) => Pin::new(body)
                .poll_frame(cx)
                .map(|frame| frame.map(|frame| frame.map_err(|never| match never {}))),
        };
        match ready!(frame) {
            Some(Ok(frame)) => {
                match (frame.data_ref(), &mut self.record) {
                    (Some(data), Some(record)) => record.sent(data.len()),
                    (Some(_), None) => {}
                    // Trailers are the last frame.
                    (None, _) => self.done = true,
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(AnswerError::Upstream(error))) => {
                self.failed(Reason::ResponseCut, &*error);
                // The server drops what it has not sent yet when it hears of an error: it gets a turn to send it.
                self.broken = Some(AnswerError::Upstream(error));
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Some(Err(error)) => {
                self.failed(Reason::Gone, &error);
                Poll::Ready(Some(Err(error)))
            }
            None => {
                self.done = true;
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Upstream(source) => source.left().0,
            Kind::Own(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Upstream(source) => source.left().1,
            Kind::Own(body) => body.size_hint(),
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        let whole = self.done || self.is_end_stream();
        if let Some(record) = &mut self.record {
            record.ended(whole);
        }
        if let Kind::Upstream(source) = &self.kind {
            source.give_back();
        }
    }
}
