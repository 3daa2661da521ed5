//! How much unfinished messages may hold, all together, and records that wait: many slow senders, or many large requests,
//! must not be one large allocation.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes that unfinished messages may hold. Beyond it only those that fit the first read are taken.
const MOST: usize = 64 * 1024 * 1024;

/// Bytes that a record may hold on average, where many wait; few are as large as a client can make them. One finds a place in
/// any case.
const RECORD: usize = 8 * 1024;
const LARGEST_RECORD: usize = 1024 * 1024;

/// What is held by all.
#[derive(Debug)]
pub struct Memory {
    held: AtomicUsize,
    most: usize,
}

/// What is held by one; given back when it is dropped.
#[derive(Debug)]
pub struct Held {
    memory: Arc<Memory>,
    bytes: usize,
}

/// There is no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl Default for Memory {
    fn default() -> Self {
        Self { held: AtomicUsize::new(0), most: MOST }
    }
}

impl Memory {
    /// For as many as `most` records that wait to be written or sent.
    pub fn of_records(most: usize) -> Arc<Self> {
        let most = most.saturating_mul(RECORD).max(LARGEST_RECORD);
        Arc::new(Self { held: AtomicUsize::new(0), most })
    }

    /// Starts with nothing.
    pub fn hold(self: &Arc<Self>) -> Held {
        Held { memory: Arc::clone(self), bytes: 0 }
    }

    /// What is held by all.
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }
}

impl Held {
    /// Takes what is missing to hold `bytes`.
    ///
    /// # Errors
    ///
    /// When others hold too much.
    pub fn grow_to(&mut self, bytes: usize) -> Result<(), Full> {
        let Some(more) = bytes.checked_sub(self.bytes).filter(|more| *more > 0) else { return Ok(()) };
        let fits = |held: usize| held.checked_add(more).filter(|sum| *sum <= self.memory.most);
        match self.memory.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits) {
            Ok(_) => {
                self.bytes = bytes;
                Ok(())
            }
            Err(_) => Err(Full),
        }
    }

    /// Gives all back early, to go on with nothing.
    pub fn give_back(&mut self) {
        self.memory.held.fetch_sub(self.bytes, Ordering::Relaxed);
        self.bytes = 0;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.give_back();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_no_more_than_there_is_and_takes_it_back() {
        let memory = Arc::new(Memory { held: AtomicUsize::new(0), most: 100 });
        let (mut one, mut other) = (memory.hold(), memory.hold());
        assert_eq!(one.grow_to(60), Ok(()));
        assert_eq!(one.grow_to(50), Ok(()));
        assert_eq!(other.grow_to(41), Err(Full));
        assert_eq!(other.grow_to(40), Ok(()));
        assert_eq!(memory.held(), 100);
        drop(one);
        assert_eq!((memory.held(), other.grow_to(100)), (40, Ok(())));
        drop(other);
        assert_eq!(memory.held(), 0);
    }
}
