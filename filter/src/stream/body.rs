//! Collecting the first part of a body.

use super::{About, End, Flow, HeadersAt, State, Stream};
use crate::failure::Failure;
use crate::host::Host;
use crate::message::{Body, Extent};
use crate::metrics::Counter;

/// What has come of a body.
///
/// The bytes are copied as they come: so the host can be told to slow the client down instead of to collect, since a
/// host that collects answers 413 as soon as one burst of a long body exceeds its buffer.
#[derive(Debug, Default)]
pub(super) struct Collected {
    /// The first part, as much as the agent is shown.
    bytes: Vec<u8>,
    /// Bytes that have come.
    seen: usize,
    view: View,
    end: End,
    arrival: Arrival,
}

/// What the host shows at the next callback.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum View {
    /// What is new: it was told to hold.
    #[default]
    New,
    /// All there is: it was told to collect.
    All,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Arrival {
    #[default]
    Awaited,
    Begun,
}

/// A body as it was when the agent was asked about it.
#[derive(Debug)]
pub(super) struct Unseen {
    bytes: Vec<u8>,
    total: Option<usize>,
    extent: Extent,
}

impl Unseen {
    pub(super) fn of(body: Body<'_>) -> Self {
        Self { bytes: body.bytes.to_vec(), total: body.total, extent: body.extent }
    }

    pub(super) fn body(&self) -> Body<'_> {
        Body { bytes: &self.bytes, total: self.total, extent: self.extent }
    }
}

impl Stream {
    /// Takes the next part; asks the agent when there is enough, unless it is still busy with the headers.
    pub(super) fn collect(&mut self, host: &impl Host, size: usize, end: End) -> Flow {
        if let Err(failure) = self.body.take(host, self.profile.max_body, size, end) {
            if self.pending().is_some() {
                self.plugin.metrics.leave();
            }
            return self.fail(host, failure);
        }
        match (self.state, self.has_enough()) {
            (State::BodyCollect, true) => self.ask_about_body(host),
            (_, true) => self.body.hold(),
            (_, false) => self.body.stop(),
        }
    }

    /// Takes the end of a body that no part of it told of.
    pub(super) fn collect_end(&mut self, host: &impl Host) -> Flow {
        let shown = match self.body.view {
            View::New => 0,
            View::All => self.body.seen,
        };
        self.collect(host, shown, End::Reached)
    }

    /// Goes on from a verdict on the headers to the body.
    pub(super) fn turn_to_body(&mut self, host: &impl Host) -> Flow {
        self.state = State::BodyCollect;
        match (self.body.arrival, self.has_enough()) {
            (Arrival::Begun, true) => self.ask_about_body(host),
            (Arrival::Begun, false) => Flow::Hold,
            // Either nothing has come yet, or the host shows nothing before the headers have gone.
            (Arrival::Awaited, _) => {
                self.headers = HeadersAt::Application;
                Flow::Continue
            }
        }
    }

    fn ask_about_body(&mut self, host: &impl Host) -> Flow {
        let announced = self.facts.content_length();
        let body = std::mem::take(&mut self.body);
        let ended = body.end == End::Reached;
        let extent = if ended && body.bytes.len() == body.seen { Extent::Whole } else { Extent::Truncated };
        if extent == Extent::Truncated {
            self.count(Counter::Truncated);
        }
        let total = if ended { Some(body.seen) } else { announced };
        self.consider(host, About::Whole, Body { bytes: &body.bytes, total, extent })
    }

    /// As much as was announced, or as is inspected, is not the end: trailers may come behind it.
    fn has_enough(&self) -> bool {
        self.body.end == End::Reached || self.body.seen > self.profile.max_body
    }
}

impl Collected {
    fn take(&mut self, host: &impl Host, max: usize, size: usize, end: End) -> Result<(), Failure> {
        self.arrival = Arrival::Begun;
        self.end = end;
        let start = match self.view {
            View::New => 0,
            View::All => self.seen,
        };
        let new = size.checked_sub(start).ok_or(Failure::Host)?;
        let wanted = new.min(max.saturating_sub(self.bytes.len()));
        if wanted > 0 {
            let mut part = host.request_body(start, wanted).unwrap_or_default();
            // A body that the host does not show must not pass for an empty one.
            if part.len() != wanted {
                return Err(Failure::Host);
            }
            self.bytes.append(&mut part);
        }
        self.seen = self.seen.saturating_add(new);
        Ok(())
    }

    /// Stops a body of which more is wanted. A host that has been told to hold, and whose buffer is smaller than what is
    /// wanted, would never show the rest; one that is told to collect answers 413.
    fn stop(&mut self) -> Flow {
        if self.seen < SMALLEST_BUFFER {
            return self.hold();
        }
        self.view = View::All;
        Flow::Collect
    }

    fn hold(&mut self) -> Flow {
        self.view = View::New;
        Flow::Hold
    }
}

/// The smallest buffer limit that gateways ship with.
const SMALLEST_BUFFER: usize = 32 * 1024;
