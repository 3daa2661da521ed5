//! The engine: fields, their decoded forms, and the detectors that each form makes possible.

use crate::budget::{Budgets, Steps};
use crate::decode;
use crate::detectors::{self, DETECTORS, Detector};
use crate::features::Words;
use crate::input;
use crate::request::{Request, Response};
use crate::signal::{Location, Signal, Signals, Tag};
use crate::value::{Field, Finding, Value};

/// Finds signals in requests and responses.
///
/// Building one compiles the word automaton (about a millisecond); share it. Inspecting is linear in the input and
/// bounded by [`Budgets`].
#[derive(Debug)]
pub struct Engine {
    budgets: Budgets,
    words: Words,
    detectors: &'static [Detector],
}

impl Default for Engine {
    fn default() -> Self {
        Self::new(Budgets::default())
    }
}

impl Engine {
    /// Makes an engine that works within `budgets`.
    pub fn new(budgets: Budgets) -> Self {
        Self { budgets, words: Words::new(DETECTORS), detectors: DETECTORS }
    }

    /// Reports what `request` carries.
    pub fn inspect(&self, request: &Request<'_>) -> Signals {
        let mut inspection = Inspection::new(self);
        detectors::inspect_request(request, &mut inspection);
        input::walk(request, &mut inspection);
        inspection.finish()
    }

    /// Reports what `response` says about its request.
    pub fn inspect_response(&self, response: &Response<'_>) -> Signals {
        let mut inspection = Inspection::new(self);
        detectors::inspect_response(response, &mut inspection);
        inspection.finish()
    }
}

/// One request under inspection: what is left of its budgets, and what was found.
#[derive(Debug)]
pub(crate) struct Inspection<'e> {
    engine: &'e Engine,
    pub(crate) steps: Steps,
    fields: usize,
    decoded_bytes: usize,
    limited: bool,
    signals: Signals,
}

impl<'e> Inspection<'e> {
    fn new(engine: &'e Engine) -> Self {
        Self {
            engine,
            steps: Steps::new(engine.budgets.steps),
            fields: 0,
            decoded_bytes: 0,
            limited: false,
            signals: Signals::default(),
        }
    }

    /// The limits in force.
    pub(crate) fn budgets(&self) -> &'e Budgets {
        &self.engine.budgets
    }

    /// Notes that a budget kept part of the request from being read.
    pub(crate) fn limit(&mut self) {
        self.limited = true;
    }

    /// Takes `bytes` from the budget for decoded data; false once it is spent.
    pub(crate) fn take_decoded(&mut self, bytes: usize) -> bool {
        self.decoded_bytes = self.decoded_bytes.saturating_add(bytes);
        let within = self.decoded_bytes <= self.engine.budgets.decoded_bytes;
        if !within {
            self.limited = true;
        }
        within
    }

    /// Reads one field in all its decoded forms.
    pub(crate) fn field(&mut self, field: &Field<'_>) {
        if self.fields >= self.engine.budgets.fields {
            self.limited = true;
            return;
        }
        self.fields += 1;
        let field = match field.raw.get(..self.engine.budgets.value_bytes) {
            Some(head) if head.len() < field.raw.len() => {
                self.limited = true;
                Field { raw: head, ..*field }
            }
            _ => *field,
        };
        let mut fired = 0_u64;
        decode::forms(&field, self, |inspection, bytes| inspection.form(&field, bytes, &mut fired));
    }

    fn form(&mut self, field: &Field<'_>, bytes: &[u8], fired: &mut u64) {
        let features = self.engine.words.features(bytes);
        let value = Value { field, bytes, features };
        for (index, detector) in self.engine.detectors.iter().enumerate() {
            let bit = 1 << index;
            if *fired & bit != 0 || !(detector.possible)(features, features.word(index)) {
                continue;
            }
            if let Some(finding) = (detector.inspect)(&value, &mut self.steps) {
                *fired |= bit;
                self.found(field, bytes, &finding);
            }
        }
    }

    fn found(&mut self, field: &Field<'_>, bytes: &[u8], finding: &Finding) {
        let (value, span) = evidence(bytes, finding, self.engine.budgets.evidence_bytes);
        let name = cut(field.name, self.engine.budgets.evidence_bytes).to_vec();
        self.signal(Signal {
            tag: finding.tag,
            location: field.location,
            name,
            value,
            span,
            detector: finding.detector,
        });
    }

    /// Adds a finding that no value detector made.
    pub(crate) fn signal(&mut self, signal: Signal) {
        self.signals.push(signal, self.engine.budgets.signals);
    }

    /// Adds a finding about `location` as a whole.
    pub(crate) fn note(&mut self, tag: Tag, location: Location, detector: &'static str, value: &[u8]) {
        let value = cut(value, self.engine.budgets.evidence_bytes).to_vec();
        let span = 0..value.len();
        self.signal(Signal { tag, location, name: Vec::new(), value, span, detector });
    }

    fn finish(mut self) -> Signals {
        if self.limited || self.steps.exhausted() {
            self.note(Tag::InspectionLimit, Location::Request, "BUDGET", b"");
        }
        self.signals
    }
}

fn cut(bytes: &[u8], limit: usize) -> &[u8] {
    bytes.get(..limit).unwrap_or(bytes)
}

/// The part of `bytes` around the finding that fits `limit`, and the finding's place in it.
fn evidence(bytes: &[u8], finding: &Finding, limit: usize) -> (Vec<u8>, std::ops::Range<usize>) {
    let end = finding.span.end.min(bytes.len());
    let start = finding.span.start.min(end);
    let room = limit.saturating_sub(end - start);
    let from = start.saturating_sub(room / 2);
    let to = from.saturating_add(limit).min(bytes.len());
    let kept = bytes.get(from..to).unwrap_or_default().to_vec();
    let span = start - from..(end - from).min(kept.len());
    (kept, span)
}
