//! How a response is judged, with what is remembered of its request.

use portcullis_detect::{Response, Signals};

use crate::decide::{Run, Said, of};
use crate::decision::{Cause, Decision};
use crate::facts::Facts;
use crate::policy::Policy;
use crate::rule::{Ask, Effect, Leaf, Many, Rule, Scope, Test};
use crate::site::{AgentMode, BlockAnswer};
use crate::state::{Client, Moment};
use crate::stop::Stop;

/// What is kept of a request for its response: a few answers, not the request. It belongs to the policy that made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// The policy that made it: to another one the rules' numbers mean nothing.
    policy: u64,
    client: Option<Client>,
    /// Whether the request was let pass whatever else is said about it.
    is_allowed: bool,
    /// Rules that the response may complete.
    open: Vec<Open>,
    acts: Acts,
}

/// Whether a rule that the response may complete does something to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Acts {
    Yes,
    No,
}

/// A rule that the response may complete.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Open {
    rule: u32,
    /// What each condition came to, in order; of those about signals, whether one was found.
    answers: Box<[bool]>,
    /// Under which key a rate limit counts the client.
    key: Option<[u64; 2]>,
}

impl Remembered {
    /// Keeps what the rules that are still open need of a request.
    pub(crate) fn new(run: &Run<'_>, facts: &Facts<'_>, is_allowed: bool) -> Self {
        let rules = &run.policy.rules;
        let mut open = Vec::new();
        if !rules.response.is_empty() {
            let candidates = rules.response_candidates(facts, &run.known);
            let mut next = 0;
            while let Some(number) = candidates.next(next) {
                next = number + 1;
                let Some(rule) = rules.response.get(number as usize) else { break };
                if let Some(answers) = answers(rule, run, facts) {
                    let key = rule
                        .rate
                        .as_ref()
                        .and_then(|rate| rate.key(&rule.id, facts, &run.known, (run.client, run.state)));
                    open.push(Open { rule: number, answers, key });
                }
            }
        }
        let stops = run.policy.site.mode == AgentMode::Block && !is_allowed;
        let acts = open.iter().filter_map(|open| rules.response.get(open.rule as usize)).any(|rule| {
            rule.effects.iter().any(|effect| match effect {
                Effect::Header(_) => true,
                Effect::Block(_) => stops,
                _ => false,
            })
        });
        let acts = if acts { Acts::Yes } else { Acts::No };
        Self { policy: run.policy.id, client: run.client, is_allowed, open, acts }
    }

    /// Whether the response may be stopped or edited, so that it has to be asked about before it goes out.
    pub fn acts(&self) -> bool {
        self.acts == Acts::Yes
    }

    /// The rules that the response may complete, by their number.
    pub(crate) fn open(&self) -> impl Iterator<Item = u32> {
        self.open.iter().map(|open| open.rule)
    }

    /// About how many bytes it takes.
    pub fn size(&self) -> usize {
        let open = self.open.iter().map(|open| size_of::<Open>() + open.answers.len());
        size_of::<Self>() + open.sum::<usize>()
    }
}

/// What each condition of a rule came to; none where no response can make the rule hold.
fn answers(rule: &Rule, run: &Run<'_>, facts: &Facts<'_>) -> Option<Box<[bool]>> {
    if rule.is_over(run.now) {
        return None;
    }
    let ask = Ask {
        facts: Some(facts),
        signals: &run.known,
        finding: None,
        response: None,
        forms: run.policy.rules.forms(rule),
    };
    let (mut known, mut possible) = (Vec::new(), Vec::new());
    rule.test.leaves(&mut |leaf| {
        let (answer, may_hold) = match leaf {
            leaf if leaf.is_of_response() => (false, true),
            Leaf::Many(many) if leaf.is_of_signals() => {
                let found = many.found(&ask);
                // A response brings signals, and takes none away.
                (found, if many.negate { !found } else { true })
            }
            leaf => {
                let holds = leaf.holds(&ask);
                (holds, holds)
            }
        };
        known.push(answer);
        possible.push(may_hold);
    });
    let mut possible = possible.into_iter();
    rule.test.combine(&mut || possible.next().unwrap_or_default()).then(|| known.into())
}

impl Policy {
    /// Decides about the response in which `signals` were found. The action is for whoever still holds the response; others
    /// take signals and events only.
    pub fn respond(
        &self,
        remembered: &Remembered,
        response: &Response<'_>,
        signals: &Signals,
        moment: Moment<'_>,
    ) -> Decision {
        self.judge_response(remembered, (response, signals), moment, None)
    }

