//! Whether a client's connection is in use, so that idle ones can be closed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// The use of one connection.
#[derive(Debug)]
pub(crate) struct Activity {
    opened: Instant,
    under_way: AtomicUsize,
    /// When the last exchange ended, in milliseconds after `opened`.
    last: AtomicU64,
    close: AtomicBool,
    closing: Notify,
    slow: AtomicBool,
}

/// An exchange under way; over when it is dropped.
#[derive(Debug)]
pub(crate) struct Busy(Arc<Activity>);

impl Activity {
    /// A connection opened now.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            opened: Instant::now(),
            under_way: AtomicUsize::new(0),
            last: AtomicU64::new(0),
            close: AtomicBool::new(false),
            closing: Notify::new(),
            slow: AtomicBool::new(false),
        })
    }

    /// Begins an exchange.
    pub(crate) fn busy(self: &Arc<Self>) -> Busy {
        self.under_way.fetch_add(1, Ordering::Relaxed);
        Busy(Arc::clone(self))
    }

    /// Asks for the connection to be closed once its exchanges are over.
    pub(crate) fn close(&self) {
        self.close.store(true, Ordering::Release);
        self.closing.notify_one();
    }

    /// Whether that was asked.
    pub(crate) fn is_closing(&self) -> bool {
        self.close.load(Ordering::Acquire)
    }

    /// Waits until that is asked.
    pub(crate) async fn closed(&self) {
        self.closing.notified().await;
    }

    /// Notes that the peer was too slow for it to go on.
    pub(crate) fn slow(&self) {
        self.slow.store(true, Ordering::Relaxed);
    }

    /// Whether it was.
    pub(crate) fn was_slow(&self) -> bool {
        self.slow.load(Ordering::Relaxed)
    }

    /// How long the connection may still be idle; `None` where it has been for `limit`.
    pub(crate) fn left(&self, limit: Duration) -> Option<Duration> {
        if self.under_way.load(Ordering::Relaxed) > 0 {
            return Some(limit);
        }
        let idle_since = Duration::from_millis(self.last.load(Ordering::Relaxed));
        let idle = self.opened.elapsed().saturating_sub(idle_since);
        limit.checked_sub(idle).filter(|left| !left.is_zero())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let now = u64::try_from(self.0.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.last.store(now, Ordering::Relaxed);
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_idle_only_between_exchanges() {
        let activity = Activity::new();
        assert_eq!(activity.left(Duration::ZERO), None);
        assert!(activity.left(Duration::from_secs(60)).is_some());
        let busy = activity.busy();
        assert_eq!(activity.left(Duration::ZERO), Some(Duration::ZERO));
        drop(busy);
        assert_eq!(activity.left(Duration::ZERO), None);
    }
}
