//! Bodies given to clients: an upstream's, or a short text of the proxy's own. Each tells when it is done.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::sync::OwnedSemaphorePermit;

/// A body given to a client.
#[derive(Debug)]
pub(crate) struct Answer {
    kind: Kind,
    watch: Option<Watch>,
    // Held until the body is done: the upstream's connection is taken that long.
    _place: Option<OwnedSemaphorePermit>,
}

#[derive(Debug)]
enum Kind {
    Upstream(Incoming),
    Own(Full<Bytes>),
}

impl Answer {
    /// A text of the proxy's own.
    pub(crate) fn text(text: &'static str) -> Self {
        Self { kind: Kind::Own(Full::new(Bytes::from_static(text.as_bytes()))), watch: None, _place: None }
    }

    /// Nothing.
    pub(crate) fn empty() -> Self {
        Self { kind: Kind::Own(Full::default()), watch: None, _place: None }
    }

    /// An upstream's body, passed on as it comes.
    pub(crate) fn upstream(body: Incoming, watch: Watch, place: Option<OwnedSemaphorePermit>) -> Self {
        Self { kind: Kind::Upstream(body), watch: Some(watch), _place: place }
    }

    /// The same body, telling `watch` when it is done.
    #[must_use]
    pub(crate) fn watched(self, watch: Watch) -> Self {
        // A body that is already watched has its record.
        let watch = Some(self.watch.unwrap_or(watch));
        Self { watch, ..self }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = match &mut self.kind {
            Kind::Upstream(body) => ready!(Pin::new(body).poll_frame(cx)),
            Kind::Own(body) => {
                ready!(Pin::new(body).poll_frame(cx)).map(|frame| frame.map_err(|never| match never {}))
            }
        };
        if let (Some(Ok(frame)), Some(watch)) = (&frame, &mut self.watch)
            && let Some(data) = frame.data_ref()
        {
            watch.bytes += data.len() as u64;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Upstream(body) => body.is_end_stream(),
            Kind::Own(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Upstream(body) => body.size_hint(),
            Kind::Own(body) => body.size_hint(),
        }
    }
}

/// Called once when the body it watches is done, sent whole or given up.
pub(crate) struct Watch {
    bytes: u64,
    done: Option<Box<dyn FnOnce(u64) + Send + Sync>>,
}

impl Watch {
    /// Calls `done` with the number of bytes sent.
    pub(crate) fn new(done: impl FnOnce(u64) + Send + Sync + 'static) -> Self {
        Self { bytes: 0, done: Some(Box::new(done)) }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(done) = self.done.take() {
            done(self.bytes);
        }
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}
