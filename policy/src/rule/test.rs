//! Conditions as a tree, and what they ask of a request.

use portcullis_detect::{Response, Signal, Tag};

use super::field::{Field, Multi, Part};
use super::predicate::Predicate;
use crate::facts::{Facts, Parameter};

/// Conditions.
#[derive(Clone, Debug)]
pub(crate) enum Test {
    All(Vec<Test>),
    Any(Vec<Test>),
    Leaf(Leaf),
}

/// One condition.
#[derive(Clone, Debug)]
pub(crate) enum Leaf {
    /// About a fact of which there is one.
    One(Field, Predicate),
    /// About what there is any number of.
    Many(Many),
}

/// Whether one of many satisfies conditions.
#[derive(Clone, Debug)]
pub(crate) struct Many {
    pub(crate) field: Multi,
    /// Whether it holds where none does.
    pub(crate) negate: bool,
    /// Whether one condition of several is enough.
    pub(crate) any: bool,
    pub(crate) parts: Vec<(Part, Predicate)>,
}

/// What conditions are asked about.
#[derive(Clone, Copy)]
pub(crate) struct Ask<'a> {
    pub(crate) facts: Option<&'a Facts<'a>>,
    pub(crate) signals: &'a [Known<'a>],
    /// The finding that an exclusion is asked about.
    pub(crate) finding: Option<&'a Signal>,
    pub(crate) response: Option<&'a Response<'a>>,
    pub(crate) forms: Forms,
}

/// A signal: its name, and where it came from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known<'a> {
    pub(crate) name: &'a str,
    pub(crate) finding: Option<&'a Signal>,
}

/// Of the forms that a path has, which ones have to satisfy a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forms {
    /// One: what stops a request must not be evaded by writing a path in another way.
    Any,
    /// All: nor must what lets it pass be reached by that.
    All,
}

impl Test {
    /// Whether the conditions hold.
    pub(crate) fn holds(&self, ask: &Ask<'_>) -> bool {
        match self {
            Self::All(tests) => tests.iter().all(|test| test.holds(ask)),
            Self::Any(tests) => tests.iter().any(|test| test.holds(ask)),
            Self::Leaf(leaf) => leaf.holds(ask),
        }
    }

    /// Calls `each` with every condition, in order.
    pub(crate) fn leaves<'t>(&'t self, each: &mut impl FnMut(&'t Leaf)) {
        match self {
            Self::All(tests) | Self::Any(tests) => tests.iter().for_each(|test| test.leaves(each)),
            Self::Leaf(leaf) => each(leaf),
        }
    }

    /// Whether any condition is one for which `is` holds.
    pub(crate) fn has(&self, is: impl Fn(&Leaf) -> bool) -> bool {
        let mut found = false;
        self.leaves(&mut |leaf| found |= is(leaf));
        found
    }

    /// Whether the conditions hold where `next` gives each one's answer, in the order of [`Self::leaves`].
    pub(crate) fn combine(&self, next: &mut impl FnMut() -> bool) -> bool {
        match self {
            // Every answer is taken, needed or not: they come in order.
            Self::All(tests) => tests.iter().filter(|test| !test.combine(next)).count() == 0,
            Self::Any(tests) => tests.iter().filter(|test| test.combine(next)).count() > 0,
            Self::Leaf(_) => next(),
        }
    }
}

impl Leaf {
    /// Whether it is about the response.
    pub(crate) fn is_of_response(&self) -> bool {
        match self {
            Self::One(field, _) => field.is_of_response(),
            Self::Many(many) => many.field.is_of_response(),
        }
    }

    /// Whether the response may bring what the request did not have.
    pub(crate) fn is_of_signals(&self) -> bool {
        matches!(self, Self::Many(Many { field: Multi::Signal, .. }))
    }

    /// Whether it can hold because there is a signal of this name.
    pub(crate) fn asks_for(&self, signal: &str) -> bool {
        match self {
            Self::Many(Many { field: Multi::Signal, negate: false, parts, .. }) => parts
                .iter()
                .all(|(part, predicate)| *part != Part::SignalType || predicate.text(signal.as_bytes())),
            Self::Many(_) | Self::One(..) => false,
        }
    }

    pub(crate) fn holds(&self, ask: &Ask<'_>) -> bool {
        match self {
            Self::One(field, predicate) => one(*field, predicate, ask),
            Self::Many(many) => many.found(ask) != many.negate,
        }
    }
}

