//! Collecting the first part of a body.

use super::{About, End, Flow, State, Stream};
use crate::failure::Failure;
use crate::host::Host;
use crate::message::{Body, Extent};
use crate::metrics::Counter;

/// What has come of a body while the headers were being decided on.
#[derive(Debug)]
pub(super) enum Kept {
    /// The host shows bodies only after the headers went on, or none has come.
    Nothing,
    /// The host collects it.
    AtHost,
    /// All that the agent will be shown of it.
    Here(Part),
}

/// The part of a body that the agent is shown.
#[derive(Debug)]
pub(super) struct Part {
    bytes: Vec<u8>,
    total: Option<usize>,
    extent: Extent,
}

impl Stream {
    /// Takes the next part; asks the agent when there is enough.
    pub(super) fn collect(&mut self, host: &impl Host, size: usize, end: End) -> Flow {
        self.collected = size;
        if !self.is_enough(size, end) {
            return Flow::Collect;
        }
        match self.take(host, size, end) {
            Ok(part) => self.ask_about(host, &part),
            Err(failure) => self.fail(host, failure),
        }
    }

    /// Takes the next part while the agent decides on the headers, as far as the host shows it this early.
    pub(super) fn keep(&mut self, host: &impl Host, size: usize, end: End) -> Flow {
        if matches!(self.kept, Kept::Here(_)) {
            return Flow::Hold;
        }
        self.collected = size;
        if !self.is_enough(size, end) {
            self.kept = Kept::AtHost;
            return Flow::Collect;
        }
        match self.take(host, size, end) {
            Ok(part) => {
                self.kept = Kept::Here(part);
                Flow::Hold
            }
            Err(failure) => {
                self.plugin.metrics.leave(host);
                self.fail(host, failure)
            }
        }
    }

    pub(super) fn ask_about(&mut self, host: &impl Host, part: &Part) -> Flow {
        let Part { bytes, total, extent } = part;
        self.ask(host, About::Whole, Body { bytes, total: *total, extent: *extent })
    }

    /// Goes on from a verdict on the headers to the body.
    pub(super) fn turn_to_body(&mut self, host: &impl Host) -> Flow {
        self.state = State::BodyCollect;
        match std::mem::replace(&mut self.kept, Kept::Nothing) {
            Kept::Here(part) => self.ask_about(host, &part),
            Kept::AtHost => Flow::Collect,
            Kept::Nothing => {
                self.headers = super::HeadersAt::Application;
                Flow::Continue
            }
        }
    }

    /// A body is also whole when as much has come as the client announced; the host says so only later.
    fn is_enough(&self, size: usize, end: End) -> bool {
        end == End::Reached
            || size >= self.plugin.config.max_body
            || self.facts.content_length().is_some_and(|announced| size >= announced)
    }

    fn take(&self, host: &impl Host, size: usize, end: End) -> Result<Part, Failure> {
        let wanted = size.min(self.plugin.config.max_body);
        let bytes = if wanted == 0 { Vec::new() } else { host.request_body(wanted).unwrap_or_default() };
        // An attacker's body that the host does not show must not pass for an empty one.
        if bytes.len() != wanted {
            return Err(Failure::Host);
        }
        let announced = self.facts.content_length();
        let ended = end == End::Reached || announced == Some(size);
        let extent = if ended && wanted == size { Extent::Whole } else { Extent::Truncated };
        if extent == Extent::Truncated {
            self.count(host, Counter::Truncated);
        }
        let total = if ended { Some(size) } else { announced };
        Ok(Part { bytes, total, extent })
    }
}
