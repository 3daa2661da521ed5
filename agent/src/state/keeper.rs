//! The threads that keep state: one appends to the journal, the other syncs it and writes snapshots.
//!
//! A decision that others will rely on is given to the first, and the answer goes out once its record is with the system:
//! from then on the end of the process does not lose it. The disk itself is told within [`SYNC`], so that a power failure
//! costs at most that much. A disk that refuses or hangs costs no verdict: the wait is bounded, the failure is counted.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use portcullis_policy::State;
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::{debug, error, info};

use super::journal::Journal;
use super::store::{Snapshots, Store, StoreError};
use crate::clock;
use crate::counters::Counters;
use crate::health::Health;
use crate::process;

/// Records that may wait to be appended, and those appended at once.
const QUEUE: usize = 4096;
const BATCH: usize = 256;

/// How long an answer waits for its record.
const PATIENCE: Duration = Duration::from_millis(20);

/// How often the disk is told.
const SYNC: Duration = Duration::from_secs(1);

/// Of the time between two snapshots, at most one part in so many goes into making one.
const SHARE: u32 = 20;

/// The near end.
#[derive(Debug)]
pub(super) struct Keeper {
    queue: SyncSender<Order>,
    end: SyncSender<()>,
    /// Records given, and records that are done with.
    given: AtomicU64,
    done: watch::Receiver<u64>,
    counters: Arc<Counters>,
}

/// The threads, to be waited for.
#[derive(Debug)]
pub struct Threads([JoinHandle<()>; 2]);

#[derive(Debug)]
enum Order {
    Append(Vec<u8>),
    /// Begin a new journal, and answer with it.
    Rotate(SyncSender<Result<Begun, StoreError>>),
    End,
}

/// A journal that was begun.
#[derive(Debug)]
struct Begun {
    generation: u64,
    file: Arc<File>,
}

impl Keeper {
    /// Begins to keep `state` in `store`, with a snapshot at once and then every `every`.
    pub(super) fn start(
        mut store: Store,
        state: Arc<State>,
        every: Duration,
        counters: &Arc<Counters>,
        health: &Arc<Health>,
    ) -> Result<(Self, Threads), StoreError> {
        let (_, journal) = store.begin(clock::millis())?;
        let dirty = Arc::new(AtomicBool::new(false));
        let (queue, orders) = sync_channel(QUEUE);
        let (end, ended) = sync_channel(1);
        let (appended, done) = watch::channel(0);
        let rounds = Rounds {
            queue: queue.clone(),
            file: journal.file(),
            snapshots: store.snapshots(),
            state,
            every,
            dirty: Arc::clone(&dirty),
            counters: Arc::clone(counters),
            health: Arc::clone(health),
        };
        let appender = Appender {
            store,
            journal,
            appended,
            dirty,
            counters: Arc::clone(counters),
            health: Arc::clone(health),
        };
        let threads = Threads([
            spawn("state-journal", move || appender.run(&orders))?,
            spawn("state-snapshot", move || rounds.run(&ended))?,
        ]);
        Ok((Self { queue, end, given: AtomicU64::new(0), done, counters: Arc::clone(counters) }, threads))
    }

    /// Has `record` appended. Never waits: where too many wait it is counted as lost, and the next snapshot has it.
    pub(super) fn put(&self, record: Vec<u8>) {
        self.given.fetch_add(1, Ordering::AcqRel);
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) =
            self.queue.try_send(Order::Append(record))
        {
            self.given.fetch_sub(1, Ordering::AcqRel);
            self.counters.state_lost.add();
        }
    }

    /// Waits until what was put before is with the system; not for ever.
    pub(super) async fn settled(&self) {
        let given = self.given.load(Ordering::Acquire);
        let mut done = self.done.clone();
        if *done.borrow() >= given {
            return;
        }
        if timeout(PATIENCE, done.wait_for(|done| *done >= given)).await.is_err() {
            self.counters.state_late.add();
        }
    }

    /// Has a last snapshot made and the threads end.
    pub(super) fn end(&self) {
        // A second end has nothing to add, and a thread that is gone nothing to end.
        let _ended = self.end.try_send(());
    }
}

impl Threads {
    /// Waits for the last snapshot.
    pub fn join(self) {
        for thread in self.0 {
            if thread.join().is_err() {
                error!("a thread that keeps state has failed");
            }
        }
    }
}

