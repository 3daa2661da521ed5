//! All rules of a policy, by when they are asked.

use std::sync::Arc;

use super::index::Index;
use super::test::{Ask, Forms, Known, Test};
use super::{Effect, Leaf, Multi, Rule, Scope};
use crate::facts::Facts;

pub(crate) use super::index::Set;

/// Rules by when they are asked.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    /// Those that can be decided with the request: first those that add signals.
    pub(crate) request: Vec<Rule>,
    request_index: Index,
    /// Those that need the response.
    pub(crate) response: Vec<Rule>,
    response_index: Index,
    /// Those among the requests' that limit all requests, or those with a signal: asked about every client.
    pub(crate) wide: Vec<(bool, u32)>,
    pub(crate) exclusions: Vec<Exclusion>,
    /// Signals by which requests come to pass.
    vouching: Vec<Arc<str>>,
}

/// A rule by which a finding is none.
#[derive(Clone, Debug)]
pub(crate) struct Exclusion {
    pub(crate) id: Arc<str>,
    /// The signal that it is about.
    pub(crate) signal: Arc<str>,
    pub(crate) test: Test,
    pub(crate) expires: Option<u64>,
}

impl Rules {
    pub(crate) fn new(mut rules: Vec<Rule>, exclusions: Vec<Exclusion>) -> Self {
        // The corporation's come before the site's, and what others may ask about comes before them.
        rules.sort_by_key(|rule| (!rule.adds(), !rule.is_corp));
        let (late, vouching) = (late(&rules), vouching(&rules));
        let mut at = 0;
        let (response, request): (Vec<_>, Vec<_>) = rules.into_iter().partition(|_| {
            at += 1;
            late.get(at - 1).copied().unwrap_or_default()
        });
        let is_wide = |rule: &Rule| rule.rate.as_ref().is_some_and(|rate| rate.scope != Scope::Counted);
        let wide = |rules: &[Rule], is_response: bool| -> Vec<(bool, u32)> {
            let wide = rules.iter().enumerate().filter(|(_, rule)| is_wide(rule));
            wide.filter_map(|(at, _)| Some((is_response, u32::try_from(at).ok()?))).collect()
        };
        let mut all_wide = wide(&request, false);
        all_wide.extend(wide(&response, true));
        Self {
            request_index: Index::new(request.iter().map(|rule| &rule.test)),
            response_index: Index::new(response.iter().map(|rule| &rule.test)),
            request,
            response,
            wide: all_wide,
            exclusions,
            vouching,
        }
    }

    /// Which forms of a path have to satisfy the conditions of `rule`.
    pub(crate) fn forms(&self, rule: &Rule) -> Forms {
        if lets_pass(rule, &self.vouching) { Forms::All } else { Forms::Any }
    }

