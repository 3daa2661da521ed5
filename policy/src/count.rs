//! What is counted: signals for thresholds, requests for rate limits.

use std::sync::Arc;

use portcullis_detect::Kind;

use crate::decide::{Run, of};
use crate::decision::{Event, Logging};
use crate::facts::Facts;
use crate::rule::{Effect, RateLimit, Rule, Scope};
use crate::state::{Client, Counts, Flag, FlagKind, Limited};
use crate::threshold::{Counted, Threshold};

impl<'a> Run<'a> {
    /// Counts the signals for their client, and flags it where a threshold is reached.
    pub(crate) fn count(&mut self) {
        let Some(client) = self.client else { return };
        let attacks = self.decision.tags.iter().filter(|tag| tag.kind() == Kind::Attack).count();
        let attacks = u16::try_from(attacks).unwrap_or(u16::MAX);
        let mut counted: Vec<(&Counted, Counts, u16)> = Vec::new();
        let mut reached: [Option<(&'a Threshold, u32)>; 2] = [None, None];
        for threshold in &self.policy.thresholds {
            let (counts, more) = match counted.iter().find(|(known, ..)| **known == threshold.counted) {
                Some((_, counts, more)) => (*counts, *more),
                None => {
                    let more = match &threshold.counted {
                        Counted::Attacks => attacks,
                        Counted::Signal(name) => u16::from(self.has(name)),
                    };
                    if more == 0 {
                        continue;
                    }
                    let counts = self.state.count(client, threshold.counted.id(), more, self.now);
                    counted.push((&threshold.counted, counts, more));
                    (counts, more)
                }
            };
            let count = counts.over(threshold.interval);
            self.say(|| {
                let (of, seconds) = (threshold.threshold, threshold.interval.seconds());
                format!("threshold {}: {count} of {of} within {seconds} s", threshold.name)
            });
            let is_reached = count >= threshold.threshold;
            // Told once, not for each that comes after it.
            if is_reached && count.saturating_sub(u32::from(more)) < threshold.threshold {
                self.decision.events.push(reached_now(client, threshold, count));
            }
            let [block, log] = &mut reached;
            let first = if threshold.kind == FlagKind::Block { block } else { log };
            if is_reached && first.is_none() {
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
            self.say(|| {
                format!("threshold {} is reached: client {} is flagged", threshold.name, client.address())
            });
            let reached = reached_now(client, threshold, count);
            // A threshold that was lowered, or whose last flag is over, is reached without a count that comes to it.
            if !self.decision.events.contains(&reached) {
                self.decision.events.push(reached);
            }
            let name = Arc::clone(&threshold.name);
            self.decision.events.push(Event::Flagged {
                flag,
                threshold: name,
                interval: threshold.interval,
                count,
            });
        }
    }

    /// Counts the request for those rate limits whose conditions hold, and says which ones limit it.
    pub(crate) fn limits(&mut self, facts: &Facts<'_>, counts: &[&'a Rule]) -> Vec<(&'a Rule, &'a Effect)> {
        let mut limits = Vec::new();
        for rule in counts {
            let Some(rate) = &rule.rate else { continue };
            let Some(key) = rate.key(&rule.id, facts, &self.known, (self.client, self.state)) else {
                continue;
            };
            let is_limited = self.count_rate(rule, rate, key);
            if is_limited && rate.scope == Scope::Counted {
                self.limit(rule, &mut limits);
            }
        }
        let policy = self.policy;
        for (is_response, number) in &policy.rules.wide {
            let rules = if *is_response { &policy.rules.response } else { &policy.rules.request };
            let Some(rule) = rules.get(*number as usize) else { continue };
            let Some(rate) = &rule.rate else { continue };
            let concerns = match &rate.scope {
                Scope::All => true,
                Scope::Signal(name) => self.has(name),
                Scope::Counted => false,
            };
            if !concerns || rule.is_over(self.now) {
                continue;
            }
            let key = rate.key(&rule.id, facts, &self.known, (self.client, self.state));
            if key.is_some_and(|key| self.state.is_limited(key, self.now)) {
                self.limit(rule, &mut limits);
            }
        }
        self.late_limits(facts, &mut limits);
        limits
    }

    /// Counts one request or response; whether its client is over the limit.
    pub(crate) fn count_rate(&mut self, rule: &Rule, rate: &RateLimit, key: [u64; 2]) -> bool {
        match self.state.rate(key, rate.of, self.now) {
            Limited::No => false,
            Limited::Still => true,
            Limited::Now => {
                self.say(|| format!("rule {}{}: its rate limit is reached", rule.id, of(rule)));
                let event = Event::RateLimited { rule: Arc::clone(&rule.id), seconds: rate.of.duration };
                self.decision.events.push(event);
                true
            }
        }
    }

    /// What a rate limit does to a request.
    pub(crate) fn limit(&mut self, rule: &'a Rule, limits: &mut Vec<(&'a Rule, &'a Effect)>) {
        self.say(|| format!("rule {}{}: the client is over its rate limit", rule.id, of(rule)));
        self.add("rate-limit", Arc::clone(&rule.id));
        for effect in &rule.effects {
            match effect {
                Effect::Log => self.decision.logging = Logging::Always,
                effect if effect.stops() => limits.push((rule, effect)),
                _ => {}
            }
        }
    }
}

fn reached_now(client: Client, threshold: &Threshold, count: u32) -> Event {
    Event::Reached {
        client,
        threshold: Arc::clone(&threshold.name),
        signal: threshold.counted.name().into(),
        kind: threshold.kind,
        interval: threshold.interval,
        count,
        limit: threshold.threshold,
    }
}
