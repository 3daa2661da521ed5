//! How a request is judged: what is asked, in which order, and what the answers lead to.
//!
//! docs/decisions says why in this order.

use std::sync::Arc;

use portcullis_detect::{Kind, Signals, Tag};

use crate::decision::{Action, Added, Cause, Decision, FollowUp, Logging};
use crate::facts::Facts;
use crate::policy::Policy;
use crate::respond::Remembered;
use crate::rule::{Ask, Effect, Forms, Known, Rule};
use crate::site::{AgentMode, Blocking};
use crate::state::{Client, FlagKind, Moment, State};
use crate::stop::Stop;

impl Policy {
    /// Decides about the request in which `signals` were found.
    pub fn decide(&self, facts: &Facts<'_>, signals: &Signals, moment: Moment<'_>) -> Decision {
        self.judge(facts, signals, moment, None)
    }

    /// Decides, and tells in [`Decision::trail`] what led there. It counts as a request does.
    pub fn explain(&self, facts: &Facts<'_>, signals: &Signals, moment: Moment<'_>) -> Decision {
        self.judge(facts, signals, moment, Some(Vec::new()))
    }

    fn judge(
        &self,
        facts: &Facts<'_>,
        signals: &Signals,
        moment: Moment<'_>,
        trail: Option<Vec<String>>,
    ) -> Decision {
        match self.site.mode {
            AgentMode::Off => return Decision::unwatched(),
            AgentMode::Log | AgentMode::Block => {}
        }
        let client = facts.client.map(|address| Client::new(address, self.site.ipv6_prefix));
        let mut run = Run::new(self, moment, client, trail);
        run.request(facts, signals);
        run.finish()
    }
}

/// A request, or a response, on its way to a decision.
pub(crate) struct Run<'a> {
    pub(crate) policy: &'a Policy,
    pub(crate) state: &'a State,
    pub(crate) now: u64,
    pub(crate) client: Option<Client>,
    /// The signals so far.
    pub(crate) known: Vec<Known<'a>>,
    pub(crate) decision: Decision,
    pub(crate) trail: Option<Vec<String>>,
}

/// What the rules say.
#[derive(Default)]
pub(crate) struct Said<'a> {
    /// The first rule that lets the request pass.
    pub(crate) allows: Option<&'a Rule>,
    /// Those that stop it.
    pub(crate) stops: Vec<(&'a Rule, &'a Effect)>,
    /// Rate limits whose conditions hold.
    pub(crate) counts: Vec<&'a Rule>,
}

impl<'a> Run<'a> {
    pub(crate) fn new(
        policy: &'a Policy,
        Moment { state, now }: Moment<'a>,
        client: Option<Client>,
        trail: Option<Vec<String>>,
    ) -> Self {
        let decision = Decision::pass(Vec::new(), FollowUp::IfAnomalous);
        Self { policy, state, now, client, known: Vec::new(), decision, trail }
    }

    fn request(&mut self, facts: &'a Facts<'_>, signals: &'a Signals) {
        self.mark_flagged();
        self.exclude(facts, signals);
        self.take(signals);
        let said = self.ask_rules(facts);
        let cause = self.allowed(facts, &said);
        let is_allowed = cause.is_some();
        if let Some(cause) = cause {
            self.say(|| format!("passes: {cause}"));
            self.decision.cause = Some(cause);
        } else {
            let limits = self.limits(facts, &said.counts);
            let stop = self.stop(facts, &said, &limits);
            self.count();
            self.apply(stop);
        }
        self.remember(facts, is_allowed);
    }

    /// A flagged client's requests say so, to rules and to whoever reads records.
    fn mark_flagged(&mut self) {
        let Some(client) = self.client else { return };
        if let Some(flag) = self.state.flagged(client, FlagKind::Block, self.now) {
            let left = flag.until.saturating_sub(self.now) / 1000;
            self.say(|| format!("client {} is flagged for {}, {left} s more", client.address(), flag.cause));
            self.add(SITE_FLAGGED, "FLAGGED".into());
        }
    }

