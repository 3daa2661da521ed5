//! HTTP/1.1 to an upstream as most requests need it: the whole body is here, and no protocol is switched.
//!
//! hyper's client passes a request and its answer through channels and keeps headers in maps on the way; that costs more
//! than all the rest of a small exchange. Here the head is written as it is made and the answer is read where it is
//! wanted, by the request's own task. What is not that simple takes the way through hyper, on the same connections.

mod body;
mod head;

use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf, Bytes, BytesMut};
use http::{Method, Response, StatusCode};
use http_body::{Frame, SizeHint};
use tokio::io::{AsyncReadExt, AsyncWrite};

use crate::connect::Stream;
use crate::wire::body::Decoder;
use crate::wire::head::Head;

/// Bytes that are made room for: for small answers, several of which share it, and where there are many to come.
const SMALL: usize = 16 * 1024;
const LARGE: usize = 128 * 1024;
/// The least room for a read.
const LEAST: usize = 2 * 1024;
/// Heads of the kind 1xx before the one that answers.
const MOST_INTERIM: usize = 16;

/// A connection to an upstream.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: Stream,
    /// What is still to be sent: of the head, and of the body.
    head: BytesMut,
    body: Bytes,
    /// What was read and not yet taken.
    read: BytesMut,
    /// Whether a read filled all the room that it had.
    filled: bool,
    decoder: Decoder,
    keeps: bool,
}

/// Why an exchange came to nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireError {
    /// The connection failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The connection ended within, or before, what was to be read.
    #[error("the connection ended before the answer was whole")]
    Ended,
    /// The head of an answer cannot be read.
    #[error("the answer's head is malformed")]
    Head(#[source] httparse::Error),
    /// The head of an answer contradicts itself.
    #[error("the answer's head is malformed")]
    Malformed,
    /// The head, or the trailers, of an answer are too large.
    #[error("the answer's head or trailers are too large")]
    LongHead,
    /// The answer has malformed chunks.
    #[error("the answer's chunks are malformed")]
    Chunk,
}

impl WireError {
    /// Whether what was read is no HTTP.
    pub(crate) fn is_parse(&self) -> bool {
        match self {
            Self::Io(_) | Self::Ended => false,
            Self::Head(_) | Self::Malformed | Self::LongHead | Self::Chunk => true,
        }
    }
}

/// An exchange that failed.
#[derive(Debug)]
pub(crate) struct Broken {
    /// Why.
    pub error: WireError,
    /// How much of the request may have reached the upstream, and whether it answered.
    pub progress: Progress,
}

/// How far an exchange came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Nothing was written.
    Nothing,
    /// Something was written, and nothing was read.
    Written,
    /// Something was read.
    Answered,
}

impl Wire {
    /// A connection on which nothing was exchanged.
    pub(crate) fn new(stream: Stream) -> Self {
        let (head, read) = (BytesMut::new(), BytesMut::new());
        Self { stream, head, body: Bytes::new(), read, filled: false, decoder: Decoder::Ended, keeps: true }
    }

    /// The stream, on which nothing is under way.
    pub(crate) fn into_stream(self) -> Stream {
        self.stream
    }

    /// Sends the request whose head `write` writes, and reads the head of its answer.
    ///
    /// # Errors
    /// How far it came, and why not further.
    pub(crate) async fn exchange(
        &mut self,
        method: &Method,
        write: impl FnOnce(&mut BytesMut),
        body: Bytes,
    ) -> Result<Response<()>, Broken> {
        // Until it is known better.
        self.keeps = false;
        self.head.clear();
        write(&mut self.head);
        self.body = body;
        let (mut progress, mut interim) = (Progress::Nothing, 0);
        let head = poll_fn(|cx| self.poll_head(method, (&mut progress, &mut interim), cx)).await;
        let Head { response, framing, keeps } = head.map_err(|error| Broken { error, progress })?;
        self.keeps = keeps;
        self.decoder = Decoder::new(framing);
        Ok(response)
    }

