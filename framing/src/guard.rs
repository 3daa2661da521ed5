//! The guard: a connection's bytes in, the same bytes out as long as they leave no doubt.

use crate::chunked::{Chunked, Progress};
use crate::head::{self, Framing};
use crate::rejection::Rejection;

/// What a message may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a head, and of a trailer section.
    pub head: usize,
    /// Header lines of a head, and of a trailer section.
    pub headers: usize,
    /// Bytes of a chunk's size line with its extension.
    pub chunk_line: usize,
}

impl Default for Limits {
    /// Twice what browsers and servers commonly allow a head, and what any sane chunk line needs.
    fn default() -> Self {
        Self { head: 64 * 1024, headers: 100, chunk_line: 256 }
    }
}

/// The client's side of one HTTP/1 connection.
///
/// A head passes only once it is whole and judged, so that nothing of a refused request reaches the parser behind.
/// Memory is bounded by [`Limits::head`].
#[derive(Debug)]
pub struct Guard {
    limits: Limits,
    state: State,
    heads: u64,
}

#[derive(Debug)]
enum State {
    /// Before or within a head, of which this much was read.
    Head(Vec<u8>),
    /// In a body, this many bytes before its end.
    Body(u64),
    Chunked(Chunked),
    /// After an upgrade: the bytes are no longer HTTP/1.
    Tunnel,
    Refused(Rejection),
}

/// Line ends that a client may send before a request line (RFC 9112 section 2.2 asks servers to ignore one).
const LEADING_LINES: usize = 2;

impl Guard {
    /// A connection of which nothing was read.
    pub fn new(limits: Limits) -> Self {
        Self { limits, state: State::Head(Vec::new()), heads: 0 }
    }

    /// Takes what was received and appends what may be passed on to `passed`.
    ///
    /// # Errors
    /// The reason to refuse the message under way; `passed` then holds nothing of its head. Every later call answers
    /// the same.
    pub fn feed(&mut self, mut input: &[u8], passed: &mut Vec<u8>) -> Result<(), Rejection> {
        while !input.is_empty() {
            let before = input;
            let outcome = self.step(&mut input, passed);
            if let Err(rejection) = outcome {
                self.state = State::Refused(rejection);
                return Err(rejection);
            }
            if !matches!(outcome, Ok(Pass::Held)) {
                let taken = before.len() - input.len();
                passed.extend_from_slice(before.get(..taken).unwrap_or_default());
            }
        }
        Ok(())
    }

    /// Lets everything pass from here on: the last request passed was answered by a switch of protocol.
    pub fn tunnel(&mut self) {
        if !matches!(self.state, State::Refused(_)) {
            self.state = State::Tunnel;
        }
    }

    /// How many heads have passed.
    pub fn heads(&self) -> u64 {
        self.heads
    }

    fn step(&mut self, input: &mut &[u8], passed: &mut Vec<u8>) -> Result<Pass, Rejection> {
        match &mut self.state {
            State::Refused(rejection) => Err(*rejection),
            State::Tunnel => {
                *input = &[];
                Ok(Pass::Taken)
            }
            State::Body(left) => {
                let n = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                *left -= n as u64;
                *input = input.get(n..).unwrap_or_default();
                if *left == 0 {
                    self.state = State::Head(Vec::new());
                }
                Ok(Pass::Taken)
            }
            State::Chunked(chunked) => {
                if chunked.take(input, &self.limits)? == Progress::Ended {
                    self.state = State::Head(Vec::new());
                }
                Ok(Pass::Taken)
            }
            State::Head(head) => {
                let Some(framing) = collect(head, input, &self.limits)? else { return Ok(Pass::Held) };
                passed.append(head);
                self.heads += 1;
                self.state = match framing {
                    Framing::Length(0) => State::Head(Vec::new()),
                    Framing::Length(length) => State::Body(length),
                    Framing::Chunked => State::Chunked(Chunked::new()),
                };
                Ok(Pass::Held)
            }
        }
    }
}

/// What became of the bytes a step took.
enum Pass {
    /// They may be passed on.
    Taken,
    /// They were kept, or were passed on with what was kept before.
    Held,
}

/// Adds `input` to `head` up to the head's end; the framing once it is whole.
fn collect(head: &mut Vec<u8>, input: &mut &[u8], limits: &Limits) -> Result<Option<Framing>, Rejection> {
    while let Some(end) = input.iter().position(|&byte| byte == b'\n') {
        let (line, rest) = input.split_at_checked(end + 1).unwrap_or((input, &[]));
        *input = rest;
        head.extend_from_slice(line);
        if head.len() > limits.head {
            return Err(Rejection::HeadTooLarge);
        }
        // Refused at once: a lenient parser would end the line, or the head, here.
        if !head.ends_with(b"\r\n") {
            return Err(Rejection::BareLineFeed);
        }
        let begun = request_line_start(head)?;
        let whole = head.get(begun..).unwrap_or_default();
        if whole.ends_with(b"\r\n\r\n") {
            return head::judge(whole, limits).map(Some);
        }
    }
    head.extend_from_slice(input);
    *input = &[];
    if head.len() > limits.head { Err(Rejection::HeadTooLarge) } else { Ok(None) }
}

/// Where the request line starts behind the line ends that may precede it.
fn request_line_start(head: &[u8]) -> Result<usize, Rejection> {
    let mut start = 0;
    for _ in 0..=LEADING_LINES {
        match head.get(start..).unwrap_or_default() {
            [b'\r', b'\n', ..] => start += 2,
            _ => return Ok(start),
        }
    }
    Err(Rejection::RequestLine)
}
