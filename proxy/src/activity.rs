//! Whether a client's connection is in use, so that idle ones can be closed.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::unread::Unread;

/// The use of one connection.
#[derive(Debug)]
pub(crate) struct Activity {
    opened: Instant,
    /// Whether there was an exchange.
    begun: AtomicBool,
    under_way: AtomicUsize,
    /// When the last exchange ended, in milliseconds after `opened`.
    last: AtomicU64,
    close: AtomicBool,
    closing: Notify,
    slow: AtomicBool,
    /// Whether a head has begun and is not whole.
    heading: AtomicBool,
    /// Answers under way that can go unread.
    unread: Mutex<Vec<Unread>>,
}

/// How long a connection may be idle.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Idle {
    /// Before its first exchange.
    pub first: Duration,
    /// Between two.
    pub between: Duration,
    /// While an answer waits to be read.
    pub unread: Duration,
}

/// An exchange under way; over when it is dropped.
#[derive(Debug)]
pub(crate) struct Busy(Arc<Activity>);

impl Activity {
    /// A connection opened now.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            opened: Instant::now(),
            begun: AtomicBool::new(false),
            under_way: AtomicUsize::new(0),
            last: AtomicU64::new(0),
            close: AtomicBool::new(false),
            closing: Notify::new(),
            slow: AtomicBool::new(false),
            heading: AtomicBool::new(false),
            unread: Mutex::default(),
        })
    }

    /// Begins an exchange.
    pub(crate) fn busy(self: &Arc<Self>) -> Busy {
        self.begun.store(true, Ordering::Relaxed);
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

    /// Notes whether a head has begun: the peer is not idle then, and has a time of its own to send the rest.
    pub(crate) fn heading(&self, begun: bool) {
        self.heading.store(begun, Ordering::Relaxed);
    }

    /// Notes that the peer was too slow for it to go on.
    pub(crate) fn slow(&self) {
        self.slow.store(true, Ordering::Relaxed);
    }

    /// Whether it was.
    pub(crate) fn was_slow(&self) -> bool {
        self.slow.load(Ordering::Relaxed)
    }

    /// Looks after an answer, so that it is not left unread for ever.
    pub(crate) fn watch(&self, unread: Unread) {
        let mut all = self.unread.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() == all.capacity() {
            // Before it grows, those that are over make room.
            all.retain(|unread| !unread.is_over());
        }
        all.push(unread);
    }

    /// Takes away the answers that have gone unread for `longest`; how long no other will have.
    fn look_after(&self, longest: Duration) -> Duration {
        let mut all = self.unread.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = longest;
        all.retain(|unread| {
            let left = unread.left(longest);
            next = left.map_or(next, |left| left.min(next));
            left.is_some()
        });
        next
    }

    /// How long the connection may still be idle; `None` where it has been for as long as `idle` says.
    pub(crate) fn left(&self, idle: Idle) -> Option<Duration> {
        let limit = if self.begun.load(Ordering::Relaxed) { idle.between } else { idle.first };
        if self.under_way.load(Ordering::Relaxed) > 0 {
            return Some(self.look_after(idle.unread).min(limit));
        }
        if self.heading.load(Ordering::Relaxed) {
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
        let idle = Idle { first: Duration::from_secs(60), between: Duration::ZERO, unread: Duration::ZERO };
        assert!(activity.left(idle).is_some());
        assert_eq!(activity.left(Idle { first: Duration::ZERO, ..idle }), None);
        let busy = activity.busy();
        assert_eq!(activity.left(idle), Some(Duration::ZERO));
        drop(busy);
        assert_eq!(activity.left(idle), None);
        activity.heading(true);
        assert_eq!(activity.left(idle), Some(Duration::ZERO));
        activity.heading(false);
        assert!(activity.left(Idle { between: Duration::from_secs(60), ..idle }).is_some());
    }
}