    /// Reads the next part of the answer's body; none at its end.
    ///
    /// # Errors
    /// Where the upstream breaks it off.
    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, WireError>>> {
        if self.is_sending()
            && let Poll::Ready(Err(_)) = self.poll_write(cx)
        {
            // The answer began before all was sent, and may still be whole.
            self.stop_sending();
        }
        loop {
            match self.decoder.take(&mut self.read) {
                Ok(Some(frame)) => return Poll::Ready(Some(Ok(frame))),
                Ok(None) if self.decoder == Decoder::Ended => return Poll::Ready(None),
                Ok(None) => {}
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
            match ready!(self.poll_read(cx)) {
                Ok(0) if self.decoder == Decoder::Close => {
                    self.decoder = Decoder::Ended;
                    return Poll::Ready(None);
                }
                Ok(0) => return Poll::Ready(Some(Err(WireError::Ended))),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Some(Err(error.into()))),
            }
        }
    }

    /// Whether the answer's body is over.
    pub(crate) fn is_end_stream(&self) -> bool {
        self.decoder == Decoder::Ended
    }

    /// What is known of the length of the rest of the body.
    pub(crate) fn size_hint(&self) -> SizeHint {
        match self.decoder {
            Decoder::Ended => SizeHint::with_exact(0),
            Decoder::Length(left) => SizeHint::with_exact(left),
            _ => SizeHint::default(),
        }
    }

    /// Whether another request can be sent. Nobody is woken for what happens on the connection from here on.
    pub(crate) fn rest(&mut self) -> bool {
        if !self.keeps || self.decoder != Decoder::Ended || !self.read.is_empty() || self.is_sending() {
            return false;
        }
        // What comes without having been asked for is the end, or nothing that one could trust.
        self.poll_read(&mut Context::from_waker(Waker::noop())).is_pending()
    }

    fn poll_head(
        &mut self,
        method: &Method,
        (progress, interim): (&mut Progress, &mut usize),
        cx: &mut Context<'_>,
    ) -> Poll<Result<Head, WireError>> {
        let before = self.head.len() + self.body.len();
        let mut failed = match self.poll_write(cx) {
            Poll::Ready(Err(error)) => Some(error),
            Poll::Ready(Ok(())) | Poll::Pending => None,
        };
        if self.head.len() + self.body.len() < before {
            *progress = Progress::Written;
        }
        // Whatever became of the writing, there may be an answer: that the request is too long, say.
        loop {
            if !self.read.is_empty() {
                *progress = Progress::Answered;
                match head::take(&mut self.read, method)? {
                    Some(head) if is_interim(head.response.status()) => {
                        *interim += 1;
                        if *interim > MOST_INTERIM {
                            return Poll::Ready(Err(WireError::Malformed));
                        }
                        continue;
                    }
                    Some(head) => return Poll::Ready(Ok(head)),
                    None => {}
                }
            }
            let error = match (self.poll_read(cx), failed.take()) {
                (Poll::Ready(Ok(0)), None) => return Poll::Ready(Err(WireError::Ended)),
                (Poll::Ready(Ok(1..)), earlier) => {
                    failed = earlier;
                    continue;
                }
                (Poll::Pending, None) => return Poll::Pending,
                (_, Some(error)) | (Poll::Ready(Err(error)), None) => error,
            };
            return Poll::Ready(Err(error.into()));
        }
    }

    fn is_sending(&self) -> bool {
        !self.head.is_empty() || !self.body.is_empty()
    }

    fn stop_sending(&mut self) {
        self.head.clear();
        self.body.clear();
        self.keeps = false;
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.is_sending() {
            let parts = [IoSlice::new(&self.head), IoSlice::new(&self.body)];
            let parts = if self.body.is_empty() { &parts[..1] } else { &parts[..] };
            let n = match ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, parts))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n => n,
            };
            let of_head = n.min(self.head.len());
            self.head.advance(of_head);
            self.body.advance(n - of_head);
        }
        // TLS keeps what it was given.
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let (least, room) = if self.filled { (LARGE, LARGE) } else { (LEAST, SMALL) };
        if self.read.capacity() - self.read.len() < least {
            self.read.reserve(room);
        }
        let spare = self.read.capacity() - self.read.len();
        let n = ready!(pin!(self.stream.read_buf(&mut self.read)).poll(cx))?;
        // Full once is likely full again.
        self.filled = n >= spare;
        Poll::Ready(Ok(n))
    }
}

/// 101 ends what was HTTP; all others of its kind announce another answer.
fn is_interim(status: StatusCode) -> bool {
    status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS
}

#[cfg(test)]
mod tests;