    /// Decides about the response, and tells in [`Decision::trail`] what led there. It counts as a response does.
    pub fn explain_response(
        &self,
        remembered: &Remembered,
        response: &Response<'_>,
        signals: &Signals,
        moment: Moment<'_>,
    ) -> Decision {
        self.judge_response(remembered, (response, signals), moment, Some(Vec::new()))
    }

    fn judge_response(
        &self,
        remembered: &Remembered,
        (response, signals): (&Response<'_>, &Signals),
        moment: Moment<'_>,
        trail: Option<Vec<String>>,
    ) -> Decision {
        match self.site.mode {
            AgentMode::Off => return Decision::unwatched(),
            AgentMode::Log | AgentMode::Block => {}
        }
        let mut run = Run::new(self, moment, remembered.client, trail);
        run.response(remembered, response, signals);
        run.finish()
    }
}

impl<'a> Run<'a> {
    fn response(&mut self, remembered: &Remembered, response: &Response<'_>, signals: &'a Signals) {
        self.take(signals);
        let policy = self.policy;
        let mut said = Said::default();
        let open = if remembered.policy == policy.id { &remembered.open[..] } else { &[] };
        for open in open {
            let Some(rule) = policy.rules.response.get(open.rule as usize) else { continue };
            if rule.is_over(self.now) {
                self.say(|| format!("rule {}: has expired", rule.id));
                continue;
            }
            let holds = self.completes(&rule.test, &open.answers, response);
            self.say(|| {
                format!("rule {}{}: {}", rule.id, of(rule), if holds { "holds" } else { "does not hold" })
            });
            if !holds {
                continue;
            }
            self.fire(rule, &mut said);
            if let (Some(rate), Some(key), false) = (&rule.rate, open.key, remembered.is_allowed) {
                self.count_rate(rule, rate, key);
            }
        }
        if remembered.is_allowed {
            self.say(|| "the request was allowed: nothing about its response is counted".to_owned());
            return;
        }
        if let Some(rule) = said.allows {
            self.say(|| format!("passes: rule {} allows it", rule.id));
            return;
        }
        self.count();
        let stop = said.stops.iter().find_map(|(rule, effect)| match effect {
            Effect::Block(own) => {
                let action = own.as_ref().map_or(policy.site.block_action(), BlockAnswer::action);
                let cause = Cause::Rule { rule: std::sync::Arc::clone(&rule.id) };
                Some(Stop { action, page: None, cause })
            }
            // Whoever has its answer is not asked to prove anything for it.
            _ => None,
        });
        self.apply(stop);
    }

    /// Whether the response makes a rule's conditions hold.
    fn completes(&self, test: &Test, answers: &[bool], response: &Response<'_>) -> bool {
        let ask = Ask {
            facts: None,
            signals: &self.known,
            finding: None,
            response: Some(response),
            forms: crate::rule::Forms::Any,
        };
        let mut kept = answers.iter().copied();
        let mut now = Vec::with_capacity(answers.len());
        test.leaves(&mut |leaf| {
            let before = kept.next().unwrap_or_default();
            now.push(match leaf {
                leaf if leaf.is_of_response() => leaf.holds(&ask),
                Leaf::Many(many @ Many { negate, .. }) if leaf.is_of_signals() => {
                    (before || many.found(&ask)) != *negate
                }
                _ => before,
            });
        });
        let mut now = now.into_iter();
        test.combine(&mut || now.next().unwrap_or_default())
    }

    /// Rate limits that count responses: a client over one is stopped where its request may be such a one.
    pub(crate) fn late_limits(&mut self, facts: &Facts<'_>, limits: &mut Vec<(&'a Rule, &'a Effect)>) {
        let policy = self.policy;
        let counted = |rule: &&Rule| rule.rate.as_ref().is_some_and(|rate| rate.scope == Scope::Counted);
        for rule in policy.rules.response.iter().filter(counted) {
            let Some(rate) = &rule.rate else { continue };
            let key = rate.key(&rule.id, facts, &self.known, (self.client, self.state));
            let is_limited = key.is_some_and(|key| self.state.is_limited(key, self.now));
            if is_limited && answers(rule, self, facts).is_some() {
                self.limit(rule, limits);
            }
        }
    }
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AllowList { source } => write!(f, "{source} is on the allow list"),
            Self::AllowRule { rule } => write!(f, "rule {rule} allows it"),
            Self::Rule { rule } => write!(f, "rule {rule} stops it"),
            Self::BlockList { source } => write!(f, "{source} is on the block list"),
            Self::RateLimit { rule } => write!(f, "over the rate limit of rule {rule}"),
            Self::Flagged { cause } => write!(f, "an attack from a client that is flagged for {cause}"),
            Self::Immediate { signal } => write!(f, "{signal} is blocked at once"),
        }
    }
}
