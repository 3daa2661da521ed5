//! Connections to one upstream between two requests, a shelf for each worker.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::http1::Http1;
use crate::wire::Wire;

/// A worker's shelf. A worker whose own is empty takes from the others': a connection moved costs less than a new one.
#[derive(Debug)]
pub(crate) struct Shelf {
    all: Arc<Shelves>,
    own: usize,
}

#[derive(Debug)]
struct Shelves {
    /// The one last used at the end.
    idle: Vec<Mutex<Vec<Idle>>>,
    /// How many there are.
    kept: AtomicUsize,
}

#[derive(Debug)]
struct Idle {
    connection: Kept,
    since: Instant,
}

/// A connection between two requests.
#[derive(Debug)]
pub(crate) enum Kept {
    /// Driven by whoever uses it.
    Wire(Box<Wire>),
    /// hyper has it, in a task of its own.
    Http1(Http1),
}

impl Shelf {
    /// That of the first of `workers`.
    pub(crate) fn new(workers: usize) -> Self {
        let idle = (0..workers.max(1)).map(|_| Mutex::default()).collect();
        Self { all: Arc::new(Shelves { idle, kept: AtomicUsize::new(0) }), own: 0 }
    }

    /// That of the worker of this number.
    pub(crate) fn beside(&self, worker: usize) -> Self {
        Self { all: Arc::clone(&self.all), own: worker }
    }

    /// A connection that can be used and has not been idle for `longest`.
    pub(crate) fn take(&self, longest: Duration) -> Option<Kept> {
        loop {
            let (Idle { mut connection, since }, shelf) = self.pop()?;
            if since.elapsed() >= longest || !connection.rest() {
                continue;
            }
            if shelf == self.own {
                return Some(connection);
            }
            if let Some(moved) = connection.rehomed() {
                return Some(moved);
            }
        }
    }

    /// Keeps a connection if it can be used again, unless all shelves together hold `most`.
    pub(crate) fn keep(&self, mut connection: Kept, most: usize) {
        let Some(idle) = self.all.idle.get(self.own) else { return };
        if !connection.rest() {
            return;
        }
        if self.all.kept.fetch_add(1, Ordering::Relaxed) < most {
            lock(idle).push(Idle { connection, since: Instant::now() });
        } else {
            self.all.kept.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Closes those that cannot be used any more, or have been idle for `longest`.
    pub(crate) fn tidy(&self, now: Instant, longest: Duration) {
        let fresh = |idle: &mut Idle| now.duration_since(idle.since) < longest && idle.connection.rest();
        let Some(idle) = self.all.idle.get(self.own) else { return };
        let mut idle = lock(idle);
        let before = idle.len();
        idle.retain_mut(fresh);
        self.all.kept.fetch_sub(before - idle.len(), Ordering::Relaxed);
    }

    /// The one last used on its own shelf, or on another where that is empty, with the shelf's number.
    fn pop(&self) -> Option<(Idle, usize)> {
        let count = self.all.idle.len();
        let mut order = (self.own..count).chain(0..self.own.min(count));
        let found = order.find_map(|shelf| Some((lock(self.all.idle.get(shelf)?).pop()?, shelf)))?;
        self.all.kept.fetch_sub(1, Ordering::Relaxed);
        Some(found)
    }
}

impl Kept {
    /// The same for the thread at hand; none where it cannot be moved.
    fn rehomed(self) -> Option<Self> {
        match self {
            Self::Wire(wire) => {
                let moved = wire.into_stream().rehomed()?;
                Some(Self::Wire(Box::new(Wire::new(moved))))
            }
            Self::Http1(_) => None,
        }
    }

    /// Leaves it to nobody; whether it can take another request.
    fn rest(&mut self) -> bool {
        match self {
            Self::Wire(wire) => wire.rest(),
            Self::Http1(connection) => connection.rest(),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::connect::Stream;

    const LONG: Duration = Duration::from_secs(60);

    async fn connection(listener: &TcpListener) -> (Kept, TcpStream) {
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (upstream, _) = listener.accept().await.unwrap();
        (Kept::Wire(Box::new(Wire::new(Stream::Plain(stream)))), upstream)
    }

    #[tokio::test]
    async fn all_shelves_together_hold_no_more_than_they_may() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let one = Shelf::new(2);
        let other = one.beside(1);
        let mut open = Vec::new();
        for shelf in [&one, &other, &one] {
            let (kept, upstream) = connection(&listener).await;
            shelf.keep(kept, 2);
            open.push(upstream);
        }
        assert!(one.take(LONG).is_some());
        // From the other shelf.
        assert!(one.take(LONG).is_some());
        assert!(one.take(LONG).is_none());
    }

    #[tokio::test]
    async fn what_is_idle_for_too_long_is_closed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let shelf = Shelf::new(1);
        let (kept, _upstream) = connection(&listener).await;
        shelf.keep(kept, 1);
        shelf.tidy(Instant::now(), LONG);
        shelf.tidy(Instant::now() + LONG, LONG);
        assert!(shelf.take(LONG).is_none());
        // Its place is free again.
        let (kept, _upstream) = connection(&listener).await;
        shelf.keep(kept, 1);
        assert!(shelf.take(Duration::ZERO).is_none());
    }
}
