//! Warnings that repeat: the first few are logged, the rest are counted and summed up.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::callsite::Identifier;
use tracing::{Event, Level, Metadata, Subscriber, warn};
use tracing_subscriber::layer::{Context, Filter};

use crate::counters::Counters;

/// Lines from one place in one window.
const MOST: u64 = 10;
const WINDOW: Duration = Duration::from_secs(10);

/// Events of this target say how the process was started; there are as many as it needs.
pub const STARTUP: &str = "startup";

/// Events of this target say what was left out; whoever sees warnings sees them, too.
const SUMS: &str = "repeats";

/// What was logged how often.
#[derive(Clone, Debug)]
pub struct Repeats {
    places: Arc<Mutex<HashMap<Identifier, Place>>>,
    counters: Arc<Counters>,
}

#[derive(Debug)]
struct Place {
    name: String,
    since: Instant,
    logged: u64,
    suppressed: u64,
}

impl Repeats {
    /// Counts what is left out in `counters`.
    pub fn new(counters: &Arc<Counters>) -> Self {
        // The code has a bounded number of places that log, so the table is bounded too.
        Self { places: Arc::default(), counters: Arc::clone(counters) }
    }

    /// Logs how much was left out since the last time.
    pub fn sum_up(&self) {
        let left_out: Vec<(String, u64)> = self
            .places()
            .values_mut()
            .filter(|place| place.suppressed > 0)
            .map(|place| (place.name.clone(), std::mem::take(&mut place.suppressed)))
            .collect();
        for (place, times) in left_out {
            warn!(target: SUMS, times, place, "warnings left out because they repeat");
        }
    }

    fn allows(&self, metadata: &Metadata<'_>, now: Instant) -> bool {
        if *metadata.level() > Level::WARN || [STARTUP, SUMS].contains(&metadata.target()) {
            return true;
        }
        let mut places = self.places();
        let place = places.entry(metadata.callsite()).or_insert_with(|| Place {
            name: format!("{}:{}", metadata.target(), metadata.line().unwrap_or_default()),
            since: now,
            logged: 0,
            suppressed: 0,
        });
        if now.saturating_duration_since(place.since) >= WINDOW {
            place.since = now;
            place.logged = 0;
        }
        if place.logged < MOST {
            place.logged += 1;
            return true;
        }
        place.suppressed += 1;
        self.counters.log_repeated.add();
        false
    }

    fn places(&self) -> MutexGuard<'_, HashMap<Identifier, Place>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Subscriber> Filter<S> for Repeats {
    fn enabled(&self, _metadata: &Metadata<'_>, _context: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _context: &Context<'_, S>) -> bool {
        self.allows(event.metadata(), Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use tracing::callsite::Callsite;

    use super::*;

    #[test]
    fn lets_a_place_log_a_few_times_a_window() {
        struct Here;
        impl tracing::callsite::Callsite for Here {
            fn set_interest(&self, _interest: tracing::subscriber::Interest) {}
            fn metadata(&self) -> &Metadata<'_> {
                &HERE
            }
        }
        static HERE: Metadata<'static> = Metadata::new(
            "event",
            "here",
            Level::WARN,
            None,
            Some(7),
            None,
            tracing::field::FieldSet::new(&[], Identifier(&Here)),
            tracing::metadata::Kind::EVENT,
        );
        let counters = Arc::default();
        let repeats = Repeats::new(&counters);
        let start = Instant::now();
        let logged = (0..25).filter(|_| repeats.allows(Here.metadata(), start)).count();
        assert_eq!((logged, counters.log_repeated.value()), (10, 15));
        assert!(repeats.allows(&HERE, start + WINDOW));
        repeats.sum_up();
        assert!(repeats.places().values().all(|place| place.suppressed == 0 && place.name == "here:7"));
    }
}
