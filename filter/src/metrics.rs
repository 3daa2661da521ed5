//! What the filter counts. Every request ends in one decision, one failure, `abandoned` or `unwatched`.
//!
//! A call to the host costs more than the rest of an ordinary request's bookkeeping, so counts are kept here and handed
//! over at each tick of the plugin's timer.

use std::cell::Cell;

use crate::failure::Failure;
use crate::host::{Host, MetricId, MetricKind};

/// A counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counter {
    /// Requests seen.
    Requests,
    /// Requests the agent let through.
    Allowed,
    /// Requests answered with the agent's status.
    Blocked,
    /// Requests sent elsewhere.
    Redirected,
    /// Requests the filter let through by itself.
    PassedLocally,
    /// Requests the filter stopped by itself, the agent being away.
    BlockedLocally,
    /// Requests that are not looked at, as the configuration says.
    Unwatched,
    /// Streams that ended before their verdict.
    Abandoned,
    /// Bodies of which only the first part was seen.
    Truncated,
    /// Bodies that were not seen at all.
    Unseen,
    /// Requests that carried headers only the agent may set.
    Forged,
    /// Responses answered with the agent's status.
    ResponsesBlocked,
    /// Responses about which the agent was to be asked and did not answer.
    ResponsesUnasked,
    /// Reports handed to the proxy.
    ReportsSent,
    /// Reports that found the queue full.
    ReportsDropped,
    /// Reports that the agent did not acknowledge.
    ReportsFailed,
    /// Times that the agent was left alone from then on.
    BreakerOpened,
    /// Actions on the host that failed.
    HostErrors,
    /// Requests without a verdict, by reason.
    Failed(Failure),
}

/// The ids of all metrics; one that the host refused to define is not counted.
#[derive(Debug, Default)]
pub struct Metrics {
    counters: Vec<Metric>,
    in_flight: Level,
    callout: Option<MetricId>,
    config_errors: Option<MetricId>,
    breaker_open: Option<MetricId>,
    facts_version: Option<MetricId>,
    memory: Option<MetricId>,
    shown_memory: Cell<u64>,
}

#[derive(Debug)]
struct Metric {
    id: Option<MetricId>,
    /// Not handed over yet.
    count: Cell<i64>,
}

#[derive(Debug, Default)]
struct Level {
    id: Option<MetricId>,
    change: Cell<i64>,
}

impl Metrics {
    /// Defines all metrics under a prefix.
    pub fn define(host: &impl Host, prefix: &str) -> Self {
        let define = |kind, name: &str| host.define_metric(kind, &format!("{prefix}.{name}")).ok();
        let named = NAMES.iter().map(|(_, name)| (*name).to_owned());
        let failures = Failure::ALL.iter().map(|failure| format!("failures.{}.total", failure.name()));
        let counter = |name: String| Metric { id: define(MetricKind::Counter, &name), count: Cell::new(0) };
        Self {
            counters: named.chain(failures).map(counter).collect(),
            in_flight: Level { id: define(MetricKind::Gauge, "inflight"), change: Cell::new(0) },
            callout: define(MetricKind::Histogram, "callout_us"),
            config_errors: define(MetricKind::Gauge, "config.errors"),
            breaker_open: define(MetricKind::Gauge, "breaker.open"),
            facts_version: define(MetricKind::Gauge, "local.facts_version"),
            memory: define(MetricKind::Gauge, "memory_bytes"),
            shown_memory: Cell::new(0),
        }
    }

    /// Whether these are any.
    pub fn are_defined(&self) -> bool {
        !self.counters.is_empty()
    }

    /// Counts one.
    pub fn count(&self, counter: Counter) {
        if let Some(metric) = self.counters.get(counter.index()) {
            metric.count.set(metric.count.get() + 1);
        }
    }

    /// A request begins to wait for its verdict.
    pub fn enter(&self) {
        self.in_flight.change.set(self.in_flight.change.get() + 1);
    }

    /// A request waits no more.
    pub fn leave(&self) {
        self.in_flight.change.set(self.in_flight.change.get() - 1);
    }

    /// Takes down how long the agent took.
    pub fn callout(&self, host: &impl Host, took: std::time::Duration) {
        self.callout.inspect(|id| record(host, *id, u64::try_from(took.as_micros()).unwrap_or(u64::MAX)));
    }

