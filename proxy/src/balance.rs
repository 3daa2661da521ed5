//! Which upstream gets the next request: in turn, skipping those that lately refused.

use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// The first pause of an upstream that refused; it doubles with every further refusal.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Upstreams taken in turn, with passive health: one that refuses a connection is skipped for a growing pause, and is
/// tried again after it, or at once where all others are skipped too.
#[derive(Debug)]
pub(crate) struct Balance {
    origin: Instant,
    next: AtomicUsize,
    upstreams: Vec<Health>,
}

#[derive(Debug, Default)]
struct Health {
    refusals: AtomicU32,
    /// Milliseconds after `origin` until which the upstream is skipped.
    skipped_until: AtomicU64,
}

impl Balance {
    /// A balance over `count` upstreams, all healthy at `now`.
    pub(crate) fn new(count: usize, now: Instant) -> Self {
        let upstreams = (0..count).map(|_| Health::default()).collect();
        Self { origin: now, next: AtomicUsize::new(0), upstreams }
    }

    /// Yields the order in which a request tries upstreams at `now`: each once, healthy ones first.
    pub(crate) fn order(&self, now: Instant) -> impl Iterator<Item = usize> + use<> {
        let count = self.upstreams.len();
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        let at = self.millis(now);
        let turn = (0..count).map(move |step| first.wrapping_add(step) % count.max(1));
        let skipped = |index: &usize| {
            self.upstreams.get(*index).is_some_and(|health| health.skipped_until.load(Ordering::Relaxed) > at)
        };
        // Mostly there are none, and then nothing is allocated.
        let resting: Vec<usize> = turn.clone().filter(skipped).collect();
        let last = resting.clone();
        turn.filter(move |index| !resting.contains(index)).chain(last)
    }

    /// Notes that upstream `index` took a connection.
    pub(crate) fn served(&self, index: usize) {
        if let Some(health) = self.upstreams.get(index) {
            health.refusals.store(0, Ordering::Relaxed);
            health.skipped_until.store(0, Ordering::Relaxed);
        }
    }

    /// Notes that upstream `index` refused a connection at `now`.
    pub(crate) fn refused(&self, index: usize, now: Instant) {
        if let Some(health) = self.upstreams.get(index) {
            let refusals = health.refusals.fetch_add(1, Ordering::Relaxed).min(16);
            let pause = FIRST_PAUSE.saturating_mul(1 << refusals).min(LONGEST_PAUSE);
            health.skipped_until.store(self.millis(now + pause), Ordering::Relaxed);
        }
    }

    fn millis(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.origin).as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_upstreams_in_turn() {
        let now = Instant::now();
        let balance = Balance::new(3, now);
        let firsts: Vec<usize> = (0..6).filter_map(|_| balance.order(now).next()).collect();
        assert_eq!(firsts, [0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn skips_one_that_refused_until_its_pause_is_over() {
        let now = Instant::now();
        let balance = Balance::new(2, now);
        balance.refused(0, now);
        for _ in 0..4 {
            assert_eq!(balance.order(now).collect::<Vec<_>>(), [1, 0]);
        }
        let later = now + FIRST_PAUSE;
        let firsts: Vec<usize> = (0..2).filter_map(|_| balance.order(later).next()).collect();
        assert_eq!(firsts, [0, 1]);
    }

    #[test]
    fn pauses_grow_to_a_limit_and_end_with_success() {
        let now = Instant::now();
        let balance = Balance::new(2, now);
        for _ in 0..40 {
            balance.refused(1, now);
        }
        let skipped = |at: Instant| (0..2).all(|_| balance.order(at).next() == Some(0));
        assert!(skipped(now + LONGEST_PAUSE - Duration::from_millis(1)));
        assert!(!skipped(now + LONGEST_PAUSE));
        balance.refused(1, now);
        balance.served(1);
        assert!(!skipped(now));
    }

    #[test]
    fn all_are_tried_where_all_refused() {
        let now = Instant::now();
        let balance = Balance::new(2, now);
        balance.refused(0, now);
        balance.refused(1, now);
        assert_eq!(balance.order(now).count(), 2);
    }
}
