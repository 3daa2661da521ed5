//! How much requests that wait for their verdict may hold, all together: many slow senders must not be one large
//! allocation.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes that heads and bodies may hold while their requests wait; the same again messages of WebSockets that are under way.
const MOST: usize = 256 * 1024 * 1024;

/// What is held by all.
#[derive(Debug)]
pub(crate) struct Memory {
    held: AtomicUsize,
    most: usize,
}

/// What is held by one; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    memory: Arc<Memory>,
    bytes: usize,
}

/// There is no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no memory is left for it")]
pub(crate) struct Full;

impl Default for Memory {
    fn default() -> Self {
        Self { held: AtomicUsize::new(0), most: MOST }
    }
}

impl Memory {
    /// A share with nothing in it.
    pub(crate) fn share(self: &Arc<Self>) -> Share {
        Share { memory: Arc::clone(self), bytes: 0 }
    }

    /// As much as a test needs.
    #[cfg(test)]
    pub(crate) fn of(most: usize) -> Arc<Self> {
        Arc::new(Self { held: AtomicUsize::new(0), most })
    }

    /// What is held by all.
    pub(crate) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }
}

impl Share {
    /// Takes `more` bytes.
    ///
    /// # Errors
    /// When others hold too much.
    pub(crate) fn grow(&mut self, more: usize) -> Result<(), Full> {
        let before = self.memory.held.fetch_add(more, Ordering::Relaxed);
        if before.saturating_add(more) > self.memory.most {
            self.memory.held.fetch_sub(more, Ordering::Relaxed);
            return Err(Full);
        }
        self.bytes += more;
        Ok(())
    }

    /// Takes what is missing to hold `bytes`.
    ///
    /// # Errors
    /// When others hold too much.
    pub(crate) fn grow_to(&mut self, bytes: usize) -> Result<(), Full> {
        match bytes.checked_sub(self.bytes) {
            Some(more @ 1..) => self.grow(more),
            Some(0) | None => Ok(()),
        }
    }

    /// Gives `bytes` of it back.
    pub(crate) fn shrink(&mut self, bytes: usize) {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        self.memory.held.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Gives all of it back.
    pub(crate) fn release(&mut self) {
        self.memory.held.fetch_sub(std::mem::take(&mut self.bytes), Ordering::Relaxed);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_no_more_than_there_is_and_takes_it_back() {
        let memory = Memory::of(100);
        let (mut one, mut other) = (memory.share(), memory.share());
        assert_eq!(one.grow(60), Ok(()));
        assert_eq!(other.grow(41), Err(Full));
        assert_eq!(other.grow_to(40), Ok(()));
        assert_eq!(memory.held(), 100);
        drop(one);
        assert_eq!((memory.held(), other.grow_to(100)), (40, Ok(())));
        other.shrink(30);
        assert_eq!(memory.held(), 70);
        other.shrink(71);
        assert_eq!(memory.held(), 0);
        other.grow(5).unwrap();
        other.release();
        assert_eq!(memory.held(), 0);
    }
}
