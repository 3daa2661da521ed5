//! What all streams of one plugin share: configuration, metrics, the queue of reports, the agent's health and its facts.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use crate::breaker::{Breaker, Gate, Tripped};
use crate::config::{Config, FilterState, LogLevel};
use crate::failure::{Blame, Failure};
use crate::host::{Host, Level, Token};
use crate::local::{Local, News, Poll, Purpose};
use crate::metrics::{Counter, Metrics};
use crate::reports::{Batch, Fate, Own, Report, Reports};
use crate::verdict::{self, ReplyShape};

/// One configuration at work. A new one makes a new plugin; streams under way keep the one they began with.
#[derive(Debug, Default)]
pub struct Plugin {
    pub(crate) config: Config,
    pub(crate) metrics: Rc<Metrics>,
    /// Those of configurations before, by other names, in which streams under way may still count.
    retired: Vec<Rc<Metrics>>,
    /// The judge, where the configuration wants one.
    pub(crate) local: Option<Rc<Local>>,
    poll: Poll,
    breaker: Rc<Breaker>,
    reports: Rc<RefCell<Reports>>,
    ticks: Cell<u32>,
    last_complaint: Cell<Option<Duration>>,
}

impl Plugin {
    /// Reads the configuration and takes over from a previous one: the reports that it has not sent, what it knows of the
    /// agent, and the engine.
    pub fn configure(host: &impl Host, previous: &Plugin) -> Plugin {
        let (mut config, mut problems) = match host.configuration() {
            Ok(bytes) => Config::parse(&bytes),
            Err(error) => (Config::default(), vec![format!("the configuration cannot be read: {error}")]),
        };
        if let Err(error) = host.tick_every(TICK) {
            problems.push(format!("no ticks, so no reports, no metrics and no breaker: {error}"));
            // Nothing would find out that the agent is back.
            config.breaker.failures = 0;
        }
        let metrics =
            if previous.metrics.are_defined() && previous.config.metrics_prefix == config.metrics_prefix {
                Rc::clone(&previous.metrics)
            } else {
                Rc::new(Metrics::define(host, &config.metrics_prefix))
            };
        let older = [&previous.metrics].into_iter().chain(&previous.retired);
        let retired = older.filter(|older| older.are_defined() && !Rc::ptr_eq(older, &metrics));
        let retired = retired.take(MAX_RETIRED).cloned().collect();
        metrics.config_errors(host, problems.len());
        if config.filter_state == FilterState::On {
            // Where it cannot be kept, a request that the proxy redirects to itself is inspected twice.
            let _ = host.keep_told(VERDICT);
        }
        let local = config.judges().then(|| {
            let local = Local::default();
            local.start(previous.local.as_deref().unwrap_or(&Local::default()));
            Rc::new(local)
        });
        let plugin = Plugin {
            poll: Poll::new(&config.agent_cluster),
            config,
            metrics,
            retired,
            local,
            breaker: Rc::clone(&previous.breaker),
            reports: Rc::clone(&previous.reports),
            ticks: Cell::new(0),
            last_complaint: Cell::new(None),
        };
        for problem in &problems {
            plugin.log(host, Level::Error, problem);
        }
        plugin
    }

    /// Hands over metrics, sends reports, keeps up with the agent.
    pub fn on_tick(&self, host: &impl Host) {
        let now = host.now();
        self.keep_up(host, now);
        self.send(host);
        self.flush(host);
    }

    fn flush(&self, host: &impl Host) {
        self.metrics.flush(host);
        self.retired.iter().for_each(|metrics| metrics.flush(host));
    }

    /// Hands over what has been counted since the last tick: there will be no other.
    pub fn end(&self, host: &impl Host) {
        let left = self.reports.try_borrow().map_or(0, |reports| reports.waiting());
        (0..left).for_each(|_| self.metrics.count(Counter::ReportsDropped));
        self.flush(host);
        if self.breaker.gate() == Gate::Spare {
            self.metrics.breaker(host, -1);
        }
    }

    fn keep_up(&self, host: &impl Host, now: Duration) {
        let mut spoke = None;
        if let Some(local) = &self.local {
            spoke = self.poll.tick(host, &self.config, local, now);
            self.metrics.facts_version(host, local.relied_upon());
        }
        if !self.breaker.probe_is_due(now) {
            return;
        }
        // Another worker has had an answer since this one gave up: that is as good as one of our own.
        if spoke.is_some_and(|then| self.breaker.is_open_since_before(then)) {
            return self.close(host);
        }
        self.breaker.wait(now, &self.config.breaker);
        let version = self.local.as_ref().map_or(0, |local| local.version());
        // What cannot be asked is not there: the next probe is already set.
        let _ = self.poll.ask(host, &self.config, version, Purpose::Probe);
    }

    fn send(&self, host: &impl Host) {
        let tick = self.ticks.get().wrapping_add(1);
        self.ticks.set(tick);
        // Nothing that a host does inside a call may reach this queue; if it did, the next tick comes soon.
        let Ok(mut reports) = self.reports.try_borrow_mut() else { return };
        if self.breaker.gate() == Gate::Spare
            || (!reports.is_urgent() && !tick.is_multiple_of(TICKS_A_SECOND))
        {
            return;
        }
        while let Some(sent) = reports.send_next(host, &self.config) {
            let (batch, counter) = match sent {
                Ok(batch) => (batch, Counter::ReportsSent),
                Err((batch, _)) => (batch, Counter::ReportsFailed),
            };
            (0..batch.reports).for_each(|_| self.metrics.count(counter));
            if counter == Counter::ReportsFailed {
                break;
            }
        }
    }

