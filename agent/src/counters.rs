//! What happened, in numbers.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use portcullis_detect::Tag;

use crate::latency::Latency;

macro_rules! counters {
    ($($family:literal $label:literal $help:literal { $($name:ident $value:literal $doc:literal)* })*) => {
        /// Counts since the process started.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($(#[doc = $doc] pub $name: Counter,)*)*
            /// Connections that are over.
            pub closed: Counter,
            /// Signals by tag.
            pub signals: Signals,
            /// From a whole message to its answer.
            pub decision: Latency,
            /// How much of it a message waited for a thread.
            pub queued: Latency,
        }

        impl Counters {
            /// Every counter with its name.
            pub fn all(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$($((stringify!($name), self.$name.value()),)*)*].into_iter()
            }

            /// Every counter by family.
            pub fn families(&self) -> Vec<Family> {
                vec![$(Family {
                    name: $family,
                    help: $help,
                    label: $label,
                    values: vec![$(($value, self.$name.value())),*],
                }),*]
            }
        }
    };
}

counters! {
    "waf_requests" "outcome" "Requests asked about, by what became of them" {
        allowed "allowed" "Requests let pass after inspection."
        blocked "blocked" "Requests stopped."
        unwatched "unwatched" "Requests let pass because the agent is off."
        unsampled "unsampled" "Requests let pass because they were not in the sample."
        timed_out "timed_out" "Requests not inspected because it took too long."
        shed "shed" "Requests not inspected because too many were under inspection."
        faulted "faulted" "Requests not inspected because the agent failed on them."
        disabled "disabled" "Requests not inspected because processing is turned off."
    }
    "waf_filter_requests" "outcome" "Requests that filters judged by themselves, by what became of them" {
        passed_by_filter "passed" "Requests that a filter let pass without asking."
        blocked_by_filter "blocked" "Requests that a filter stopped while it could not ask."
    }
    "waf_inspections_limited" "" "Inspections that spent a budget: part of the request was not read" {
        limited "" "Inspections that spent a budget."
    }
    "waf_reports" "kind" "Responses reported, by how" {
        updates "update" "Responses reported by id."
        posts "post" "Responses reported together with their request."
        bad_reports "bad" "Reports within a batch that are no message."
    }
    "waf_responses_asked" "" "Responses that were asked about before they went out" {
        responses "" "Responses that were asked about before they went out."
    }
    "waf_contexts_lost" "reason" "Requests whose response was never joined to them, and responses without request" {
        expired "expired" "Requests whose response was not reported in time."
        evicted "evicted" "Requests forgotten because too many waited for their response."
        orphans "no_request" "Responses reported under an id that nobody waits for."
    }
    "waf_connections" "" "Connections accepted" {
        connections "" "Connections accepted."
    }
    "waf_connections_failed" "reason" "Connections and calls that went wrong" {
        refused "refused" "Calls answered with an error."
        cut_off "cut_off" "Connections that ended, or ran out of time, within a request."
        crowded_out "no_memory" "Calls refused because slow senders held all memory for unfinished messages."
        unaccepted "accept" "Times that accepting a connection failed."
    }
    "waf_modules" "" "Modules that announced themselves" {
        modules "" "Modules that announced themselves."
    }
    "waf_records" "outcome" "Records of requests, by what became of them" {
        records "written" "Records written."
        records_dropped "dropped" "Records dropped because too many waited to be written."
        records_failed "failed" "Records that could not be written."
    }
    "waf_events" "outcome" "Lines of events-log, by what became of them" {
        events "written" "Events written."
        events_dropped "dropped" "Events dropped because too many waited to be written."
        events_failed "failed" "Events that could not be written."
    }
    "waf_uploads" "outcome" "Lines of upload-log, by what became of them" {
        uploads "written" "Lines of upload-log written."
        uploads_dropped "dropped" "Lines of upload-log dropped because too many waited."
        uploads_failed "failed" "Lines of upload-log that could not be written."
    }
    "waf_otlp_records" "outcome" "Records for otlp-logs-url, by what became of them" {
        otlp_sent "sent" "Records that the collector took."
        otlp_dropped "dropped" "Records dropped because too many waited to be sent."
        otlp_failed "failed" "Records that the collector did not take."
    }
    "waf_state_snapshots" "outcome" "Snapshots of the state, by what became of them" {
        snapshots "written" "Snapshots written."
        snapshots_failed "failed" "Snapshots that could not be written."
    }
    "waf_state_records" "outcome" "Flags for the journal that did not get there in time" {
        state_lost "lost" "Flags that could not be appended to the journal; the next snapshot has them."
        state_late "late" "Answers that did not wait any longer for the journal."
    }
    "waf_flags" "kind" "Clients flagged" {
        flagged "flagged" "Clients flagged, whose attacks are blocked."
        flagged_info "info" "Clients flagged, whose attacks are marked."
        unflagged "expired" "Flags that are over."
        rate_limited "rate_limited" "Times that a client reached a rate limit."
        thresholds_reached "reached" "Times that a client's count came to a threshold."
    }
    "waf_log_lines_lost" "reason" "Lines of the agent's own log that are not in it" {
        log_failed "failed" "Log lines that could not be written to the log."
        log_repeated "repeated" "Warnings left out because they repeat."
    }
    "waf_reloads" "outcome" "Reloads, by what became of them" {
        reloads "done" "Reloads done."
        reloads_failed "failed" "Reloads that left the old policy in force."
    }
}

