//! The log of events: who was flagged and until when, what was loaded, what went wrong.

use std::net::IpAddr;

use jiff::Timestamp;
use serde::Serialize;

use crate::lines::Lines;

/// The file.
pub type EventsLog = Lines<Event>;

/// Something that happened, as one line of JSON.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Event {
    timestamp: String,
    #[serde(flatten)]
    what: What,
}

/// What happened.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "Type", rename_all = "kebab-case", rename_all_fields = "PascalCase")]
pub enum What {
    /// A client's count came to a threshold.
    ThresholdReached {
        /// Whose address; anonymised where the site asks for that.
        source: IpAddr,
        /// What the threshold's flags mean: `flagged` or `info`.
        action: &'static str,
        /// The signal that is counted.
        signal: String,
        /// The threshold's name.
        threshold: String,
        /// Seconds over which it counts.
        window: u32,
        /// How many there are.
        count: u32,
        /// How many it takes.
        limit: u32,
    },
    /// A client reached a threshold and is flagged.
    Flagged {
        /// Whose address; anonymised where the site asks for that.
        source: IpAddr,
        /// `flagged`: attacks are blocked; `info`: they are marked.
        action: &'static str,
        /// The signal that was counted.
        signal: String,
        /// The threshold's name.
        threshold: String,
        /// Seconds over which it counts.
        window: u32,
        /// How many there were.
        count: u32,
        /// When it ends.
        expires: String,
    },
    /// A flag is over, or an operator took it away.
    Expired {
        /// Whose address.
        source: IpAddr,
        /// What it meant.
        action: &'static str,
        /// The signal that was counted.
        signal: String,
        /// Whether time or an operator ended it.
        by: &'static str,
    },
    /// A rate limit was reached.
    RateLimited {
        /// Whose request reached it; none where that is not known.
        source: Option<IpAddr>,
        /// The rule.
        rule: String,
        /// For how many seconds.
        seconds: u32,
    },
    /// A policy is in force.
    PolicyLoaded {
        /// What the agent may do.
        mode: String,
    },
    /// A policy was not loaded; the old one is in force.
    PolicyRefused {
        /// What is wrong.
        fault: String,
    },
    /// What was remembered before the start is remembered again.
    StateRestored {
        /// Flags that hold.
        flags: usize,
        /// Counts that count.
        counters: usize,
        /// Age of the snapshot in seconds.
        age: u64,
    },
}

impl Event {
    /// It happened at `millis` since 1970.
    pub fn new(millis: u64, what: What) -> Self {
        Self { timestamp: timestamp(millis), what }
    }
}

/// A time as records write it.
pub fn timestamp(millis: u64) -> String {
    let millis = i64::try_from(millis).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(millis).map_or_else(|_| Timestamp::MAX.to_string(), |at| at.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_a_line_that_says_what_and_when() {
        let what = What::Flagged {
            source: [192, 0, 2, 1].into(),
            action: "flagged",
            signal: "SQLI".to_owned(),
            threshold: "attacks".to_owned(),
            window: 60,
            count: 50,
            expires: timestamp(1_790_086_400_000),
        };
        let line = serde_json::to_string(&Event::new(1_790_000_000_000, what)).unwrap();
        assert_eq!(
            line,
            "{\"Timestamp\":\"2026-09-21T14:13:20Z\",\"Type\":\"flagged\",\"Source\":\"192.0.2.1\",\"Action\":\"flagged\",\
             \"Signal\":\"SQLI\",\"Threshold\":\"attacks\",\"Window\":60,\"Count\":50,\"Expires\":\"2026-09-22T14:13:20Z\"}"
        );
    }
}
