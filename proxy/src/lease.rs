//! A connection to an upstream while a request uses it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http2};

use crate::hold::Outgoing;
use crate::http1::Http1;
use crate::pool::Pool;
use crate::shelves::Kept;
use crate::wire::{Progress, Wire, WireError};

/// A connection for one request.
#[derive(Debug)]
pub(crate) struct Lease {
    sender: Sender,
    /// Whether it served requests before.
    pub used: bool,
    pool: Arc<Pool>,
}

/// What an exchange goes through.
#[derive(Debug)]
pub(crate) enum Sender {
    /// The short way, and every connection of HTTP/1 at first.
    Wire(Box<Wire>),
    /// Through hyper.
    Http1(Http1),
    /// Nothing: hyper did not take it.
    Gone,
    /// One of many exchanges on a connection.
    Http2(http2::SendRequest<Outgoing>),
}

impl Lease {
    /// A connection of `pool`, which served requests before where it is `used`.
    pub(crate) fn new(sender: Sender, used: bool, pool: Arc<Pool>) -> Self {
        Self { sender, used, pool }
    }

    /// Whether requests on it need a whole target in place of Host.
    pub(crate) fn is_http2(&self) -> bool {
        matches!(self.sender, Sender::Http2(_))
    }

    /// The short way, where it may be taken.
    pub(crate) fn wire(&mut self) -> Option<&mut Wire> {
        match &mut self.sender {
            Sender::Wire(wire) if !self.pool.keeps_header_case() => Some(wire),
            Sender::Wire(_) | Sender::Http1(_) | Sender::Http2(_) | Sender::Gone => None,
        }
    }

    /// Sends a request through hyper.
    ///
    /// # Errors
    /// Tells whether anything of the request was sent.
    pub(crate) async fn send(&mut self, request: Request<Outgoing>) -> Result<Response<Incoming>, SendError> {
        self.through_hyper().await.map_err(SendError::Begin)?;
        let sent = match &mut self.sender {
            Sender::Http1(connection) => connection.send(request).await,
            Sender::Http2(sender) => sender.try_send_request(request).await,
            Sender::Wire(_) | Sender::Gone => return Err(SendError::Gone),
        };
        sent.map_err(|failed| SendError::Hyper(Box::new(failed)))
    }

    /// Leaves the connection to hyper.
    ///
    /// # Errors
    /// Where it does not take it.
    pub(crate) async fn through_hyper(&mut self) -> Result<(), hyper::Error> {
        self.sender = match std::mem::replace(&mut self.sender, Sender::Gone) {
            Sender::Wire(wire) => {
                Sender::Http1(Http1::new(wire.into_stream(), self.pool.keeps_header_case()).await?)
            }
            other => other,
        };
        Ok(())
    }

    /// Goes on sending while nobody reads the answer.
    pub(crate) fn detach(&mut self) {
        if let Sender::Http1(connection) = &mut self.sender {
            connection.detach();
        }
    }

    /// Reads the next part of `body`, which is that of the answer.
    pub(crate) fn poll_frame(
        &mut self,
        body: &mut Received,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = match (&mut self.sender, body) {
            (Sender::Wire(wire), _) => return wire.poll_frame(cx).map_err(Into::into),
            (Sender::Http1(connection), Received::Hyper(body)) => connection.poll_frame(body, cx),
            (_, Received::Hyper(body)) => Pin::new(body).poll_frame(cx),
            (_, Received::Wire) => Poll::Ready(None),
        };
        frame.map_err(Into::into)
    }

    /// Whether the answer's body is over, and what is known of the length of the rest of it.
    pub(crate) fn left(&self, body: &Received) -> (bool, SizeHint) {
        match (&self.sender, body) {
            (Sender::Wire(wire), _) => (wire.is_end_stream(), wire.size_hint()),
            (_, Received::Hyper(body)) => (body.is_end_stream(), body.size_hint()),
            (_, Received::Wire) => (true, SizeHint::with_exact(0)),
        }
    }

    /// Lets others use the connection, if the exchange on it is over.
    pub(crate) fn give_back(self) {
        let connection = match self.sender {
            Sender::Wire(wire) => Kept::Wire(wire),
            Sender::Http1(connection) => match connection.into_stream() {
                Ok(stream) => Kept::Wire(Box::new(Wire::new(stream))),
                Err(Some(connection)) => Kept::Http1(connection),
                Err(None) => return,
            },
            Sender::Http2(_) | Sender::Gone => return,
        };
        self.pool.keep(connection);
    }
}

/// An answer's body, or where it is.
#[derive(Debug)]
pub(crate) enum Received {
    /// Here.
    Hyper(Incoming),
    /// On the connection.
    Wire,
}

/// Any error.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a request was not answered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    /// hyper gave up on it.
    #[error("{}", .0.error())]
    Hyper(Box<TrySendError<Request<Outgoing>>>),
    /// hyper did not take the connection.
    #[error(transparent)]
    Begin(hyper::Error),
    /// There is no connection any more.
    #[error("the connection is gone")]
    Gone,
    /// The exchange on the short way broke off.
    #[error("{0}")]
    Wire(WireError, Progress),
}

impl SendError {
    /// Whether the request may be sent again on another connection: nothing of it was sent, or it changes nothing,
    /// `safe`, and had no body to lose.
    pub(crate) fn may_repeat(&self, safe: bool) -> bool {
        match self {
            Self::Begin(_) | Self::Gone | Self::Wire(_, Progress::Nothing) => true,
            Self::Wire(error, Progress::Written) => safe && !error.is_parse(),
            Self::Wire(_, Progress::Answered) => false,
            Self::Hyper(failed) => {
                let error = failed.error();
                let closed = error.is_incomplete_message() || error.is_closed() || is_io(error);
                failed.message().is_some() || error.is_canceled() || (safe && closed)
            }
        }
    }

    /// Whether what the upstream answered is no HTTP.
    pub(crate) fn is_parse(&self) -> bool {
        match self {
            Self::Hyper(failed) => failed.error().is_parse(),
            Self::Begin(_) | Self::Gone => false,
            Self::Wire(error, _) => error.is_parse(),
        }
    }

    /// What is behind it.
    pub(crate) fn into_cause(self) -> BoxError {
        match self {
            Self::Hyper(failed) => failed.into_error().into(),
            Self::Begin(error) => error.into(),
            Self::Gone => Self::Gone.into(),
            Self::Wire(error, _) => error.into(),
        }
    }
}

fn is_io(error: &hyper::Error) -> bool {
    matches!(std::error::Error::source(error), Some(source) if source.is::<std::io::Error>())
}
