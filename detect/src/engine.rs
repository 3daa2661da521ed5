//! The engine: fields, their decoded forms, and the detectors that each form makes possible.

use std::ops::Range;

use crate::budget::{Budgets, Steps};
use crate::decode;
use crate::detectors::{self, DETECTORS, Detector};
use crate::features::{Features, Words};
use crate::input;
use crate::patches::{self, Patch, UnknownPatch};
use crate::possible::Possible;
use crate::request::{Request, Response};
use crate::roles::Roles;
use crate::signal::{Location, Signal, Signals, Tag};
use crate::value::{Field, Finding, Part, Value, Wire};

/// Finds signals in requests and responses.
///
/// Building one makes its tables; share it. Inspecting is linear in the input and bounded by [`Budgets`].
#[derive(Debug)]
pub struct Engine {
    budgets: Budgets,
    words: Words,
    detectors: &'static [Detector],
    possible: Possible,
    roles: Roles,
    depth: Depth,
    patches: Vec<Patch>,
}

/// Which detectors read a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Depth {
    /// Those that the value's features make possible.
    Possible,
    /// All, so that a test can hold the two against each other.
    Everything,
}

impl Default for Engine {
    fn default() -> Self {
        Self::new(Budgets::default())
    }
}

impl Engine {
    /// Makes an engine that works within `budgets`.
    pub fn new(budgets: Budgets) -> Self {
        let roles = Roles::new();
        Self {
            budgets,
            words: Words::with_roles(DETECTORS, &roles),
            detectors: DETECTORS,
            possible: Possible::new(DETECTORS),
            roles,
            depth: Depth::Possible,
            patches: Vec::new(),
        }
    }

    /// Switches on the virtual patches with these ids; all are off until then.
    ///
    /// # Errors
    ///
    /// Names the first id that is no patch's.
    pub fn with_patches<'i>(mut self, ids: impl IntoIterator<Item = &'i str>) -> Result<Self, UnknownPatch> {
        for id in ids {
            let patch = Patch::find(id).ok_or_else(|| UnknownPatch { id: id.to_owned() })?;
            self.patches.push(patch);
        }
        Ok(self)
    }

    /// The detectors of `wanted` that can fire on a value with `features`, a bit each.
    fn possible(&self, features: Features, wanted: u64) -> u64 {
        match self.depth {
            Depth::Everything => wanted,
            Depth::Possible => self.roles.once(self.possible.of(features, self.detectors, wanted)),
        }
    }

    /// The detectors that do not read what stands in the place of `field`, a bit each.
    fn elsewhere(&self, field: &Field<'_>) -> u64 {
        match self.depth {
            Depth::Everything => 0,
            Depth::Possible => self.roles.elsewhere(field),
        }
    }

    /// The detectors of which a word in `bytes`, with these features, means something in a header of its own grammar;
    /// those in `usual` mean nothing.
    fn telling_words(&self, bytes: &[u8], features: Features, usual: Range<usize>) -> u64 {
        let mut words = features.words();
        if words != 0 && !usual.is_empty() {
            let part = |part: Option<&[u8]>| self.words.features_in(part.unwrap_or_default(), true).words();
            words &= part(bytes.get(..usual.start)) | part(bytes.get(usual.end..));
        }
        // Versions are full of numbers.
        if words & self.roles.numbers != 0 && !bytes.windows(4).any(|four| four.eq_ignore_ascii_case(b"proc"))
        {
            words &= !self.roles.numbers | self.words.longer_words(bytes);
        }
        words
    }

    fn features(&self, bytes: &[u8], elsewhere: u64) -> Features {
        self.words.features_in(bytes, elsewhere != self.roles.placed())
    }

    /// Makes an engine that asks every detector about every value: slow, and equal in its findings.
    #[doc(hidden)]
    pub fn exhaustive(budgets: Budgets) -> Self {
        Self { depth: Depth::Everything, ..Self::new(budgets) }
    }

    /// Lists every form of every value of `request` that the detectors are shown.
    #[doc(hidden)]
    pub fn trace(&self, request: &Request<'_>) -> Vec<Form> {
        let mut inspection = Inspection::new(self);
        inspection.trace = Some(Vec::new());
        input::walk(request, &mut inspection);
        inspection.trace.unwrap_or_default()
    }

    /// Reports what `request` carries.
    pub fn inspect(&self, request: &Request<'_>) -> Signals {
        self.inspect_unknown(request, 0)
    }

    /// Reports what `request` carries, and does not read the values of headers that the caller knows, a bit each from the
    /// first one on: the same name and value came in a request in which this engine found nothing. What is found in a
    /// header's value depends on these two alone; whatever is asked of headers together is asked all the same.
    pub fn inspect_unknown(&self, request: &Request<'_>, known: u64) -> Signals {
        let mut inspection = Inspection::new(self);
        inspection.request(request, known);
        inspection.finish()
    }

    /// Does the same if it takes no more than so many `steps`; none where it takes more, or the body's content coding is to
    /// be undone. Then nothing is known of the request, and it is to be inspected by somebody who has more time.
    pub fn inspect_briefly(&self, request: &Request<'_>, known: u64, steps: usize) -> Option<Signals> {
        let mut inspection = Inspection::new(self);
        inspection.steps = Steps::new(steps.min(self.budgets.steps));
        inspection.brief = true;
        inspection.request(request, known);
        (!inspection.steps.exhausted()).then(|| inspection.finish())
    }

    /// The parameters of the body, name and value, as an application reads them from a form, JSON, multipart or XML; within
    /// the budgets, and decoded once. Nothing is looked for in them.
    pub fn post_parameters(&self, request: &Request<'_>) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut inspection = Inspection::new(self);
        inspection.collected = Some(Vec::new());
        input::walk_body(request, &mut inspection);
        inspection.collected.unwrap_or_default()
    }

    /// Reports what `response` says about its request.
    pub fn inspect_response(&self, response: &Response<'_>) -> Signals {
        let mut inspection = Inspection::new(self);
        detectors::inspect_response(response, &mut inspection);
        inspection.finish()
    }
}

