//! The counters in the form that Prometheus reads.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_proxy::Handle;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use crate::health::Health;
use crate::latency::Distribution;
use crate::process;
use crate::proxy::Door;
use crate::service::Service;

/// The content type of what [`Metrics::text`] writes.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What can be asked for.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
}

#[derive(Debug)]
struct Source {
    service: Arc<Service>,
    health: Arc<Health>,
    proxy: Option<Arc<Handle<Door>>>,
    started: Instant,
}

impl Metrics {
    /// Reads the numbers of `service` and `health`, and of the reverse proxy where there is one.
    pub fn new(service: Arc<Service>, health: Arc<Health>, proxy: Option<Arc<Handle<Door>>>) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Source { service, health, proxy, started: Instant::now() }));
        Self { registry }
    }

    /// The numbers now.
    ///
    /// # Errors
    ///
    /// When there is no memory for them.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

impl Collector for Source {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let counters = &self.service.counters;
        for family in counters.families() {
            let mut metric =
                encoder.encode_descriptor(family.name, family.help, None, MetricType::Counter)?;
            if family.label.is_empty() {
                let sum: u64 = family.values.iter().map(|(_, count)| count).sum();
                ConstCounter::new(sum).encode(metric)?;
                continue;
            }
            for (value, count) in family.values {
                ConstCounter::new(count).encode(metric.encode_family(&[(family.label, value)])?)?;
            }
        }
        let mut metric =
            encoder.encode_descriptor("waf_signals", "Signals by tag", None, MetricType::Counter)?;
        for (tag, count) in counters.signals.all().filter(|(_, count)| *count > 0) {
            ConstCounter::new(count).encode(metric.encode_family(&[("tag", tag.as_str())])?)?;
        }
        let mut metric = encoder.encode_descriptor(
            "waf_policy_signals",
            "Signals that the policy added",
            None,
            MetricType::Counter,
        )?;
        for (name, count) in counters.signals.named() {
            ConstCounter::new(count).encode(metric.encode_family(&[("signal", name.as_str())])?)?;
        }
        let usage = self.service.keeping.state().usage();
        let evicted = [
            ("counters", usage.counters_evicted),
            ("flags", usage.flags_evicted),
            ("rates", usage.rates_evicted),
        ];
        let mut metric = encoder.encode_descriptor(
            "waf_state_evicted",
            "What had to be forgotten for others",
            None,
            MetricType::Counter,
        )?;
        for (kind, count) in evicted {
            ConstCounter::new(count).encode(metric.encode_family(&[("kind", kind)])?)?;
        }
        histogram(
            &mut encoder,
            "waf_decision",
            "Time from a whole message to its answer",
            &counters.decision.now(),
        )?;
        histogram(
            &mut encoder,
            "waf_queue",
            "How much of it a message waited for a thread",
            &counters.queued.now(),
        )?;
        let seconds = process::cpu_time().as_secs_f64();
        let help = "CPU time used by all threads";
        let metric =
            encoder.encode_descriptor("process_cpu", help, Some(&Unit::Seconds), MetricType::Counter)?;
        ConstCounter::new(seconds).encode(metric)?;
        if let Some(proxy) = &self.proxy {
            proxied(&mut encoder, proxy)?;
        }
        self.gauges(&mut encoder)
    }
}