    /// Takes out the findings that rules say are none.
    fn exclude(&mut self, facts: &Facts<'_>, signals: &Signals) {
        if self.policy.rules.exclusions.is_empty() {
            return;
        }
        let all: Vec<_> = signals.iter().map(Known::found).collect();
        let ask = Ask { facts: Some(facts), signals: &all, finding: None, response: None, forms: Forms::All };
        for (index, known) in all.iter().enumerate() {
            let mut exclusions = self.policy.rules.exclusions.iter();
            if let Some(exclusion) = exclusions.find(|exclusion| exclusion.covers(known, &ask, self.now)) {
                self.say(|| format!("rule {}: {} is excluded", exclusion.id, known.name));
                self.decision.excluded.push(index);
            }
        }
    }

    /// Takes the findings that are left.
    pub(crate) fn take(&mut self, signals: &'a Signals) {
        let excluded = std::mem::take(&mut self.decision.excluded);
        let kept = signals.iter().enumerate().filter(|(index, _)| !excluded.contains(index));
        for (_, signal) in kept {
            self.decision.tags.push(signal.tag);
            self.known.push(Known::found(signal));
            if signal.tag == Tag::VirtualPatch {
                self.decision
                    .added
                    .push(Added { signal: signal.detector.into(), detector: "VIRTUAL-PATCH".into() });
            }
            self.say(|| format!("signal {} ({})", signal.tag, signal.detector));
        }
        self.decision.excluded = excluded;
        self.decision.tags.sort_unstable();
        self.decision.tags.dedup();
    }