/// The thread that appends.
struct Appender {
    store: Store,
    journal: Journal,
    appended: watch::Sender<u64>,
    dirty: Arc<AtomicBool>,
    counters: Arc<Counters>,
    health: Arc<Health>,
}

impl Appender {
    fn run(mut self, orders: &Receiver<Order>) {
        while let Ok(order) = orders.recv() {
            let mut records = Vec::new();
            let mut next = Some(order);
            while let Some(Order::Append(record)) = next {
                records.push(record);
                next = if records.len() < BATCH { orders.try_recv().ok() } else { None };
            }
            self.append(&records);
            match next {
                Some(Order::Rotate(reply)) => {
                    // Who asked is waiting.
                    let _gone = reply.send(self.rotate());
                }
                Some(Order::End) => return,
                Some(Order::Append(_)) | None => {}
            }
        }
    }

    fn append(&mut self, records: &[Vec<u8>]) {
        if records.is_empty() {
            return;
        }
        match self.journal.append(&records.concat()) {
            Ok(()) => self.dirty.store(true, Ordering::Release),
            Err(error) => {
                self.counters.state_lost.add_many(count(records.len()));
                self.health.keeps_state(Some(format!("cannot append to the journal: {error}")));
                error!(%error, records = records.len(), "cannot append to the state's journal; a restart would forget");
            }
        }
        // An answer must not wait for what will not come.
        self.appended.send_modify(|done| *done += count(records.len()));
    }

    fn rotate(&mut self) -> Result<Begun, StoreError> {
        let (generation, journal) = self.store.begin(clock::millis())?;
        let file = journal.file();
        self.journal = journal;
        Ok(Begun { generation, file })
    }
}

/// The thread that syncs and writes snapshots.
struct Rounds {
    queue: SyncSender<Order>,
    file: Arc<File>,
    snapshots: Snapshots,
    state: Arc<State>,
    every: Duration,
    dirty: Arc<AtomicBool>,
    counters: Arc<Counters>,
    health: Arc<Health>,
}

impl Rounds {
    fn run(mut self, ended: &Receiver<()>) {
        process::step_back();
        let mut due = Instant::now() + self.snapshot();
        loop {
            let wait = due.saturating_duration_since(Instant::now()).min(SYNC);
            match ended.recv_timeout(wait) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(()) | Err(RecvTimeoutError::Disconnected) => break,
            }
            if Instant::now() >= due {
                due = Instant::now() + self.snapshot();
            } else {
                self.sync();
            }
        }
        self.snapshot();
        // The other thread is there until it is told.
        let _ended = self.queue.send(Order::End);
    }

    fn sync(&self) {
        if self.dirty.swap(false, Ordering::AcqRel)
            && let Err(error) = self.file.sync_data()
        {
            self.health.keeps_state(Some(format!("cannot sync the journal: {error}")));
            error!(%error, "cannot sync the state's journal");
        }
    }

    /// Makes a snapshot, and tells how long to wait for the next.
    fn snapshot(&mut self) -> Duration {
        let started = Instant::now();
        let made = self.try_snapshot();
        let took = started.elapsed();
        match made {
            Ok(bytes) => {
                self.counters.snapshots.add();
                if self.health.keeps_state(None) {
                    info!("state is kept again");
                }
                debug!(bytes, ?took, "state kept");
            }
            Err(fault) => {
                self.counters.snapshots_failed.add();
                self.health.keeps_state(Some(fault.clone()));
                error!(
                    fault,
                    "cannot keep the state; a restart would forget what came after the last snapshot"
                );
            }
        }
        self.every.max(took.saturating_mul(SHARE))
    }

    fn try_snapshot(&mut self) -> Result<u64, String> {
        self.sync();
        let (reply, begun) = sync_channel(1);
        self.queue.send(Order::Rotate(reply)).map_err(|_| "the journal's thread is gone".to_owned())?;
        let begun = begun.recv().map_err(|_| "the journal's thread is gone".to_owned())?;
        let Begun { generation, file } = begun.map_err(|error| error.to_string())?;
        self.file = file;
        // What is put into the new journal from here on may be in the snapshot, too: to know it twice does no harm.
        let now = clock::millis();
        self.snapshots
            .write(generation, now, &mut self.state.export_parts(now))
            .map_err(|error| error.to_string())
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StoreError> {
    std::thread::Builder::new().name(name.to_owned()).spawn(run).map_err(StoreError::Thread)
}

fn count(many: usize) -> u64 {
    u64::try_from(many).unwrap_or(u64::MAX)
}