    /// The rules that may hold for a request, without its response.
    pub(crate) fn candidates(&self, facts: &Facts<'_>, signals: &[Known<'_>]) -> Set {
        self.request_index.candidates(facts, signals)
    }

    /// Adds those that a signal makes possible.
    pub(crate) fn on_signal(&self, name: &str, set: &mut Set) {
        self.request_index.on_signal(name, set);
    }

    /// The rules that may hold once there is a response. Those that look for signals are among them: the response may bring
    /// some.
    pub(crate) fn response_candidates(&self, facts: &Facts<'_>, signals: &[Known<'_>]) -> Set {
        let mut set = self.response_index.candidates(facts, signals);
        for (at, rule) in self.response.iter().enumerate() {
            if rule.test.has(Leaf::is_of_signals)
                && let Ok(at) = u32::try_from(at)
            {
                set.insert(at);
            }
        }
        set
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Rule> {
        self.request.iter().chain(&self.response)
    }

    /// Whether a condition asks about the client's country.
    pub(crate) fn needs_country(&self) -> bool {
        let asks = |leaf: &Leaf| matches!(leaf, Leaf::One(super::Field::Country, _));
        self.tests().any(|test| test.has(asks))
    }

    /// Whether a condition or a rate limit asks about parameters of the body.
    pub(crate) fn needs_post(&self) -> bool {
        use super::{Field, Identifier, Many};
        let asks = |leaf: &Leaf| match leaf {
            Leaf::One(Field::ParamName | Field::ParamValue, _) => true,
            Leaf::Many(Many { field, .. }) => *field == Multi::PostParameter,
            Leaf::One(..) => false,
        };
        let counts = |rule: &Rule| {
            let identifiers = rule.rate.iter().flat_map(|rate| &rate.identifiers);
            identifiers.into_iter().any(|identifier| matches!(identifier, Identifier::PostParameter(_)))
        };
        self.all().any(|rule| rule.test.has(asks) || counts(rule))
    }

    /// Whether a rule may hold for a request without signals.
    pub(crate) fn concern_clean(&self) -> bool {
        let needs_signal = |test: &Test| {
            match test {
            Test::All(tests) => tests.iter().any(|test| matches!(test, Test::Leaf(Leaf::Many(many)) if many.field == Multi::Signal && !many.negate)),
            Test::Leaf(Leaf::Many(many)) => many.field == Multi::Signal && !many.negate,
            Test::Any(_) | Test::Leaf(Leaf::One(..)) => false,
        }
        };
        let matters = |rule: &Rule| {
            let allows_only = rule.effects.iter().all(|effect| matches!(effect, Effect::Allow));
            // To let pass what passes anyway changes nothing.
            !(allows_only && rule.rate.is_none() && !rule.effects.is_empty())
        };
        !self.wide.is_empty() || self.all().any(|rule| matters(rule) && !needs_signal(&rule.test))
    }

    fn tests(&self) -> impl Iterator<Item = &Test> {
        self.all().map(|rule| &rule.test).chain(self.exclusions.iter().map(|exclusion| &exclusion.test))
    }
}

impl Exclusion {
    /// Whether a finding is none, at `now`.
    pub(crate) fn covers(&self, known: &Known<'_>, ask: &Ask<'_>, now: u64) -> bool {
        let is_live = self.expires.is_none_or(|expires| now < expires);
        let about = Ask { finding: known.finding, forms: Forms::All, ..*ask };
        is_live && known.name.eq_ignore_ascii_case(&self.signal) && self.test.holds(&about)
    }
}

/// Whether a rule lets requests pass, or adds one of the signals by which others do.
fn lets_pass(rule: &Rule, vouching: &[Arc<str>]) -> bool {
    let vouches = |effect: &Effect| match effect {
        Effect::Allow => true,
        Effect::Add(signal) => vouching.contains(signal),
        _ => false,
    };
    rule.effects.iter().any(vouches)
}

/// The signals that rules add and by which requests come to pass: rules that allow ask for them, or rules that add others of
/// them.
fn vouching(rules: &[Rule]) -> Vec<Arc<str>> {
    let mut found: Vec<Arc<str>> = Vec::new();
    let added = rules.iter().flat_map(|rule| &rule.effects).filter_map(|effect| match effect {
        Effect::Add(signal) => Some(signal),
        _ => None,
    });
    let mut others: Vec<&Arc<str>> = added.collect();
    others.sort_unstable();
    others.dedup();
    loop {
        let asks = |signal: &Arc<str>| {
            rules.iter().any(|rule| lets_pass(rule, &found) && rule.test.has(|leaf| leaf.asks_for(signal)))
        };
        let (more, rest): (Vec<_>, Vec<_>) = others.into_iter().partition(|signal| asks(signal));
        if more.is_empty() {
            return found;
        }
        found.extend(more.into_iter().cloned());
        others = rest;
    }
}

/// Which rules need the response: those that ask about it, and those that ask about signals that such rules add.
fn late(rules: &[Rule]) -> Vec<bool> {
    let mut late: Vec<bool> = rules.iter().map(Rule::is_of_response).collect();
    loop {
        let added: Vec<&str> =
            late.iter().zip(rules).filter(|(late, _)| **late).flat_map(|(_, rule)| rule.added()).collect();
        let before = late.clone();
        for (late, rule) in late.iter_mut().zip(rules) {
            *late |= rule.asks_for(&added);
        }
        if late == before {
            return late;
        }
    }
}
