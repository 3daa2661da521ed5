//! What `inspect` prints: the simulator's form, with what fired and how the engine came to it.

use portcullis_detect::{Engine, Form, Header, Kind, Request, Signal, Signals};
use portcullis_policy::Decision;
use portcullis_policy::redact::Redactions;
use serde::Serialize;

use super::Shown;
use crate::record::{self, Finding};

/// What was found in a request, and what follows.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    waf_response: u16,
    /// -1 where there is no response.
    response_code: i64,
    response_size: i64,
    signals: Vec<Found>,
    /// Findings beyond the number that is kept.
    dropped_signals: usize,
    /// What was odd about the files.
    warnings: Vec<String>,
}

/// One finding.
#[derive(Debug, Serialize)]
struct Found {
    #[serde(rename = "type")]
    tag: String,
    location: &'static str,
    name: String,
    value: String,
    detector: String,
    redaction: &'static str,
    /// Whether it blocks by itself.
    kind: &'static str,
    /// What of the form below fired.
    evidence: Option<Evidence>,
    /// The decoded form that fired, as far as it is kept.
    form: Option<String>,
    /// What led from the value as received to that form, the first decoder first.
    decoders: Vec<&'static str>,
}

/// A part of a form.
#[derive(Debug, Serialize)]
struct Evidence {
    text: String,
    start: usize,
    end: usize,
}

impl Report {
    pub(super) fn new(
        engine: &Engine,
        request: &Request<'_>,
        signals: &Signals,
        decision: &Decision,
        shown: Shown<'_>,
    ) -> Self {
        let forms = engine.trace(request);
        Self {
            waf_response: decision.code(),
            response_code: -1,
            response_size: -1,
            signals: decision
                .kept(signals)
                .map(|signal| Found::new(signal, &forms, shown, request.headers))
                .chain(record::added(decision).map(Found::by_policy))
                .collect(),
            dropped_signals: signals.dropped(),
            warnings: Vec::new(),
        }
    }

    /// Adds the response.
    pub(super) fn answer(&mut self, code: u16, size: usize, signals: &Signals, shown: Shown<'_>) {
        self.response_code = i64::from(code);
        self.response_size = i64::try_from(size).unwrap_or(i64::MAX);
        self.signals.extend(signals.iter().map(|signal| Found::new(signal, &[], shown, &[])));
        self.dropped_signals += signals.dropped();
    }

    /// Adds what is odd about a file.
    pub(super) fn warn(&mut self, file: &str, remarks: &[String]) {
        self.warnings.extend(remarks.iter().map(|remark| format!("{file}: {remark}")));
    }
}

impl Found {
    fn new(signal: &Signal, forms: &[Form], shown: Shown<'_>, headers: &[Header<'_>]) -> Self {
        let (redactions, everything) = match shown {
            Shown::Redacted(redactions) => (redactions.clone(), false),
            Shown::Everything => (Redactions::default(), true),
        };
        let finding = record::finding(signal, &redactions, headers);
        let open = everything || finding.redaction == "none";
        let form = origin(signal, forms);
        let kind = match signal.tag.kind() {
            Kind::Attack => "attack",
            Kind::Anomaly => "anomaly",
            Kind::Info => "informational",
        };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let evidence = signal.value.get(signal.span.clone()).filter(|part| open && !part.is_empty());
        Self {
            tag: finding.tag,
            location: finding.location,
            name: finding.name,
            value: if everything { text(&signal.value) } else { finding.value },
            detector: finding.detector,
            redaction: finding.redaction,
            kind,
            evidence: evidence.map(|part| Evidence {
                text: text(part),
                start: signal.span.start,
                end: signal.span.end,
            }),
            form: (open && !signal.value.is_empty()).then(|| text(&signal.value)),
            decoders: form.map(|form| form.decoders.clone()).unwrap_or_default(),
        }
    }
}

impl Found {
    /// A signal that a rule or a threshold of the policy added.
    fn by_policy(finding: Finding) -> Self {
        let Finding { tag, location, name, value, detector, redaction } = finding;
        Self {
            tag,
            location,
            name,
            value,
            detector,
            redaction,
            kind: "policy",
            evidence: None,
            form: None,
            decoders: Vec::new(),
        }
    }
}

/// The form that `signal` was found in: the first of its place that is its value, or holds what is kept of it.
fn origin<'f>(signal: &Signal, forms: &'f [Form]) -> Option<&'f Form> {
    let mut here = forms.iter().filter(|form| {
        form.location == signal.location && form.name.starts_with(&signal.name) && !signal.value.is_empty()
    });
    let holds = |form: &&Form| form.bytes.windows(signal.value.len()).any(|part| part == signal.value);
    here.clone().find(|form| form.bytes == signal.value).or_else(|| here.find(holds))
}
