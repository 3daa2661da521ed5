//! Everything that is decided by configuration.

use portcullis_detect::Signals;
use serde::Deserialize;

use crate::load::{self, PolicyError};
use crate::site::{AgentMode, Blocking, Site};
use crate::verdict::{Action, FollowUp, Verdict};

/// What a user decided about requests; the default watches and blocks nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Policy {
    /// The protected site.
    pub site: Site,
}

impl Policy {
    /// Reads a policy; `file` is the name by which errors call it.
    ///
    /// # Errors
    ///
    /// When `text` is not JSON, has a key that does not exist, or a value that its key can not have. The error names
    /// file, line, column and key.
    pub fn from_json(file: &str, text: &str) -> Result<Self, PolicyError> {
        load::json(file, text)
    }

    /// Whether requests are looked at at all.
    pub fn inspects(&self) -> bool {
        match self.site.mode {
            AgentMode::Block | AgentMode::Log => true,
            AgentMode::Off => false,
        }
    }

    /// Decides about the request in which `signals` were found.
    pub fn decide(&self, signals: &Signals) -> Verdict {
        match self.site.mode {
            AgentMode::Off => return Verdict::unwatched(),
            AgentMode::Log | AgentMode::Block => {}
        }
        let mut tags: Vec<_> = signals.iter().map(|signal| signal.tag).collect();
        tags.sort_unstable();
        tags.dedup();
        let follow_up = if tags.is_empty() { FollowUp::IfAnomalous } else { FollowUp::Always };
        Verdict { action: self.action(signals), tags, follow_up }
    }

    fn action(&self, signals: &Signals) -> Action {
        match (self.site.mode, self.site.blocking) {
            (AgentMode::Block, Blocking::Immediate) if signals.has_attack() => self.site.block_action(),
            (AgentMode::Block, Blocking::Immediate | Blocking::OnceFlagged)
            | (AgentMode::Log | AgentMode::Off, _) => Action::Allow,
        }
    }
}

#[cfg(test)]
mod tests;
