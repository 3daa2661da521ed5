//! Everything that is decided by configuration, compiled.

use std::sync::Arc;

use crate::addresses::Addresses;
use crate::read::{Alert, Draft};
use crate::site::{AgentMode, Site};
use crate::source::{PolicyError, Problem, Source};
use crate::state::FlagKind;
use crate::threshold::{self, Counted, Threshold};

/// What a user decided about requests; the default watches and blocks nothing.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The protected site.
    pub site: Site,
    pub(crate) thresholds: Vec<Threshold>,
    /// Signals that are blocked whenever they come.
    pub(crate) immediate: Vec<Arc<str>>,
    pub(crate) allow: Addresses,
    pub(crate) block: Addresses,
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
        let mut draft = Draft::default();
        for source in sources {
            draft.add(source);
        }
        match std::mem::take(&mut draft.problems) {
            problems if problems.is_empty() => Ok(Self::build(draft)),
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
    pub fn needs(&self) -> Needs {
        let on_response = |threshold: &Threshold| match &threshold.counted {
            Counted::Attacks => false,
            Counted::Signal(name) => name.to_ascii_uppercase().starts_with("HTTP"),
        };
        Needs { response: self.thresholds.iter().any(on_response), ..Needs::default() }
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
        for alert in draft.alerts {
            match alert {
                Alert::Threshold(threshold) => thresholds.push(threshold),
                Alert::Immediate(signal) => immediate.push(signal),
            }
        }
        threshold::sort(&mut thresholds);
        let mut allow = Addresses::default();
        draft.allow.into_iter().for_each(|entry| allow.add(entry));
        let mut block = Addresses::default();
        draft.block.into_iter().for_each(|entry| block.add(entry));
        Self { site, thresholds, immediate, allow, block, warnings: draft.warnings }
    }
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
