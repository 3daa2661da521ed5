//! The threads that serve connections: each has a runtime of its own, so that nothing of a request ever waits for another
//! thread, and each has its own connections to upstreams.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// Threads beside each worker for what takes long: inspecting large requests, and looking up names.
const BESIDE: usize = 2;

/// The threads; they end when this is dropped, and whatever they serve with them.
#[derive(Debug)]
pub(crate) struct Workers {
    workers: Vec<Worker>,
    /// Where the search for the least busy begins.
    next: AtomicUsize,
}

#[derive(Debug)]
struct Worker {
    runtime: Handle,
    connections: Arc<AtomicUsize>,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Counts a connection of a worker as long as it lives.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Workers {
    /// Starts `count` threads, and at least one.
    ///
    /// # Errors
    /// Where the system has no more.
    pub(crate) fn start(count: usize) -> io::Result<Self> {
        let workers: io::Result<Vec<Worker>> = (0..count.max(1)).map(|_| Worker::start()).collect();
        Ok(Self { workers: workers?, next: AtomicUsize::new(0) })
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.workers.len()
    }

    /// Has the worker with the fewest connections serve one more: `serve` makes what it runs, and hears its number.
    pub(crate) fn spawn<F: Future<Output = ()> + Send + 'static>(&self, serve: impl FnOnce(usize) -> F) {
        let count = self.workers.len().max(1);
        // Where several have as few, they take turns.
        let first = self.next.fetch_add(1, Ordering::Relaxed) % count;
        let turn = (first..count).chain(0..first);
        let busy = |index: &usize| {
            self.workers.get(*index).map_or(usize::MAX, |worker| worker.connections.load(Ordering::Relaxed))
        };
        let Some(index) = turn.min_by_key(busy) else { return };
        let Some(worker) = self.workers.get(index) else { return };
        worker.connections.fetch_add(1, Ordering::Relaxed);
        let counted = Counted(Arc::clone(&worker.connections));
        let served = serve(index);
        worker.runtime.spawn(async move {
            let _counted = counted;
            served.await;
        });
    }
}

impl Worker {
    fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().max_blocking_threads(BESIDE).enable_all().build()?;
        let handle = runtime.handle().clone();
        let (end, ended) = oneshot::channel();
        let thread = std::thread::Builder::new().name("portcullis-proxy".to_owned()).spawn(move || {
            // A sender that is gone ends it, too.
            let _end = runtime.block_on(ended);
            // An inspection whose answer nobody waits for must not hold up the end.
            runtime.shutdown_background();
        })?;
        Ok(Self { runtime: handle, connections: Arc::default(), end: Some(end), thread: Some(thread) })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            let _ended = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn connections_go_where_the_fewest_are() {
        let workers = Workers::start(3).unwrap();
        let (told, numbers) = mpsc::channel();
        let (open, _) = tokio::sync::watch::channel(());
        for _ in 0..6 {
            let (told, mut open) = (told.clone(), open.subscribe());
            workers.spawn(|index| async move {
                told.send(index).unwrap();
                let _ended = open.changed().await;
            });
        }
        let mut served: Vec<usize> = numbers.iter().take(6).collect();
        served.sort_unstable();
        assert_eq!(served, [0, 0, 1, 1, 2, 2]);
    }

    #[test]
    fn what_is_served_ends_with_the_workers() {
        let workers = Workers::start(1).unwrap();
        let (held, gone) = mpsc::channel::<()>();
        workers.spawn(|_| async move {
            let _held = held;
            std::future::pending::<()>().await;
        });
        drop(workers);
        assert!(gone.recv().is_err());
    }
}
