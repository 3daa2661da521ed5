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
    Refused(Rejection, Part),
}

/// The part of a message in which it was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Its head: nothing of the message was passed on.
    Head,
    /// Its body: the head, and some of the body, were passed on.
    Body,
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
                let part = match self.state {
                    State::Refused(_, part) => part,
                    State::Head(_) => Part::Head,
                    State::Body(_) | State::Chunked(_) | State::Tunnel => Part::Body,
                };
                self.state = State::Refused(rejection, part);
                return Err(rejection);
            }
            if !matches!(outcome, Ok(Pass::Held)) {
                let taken = before.len() - input.len();
                passed.extend_from_slice(before.get(..taken).unwrap_or_default());
            }
        }
        Ok(())
    }

    /// Takes what was received as long as it passes as it is: the number of bytes that do, from the first. The rest is
    /// for [`feed`](Self::feed), which also takes what is not whole yet, and heads whose target is
    /// [`odd`](crate::is_odd_target). This is the way without a copy.
    ///
    /// # Errors
    /// As [`feed`](Self::feed), for a body; a head in doubt is left to it.
    pub fn pass(&mut self, input: &[u8]) -> (usize, Result<(), Rejection>) {
        let mut rest = input;
        while !rest.is_empty() {
            if let State::Head(head) = &self.state {
                let whole = if head.is_empty() { whole_head(rest, &self.limits) } else { None };
                let Some((end, framing)) = whole else { break };
                rest = rest.get(end..).unwrap_or_default();
                self.passed(framing);
                continue;
            }
            // Bodies and tunnels keep nothing, so nothing is appended elsewhere.
            if let Err(rejection) = self.step(&mut rest, &mut Vec::new()) {
                let passed = input.len() - rest.len();
                if !matches!(self.state, State::Refused(..)) {
                    self.state = State::Refused(rejection, Part::Body);
                }
                return (passed, Err(rejection));
            }
        }
        (input.len() - rest.len(), Ok(()))
    }

    /// Lets everything pass from here on: the last request passed was answered by a switch of protocol. Gives back what
    /// was kept of the bytes behind it.
    pub fn tunnel(&mut self) -> Vec<u8> {
        match &mut self.state {
            State::Refused(..) => Vec::new(),
            State::Head(head) => {
                let held = std::mem::take(head);
                self.state = State::Tunnel;
                held
            }
            State::Body(_) | State::Chunked(_) | State::Tunnel => {
                self.state = State::Tunnel;
                Vec::new()
            }
        }
    }

    /// What was read of a head that is not whole yet.
    pub fn begun(&self) -> &[u8] {
        match &self.state {
            State::Head(head) => head,
            State::Body(_) | State::Chunked(_) | State::Tunnel | State::Refused(..) => &[],
        }
    }

    /// The part of the refused message in which it was refused, where one was.
    pub fn refused_in(&self) -> Option<Part> {
        match self.state {
            State::Refused(_, part) => Some(part),
            State::Head(_) | State::Body(_) | State::Chunked(_) | State::Tunnel => None,
        }
    }

    /// How many of the next bytes pass whatever they are, so that they need not be copied through
    /// [`feed`](Self::feed): pass them on and tell [`skip`](Self::skip).
    pub fn free(&self) -> u64 {
        match self.state {
            State::Body(left) => left,
            State::Tunnel => u64::MAX,
            State::Head(_) | State::Chunked(_) | State::Refused(..) => 0,
        }
    }

    /// Notes that `n` bytes, at most [`free`](Self::free), were passed on.
    pub fn skip(&mut self, n: u64) {
        if let State::Body(left) = &mut self.state {
            *left = left.saturating_sub(n);
            if *left == 0 {
                self.state = State::Head(Vec::new());
            }
        }
    }

    /// How many heads have passed.
    pub fn heads(&self) -> u64 {
        self.heads
    }

    fn step(&mut self, input: &mut &[u8], passed: &mut Vec<u8>) -> Result<Pass, Rejection> {
        match &mut self.state {
            State::Refused(rejection, _) => Err(*rejection),
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
                self.passed(framing);
                Ok(Pass::Held)
            }
        }
    }

    /// Goes on behind a head.
    fn passed(&mut self, framing: Framing) {
        self.heads += 1;
        self.state = match framing {
            Framing::Length(0) => State::Head(Vec::new()),
            Framing::Length(length) => State::Body(length),
            Framing::Chunked => State::Chunked(Chunked::new()),
        };
    }
}

/// What became of the bytes a step took.
enum Pass {
    /// They may be passed on.
    Taken,
    /// They were kept, or were passed on with what was kept before.
    Held,
}

/// The length and the framing of the head at the start of `input`, where it is whole and beyond doubt.
fn whole_head(input: &[u8], limits: &Limits) -> Option<(usize, Framing)> {
    let end = head_end(input)?;
    let head = input.get(..end).filter(|head| head.len() <= limits.head)?;
    // With a line end before it, the empty line found may not be the one behind the headers.
    if head.starts_with(b"\r") {
        return None;
    }
    let framing = head::judge(head, limits).ok()?;
    let odd = head::target(head)
        .is_some_and(|(start, end)| head::is_odd_target(head.get(start..end).unwrap_or_default()));
    (!odd).then_some((end, framing))
}

/// Where the first empty line of `input` ends. A head has few lines, for which a search for a single byte starts sooner
/// than one for four.
fn head_end(input: &[u8]) -> Option<usize> {
    let mut returns = memchr::memchr_iter(b'\r', input);
    returns.find(|&at| input.get(at..).is_some_and(|rest| rest.starts_with(b"\r\n\r\n"))).map(|at| at + 4)
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