/// Bytes that a pass over a form reads for a step; detectors take further ones for what they do at each place.
const BYTES_A_STEP: usize = 64;

/// What asking a detector costs, however short the form is.
const STEPS_A_DETECTOR: usize = 3;
/// One form of one value, as the detectors were shown it.
#[doc(hidden)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    /// Where the value stood.
    pub location: Location,
    /// Which part of that place it was.
    pub part: &'static str,
    /// The parameter's, header's or key's name.
    pub name: Vec<u8>,
    /// The form.
    pub bytes: Vec<u8>,
    /// The decoders that lead from the value as received to this form, the first one first.
    pub decoders: Vec<&'static str>,
}

/// One request under inspection: what is left of its budgets, and what was found.
#[derive(Debug)]
pub(crate) struct Inspection<'e> {
    engine: &'e Engine,
    pub(crate) steps: Steps,
    fields: usize,
    decoded_bytes: usize,
    nesting: usize,
    limited: bool,
    /// Whether there is no time for what no steps are counted of.
    brief: bool,
    signals: Signals,
    findings: usize,
    trace: Option<Vec<Form>>,
    /// The decoders of the form that comes next; kept only for a trace.
    decoders: Vec<&'static str>,
    /// Values by name, where these are all that is wanted.
    collected: Option<Vec<(Vec<u8>, Vec<u8>)>>,
}

impl<'e> Inspection<'e> {
    fn new(engine: &'e Engine) -> Self {
        Self {
            engine,
            steps: Steps::new(engine.budgets.steps),
            fields: 0,
            decoded_bytes: 0,
            nesting: 0,
            limited: false,
            brief: false,
            signals: Signals::default(),
            findings: 0,
            trace: None,
            decoders: Vec::new(),
            collected: None,
        }
    }

    fn request(&mut self, request: &Request<'_>, known: u64) {
        detectors::inspect_request(request, self);
        patches::inspect(&self.engine.patches, request, self);
        input::walk_unknown(request, known, self);
    }

    /// Whether there is time to undo a content coding: where there is none, no verdict comes of it.
    pub(crate) fn may_inflate(&mut self) -> bool {
        if self.brief {
            self.steps.spend();
        }
        !self.brief
    }

    /// Whether forms are listed.
    pub(crate) fn traces(&self) -> bool {
        self.trace.is_some()
    }

    /// Whether each form or value counts, since they are listed.
    pub(crate) fn lists(&self) -> bool {
        self.trace.is_some() || self.collected.is_some()
    }

    /// How often something was found, whether it was kept or not.
    pub(crate) fn findings(&self) -> usize {
        self.findings
    }