impl Many {
    /// Whether one of them satisfies the conditions.
    pub(crate) fn found(&self, ask: &Ask<'_>) -> bool {
        let parameters = |parameters: &[Parameter]| {
            parameters.iter().any(|parameter| self.fits(&parameter.name, &parameter.value, ""))
        };
        match (self.field, ask.facts) {
            (Multi::Signal, _) => ask.signals.iter().any(|signal| {
                let (name, value) = signal
                    .finding
                    .map_or((&[][..], &[][..]), |finding| (&finding.name[..], &finding.value[..]));
                self.fits(name, value, signal.name)
            }),
            (Multi::ResponseHeader, _) => ask.response.is_some_and(|response| {
                response.headers.iter().any(|header| self.fits(header.name, header.value, ""))
            }),
            (_, None) => false,
            (Multi::RequestHeader, Some(facts)) => {
                facts.request.headers.iter().any(|header| self.fits(header.name, header.value, ""))
            }
            (Multi::QueryParameter, Some(facts)) => parameters(facts.query()),
            (Multi::PostParameter, Some(facts)) => parameters(facts.post()),
            (Multi::RequestCookie, Some(facts)) => parameters(facts.cookies()),
        }
    }

    fn fits(&self, name: &[u8], value: &[u8], signal: &str) -> bool {
        let fits = |(part, predicate): &(Part, Predicate)| match part {
            Part::Name => predicate.text(name),
            Part::Value | Part::ValueInt | Part::ValueIp => predicate.text(value),
            Part::SignalType => predicate.text(signal.as_bytes()),
        };
        if self.any && !self.parts.is_empty() {
            self.parts.iter().any(fits)
        } else {
            self.parts.iter().all(fits)
        }
    }
}

fn one(field: Field, predicate: &Predicate, ask: &Ask<'_>) -> bool {
    if field == Field::ResponseCode {
        return ask.response.is_some_and(|response| predicate.text(response.code.to_string().as_bytes()));
    }
    let Some(facts) = ask.facts else { return false };
    match field {
        Field::Scheme => predicate.text(facts.request.scheme),
        Field::Method => predicate.text(facts.request.method),
        Field::Path => {
            let mut paths = facts.paths().iter();
            match ask.forms {
                Forms::Any => paths.any(|path| predicate.text(path)),
                Forms::All => paths.all(|path| predicate.text(path)),
            }
        }
        Field::UserAgent => predicate.text(facts.user_agent()),
        Field::Domain => predicate.text(facts.domain()),
        Field::Ip => predicate.ip(facts.client),
        Field::AgentName => predicate.text(facts.agent.as_bytes()),
        Field::ParamName => {
            parameter(facts, predicate, ask, |parameter| &parameter.name, |finding| &finding.name)
        }
        Field::ParamValue => {
            parameter(facts, predicate, ask, |parameter| &parameter.value, |finding| &finding.value)
        }
        Field::Country => predicate.text(facts.country.as_bytes()),
        Field::Ja3 => predicate.text(facts.ja3.as_bytes()),
        Field::Ja4 => predicate.text(facts.ja4.as_bytes()),
        Field::ProtocolVersion => predicate.text(facts.request.protocol),
        Field::ResponseCode => false,
    }
}

/// Of an exclusion, the parameter in which the finding is; otherwise any parameter, or none where that is asked.
fn parameter(
    facts: &Facts<'_>,
    predicate: &Predicate,
    ask: &Ask<'_>,
    of_parameter: impl Fn(&Parameter) -> &Vec<u8>,
    of_finding: impl Fn(&Signal) -> &Vec<u8>,
) -> bool {
    if let Some(finding) = ask.finding {
        return predicate.text(of_finding(finding));
    }
    let mut all = facts.query().iter().chain(facts.post());
    if predicate.negate {
        all.all(|parameter| predicate.text(of_parameter(parameter)))
    } else {
        all.any(|parameter| predicate.text(of_parameter(parameter)))
    }
}

impl<'a> Known<'a> {
    /// A finding under the name by which rules know it: that of a virtual patch is its id.
    pub(crate) fn found(finding: &'a Signal) -> Self {
        let name = if finding.tag == Tag::VirtualPatch { finding.detector } else { finding.tag.as_str() };
        Self { name, finding: Some(finding) }
    }
}
