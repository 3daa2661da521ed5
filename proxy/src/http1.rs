//! An HTTP/1 connection to an upstream, driven by the request that uses it.
//!
//! A connection with a task of its own costs every request two passes through the scheduler and a wake for each part of
//! the answer. Here the request's own task reads and writes, and an idle connection belongs to no task at all: it is
//! looked at when it is taken, and by the pool's tidying.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1};
use hyper_util::rt::TokioIo;
use tokio::task::coop::has_budget_remaining;
use tracing::debug;

use crate::connect::Stream;
use crate::hold::Outgoing;

type Frame = Option<Result<http_body::Frame<bytes::Bytes>, hyper::Error>>;

/// The connection.
#[derive(Debug)]
pub(crate) struct Http1 {
    sender: http1::SendRequest<Outgoing>,
    driver: Driver,
}

/// What reads and writes.
#[derive(Debug)]
enum Driver {
    /// Whoever waits for something.
    Here(Box<http1::Connection<TokioIo<Stream>, Outgoing>>),
    /// A task of its own.
    Elsewhere,
    /// Nothing any more.
    Ended,
}

impl Http1 {
    /// Begins on `stream`.
    ///
    /// # Errors
    /// Where hyper does not take it.
    pub(crate) async fn new(stream: Stream, header_case: bool) -> Result<Self, hyper::Error> {
        let mut builder = http1::Builder::new();
        builder.preserve_header_case(header_case);
        let (sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
        Ok(Self { sender, driver: Driver::Here(Box::new(connection)) })
    }

    /// Gives the connection a task of its own, in which it can switch protocols.
    pub(crate) fn detach(&mut self) {
        if let Driver::Here(connection) = std::mem::replace(&mut self.driver, Driver::Elsewhere) {
            tokio::spawn(async move {
                if let Err(error) = connection.with_upgrades().await {
                    debug!(%error, "upstream connection ended");
                }
            });
        }
    }

    /// Sends a request.
    ///
    /// # Errors
    /// Gives the request back where nothing of it was sent.
    pub(crate) async fn send(
        &mut self,
        request: Request<Outgoing>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Outgoing>>> {
        let mut answer = pin!(self.sender.try_send_request(request));
        let driver = &mut self.driver;
        std::future::poll_fn(move |cx| driver.until(cx, |cx| answer.as_mut().poll(cx))).await
    }

    /// Reads the next part of `body`, which is that of an answer on this connection.
    pub(crate) fn poll_frame(&mut self, body: &mut Incoming, cx: &mut Context<'_>) -> Poll<Frame> {
        let mut body = Pin::new(body);
        // What came with the head is here already.
        if matches!(self.driver, Driver::Here(_))
            && has_budget_remaining()
            && let Poll::Ready(frame) = body.as_mut().poll_frame(&mut Context::from_waker(Waker::noop()))
        {
            return Poll::Ready(frame);
        }
        self.driver.until(cx, |cx| body.as_mut().poll_frame(cx))
    }

    /// The stream, where nothing is under way on it; the connection, where a task has it; else nothing.
    ///
    /// # Errors
    /// As told.
    pub(crate) fn into_stream(mut self) -> Result<Stream, Option<Self>> {
        let rests = self.rest();
        match self.driver {
            Driver::Here(connection) if rests => {
                let parts = connection.into_parts();
                if parts.read_buf.is_empty() { Ok(parts.io.into_inner()) } else { Err(None) }
            }
            Driver::Here(_) | Driver::Ended => Err(None),
            Driver::Elsewhere => Err(Some(self)),
        }
    }

    /// Leaves the connection to nobody; whether it can take another request.
    pub(crate) fn rest(&mut self) -> bool {
        // Nobody is to be woken for it. What happened meanwhile shows here.
        self.driver.step(&mut Context::from_waker(Waker::noop()));
        self.sender.is_ready()
    }
}

impl Driver {
    /// Reads and writes until `wanted` is ready or there is nothing to do.
    fn until<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut wanted: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        self.step(cx);
        match self {
            // All that `wanted` waits for comes of a step, and the task is woken for the next one.
            // Unless the task has used up its turn: `wanted` would then ask for another one, which must be heard.
            Self::Here(_) if has_budget_remaining() => wanted(&mut Context::from_waker(Waker::noop())),
            Self::Here(_) | Self::Elsewhere | Self::Ended => wanted(cx),
        }
    }

    fn step(&mut self, cx: &mut Context<'_>) {
        if let Self::Here(connection) = self
            && let Poll::Ready(ended) = Pin::new(connection).poll(cx)
        {
            if let Err(error) = ended {
                debug!(%error, "upstream connection ended");
            }
            *self = Self::Ended;
        }
    }
}
