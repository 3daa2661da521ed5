//! Messages while they arrive: what unfinished ones hold is counted before it is taken, and none may dawdle.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http_body::{Body, Frame};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep_until};
use tonic::Status;

use crate::memory::{self, Held};

/// How long a message may take to arrive.
const ARRIVAL: Duration = Duration::from_secs(5);

/// Bytes that every message may hold, whatever others do: most fit.
const FREE: usize = 8192;

/// A compression flag and a length.
const PREFIX: usize = 5;

/// The body of a call, watched.
#[derive(Debug)]
pub(super) struct Arrival {
    body: Incoming,
    framing: Framing,
    held: Held,
    most: usize,
    late: Pin<Box<Sleep>>,
    awaited: bool,
}

impl Arrival {
    /// Watches `body`, none of whose messages may exceed `most` bytes. The first must come at once.
    pub(super) fn new(body: Incoming, held: Held, most: usize) -> Self {
        let late = Box::pin(sleep_until(Instant::now() + ARRIVAL));
        Self { body, framing: Framing::default(), held, most, late, awaited: true }
    }

    /// Notes what arrived; the time that a message has starts with its first byte.
    fn note(&mut self, data: &[u8]) -> Result<(), Status> {
        let before = self.framing.finished;
        self.framing.read(data, |length| {
            if length > self.most {
                let error = format!("message of {length} bytes; at most {} are taken", self.most);
                return Err(Status::out_of_range(error));
            }
            // The reader reserves what is announced.
            let taken = if length > FREE { self.held.grow_to(length) } else { Ok(()) };
            taken.map_err(|memory::Full| Status::resource_exhausted(CROWDED))
        })?;
        if !self.framing.is_within() {
            // The message has been handed over whole; what becomes of it is bounded elsewhere.
            self.held.give_back();
            self.awaited = false;
        } else if !self.awaited || self.framing.finished > before {
            self.awaited = true;
            self.late.as_mut().reset(Instant::now() + ARRIVAL);
        }
        Ok(())
    }
}

const CROWDED: &str = "too many messages are arriving slowly";

impl Body for Arrival {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Pending => {
                if this.awaited {
                    ready!(this.late.as_mut().poll(cx));
                    return Poll::Ready(Some(Err(Status::deadline_exceeded(
                        "message took too long to arrive",
                    ))));
                }
                Poll::Pending
            }
            Poll::Ready(Some(Ok(frame))) => {
                let noted = frame.data_ref().map_or(Ok(()), |data| this.note(data));
                Poll::Ready(Some(noted.map(|()| frame)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(Status::cancelled(error.to_string())))),
            Poll::Ready(None) => Poll::Ready(None),
        }
    }
}

/// Where in its messages a stream of bytes is.
#[derive(Debug, Default)]
struct Framing {
    prefix: [u8; PREFIX],
    /// Bytes of the prefix that are there.
    read: usize,
    /// Bytes of the message that are not.
    missing: usize,
    /// Messages that are whole.
    finished: u64,
}

impl Framing {
    /// Goes on by `data`, and tells `begin` the length of each message that begins.
    fn read(
        &mut self,
        mut data: &[u8],
        mut begin: impl FnMut(usize) -> Result<(), Status>,
    ) -> Result<(), Status> {
        while data.has_remaining() {
            if self.missing > 0 {
                let step = self.missing.min(data.len());
                data.advance(step);
                self.missing -= step;
            } else {
                if let Some(place) = self.prefix.get_mut(self.read) {
                    *place = data.get_u8();
                    self.read += 1;
                }
                if self.read < PREFIX {
                    continue;
                }
                let [_, length @ ..] = self.prefix;
                self.missing = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
                begin(self.missing)?;
            }
            if self.missing == 0 {
                self.read = 0;
                self.finished += 1;
            }
        }
        Ok(())
    }

    /// Whether a message has begun and is not whole.
    fn is_within(&self) -> bool {
        self.read > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(pieces: &[&[u8]]) -> (Vec<usize>, Framing) {
        let (mut framing, mut seen) = (Framing::default(), Vec::new());
        for piece in pieces {
            framing
                .read(piece, |length| {
                    seen.push(length);
                    Ok(())
                })
                .unwrap();
        }
        (seen, framing)
    }

    #[test]
    fn finds_every_message_wherever_the_stream_is_cut() {
        let stream = [&b"\0\0\0\0\x03abc"[..], b"\0\0\0\0\0", b"\x01\0\0\0\x02de"].concat();
        for cut in 0..=stream.len() {
            let (head, tail) = stream.split_at(cut);
            let (seen, framing) = lengths(&[head, tail]);
            assert_eq!(seen, [3, 0, 2], "{cut}");
            assert_eq!((framing.finished, framing.is_within()), (3, false), "{cut}");
        }
    }

    #[test]
    fn is_within_a_message_from_its_first_byte_to_its_last() {
        let stream = b"\0\0\0\0\x03abc";
        for cut in 1..stream.len() {
            assert!(lengths(&[&stream[..cut]]).1.is_within(), "{cut}");
        }
        assert!(!lengths(&[stream]).1.is_within());
    }

    #[test]
    fn tells_a_length_before_any_of_it_is_there() {
        assert_eq!(lengths(&[b"\0\xff\xff\xff\xff"]).0, [usize::try_from(u32::MAX).unwrap()]);
    }
}
