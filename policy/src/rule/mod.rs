//! Rules: conditions, and what follows where they hold.

mod effect;
mod field;
mod index;
mod predicate;
mod rate;
mod set;
mod test;
#[cfg(test)]
mod tests;
mod wild;

use std::sync::Arc;

pub(crate) use self::effect::Effect;
pub(crate) use self::field::{Field, Kind, Multi, Part};
pub(crate) use self::predicate::{Matcher, Predicate};
pub(crate) use self::rate::{Identifier, RateLimit, Scope};
pub(crate) use self::set::{Exclusion, Rules};
pub(crate) use self::test::{Ask, Forms, Known, Leaf, Many, Test};
pub(crate) use self::wild::{Wild, regex};

use crate::decision::Logging;

/// A rule.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    /// Its id, under which records name it.
    pub(crate) id: Arc<str>,
    /// What its author says about it.
    pub(crate) reason: Arc<str>,
    /// Whether it is one of the corporation's, which come before the site's.
    pub(crate) is_corp: bool,
    pub(crate) test: Test,
    /// When it is over, in milliseconds since 1970.
    pub(crate) expires: Option<u64>,
    pub(crate) logging: Logging,
    pub(crate) effects: Vec<Effect>,
    pub(crate) rate: Option<RateLimit>,
}

impl Rule {
    /// Whether it is over at `now`.
    pub(crate) fn is_over(&self, now: u64) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    /// Whether it can only be decided with the response.
    pub(crate) fn is_of_response(&self) -> bool {
        self.test.has(Leaf::is_of_response)
            || self.test.has(|leaf| match leaf {
                Leaf::Many(Many { field: Multi::Signal, parts, .. }) => parts
                    .iter()
                    .any(|(part, predicate)| *part == Part::SignalType && names_response(predicate)),
                _ => false,
            })
    }

    /// The signals that it adds.
    pub(crate) fn added(&self) -> impl Iterator<Item = &str> {
        let effects = self.effects.iter().filter_map(|effect| match effect {
            Effect::Add(signal) => Some(&**signal),
            _ => None,
        });
        effects.chain(self.rate.iter().map(|rate| &*rate.signal))
    }

    /// Whether a condition asks for one of `signals`.
    fn asks_for(&self, signals: &[&str]) -> bool {
        self.test.has(|leaf| match leaf {
            Leaf::Many(Many { field: Multi::Signal, parts, .. }) => {
                parts.iter().any(|(part, predicate)| match &predicate.matcher {
                    Matcher::Equals(text) if *part == Part::SignalType => {
                        signals.iter().any(|signal| signal.as_bytes().eq_ignore_ascii_case(text))
                    }
                    _ => false,
                })
            }
            _ => false,
        })
    }

    /// Whether it only adds signals: such rules are asked first, so that others see what they add.
    pub(crate) fn adds(&self) -> bool {
        self.rate.is_none() && self.effects.iter().any(|effect| matches!(effect, Effect::Add(_)))
    }
}

/// Whether a signal that only responses have is meant.
fn names_response(predicate: &Predicate) -> bool {
    match &predicate.matcher {
        Matcher::Equals(text) => is_response_signal(&String::from_utf8_lossy(text)),
        _ => false,
    }
}

/// Whether only responses have a signal.
pub(crate) fn is_response_signal(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    upper == "FORCEFULBROWSING" || (upper.starts_with("HTTP") && upper.len() == 7)
}