impl Source {
    fn gauges(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let service = &self.service;
        let usage = service.keeping.state().usage();
        let number = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        let gauges = [
            (
                "waf_connections_open",
                "Open connections",
                i64::try_from(service.counters.open()).unwrap_or(i64::MAX),
            ),
            (
                "waf_contexts_waiting",
                "Requests that wait for the report of their response",
                number(service.contexts.len()),
            ),
            ("waf_memory_held_bytes", "Bytes that unfinished messages hold", number(service.memory.held())),
            (
                "waf_state_counters",
                "Counts of signals by address that are remembered",
                number(usage.counters),
            ),
            ("waf_state_flags", "Flagged clients", number(usage.flags)),
            ("waf_state_rates", "Clients that rate limits count", number(usage.rates)),
            ("waf_state_bytes", "Bytes that what is remembered of clients takes", number(usage.bytes)),
            (
                "waf_state_degraded",
                "1 where the end of the process would forget flags and counts",
                i64::from(self.health.state_fault().is_some()),
            ),
            (
                "waf_degraded",
                "1 where the last reload failed and the old policy is in force",
                i64::from(self.health.fault().is_some()),
            ),
            (
                "process_resident_memory_bytes",
                "Memory in use",
                process::resident_bytes().and_then(|bytes| i64::try_from(bytes).ok()).unwrap_or(-1),
            ),
            (
                "process_uptime_seconds",
                "Time since the start",
                i64::try_from(self.started.elapsed().as_secs()).unwrap_or(i64::MAX),
            ),
        ];
        for (name, help, value) in gauges {
            let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            ConstGauge::new(value).encode(metric)?;
        }
        Ok(())
    }
}

fn proxied(encoder: &mut DescriptorEncoder<'_>, proxy: &Handle<Door>) -> fmt::Result {
    for family in proxy.counters().families() {
        let mut metric = encoder.encode_descriptor(family.name, family.help, None, MetricType::Counter)?;
        if let [(labels, count)] = family.values.as_slice()
            && labels.is_empty()
        {
            ConstCounter::new(*count).encode(metric)?;
            continue;
        }
        for (labels, count) in family.values {
            ConstCounter::new(count).encode(metric.encode_family(&labels)?)?;
        }
    }
    let help = "Access log lines dropped because too many waited to be written";
    let metric =
        encoder.encode_descriptor("waf_proxy_access_log_lines_lost", help, None, MetricType::Counter)?;
    ConstCounter::new(proxy.lines_lost()).encode(metric)?;
    let open = i64::try_from(proxy.counters().open()).unwrap_or(i64::MAX);
    let held = i64::try_from(proxy.memory_held()).unwrap_or(i64::MAX);
    for (name, help, value) in [
        ("waf_proxy_connections_open", "Open connections of clients", open),
        ("waf_proxy_memory_held_bytes", "Bytes that requests hold which wait for their verdict", held),
    ] {
        let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        ConstGauge::new(value).encode(metric)?;
    }
    Ok(())
}

fn histogram(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, all: &Distribution) -> fmt::Result {
    let mut metric = encoder.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Histogram)?;
    let bounds = all.coarse();
    let last = bounds.len().saturating_sub(1);
    // What is beyond the last bound is in the last bucket.
    let bound = |(index, (bound, count)): (usize, &(Duration, u64))| {
        (if index == last { f64::MAX } else { bound.as_secs_f64() }, *count)
    };
    let buckets: Vec<(f64, u64)> = bounds.iter().enumerate().map(bound).collect();
    metric.encode_histogram::<NoLabelSet>(all.sum().as_secs_f64(), all.count(), &buckets, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_every_counter() {
        let service = Service::testing(1, Duration::from_secs(1));
        service.counters.blocked.add();
        service.counters.signals.add(&[portcullis_detect::Tag::Sqli]);
        service.counters.decision.add(Duration::from_micros(50));
        let text = Metrics::new(Arc::clone(&service), Arc::default(), None).text().unwrap();
        for line in [
            "waf_requests_total{outcome=\"blocked\"} 1",
            "waf_requests_total{outcome=\"timed_out\"} 0",
            "waf_connections_total 0",
            "waf_contexts_lost_total{reason=\"no_request\"} 0",
            "waf_records_total{outcome=\"dropped\"} 0",
            "waf_signals_total{tag=\"SQLI\"} 1",
            "waf_decision_seconds_count 1",
            "waf_degraded 0",
            "# TYPE waf_requests counter",
        ] {
            assert!(text.lines().any(|have| have == line), "{line} is not in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }
}
