//! What the filter counts. Every request that is shown to the agent ends in one decision, one failure or `abandoned`.

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
    /// Streams that ended before their verdict.
    Abandoned,
    /// Bodies of which the agent saw only the first part.
    Truncated,
    /// Requests that carried headers only the agent may set.
    Forged,
    /// Reports handed to the proxy.
    ReportsSent,
    /// Reports that found the queue full.
    ReportsDropped,
    /// Reports that the agent did not acknowledge.
    ReportsFailed,
    /// Actions on the host that failed.
    HostErrors,
    /// Requests without a verdict, by reason.
    Failed(Failure),
}

/// The ids of all metrics; one that the host refused to define is not counted.
#[derive(Debug, Default)]
pub struct Metrics {
    counters: Vec<(Counter, Option<MetricId>)>,
    in_flight: Option<MetricId>,
    callout: Option<MetricId>,
    config_errors: Option<MetricId>,
}

impl Metrics {
    /// Defines all metrics under a prefix.
    pub fn define(host: &impl Host, prefix: &str) -> Self {
        let define = |kind, name: &str| host.define_metric(kind, &format!("{prefix}.{name}")).ok();
        let named = NAMES.iter().map(|(counter, name)| (*counter, define(MetricKind::Counter, name)));
        let failures = Failure::ALL.iter().map(|failure| {
            let name = format!("failures.{}.total", failure.name());
            (Counter::Failed(*failure), define(MetricKind::Counter, &name))
        });
        Self {
            counters: named.chain(failures).collect(),
            in_flight: define(MetricKind::Gauge, "inflight"),
            callout: define(MetricKind::Histogram, "callout_us"),
            config_errors: define(MetricKind::Gauge, "config.errors"),
        }
    }

    /// Counts one.
    pub fn count(&self, host: &impl Host, counter: Counter) {
        let known = self.counters.iter().find(|(known, _)| *known == counter);
        if let Some((_, Some(id))) = known {
            add(host, *id, 1);
        }
    }

    /// A request begins to wait for its verdict.
    pub fn enter(&self, host: &impl Host) {
        self.in_flight.inspect(|id| add(host, *id, 1));
    }

    /// A request waits no more.
    pub fn leave(&self, host: &impl Host) {
        self.in_flight.inspect(|id| add(host, *id, -1));
    }

    /// Takes down how long the agent took.
    pub fn callout(&self, host: &impl Host, took: std::time::Duration) {
        self.callout.inspect(|id| record(host, *id, u64::try_from(took.as_micros()).unwrap_or(u64::MAX)));
    }

    /// Shows how many parts of the configuration were not understood.
    pub fn config_errors(&self, host: &impl Host, errors: usize) {
        self.config_errors.inspect(|id| record(host, *id, u64::try_from(errors).unwrap_or(u64::MAX)));
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
    (Counter::Allowed, "decisions.allow.total"),
    (Counter::Blocked, "decisions.block.total"),
    (Counter::Redirected, "decisions.redirect.total"),
    (Counter::Abandoned, "abandoned.total"),
    (Counter::Truncated, "body.truncated.total"),
    (Counter::Forged, "forged_headers.total"),
    (Counter::ReportsSent, "reports.sent.total"),
    (Counter::ReportsDropped, "reports.dropped.total"),
    (Counter::ReportsFailed, "reports.failed.total"),
    (Counter::HostErrors, "host_errors.total"),
];