    /// Asks the rules that may hold, those first that add signals.
    fn ask_rules(&mut self, facts: &Facts<'_>) -> Said<'a> {
        let rules = &self.policy.rules;
        let mut said = Said::default();
        if rules.request.is_empty() {
            return said;
        }
        let mut candidates = rules.candidates(facts, &self.known);
        let mut next = 0;
        while let Some(number) = candidates.next(next) {
            next = number + 1;
            let Some(rule) = rules.request.get(number as usize) else { break };
            if rule.is_over(self.now) {
                self.say(|| format!("rule {}: has expired", rule.id));
                continue;
            }
            let ask = Ask {
                facts: Some(facts),
                signals: &self.known,
                finding: None,
                response: None,
                forms: rules.forms(rule),
            };
            let holds = rule.test.holds(&ask);
            self.say(|| {
                format!("rule {}{}: {}", rule.id, of(rule), if holds { "holds" } else { "does not hold" })
            });
            if holds {
                let before = self.known.len();
                self.fire(rule, &mut said);
                let added: Vec<&'a str> = self.known.iter().skip(before).map(|known| known.name).collect();
                added.into_iter().for_each(|name| rules.on_signal(name, &mut candidates));
            }
        }
        said
    }

    /// Notes what follows from a rule that holds.
    pub(crate) fn fire(&mut self, rule: &'a Rule, said: &mut Said<'a>) {
        if rule.logging == Logging::Never && self.decision.logging == Logging::Sampled {
            self.decision.logging = Logging::Never;
        }
        if let Some(rate) = &rule.rate {
            self.add(&rate.signal, Arc::clone(&rule.id));
            said.counts.push(rule);
            return;
        }
        for effect in &rule.effects {
            match effect {
                Effect::Allow => said.allows = said.allows.or(Some(rule)),
                Effect::Add(signal) => self.add(signal, Arc::clone(&rule.id)),
                Effect::Log => self.decision.logging = Logging::Always,
                Effect::Header(edit) => self.decision.headers.push(edit.clone()),
                Effect::Block(_) | Effect::Deceive | Effect::Challenge | Effect::VerifyToken => {
                    said.stops.push((rule, effect));
                }
            }
        }
    }

    /// What lets the request pass whatever else is said about it.
    fn allowed(&self, facts: &Facts<'_>, said: &Said<'_>) -> Option<Cause> {
        let listed = facts.client.and_then(|address| self.policy.allow.find(address, self.now));
        match (listed, said.allows) {
            (Some(source), _) => Some(Cause::AllowList { source: Arc::clone(source) }),
            (None, Some(rule)) => Some(Cause::AllowRule { rule: Arc::clone(&rule.id) }),
            (None, None) => None,
        }
    }

    /// What stops the request: the first of these that does.
    fn stop(
        &mut self,
        facts: &Facts<'_>,
        said: &Said<'a>,
        limits: &[(&'a Rule, &'a Effect)],
    ) -> Option<Stop> {
        let listed = facts.client.and_then(|address| self.policy.block.find(address, self.now));
        if let Some(source) = listed {
            let cause = Cause::BlockList { source: Arc::clone(source) };
            return Some(Stop { action: self.policy.site.block_action(), page: None, cause });
        }
        // The corporation's word comes before the site's.
        let (corp, site): (Vec<_>, Vec<_>) = said.stops.iter().partition(|(rule, _)| rule.is_corp);
        for (rule, effect) in corp.into_iter().chain(site) {
            let cause = Cause::Rule { rule: Arc::clone(&rule.id) };
            if let Some(stop) = self.effect(facts, effect, cause, self.policy.site.block_action()) {
                return Some(stop);
            }
        }
        for (rule, effect) in limits {
            let cause = Cause::RateLimit { rule: Arc::clone(&rule.id) };
            if let Some(stop) = self.effect(facts, effect, cause, Action::too_many()) {
                return Some(stop);
            }
        }
        self.by_flag().or_else(|| self.at_once())
    }

    fn by_flag(&self) -> Option<Stop> {
        self.attack()?;
        let flag = self.state.flagged(self.client?, FlagKind::Block, self.now)?;
        let cause = Cause::Flagged { cause: flag.cause };
        Some(Stop { action: self.policy.site.block_action(), page: None, cause })
    }

    fn at_once(&self) -> Option<Stop> {
        let attack = match self.policy.site.blocking {
            Blocking::Immediate => self.attack().map(Tag::as_str),
            Blocking::OnceFlagged => None,
        };
        let named = || self.policy.immediate.iter().find(|signal| self.has(signal)).map(|signal| &**signal);
        let signal = attack.or_else(named)?;
        let cause = Cause::Immediate { signal: signal.into() };
        Some(Stop { action: self.policy.site.block_action(), page: None, cause })
    }

    /// The first attack that no rule excludes.
    fn attack(&self) -> Option<Tag> {
        self.decision.tags.iter().copied().find(|tag| tag.kind() == Kind::Attack)
    }

    /// Does what the mode allows.
    pub(crate) fn apply(&mut self, stop: Option<Stop>) {
        let Some(Stop { action, page, cause }) = stop else { return };
        self.say(|| format!("stopped: {cause}"));
        self.decision.cause = Some(cause);
        match self.policy.site.mode {
            AgentMode::Block => {
                self.decision.action = action;
                self.decision.page = page;
                self.add(BLOCKED, "VERDICT".into());
            }
            AgentMode::Log | AgentMode::Off => {
                self.say(|| "the mode is to log: the request passes".to_owned());
                self.decision.would = Some(action);
            }
        }
    }

    fn remember(&mut self, facts: &Facts<'_>, is_allowed: bool) {
        if !self.policy.needs().response {
            return;
        }
        let remembered = Remembered::new(self, facts, is_allowed);
        let rules = &self.policy.rules.response;
        for rule in remembered.open().filter_map(|number| rules.get(number as usize)) {
            self.say(|| format!("rule {}{}: waits for the response", rule.id, of(rule)));
        }
        self.decision.follow_up = FollowUp::Always;
        self.decision.remembered = Some(remembered);
    }

    pub(crate) fn finish(mut self) -> Decision {
        let says_something = !self.decision.tags.is_empty() || !self.decision.added.is_empty();
        if says_something || self.decision.logging == Logging::Always {
            self.decision.follow_up = FollowUp::Always;
        }
        self.decision.trail = self.trail.unwrap_or_default();
        self.decision
    }

    /// Adds a signal, once.
    pub(crate) fn add(&mut self, signal: &'a str, detector: Arc<str>) {
        if self.decision.added.iter().any(|added| *added.signal == *signal && added.detector == detector) {
            return;
        }
        self.known.push(Known { name: signal, finding: None });
        self.decision.added.push(Added { signal: signal.into(), detector });
    }

    /// Whether a signal is among those so far.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.known.iter().any(|known| known.name.eq_ignore_ascii_case(name))
    }

    pub(crate) fn say(&mut self, what: impl FnOnce() -> String) {
        if let Some(trail) = &mut self.trail {
            trail.push(what());
        }
    }
}

/// What a rule's author says about it.
pub(crate) fn of(rule: &Rule) -> String {
    if rule.reason.is_empty() { String::new() } else { format!(" ({})", rule.reason) }
}

/// Requests of a flagged client carry it.
const SITE_FLAGGED: &str = "SITE-FLAGGED-IP";
/// Requests that were stopped carry it.
const BLOCKED: &str = "BLOCKED";
