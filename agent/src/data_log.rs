//! The log of requests: records go through a bounded queue to a thread that writes them.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use thiserror::Error;
use tracing::{error, info, warn};

use crate::counters::Counters;
use crate::record::Record;
use crate::sink::Sink;

/// The sending end.
#[derive(Debug)]
pub struct DataLog {
    queue: SyncSender<Item>,
    counters: Arc<Counters>,
}

#[derive(Debug)]
enum Item {
    Record(Box<Record>),
    Reopen,
    End,
}

/// Why there would be no log of requests.
#[derive(Debug, Error)]
#[error("waf-data-log: cannot open {}", path.display())]
pub struct DataLogError {
    path: PathBuf,
    source: io::Error,
}

/// The thread that writes.
#[derive(Debug)]
pub struct Writer(JoinHandle<()>);

impl DataLog {
    /// Opens the file, and writes to it from a thread; at most `most` records wait.
    ///
    /// # Errors
    ///
    /// When the file can not be opened.
    pub fn start(path: &Path, most: usize, counters: &Arc<Counters>) -> Result<(Self, Writer), DataLogError> {
        let failed = |source| DataLogError { path: path.to_owned(), source };
        let sink = Sink::open(path).map_err(failed)?;
        let (queue, items) = sync_channel(most);
        let writing = Arc::clone(counters);
        let thread = std::thread::Builder::new()
            .name("data-log".to_owned())
            .spawn(move || write(sink, &items, &writing))
            .map_err(failed)?;
        Ok((Self { queue, counters: Arc::clone(counters) }, Writer(thread)))
    }

    /// Has `record` written; where too many wait it is dropped, and counted.
    pub fn put(&self, record: Box<Record>) {
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) =
            self.queue.try_send(Item::Record(record))
        {
            self.counters.records_dropped.add();
        }
    }

    /// Has the file opened again once what waits is written. Waits for a place in the queue.
    pub fn reopen(&self) {
        // The thread is gone only at the end of the process.
        let _ended = self.queue.send(Item::Reopen);
    }

    /// Has the thread end once what waits is written. Waits for a place in the queue.
    pub fn end(&self) {
        let _ended = self.queue.send(Item::End);
    }
}

impl Writer {
    /// Waits until all is written.
    pub fn join(self) {
        if self.0.join().is_err() {
            error!("the writer of waf-data-log has failed");
        }
    }
}

fn write(mut sink: Sink, items: &Receiver<Item>, counters: &Counters) {
    let mut line = Vec::new();
    while let Ok(item) = items.recv() {
        match item {
            Item::Record(record) => {
                line.clear();
                let written =
                    serde_json::to_writer(&mut line, &record).map_err(io::Error::from).and_then(|()| {
                        line.push(b'\n');
                        // One write a line: a reader, or another writer, never sees half of one.
                        sink.write_all(&line)
                    });
                match written {
                    Ok(()) => counters.records.add(),
                    Err(error) => {
                        counters.records_failed.add();
                        warn!(%error, path = %sink.path().display(), "cannot write a record");
                    }
                }
            }
            Item::Reopen => match sink.reopen() {
                Ok(()) => info!(path = %sink.path().display(), "waf-data-log opened again"),
                Err(error) => {
                    error!(%error, path = %sink.path().display(), "cannot open waf-data-log again; the old one stays");
                }
            },
            Item::End => return,
        }
    }
}
