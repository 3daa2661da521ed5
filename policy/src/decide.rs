//! How a request is judged: what is asked, in which order, and what the answers lead to.
//!
//! docs/decisions/0006-order-of-authority.md says why in this order.

use std::sync::Arc;

use portcullis_detect::{Kind, Signals, Tag};

use crate::decision::{Action, Added, Cause, Decision, Event, FollowUp};
use crate::facts::Facts;
use crate::policy::Policy;
use crate::respond::Remembered;
use crate::site::{AgentMode, Blocking};
use crate::state::{Client, Counts, Flag, FlagKind, Moment, State};
use crate::threshold::{Counted, Threshold};

impl Policy {
    /// Decides about the request in which `signals` were found.
    pub fn decide(&self, facts: &Facts<'_>, signals: &Signals, moment: Moment<'_>) -> Decision {
        self.run(facts, signals, moment, None)
    }

    /// Decides, and tells in [`Decision::trail`] what led there. It counts as a request does.
    pub fn explain(&self, facts: &Facts<'_>, signals: &Signals, moment: Moment<'_>) -> Decision {
        self.run(facts, signals, moment, Some(Vec::new()))
    }

    fn run(
        &self,
        facts: &Facts<'_>,
        signals: &Signals,
        Moment { state, now }: Moment<'_>,
        trail: Option<Vec<String>>,
    ) -> Decision {
        match self.site.mode {
            AgentMode::Off => return Decision::unwatched(),
            AgentMode::Log | AgentMode::Block => {}
        }
        let client = facts.client.map(|address| Client::new(address, self.site.ipv6_prefix));
        let decision = Decision::pass(Vec::new(), FollowUp::IfAnomalous);
        let mut run = Run { policy: self, signals, state, now, client, decision, trail };
        let is_allowed = run.judge(facts);
        let remembered = self.needs().response.then_some(Remembered { client, is_allowed });
        let follow_up = if remembered.is_some() { FollowUp::Always } else { FollowUp::IfAnomalous };
        run.decision.follow_up = follow_up;
        run.decision.remembered = remembered;
        run.finish()
    }
}

/// One request on its way to a decision.
pub(crate) struct Run<'a> {
    pub(crate) policy: &'a Policy,
    pub(crate) signals: &'a Signals,
    pub(crate) state: &'a State,
    pub(crate) now: u64,
    pub(crate) client: Option<Client>,
    pub(crate) decision: Decision,
    pub(crate) trail: Option<Vec<String>>,
}

/// What the request should come to, and why.
type Outcome = Option<(Action, Cause)>;