    /// Shows how many parts of the configuration were not understood.
    pub fn config_errors(&self, host: &impl Host, errors: usize) {
        self.config_errors.inspect(|id| record(host, *id, u64::try_from(errors).unwrap_or(u64::MAX)));
    }

    /// Shows that a worker leaves the agent alone, by 1, or does so no longer, by -1.
    pub fn breaker(&self, host: &impl Host, change: i64) {
        self.breaker_open.inspect(|id| add(host, *id, change));
    }

    /// Shows which facts a worker judges by; 0 where there are none that it relies upon.
    pub fn facts_version(&self, host: &impl Host, version: i64) {
        // Any number that differs where the facts differ, and fits a graph.
        self.facts_version.inspect(|id| record(host, *id, version.unsigned_abs() % 1_000_000));
    }

    /// Hands over what was counted since the last time.
    pub fn flush(&self, host: &impl Host) {
        for metric in &self.counters {
            let count = metric.count.replace(0);
            if let Some(id) = metric.id.filter(|_| count != 0) {
                add(host, id, count);
            }
        }
        let memory = host.memory();
        if self.shown_memory.replace(memory) != memory {
            self.memory.inspect(|id| record(host, *id, memory));
        }
        let change = self.in_flight.change.replace(0);
        if let Some(id) = self.in_flight.id.filter(|_| change != 0) {
            add(host, id, change);
        }
    }
}

impl Counter {
    fn index(self) -> usize {
        let of = |wanted| NAMES.iter().position(|(known, _)| *known == wanted);
        match self {
            Counter::Requests => 0,
            Counter::PassedLocally => 1,
            Counter::Allowed => 2,
            Counter::Failed(failure) => {
                let place = Failure::ALL.iter().position(|known| *known == failure);
                place.map_or(usize::MAX, |place| NAMES.len() + place)
            }
            other => of(other).unwrap_or(usize::MAX),
        }
    }
}

// A metric that cannot be written is no reason to treat a request differently, and counting it would fail likewise.
fn add(host: &impl Host, id: MetricId, by: i64) {
    let _ = host.add_to_metric(id, by);
}

fn record(host: &impl Host, id: MetricId, value: u64) {
    let _ = host.record_metric(id, value);
}

const NAMES: &[(Counter, &str)] = &[
    (Counter::Requests, "requests.total"),
    (Counter::PassedLocally, "decisions.local.total"),
    (Counter::Allowed, "decisions.allow.total"),
    (Counter::Blocked, "decisions.block.total"),
    (Counter::Redirected, "decisions.redirect.total"),
    (Counter::BlockedLocally, "decisions.local_block.total"),
    (Counter::Unwatched, "decisions.unwatched.total"),
    (Counter::Abandoned, "abandoned.total"),
    (Counter::Truncated, "body.truncated.total"),
    (Counter::Unseen, "body.unseen.total"),
    (Counter::Forged, "forged_headers.total"),
    (Counter::ResponsesBlocked, "responses.block.total"),
    (Counter::ResponsesUnasked, "responses.failed.total"),
    (Counter::ReportsSent, "reports.sent.total"),
    (Counter::ReportsDropped, "reports.dropped.total"),
    (Counter::ReportsFailed, "reports.failed.total"),
    (Counter::BreakerOpened, "breaker.opened.total"),
    (Counter::HostErrors, "host_errors.total"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::mock::Mock;

    #[test]
    fn every_counter_has_a_place_of_its_own() {
        let mock = Mock::default();
        let metrics = Metrics::define(&mock, "portcullis");
        let failures = Failure::ALL.iter().map(|failure| Counter::Failed(*failure));
        let all: Vec<Counter> = NAMES.iter().map(|(counter, _)| *counter).chain(failures).collect();
        for (times, counter) in all.iter().enumerate() {
            (0..=times).for_each(|_| metrics.count(*counter));
        }
        assert_eq!(mock.metric("requests.total"), 0, "handed over at the tick only");
        metrics.flush(&mock);
        metrics.flush(&mock);
        for (times, (_, name)) in NAMES.iter().enumerate() {
            assert_eq!(mock.metric(name), i64::try_from(times + 1).unwrap(), "{name}");
        }
        for (place, failure) in Failure::ALL.iter().enumerate() {
            let expected = i64::try_from(NAMES.len() + place + 1).unwrap();
            assert_eq!(mock.metric(&format!("failures.{}.total", failure.name())), expected);
        }
    }
}