/// Counters with one name, told apart by a label.
#[derive(Clone, Debug)]
pub struct Family {
    /// Name, without the unit's suffix.
    pub name: &'static str,
    /// What is counted.
    pub help: &'static str,
    /// The label; empty where there is one counter only.
    pub label: &'static str,
    /// Label value and count.
    pub values: Vec<(&'static str, u64)>,
}

impl Counters {
    /// Requests that were not inspected though they should have been.
    pub fn not_inspected(&self) -> u64 {
        [&self.timed_out, &self.shed, &self.faulted, &self.disabled].map(Counter::value).iter().sum()
    }

    /// Connections that are open.
    pub fn open(&self) -> u64 {
        // The other order could find one closed that is not yet counted.
        let closed = self.closed.value();
        self.connections.value().saturating_sub(closed)
    }

    /// Requests asked about.
    pub fn requests(&self) -> u64 {
        let passed = [&self.allowed, &self.blocked, &self.unwatched, &self.unsampled].map(Counter::value);
        passed.iter().sum::<u64>() + self.not_inspected()
    }
}

/// One number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Counts one.
    pub fn add(&self) {
        self.add_many(1);
    }

    /// Counts `many`.
    pub fn add_many(&self, many: u64) {
        self.0.fetch_add(many, Ordering::Relaxed);
    }

    /// The number.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Names that are counted: policies come and go, and each has a bounded number.
const MOST_NAMED: usize = 4096;

/// A number for every tag, and for what policies add.
#[derive(Debug)]
pub struct Signals {
    known: Vec<Counter>,
    named: Mutex<BTreeMap<String, u64>>,
}

impl Default for Signals {
    fn default() -> Self {
        Self { known: Tag::ALL.iter().map(|_| Counter::default()).collect(), named: Mutex::default() }
    }
}

impl Signals {
    /// Counts each of `tags`.
    pub fn add(&self, tags: &[Tag]) {
        let index = |tag: &Tag| Tag::ALL.iter().position(|known| known == tag);
        tags.iter().filter_map(index).filter_map(|index| self.known.get(index)).for_each(Counter::add);
    }

    /// Counts each signal that a policy added. What is beyond `MOST_NAMED` names is not counted.
    pub fn add_named<'a>(&self, names: impl Iterator<Item = &'a str>) {
        let mut names = names.peekable();
        if names.peek().is_none() {
            return;
        }
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        for name in names {
            if let Some(count) = named.get_mut(name) {
                *count += 1;
            } else if named.len() < MOST_NAMED {
                named.insert(name.to_owned(), 1);
            }
        }
    }

    /// Every signal that policies added, with its number.
    pub fn named(&self) -> BTreeMap<String, u64> {
        self.named.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Every tag with its number.
    pub fn all(&self) -> impl Iterator<Item = (Tag, u64)> {
        Tag::ALL.iter().copied().zip(self.known.iter().map(Counter::value))
    }
}

/// The counters that are not zero, for one line of log.
impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (name, value) in self.all().filter(|(_, value)| *value > 0) {
            write!(f, "{separator}{name} {value}")?;
            separator = ", ";
        }
        Ok(())
    }
}
