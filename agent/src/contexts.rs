//! Requests that wait for the report of their response.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::ids::RequestId;
use crate::inspector::{Awaited, Responded};
use crate::record::Record;

/// Requests that may wait, and bytes that they may hold: what is beyond makes the oldest leave.
const MOST: usize = 20_000;
const MOST_BYTES: usize = 32 * 1024 * 1024;

/// What is kept of a request until its response is reported.
#[derive(Debug, Default)]
pub struct Context {
    /// Its record, where one is wanted.
    pub record: Option<Box<Record>>,
    /// Its path.
    pub path: Vec<u8>,
    /// What its response is judged by.
    pub awaited: Option<Box<Awaited>>,
    /// What came of its response, where that was asked about before it went out.
    pub responded: Option<Box<Responded>>,
}

impl Context {
    fn size(&self) -> usize {
        let responded = self.responded.as_ref().map_or(0, |_| 1024);
        128 + responded + self.path.len() + self.record.as_ref().map_or(0, |record| record.size())
    }
}

/// A table of requests by id, bounded in number, bytes and time.
#[derive(Debug)]
pub struct Contexts {
    table: Mutex<Table>,
    life: Duration,
}

#[derive(Debug, Default)]
struct Table {
    waiting: HashMap<RequestId, Context>,
    /// Ids by age; one whose request was answered meanwhile stays until it comes to the front.
    order: VecDeque<(Instant, RequestId)>,
    bytes: usize,
}

impl Contexts {
    /// Keeps requests for `life`.
    pub fn new(life: Duration) -> Self {
        Self { table: Mutex::default(), life }
    }

    /// Keeps a request, and returns those that had to leave for it.
    pub fn put(&self, id: RequestId, context: Context, now: Instant) -> Vec<Context> {
        let mut table = self.table();
        table.bytes += context.size();
        table.waiting.insert(id, context);
        table.order.push_back((now, id));
        let mut gone = Vec::new();
        while table.waiting.len() > MOST || table.bytes > MOST_BYTES || table.order.len() > 2 * MOST {
            match table.order.pop_front() {
                Some((_, oldest)) => gone.extend(table.remove(oldest)),
                None => break,
            }
        }
        gone
    }

    /// Takes the request that a response belongs to.
    pub fn take(&self, id: RequestId) -> Option<Context> {
        self.table().remove(id)
    }

    /// Removes those whose time is up at `now`, and returns them.
    pub fn sweep(&self, now: Instant) -> Vec<Context> {
        let mut table = self.table();
        let mut gone = Vec::new();
        while let Some((_, id)) =
            table.order.pop_front_if(|(since, _)| now.saturating_duration_since(*since) >= self.life)
        {
            gone.extend(table.remove(id));
        }
        gone
    }

    /// Removes all, and returns them.
    pub fn clear(&self) -> Vec<Context> {
        let table = std::mem::take(&mut *self.table());
        table.waiting.into_values().collect()
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.table().waiting.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // Every change is complete before the next can panic.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn remove(&mut self, id: RequestId) -> Option<Context> {
        let context = self.waiting.remove(&id)?;
        self.bytes = self.bytes.saturating_sub(context.size());
        Some(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Ids;

    #[test]
    fn gives_a_request_back_once() {
        let (contexts, ids) = (Contexts::new(Duration::from_secs(10)), Ids::default());
        let id = ids.make();
        assert!(contexts.put(id, Context::default(), Instant::now()).is_empty());
        assert!(contexts.take(ids.make()).is_none());
        assert!(contexts.take(id).is_some());
        assert!(contexts.take(id).is_none());
        assert_eq!((contexts.len(), contexts.table().bytes), (0, 0));
    }

    #[test]
    fn forgets_what_is_too_old_and_nothing_else() {
        let (contexts, ids) = (Contexts::new(Duration::from_secs(10)), Ids::default());
        let start = Instant::now();
        let (old, young) = (ids.make(), ids.make());
        contexts.put(old, Context::default(), start);
        contexts.put(young, Context::default(), start + Duration::from_secs(5));
        assert!(contexts.sweep(start + Duration::from_secs(9)).is_empty());
        assert_eq!(contexts.sweep(start + Duration::from_secs(10)).len(), 1);
        assert!(contexts.take(old).is_none());
        assert!(contexts.take(young).is_some());
    }

    #[test]
    fn never_holds_more_than_it_may() {
        let (contexts, ids) = (Contexts::new(Duration::from_secs(10)), Ids::default());
        let now = Instant::now();
        let gone: usize =
            (0..MOST + 100).map(|_| contexts.put(ids.make(), Context::default(), now).len()).sum();
        assert_eq!((gone, contexts.len()), (100, MOST));
        // Ids of requests that were answered do not pile up either.
        for _ in 0..3 * MOST {
            let id = ids.make();
            contexts.put(id, Context::default(), now);
            contexts.take(id);
        }
        assert!(contexts.table().order.len() <= 2 * MOST);
    }
}
