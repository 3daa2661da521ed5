//! How long things take, in a fixed number of counters.

use std::time::Duration;

use crate::counters::Counter;

/// Buckets; each ends a quarter above the one before, from a microsecond to about a second and a half.
const BUCKETS: usize = 64;

/// A distribution of durations.
#[derive(Debug)]
pub struct Latency {
    buckets: Vec<Counter>,
    /// Where each bucket ends: looked up for every request.
    bounds: Vec<Duration>,
    nanos: Counter,
}

/// What a distribution held at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Distribution {
    counts: Vec<u64>,
    nanos: u64,
}

impl Default for Latency {
    fn default() -> Self {
        Self {
            buckets: (0..BUCKETS).map(|_| Counter::default()).collect(),
            bounds: (0..BUCKETS - 1).map(bound).collect(),
            nanos: Counter::default(),
        }
    }
}

impl Latency {
    /// Counts one duration.
    pub fn add(&self, took: Duration) {
        let bucket = self.bounds.partition_point(|bound| took > *bound);
        if let Some(bucket) = self.buckets.get(bucket) {
            bucket.add();
        }
        self.nanos.add_many(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
    }

    /// What it holds now.
    pub fn now(&self) -> Distribution {
        Distribution { counts: self.buckets.iter().map(Counter::value).collect(), nanos: self.nanos.value() }
    }
}

impl Distribution {
    /// What came after `earlier`.
    pub fn since(&self, earlier: &Self) -> Self {
        let before = |index: usize| earlier.counts.get(index).copied().unwrap_or_default();
        let counts = self
            .counts
            .iter()
            .enumerate()
            .map(|(index, count)| count.saturating_sub(before(index)))
            .collect();
        Self { counts, nanos: self.nanos.saturating_sub(earlier.nanos) }
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// All durations together.
    pub fn sum(&self) -> Duration {
        Duration::from_nanos(self.nanos)
    }

    /// The duration that `percent` of all do not exceed, to within a quarter; none where there are none.
    pub fn percentile(&self, percent: u64) -> Option<Duration> {
        let rank = self.count().checked_mul(percent)?.div_ceil(100);
        if rank == 0 {
            return None;
        }
        let mut seen = 0;
        let index = self.counts.iter().position(|count| {
            seen += count;
            seen >= rank
        });
        index.map(bound)
    }

    /// How many there are up to each of a few bounds, for a histogram.
    pub fn coarse(&self) -> Vec<(Duration, u64)> {
        let pairs = self.counts.iter().enumerate();
        let every_fourth = pairs.collect::<Vec<_>>();
        every_fourth
            .chunks(4)
            .filter_map(|chunk| {
                let (last, _) = chunk.last()?;
                Some((bound(*last), chunk.iter().map(|(_, count)| **count).sum()))
            })
            .collect()
    }
}

/// The end of a bucket.
fn bound(index: usize) -> Duration {
    let exponent = i32::try_from(index).unwrap_or(i32::MAX);
    Duration::from_secs_f64(1e-6 * 1.25_f64.powi(exponent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_percentiles_to_within_a_quarter() {
        let latency = Latency::default();
        assert_eq!(latency.now().percentile(99), None);
        for millis in 1..=100 {
            latency.add(Duration::from_millis(millis));
        }
        let all = latency.now();
        for (percent, millis) in [(50, 50.0), (95, 95.0), (99, 99.0)] {
            let found = all.percentile(percent).unwrap().as_secs_f64() * 1e3;
            assert!((millis..millis * 1.25).contains(&found), "{percent}: {found}");
        }
        assert_eq!((all.count(), all.sum()), (100, Duration::from_millis(5050)));
        assert_eq!(all.coarse().iter().map(|(_, count)| count).sum::<u64>(), 100);
    }

    #[test]
    fn forgets_what_came_before() {
        let latency = Latency::default();
        latency.add(Duration::from_secs(3600));
        let before = latency.now();
        assert_eq!(latency.now().since(&before).percentile(50), None);
        latency.add(Duration::from_micros(10));
        assert_eq!(latency.now().since(&before).count(), 1);
    }
}
