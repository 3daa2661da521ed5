//! Where it is told what happened: the log of requests, the log of events, a collector.

use std::net::IpAddr;

use portcullis_policy::{Event as OfPolicy, Flag, FlagKind};
use tracing::info;

use crate::anonymous::Anonymous;
use crate::clock;
use crate::counters::Counters;
use crate::events::{Event, EventsLog, What, timestamp};
use crate::lines::DataLog;
use crate::otlp::Otlp;
use crate::record::Record;

/// All that is configured.
#[derive(Debug, Default)]
pub struct Outlets {
    /// `waf-data-log`.
    pub data_log: Option<DataLog>,
    /// `events-log`.
    pub events_log: Option<EventsLog>,
    /// `otlp-logs-url`.
    pub otlp: Option<Otlp>,
}

impl Outlets {
    /// A request is written down.
    pub fn record(&self, record: Box<Record>) {
        match (&self.data_log, &self.otlp) {
            (Some(data_log), Some(otlp)) => {
                otlp.put(record.clone());
                data_log.put(record);
            }
            (Some(data_log), None) => data_log.put(record),
            (None, Some(otlp)) => otlp.put(record),
            (None, None) => {}
        }
    }

    /// Something happened.
    pub fn event(&self, what: What) {
        if let Some(log) = &self.events_log {
            log.put(Event::new(clock::millis(), what));
        }
    }

    /// Something happened beside a verdict on a request of `client`; `hidden` stands for addresses where the site asks for
    /// that.
    pub fn happened(
        &self,
        event: &OfPolicy,
        client: Option<IpAddr>,
        hidden: Option<&Anonymous>,
        counters: &Counters,
    ) {
        let show = |address: IpAddr| hidden.map_or(address, |hidden| hidden.of(address));
        match event {
            OfPolicy::Reached { client, threshold, signal, kind, interval, count, limit } => {
                counters.thresholds_reached.add();
                self.event(What::ThresholdReached {
                    source: show(client.address()),
                    action: kind.as_str(),
                    signal: signal.to_string(),
                    threshold: threshold.to_string(),
                    window: interval.seconds(),
                    count: *count,
                    limit: *limit,
                });
            }
            OfPolicy::Flagged { flag, threshold, interval, count } => {
                match flag.kind {
                    FlagKind::Block => counters.flagged.add(),
                    FlagKind::Log => counters.flagged_info.add(),
                }
                let source = show(flag.client.address());
                info!(%source, signal = %flag.cause, %threshold, count, "client flagged");
                self.event(What::Flagged {
                    source,
                    action: flag.kind.as_str(),
                    signal: flag.cause.to_string(),
                    threshold: threshold.to_string(),
                    window: interval.seconds(),
                    count: *count,
                    expires: timestamp(flag.until),
                });
            }
            OfPolicy::RateLimited { rule, seconds } => {
                counters.rate_limited.add();
                let (source, rule) = (client.map(show), rule.to_string());
                self.event(What::RateLimited { source, rule, seconds: *seconds });
            }
        }
    }

    /// A flag is over, by time or by an operator.
    pub fn expired(&self, flag: &Flag, by: &'static str, hidden: Option<&Anonymous>, counters: &Counters) {
        counters.unflagged.add();
        let address = flag.client.address();
        self.event(What::Expired {
            source: hidden.map_or(address, |hidden| hidden.of(address)),
            action: flag.kind.as_str(),
            signal: flag.cause.to_string(),
            by,
        });
    }

    /// Has the files opened again.
    pub fn reopen(&self) {
        if let Some(log) = &self.data_log {
            log.reopen();
        }
        if let Some(log) = &self.events_log {
            log.reopen();
        }
    }

    /// Has the threads that write end.
    pub fn end(&self) {
        if let Some(log) = &self.data_log {
            log.end();
        }
        if let Some(log) = &self.events_log {
            log.end();
        }
        if let Some(otlp) = &self.otlp {
            otlp.end();
        }
    }
}