    /// Says which decoders lead to the form that comes next.
    pub(crate) fn reached_by(&mut self, decoders: Vec<&'static str>) {
        self.decoders = decoders;
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

    /// Goes into a document within a document; false, and noted, where that is too deep.
    pub(crate) fn enter(&mut self) -> bool {
        if self.nesting >= self.engine.budgets.nesting {
            self.limited = true;
            return false;
        }
        self.nesting += 1;
        true
    }

    /// Comes back from a document that [`Self::enter`] went into.
    pub(crate) fn leave(&mut self) {
        self.nesting = self.nesting.saturating_sub(1);
    }

    /// Reads a field whose value fits its header's own grammar: only words can mean anything in it, plain or encoded, and
    /// those in `usual`, which every value of the kind has, mean nothing.
    pub(crate) fn structured(&mut self, field: &Field<'_>, usual: Range<usize>) {
        let engine = self.engine;
        let features = engine.words.features_in(field.raw, true);
        let words = match engine.depth {
            // Words that an encoding hides.
            Depth::Possible if decode::changes(field, features) => u64::MAX,
            Depth::Possible => engine.telling_words(field.raw, features, usual),
            Depth::Everything => u64::MAX,
        };
        // Which words there are is the detectors' business, not the parsers' that a trace shows.
        if words & !engine.elsewhere(field) != 0 && self.trace.is_none() {
            self.read(field, !words, Some(features));
        }
    }

    /// Shows a document, read in parts otherwise, to the detectors of its markup.
    pub(crate) fn markup(&mut self, field: &Field<'_>) {
        self.read(field, !self.engine.roles.markup, None);
    }

    /// Reads one field in all its decoded forms.
    pub(crate) fn field(&mut self, field: &Field<'_>) {
        self.read(field, 0, None);
    }

    /// Counts a field that says what one before it has said.
    pub(crate) fn repeated(&mut self) {
        self.fields = self.fields.saturating_add(1);
    }

    /// Reads one field with the detectors that are not yet in `fired`; `known` are the features of its bytes as received.
    fn read(&mut self, field: &Field<'_>, mut fired: u64, mut known: Option<Features>) {
        if field.raw.is_empty() || self.steps.exhausted() {
            return;
        }
        if self.fields >= self.engine.budgets.fields {
            self.limited = true;
            return;
        }
        self.fields += 1;
        let field = match field.raw.get(..self.engine.budgets.value_bytes) {
            Some(head) if head.len() < field.raw.len() => {
                self.limited = true;
                known = None;
                Field { raw: head, ..*field }
            }
            _ => *field,
        };
        let elsewhere = self.engine.elsewhere(&field);
        fired |= elsewhere;
        if let Some(collected) = &mut self.collected {
            if field.part == Part::Value && !field.name.is_empty() {
                collected.push((field.name.to_vec(), decode::plain(&field).into_owned()));
            }
            return;
        }
        // Features are known of the first form only, and only of a value that its place does not encode.
        known = known.filter(|_| field.wire == Wire::Plain);
        decode::forms(&field, self, |inspection, bytes| {
            let features = known.take().unwrap_or_else(|| inspection.engine.features(bytes, elsewhere));
            inspection.form(&field, bytes, features, &mut fired)
        });
    }

    fn form(&mut self, field: &Field<'_>, bytes: &[u8], features: Features, fired: &mut u64) -> Features {
        // Looking at a form costs what it takes to find its features.
        if !self.steps.take(1 + bytes.len() / BYTES_A_STEP) {
            return Features::default();
        }
        if let Some(trace) = &mut self.trace {
            trace.push(Form {
                location: field.location,
                part: field.part.as_str(),
                name: field.name.to_vec(),
                bytes: bytes.to_vec(),
                decoders: self.decoders.clone(),
            });
        }
        let value = |word| Value { field, bytes, features, word };
        let mut left = self.engine.possible(features, !*fired);
        while left != 0 {
            let index = left.trailing_zeros() as usize;
            left &= left - 1;
            let Some(detector) = self.engine.detectors.get(index) else {
                break;
            };
            if !self.steps.take(STEPS_A_DETECTOR + bytes.len() / BYTES_A_STEP) {
                break;
            }
            if let Some(finding) = (detector.inspect)(&value(features.word(index)), &mut self.steps) {
                *fired |= self.engine.roles.done(index);
                self.found(field, bytes, &finding);
            }
        }
        features
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
        self.findings = self.findings.saturating_add(1);
        self.signals.push(signal, self.engine.budgets.signals);
    }

    /// Adds a finding about `location` as a whole.
    pub(crate) fn note(&mut self, tag: Tag, location: Location, detector: &'static str, value: &[u8]) {
        let value = cut(value, self.engine.budgets.evidence_bytes).to_vec();
        let span = 0..value.len();
        self.signal(Signal { tag, location, name: Vec::new(), value, span, detector });
    }

    /// Adds a finding about the bytes of `field` as such.
    pub(crate) fn about(&mut self, tag: Tag, field: &Field<'_>, detector: &'static str, form: &[u8]) {
        let span = 0..form.len().min(self.engine.budgets.evidence_bytes);
        self.found(field, form, &Finding { tag, detector, span });
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
