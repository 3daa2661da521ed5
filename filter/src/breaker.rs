//! Leaving an agent alone that does not answer.
//!
//! After some failures in a row requests are not asked about for a while, so that a dead or hung agent costs them no time.
//! Whether it has come back is found out by the plugin's timer, not at the expense of a request.

use std::cell::Cell;
use std::time::Duration;

use crate::config;

/// What is known of the agent's health.
#[derive(Debug, Default)]
pub(crate) struct Breaker {
    failures: Cell<u64>,
    /// Since when the agent is left alone and until when at least.
    open: Cell<Option<Open>>,
    /// How long the next pause is; none where the last answer was a verdict.
    pause: Cell<Option<Duration>>,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    since: Duration,
    /// When the pause began, and when it is over.
    waits: Duration,
    probe_at: Duration,
}

/// Whether the agent is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    /// It is.
    Ask,
    /// It is left alone.
    Spare,
}

impl Breaker {
    /// Whether the agent is to be asked.
    pub(crate) fn gate(&self) -> Gate {
        if self.open.get().is_some() { Gate::Spare } else { Gate::Ask }
    }

    /// The agent has given a verdict, or said that it cannot.
    pub(crate) fn answered(&self) {
        self.failures.set(0);
        // What was asked before the pause and answered within it says little: the timer finds out.
        if self.open.get().is_none() {
            self.pause.set(None);
        }
    }

    /// A question got no answer. Whether the pause begins with this one.
    pub(crate) fn failed(&self, now: Duration, settings: &config::Breaker) -> Tripped {
        let failures = self.failures.get().saturating_add(1);
        self.failures.set(failures);
        if settings.failures == 0 || failures < settings.failures || self.open.get().is_some() {
            return Tripped::No;
        }
        self.open.set(Some(Open { since: now, waits: now, probe_at: now }));
        self.wait(now, settings);
        Tripped::Yes
    }

    /// Whether it is time to find out; at once where the clock was set back, which may be by hours.
    pub(crate) fn probe_is_due(&self, now: Duration) -> bool {
        self.open.get().is_some_and(|open| now >= open.probe_at || now < open.waits)
    }

    /// Whether the agent has been left alone since before `then`.
    pub(crate) fn is_open_since_before(&self, then: Duration) -> bool {
        self.open.get().is_some_and(|open| open.since < then)
    }

    /// The agent is there again. One more failure and it is left alone again, for longer.
    pub(crate) fn close(&self, settings: &config::Breaker) {
        if self.open.take().is_some() {
            self.failures.set(settings.failures.saturating_sub(1));
        }
    }

    /// The agent is still not there.
    pub(crate) fn wait(&self, now: Duration, settings: &config::Breaker) {
        let Some(open) = self.open.get() else { return };
        let pause = self.pause.get().unwrap_or(settings.pause).min(settings.max_pause);
        self.open.set(Some(Open { waits: now, probe_at: now.saturating_add(pause), ..open }));
        self.pause.set(Some(pause.saturating_mul(2)));
    }
}

/// Whether a failure was the one too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tripped {
    Yes,
    No,
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: config::Breaker =
        config::Breaker { failures: 3, pause: Duration::from_millis(250), max_pause: Duration::from_secs(1) };

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn fail(breaker: &Breaker, times: u32, now: Duration, settings: &config::Breaker) {
        for _ in 0..times {
            breaker.failed(now, settings);
        }
    }

    #[test]
    fn opens_after_failures_in_a_row_only() {
        let breaker = Breaker::default();
        for _ in 0..2 {
            breaker.failed(at(0), &SETTINGS);
            breaker.failed(at(0), &SETTINGS);
            breaker.answered();
        }
        assert_eq!(breaker.gate(), Gate::Ask);
        breaker.failed(at(0), &SETTINGS);
        breaker.failed(at(0), &SETTINGS);
        assert_eq!(breaker.failed(at(0), &SETTINGS), Tripped::Yes);
        assert_eq!(breaker.failed(at(0), &SETTINGS), Tripped::No);
        assert_eq!(breaker.gate(), Gate::Spare);
    }

    #[test]
    fn probes_after_pauses_that_grow_to_a_limit() {
        let breaker = Breaker::default();
        fail(&breaker, 3, at(0), &SETTINGS);
        let mut now = 0;
        for pause in [250, 500, 1000, 1000] {
            assert!(!breaker.probe_is_due(at(now + pause - 1)));
            now += pause;
            assert!(breaker.probe_is_due(at(now)));
            breaker.wait(at(now), &SETTINGS);
        }
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_prolong_a_pause() {
        let breaker = Breaker::default();
        fail(&breaker, 3, at(3_600_000), &SETTINGS);
        assert!(breaker.probe_is_due(at(1000)));
        breaker.wait(at(1000), &SETTINGS);
        assert!(!breaker.probe_is_due(at(1499)));
        assert!(breaker.probe_is_due(at(1500)));
    }

    #[test]
    fn an_agent_that_answers_probes_but_no_questions_is_left_alone_ever_longer() {
        let breaker = Breaker::default();
        fail(&breaker, 3, at(0), &SETTINGS);
        breaker.close(&SETTINGS);
        assert_eq!(breaker.gate(), Gate::Ask);
        assert_eq!(breaker.failed(at(300), &SETTINGS), Tripped::Yes);
        assert!(!breaker.probe_is_due(at(799)));
        assert!(breaker.probe_is_due(at(800)));
    }

    #[test]
    fn a_verdict_makes_the_next_pause_short_again() {
        let breaker = Breaker::default();
        fail(&breaker, 3, at(0), &SETTINGS);
        breaker.close(&SETTINGS);
        breaker.answered();
        fail(&breaker, 3, at(1000), &SETTINGS);
        assert!(breaker.probe_is_due(at(1250)));
    }

    #[test]
    fn never_opens_where_that_is_turned_off() {
        let breaker = Breaker::default();
        let settings = config::Breaker { failures: 0, ..SETTINGS };
        fail(&breaker, 1000, at(0), &settings);
        assert_eq!(breaker.gate(), Gate::Ask);
    }
}
