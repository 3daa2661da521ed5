//! Everything that is decided by configuration, compiled.

use std::sync::Arc;

use crate::addresses::Addresses;
use crate::read::{Alert, Draft, VirtualPatch};
use crate::redact::Redactions;
use crate::rule::{Rules, is_response_signal};
use crate::site::{AgentMode, Site};
use crate::source::{PolicyError, Problem, Source};
use crate::state::FlagKind;
use crate::threshold::{self, Counted, Threshold};

/// What a user decided about requests; the default watches and blocks nothing.
pub struct Policy {
    /// The protected site.
    pub site: Site,
    pub(crate) thresholds: Vec<Threshold>,
    /// Signals that are blocked whenever they come.
    pub(crate) immediate: Vec<Arc<str>>,
    pub(crate) allow: Addresses,
    pub(crate) block: Addresses,
    pub(crate) rules: Rules,
    /// Virtual patches that are switched on.
    patches: Vec<VirtualPatch>,
    redactions: Redactions,
    needs: Needs,
    /// Tells policies apart by what they say.
    pub(crate) id: u64,
    warnings: Vec<Problem>,
}

/// What a caller has to find out before it asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// A rule asks for the client's country.
    pub country: bool,
    /// A rule asks for parameters of the body.
    pub post: bool,
    /// A rule asks for the response.
    pub response: bool,
}

/// How much there is of what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Rules of all types.
    pub rules: usize,
    /// Rate limits among them.
    pub rate_limits: usize,
    /// Thresholds.
    pub thresholds: usize,
    /// Entries of the allow list.
    pub allowed: usize,
    /// Entries of the block list.
    pub blocked: usize,
    /// Virtual patches that are switched on.
    pub patches: usize,
}

impl std::fmt::Debug for Policy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not the lists: they can have a hundred thousand entries.
        f.debug_struct("Policy")
            .field("site", &self.site)
            .field("has", &self.summary())
            .finish_non_exhaustive()
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self::build(Draft::default())
    }
}

impl Policy {
    /// Reads a policy from one or several texts.
    ///
    /// # Errors
    ///
    /// When a text is not JSON or YAML, has a key that does not exist, or a value that its key can not have. The error
    /// names everything that is wrong, each with file, line, rule and field.
    pub fn compile(sources: &[Source<'_>]) -> Result<Self, PolicyError> {
        let mut draft = Draft::read(sources);
        match std::mem::take(&mut draft.problems) {
            problems if problems.is_empty() => Ok(Self { id: id(sources), ..Self::build(draft) }),
            problems => Err(PolicyError::new(problems)),
        }
    }

    /// Reads a policy from one text in JSON.
    ///
    /// # Errors
    ///
    /// As [`Self::compile`].
    pub fn from_json(file: &str, text: &str) -> Result<Self, PolicyError> {
        Self::compile(&[Source { name: file, text }])
    }

    /// Whether requests are looked at at all.
    pub fn inspects(&self) -> bool {
        match self.site.mode {
            AgentMode::Block | AgentMode::Log => true,
            AgentMode::Off => false,
        }
    }

    /// What a caller has to find out before it asks.
    pub const fn needs(&self) -> Needs {
        self.needs
    }

    /// The ids of the virtual patches that are switched on, for the engine.
    pub fn patches(&self) -> impl Iterator<Item = &'static str> {
        self.patches.iter().map(|patch| patch.id)
    }

    /// What is not written down.
    pub const fn redactions(&self) -> &Redactions {
        &self.redactions
    }

    /// How much there is of what, for a log line.
    pub fn summary(&self) -> Summary {
        Summary {
            rules: self.rules.all().count() + self.rules.exclusions.len(),
            rate_limits: self.rules.all().filter(|rule| rule.rate.is_some()).count(),
            thresholds: self.thresholds.len(),
            allowed: self.allow.len(),
            blocked: self.block.len(),
            patches: self.patches.len(),
        }
    }

    /// What was read and has no effect.
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    fn build(draft: Draft) -> Self {
        let site = draft.site.unwrap_or_default();
        let mut thresholds: Vec<_> =
            site.attack_thresholds.iter().map(|of| attacks(&site, of.interval, of.threshold)).collect();
        let mut immediate = Vec::new();
        for alert in draft.alerts.into_iter().chain(draft.templates.alerts) {
            match alert {
                Alert::Threshold(threshold) => thresholds.push(threshold),
                Alert::Immediate(signal) => immediate.push(signal),
            }
        }
        threshold::sort(&mut thresholds);
        immediate
            .extend(draft.templates.patches.iter().filter(|patch| patch.blocks).map(|patch| patch.id.into()));
        let mut allow = Addresses::default();
        draft.allow.into_iter().for_each(|entry| allow.add(entry));
        let mut block = Addresses::default();
        draft.block.into_iter().for_each(|entry| block.add(entry));
        let mut rules = draft.rules.rules;
        rules.extend(draft.templates.rules);
        let rules = Rules::new(rules, draft.rules.exclusions);
        let counts_response = |threshold: &Threshold| match &threshold.counted {
            Counted::Attacks => false,
            Counted::Signal(name) => is_response_signal(name),
        };
        let needs = Needs {
            country: rules.needs_country(),
            post: rules.needs_post(),
            response: !rules.response.is_empty() || thresholds.iter().any(counts_response),
        };
        let (patches, redactions) = (draft.templates.patches, Redactions::new(draft.redactions));
        let warnings = draft.warnings;
        Self { site, thresholds, immediate, allow, block, rules, patches, redactions, needs, id: 0, warnings }
    }
}

fn id(sources: &[Source<'_>]) -> u64 {
    use std::hash::Hasher;
    let mut hasher = siphasher::sip::SipHasher13::new();
    for source in sources {
        hasher.write(source.text.as_bytes());
        hasher.write_usize(source.text.len());
    }
    hasher.finish()
}

fn attacks(site: &Site, interval: crate::state::Interval, threshold: u32) -> Threshold {
    Threshold {
        name: "attacks".into(),
        counted: Counted::Attacks,
        interval,
        threshold,
        kind: FlagKind::Block,
        seconds: site.flag_seconds,
    }
}

#[cfg(test)]
mod tests;
