//! What happened, in numbers.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use portcullis_framing::Rejection;

use crate::failure::Reason;

/// Counts of all listeners since the process started.
#[derive(Debug, Default)]
pub struct Counters {
    pub(crate) connections: Counter,
    pub(crate) closed: Counter,
    pub(crate) connections_failed: [Counter; ConnectionFault::ALL.len()],
    pub(crate) requests: [Counter; Outcome::ALL.len()],
    pub(crate) failures: [Counter; Reason::ALL.len()],
    pub(crate) retries: Counter,
    pub(crate) switches: Counter,
    pub(crate) upstream_connections: Counter,
    /// The keys are the names of rejections, so there are few.
    rejections: Mutex<BTreeMap<&'static str, u64>>,
}

/// A family of counters of one name, each with its labels.
#[derive(Clone, Debug)]
pub struct Family {
    /// Name, without the suffix of counters.
    pub name: &'static str,
    /// What is counted.
    pub help: &'static str,
    /// Labels and count.
    pub values: Vec<(Vec<(&'static str, &'static str)>, u64)>,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// An upstream answered.
    Forwarded,
    /// The verdict was to block.
    Blocked,
    /// Its framing was refused.
    Refused,
    /// It failed.
    Failed,
}

/// Why a connection came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConnectionFault {
    /// Accepting failed.
    Accept,
    /// Its PROXY protocol header was missing or malformed.
    Preamble,
    /// Its TLS handshake failed.
    Tls,
    /// It was silent, or sent a head too slowly, or stopped reading.
    Slow,
}

impl Outcome {
    const ALL: [Self; 4] = [Self::Forwarded, Self::Blocked, Self::Refused, Self::Failed];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Forwarded => "forwarded",
            Self::Blocked => "blocked",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

impl ConnectionFault {
    const ALL: [Self; 4] = [Self::Accept, Self::Preamble, Self::Tls, Self::Slow];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Preamble => "proxy_protocol",
            Self::Tls => "tls",
            Self::Slow => "slow",
        }
    }
}

impl Counters {
    pub(crate) fn request(&self, outcome: Outcome) {
        // The variants are the indices of the array.
        if let Some(counter) = self.requests.get(outcome as usize) {
            counter.add();
        }
    }

    pub(crate) fn failure(&self, reason: Reason) {
        if let Some(counter) = self.failures.get(reason.index()) {
            counter.add();
        }
    }

    pub(crate) fn connection_failed(&self, fault: ConnectionFault) {
        if let Some(counter) = self.connections_failed.get(fault as usize) {
            counter.add();
        }
    }

    pub(crate) fn rejection(&self, rejection: Rejection) {
        let mut rejections = self.rejections.lock().unwrap_or_else(PoisonError::into_inner);
        *rejections.entry(rejection.as_str()).or_default() += 1;
    }

    /// Connections of clients that are open.
    pub fn open(&self) -> u64 {
        // The other order could find one closed that is not yet counted.
        let closed = self.closed.value();
        self.connections.value().saturating_sub(closed)
    }

    /// Every counter by family.
    pub fn families(&self) -> Vec<Family> {
        let one = |counter: &Counter| vec![(Vec::new(), counter.value())];
        let failures = Reason::ALL.iter().zip(&self.failures).map(|(reason, counter)| {
            let labels = vec![("fault", reason.fault().as_str()), ("reason", reason.as_str())];
            (labels, counter.value())
        });
        let requests = Outcome::ALL.iter().zip(&self.requests);
        let connections = ConnectionFault::ALL.iter().zip(&self.connections_failed);
        let rejections = self.rejections.lock().unwrap_or_else(PoisonError::into_inner);
        vec![
            Family {
                name: "waf_proxy_requests",
                help: "Proxied requests, by what became of them",
                values: requests
                    .map(|(outcome, counter)| (vec![("outcome", outcome.as_str())], counter.value()))
                    .collect(),
            },
            Family {
                name: "waf_proxy_failures",
                help: "Requests without a whole answer from an upstream, by who was at fault and why",
                values: failures.collect(),
            },
            Family {
                name: "waf_proxy_rejections",
                help: "Requests refused for their framing, by reason",
                values: rejections.iter().map(|(name, count)| (vec![("reason", *name)], *count)).collect(),
            },
            Family {
                name: "waf_proxy_retries",
                help: "Requests sent a second time because an idle connection was closed under them",
                values: one(&self.retries),
            },
            Family {
                name: "waf_proxy_switches",
                help: "Connections switched to another protocol, such as WebSocket",
                values: one(&self.switches),
            },
            Family {
                name: "waf_proxy_connections",
                help: "Connections of clients accepted",
                values: one(&self.connections),
            },
            Family {
                name: "waf_proxy_connections_failed",
                help: "Connections of clients that came to nothing",
                values: connections
                    .map(|(fault, counter)| (vec![("reason", fault.as_str())], counter.value()))
                    .collect(),
            },
            Family {
                name: "waf_proxy_upstream_connections",
                help: "Connections made to upstreams",
                values: one(&self.upstream_connections),
            },
        ]
    }
}

/// One number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Counts one.
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// The number.
    pub(crate) fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