    /// Takes the reply to a batch of reports, or to the question for news.
    pub fn on_reply(&self, host: &impl Host, token: Token, shape: ReplyShape) {
        if let Some(purpose) = self.poll.takes(token) {
            return self.on_news(host, shape, purpose);
        }
        let batch = self.reports.try_borrow_mut().ok().and_then(|mut reports| reports.answered(token));
        let Some(batch) = batch else { return };
        let taken = shape.headers > 0 && host.reply_headers().is_ok_and(|it| verdict::check(&it).is_ok());
        if !taken {
            self.lost(batch);
        }
    }

    fn lost(&self, batch: Batch) {
        (0..batch.reports).for_each(|_| self.metrics.count(Counter::ReportsFailed));
        if let Ok(mut reports) = self.reports.try_borrow_mut() {
            reports.failed(batch);
        }
    }

    fn on_news(&self, host: &impl Host, shape: ReplyShape, purpose: Purpose) {
        let good = shape.headers > 0
            && shape.body <= MAX_NEWS
            && host.reply_headers().is_ok_and(|it| verdict::check(&it).is_ok());
        let body = if good { host.reply_body(MAX_NEWS).unwrap_or_default() } else { Vec::new() };
        let news = self.poll.learn(host, self.local.as_deref(), &body, host.now());
        // That it has news does not mean that it answers questions: the pause that it was given is kept.
        if (news, purpose) == (News::Alive, Purpose::Probe) {
            self.close(host);
        }
    }

    fn close(&self, host: &impl Host) {
        if self.breaker.gate() == Gate::Spare {
            self.breaker.close(&self.config.breaker);
            self.metrics.breaker(host, -1);
            self.log(host, Level::Info, "the agent is asked again");
        }
    }

    /// Whether the agent is to be asked.
    pub(crate) fn gate(&self) -> Gate {
        self.breaker.gate()
    }

    /// The agent has given a verdict.
    pub(crate) fn answered(&self) {
        self.breaker.answered();
    }

    /// A question got no answer.
    pub(crate) fn unanswered(&self, host: &impl Host, failure: Failure) {
        match failure.blame() {
            Blame::None => {}
            Blame::Busy => self.breaker.answered(),
            Blame::Agent => {
                if self.breaker.failed(host.now(), &self.config.breaker) == Tripped::Yes {
                    self.metrics.count(Counter::BreakerOpened);
                    self.metrics.breaker(host, 1);
                    self.log(
                        host,
                        Level::Warn,
                        &format!("the agent is left alone for a while: {}", failure.name()),
                    );
                }
            }
        }
    }

    /// A request was let pass by the filter itself.
    pub(crate) fn passed(&self) {
        self.metrics.count(Counter::PassedLocally);
        self.own(Own { passed: 1, blocked: 0 });
    }

    /// A request was stopped by the filter itself.
    pub(crate) fn blocked(&self) {
        self.metrics.count(Counter::BlockedLocally);
        self.own(Own { passed: 0, blocked: 1 });
    }

    fn own(&self, own: Own) {
        if let Ok(mut reports) = self.reports.try_borrow_mut() {
            reports.own(own);
        }
    }

    pub(crate) fn report(&self, report: Report) {
        let fate = self.reports.try_borrow_mut().map_or(Fate::Dropped, |mut reports| reports.push(report));
        match fate {
            Fate::Queued => {}
            Fate::Dropped => self.metrics.count(Counter::ReportsDropped),
        }
    }

    /// Logs that a request was not inspected, unless that was just said: metrics have the number.
    pub(crate) fn complain(&self, host: &impl Host, failure: Failure) {
        // While the agent is left alone nothing new can be said, and asking for the time would cost.
        if failure == Failure::Paused {
            return;
        }
        let now = host.now();
        let quiet = |last: Duration| now.saturating_sub(last) < COMPLAINT_PAUSE;
        if self.last_complaint.get().is_some_and(quiet) {
            return;
        }
        self.last_complaint.set(Some(now));
        self.log(host, Level::Warn, &format!("requests are not inspected: {}", failure.name()));
    }

    fn log(&self, host: &impl Host, level: Level, message: &str) {
        let grave = match level {
            Level::Info => LogLevel::Info,
            Level::Warn => LogLevel::Warn,
            Level::Error => LogLevel::Error,
        };
        if grave >= self.config.log_level {
            host.log(level, message);
        }
    }
}

/// The name under which a verdict is told.
pub(crate) const VERDICT: &str = "portcullis_verdict";

/// Reports are not urgent, but a queue that fills within a tick loses some.
const TICK: Duration = Duration::from_millis(100);
const TICKS_A_SECOND: u32 = 10;
const COMPLAINT_PAUSE: Duration = Duration::from_secs(5);

/// Configurations with other names of metrics before this one.
const MAX_RETIRED: usize = 4;

/// Bytes of the agent's facts.
const MAX_NEWS: usize = 4 * 1024 * 1024;

#[cfg(test)]
mod tests;