impl Run<'_> {
    /// Judges a request; true where something lets it pass whatever else is said about it.
    fn judge(&mut self, facts: &Facts<'_>) -> bool {
        self.mark_flagged();
        self.take_tags();
        if let Some(cause) = self.allowed(facts) {
            self.say(|| format!("allowed: {cause:?}"));
            self.decision.cause = Some(cause);
            return true;
        }
        let outcome = self.blocked(facts);
        self.count();
        self.apply(outcome);
        false
    }

    /// A flagged client's requests say so, to rules and to whoever reads records.
    fn mark_flagged(&mut self) {
        let Some(client) = self.client else { return };
        if let Some(flag) = self.state.flagged(client, FlagKind::Block, self.now) {
            self.say(|| {
                format!("client {} is flagged for {} until {}", client.address(), flag.cause, flag.until)
            });
            self.add(SITE_FLAGGED, "FLAGGED");
        }
    }

    pub(crate) fn take_tags(&mut self) {
        let kept =
            self.signals.iter().enumerate().filter(|(index, _)| !self.decision.excluded.contains(index));
        let mut tags: Vec<Tag> = Vec::new();
        let mut patches = Vec::new();
        for (_, signal) in kept {
            tags.push(signal.tag);
            if signal.tag == Tag::VirtualPatch {
                patches.push(signal.detector);
            }
        }
        tags.sort_unstable();
        tags.dedup();
        self.decision.tags = tags;
        for patch in patches {
            self.add(patch, "VIRTUAL-PATCH");
        }
    }

    /// Whether something lets the request pass whatever else is said about it.
    fn allowed(&self, facts: &Facts<'_>) -> Option<Cause> {
        let address = facts.client?;
        let source = self.policy.allow.find(address, self.now)?;
        Some(Cause::AllowList { source: Arc::clone(source) })
    }

    /// What stops the request: the first of these that does.
    fn blocked(&mut self, facts: &Facts<'_>) -> Outcome {
        self.by_block_list(facts).or_else(|| self.by_flag()).or_else(|| self.at_once())
    }

    fn by_block_list(&self, facts: &Facts<'_>) -> Outcome {
        let source = self.policy.block.find(facts.client?, self.now)?;
        Some((self.policy.site.block_action(), Cause::BlockList { source: Arc::clone(source) }))
    }

    fn by_flag(&self) -> Outcome {
        self.attack()?;
        let flag = self.state.flagged(self.client?, FlagKind::Block, self.now)?;
        Some((self.policy.site.block_action(), Cause::Flagged { cause: flag.cause }))
    }

    fn at_once(&self) -> Outcome {
        let signal = match self.policy.site.blocking {
            Blocking::Immediate => self.attack().map(Tag::as_str),
            Blocking::OnceFlagged => None,
        };
        let named =
            || self.policy.immediate.iter().find(|signal| self.decision.has(signal)).map(|signal| &**signal);
        let signal = signal.or_else(named)?;
        Some((self.policy.site.block_action(), Cause::Immediate { signal: signal.into() }))
    }

    /// The first attack that no rule excludes.
    fn attack(&self) -> Option<Tag> {
        self.decision.tags.iter().copied().find(|tag| tag.kind() == Kind::Attack)
    }

    /// Counts the request's signals for its client, and flags the client where a threshold is reached.
    pub(crate) fn count(&mut self) {
        let Some(client) = self.client else { return };
        let attacks = self.decision.tags.iter().filter(|tag| tag.kind() == Kind::Attack).count();
        let attacks = u16::try_from(attacks).unwrap_or(u16::MAX);
        let mut counted: Vec<(&Counted, Counts)> = Vec::new();
        let mut reached: [Option<(&Threshold, u32)>; 2] = [None, None];
        for threshold in &self.policy.thresholds {
            let counts = match counted.iter().find(|(known, _)| **known == threshold.counted) {
                Some((_, counts)) => *counts,
                None => {
                    let more = match &threshold.counted {
                        Counted::Attacks => attacks,
                        Counted::Signal(name) => u16::from(self.decision.has(name)),
                    };
                    if more == 0 {
                        continue;
                    }
                    let counts = self.state.count(client, threshold.counted.id(), more, self.now);
                    counted.push((&threshold.counted, counts));
                    counts
                }
            };
            let count = counts.over(threshold.interval);
            self.say(|| {
                let seconds = threshold.interval.seconds();
                format!("{}: {count} of {} within {seconds} s", threshold.name, threshold.threshold)
            });
            let first = &mut reached[usize::from(threshold.kind == FlagKind::Log)];
            if count >= threshold.threshold && first.is_none() {
                *first = Some((threshold, count));
            }
        }
        for (threshold, count) in reached.into_iter().flatten() {
            self.flag(client, threshold, count);
        }
    }

    fn flag(&mut self, client: Client, threshold: &Threshold, count: u32) {
        // While one flag of a kind holds, no other threshold of that kind has a say.
        if self.state.flagged(client, threshold.kind, self.now).is_some() {
            return;
        }
        let flag = Flag {
            client,
            kind: threshold.kind,
            since: self.now,
            until: self.now.saturating_add(u64::from(threshold.seconds) * 1000),
            cause: threshold.counted.name().into(),
        };
        if self.state.flag(flag.clone(), self.now) {
            self.say(|| format!("{} reached: client {} is flagged", threshold.name, client.address()));
            let name = Arc::clone(&threshold.name);
            self.decision.events.push(Event::Flagged {
                flag,
                threshold: name,
                interval: threshold.interval,
                count,
            });
        }
    }

    /// Does what the mode allows.
    fn apply(&mut self, outcome: Outcome) {
        let Some((action, cause)) = outcome else { return };
        self.decision.cause = Some(cause);
        match self.policy.site.mode {
            AgentMode::Block => {
                self.decision.action = action;
                self.add(BLOCKED, "VERDICT");
            }
            AgentMode::Log | AgentMode::Off => self.decision.would = Some(action),
        }
    }

    pub(crate) fn finish(mut self) -> Decision {
        let says_something = !self.decision.tags.is_empty() || !self.decision.added.is_empty();
        if says_something {
            self.decision.follow_up = FollowUp::Always;
        }
        self.decision.trail = self.trail.unwrap_or_default();
        self.decision
    }

    fn add(&mut self, signal: &str, detector: &str) {
        self.decision.added.push(Added { signal: signal.into(), detector: detector.into() });
    }

    fn say(&mut self, what: impl FnOnce() -> String) {
        if let Some(trail) = &mut self.trail {
            trail.push(what());
        }
    }
}

impl Decision {
    /// Whether a signal is among the request's.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.names().any(|known| known.eq_ignore_ascii_case(name))
    }
}

/// Requests of a flagged client carry it.
const SITE_FLAGGED: &str = "SITE-FLAGGED-IP";
/// Requests that were stopped carry it.
const BLOCKED: &str = "BLOCKED";
