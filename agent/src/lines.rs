//! Files of JSON lines: what is written goes through a bounded queue to a thread, and delays nobody.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use serde::Serialize;
use thiserror::Error;
use tracing::{error, info, warn};

use crate::counters::{Counter, Counters};
use crate::record::Record;
use crate::sink::Sink;

/// The log of requests.
pub type DataLog = Lines<Box<Record>>;

/// Which file it is, and how its lines are counted.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// The option that names it.
    pub option: &'static str,
    /// Lines written.
    pub written: fn(&Counters) -> &Counter,
    /// Lines that found the queue full.
    pub dropped: fn(&Counters) -> &Counter,
    /// Lines that could not be written.
    pub failed: fn(&Counters) -> &Counter,
}

impl Kind {
    /// `waf-data-log`.
    pub const DATA: Self = Self {
        option: "waf-data-log",
        written: |counters| &counters.records,
        dropped: |counters| &counters.records_dropped,
        failed: |counters| &counters.records_failed,
    };

    /// `events-log`.
    pub const EVENTS: Self = Self {
        option: "events-log",
        written: |counters| &counters.events,
        dropped: |counters| &counters.events_dropped,
        failed: |counters| &counters.events_failed,
    };

    /// `upload-log`.
    pub const UPLOADS: Self = Self {
        option: "upload-log",
        written: |counters| &counters.uploads,
        dropped: |counters| &counters.uploads_dropped,
        failed: |counters| &counters.uploads_failed,
    };
}

/// The sending end.
#[derive(Debug)]
pub struct Lines<T> {
    queue: SyncSender<Item<T>>,
    kind: Kind,
    counters: Arc<Counters>,
}

#[derive(Debug)]
enum Item<T> {
    Line(T),
    Reopen,
    End,
}

/// Why there would be no file.
#[derive(Debug, Error)]
#[error("{option}: cannot open {}", path.display())]
pub struct LinesError {
    option: &'static str,
    path: PathBuf,
    source: io::Error,
}

/// The thread that writes.
#[derive(Debug)]
pub struct Writer(JoinHandle<()>, &'static str);

impl<T: Serialize + Send + 'static> Lines<T> {
    /// Opens the file, and writes to it from a thread; at most `most` lines wait.
    ///
    /// # Errors
    ///
    /// When the file can not be opened.
    pub fn start(
        kind: Kind,
        path: &Path,
        most: usize,
        counters: &Arc<Counters>,
    ) -> Result<(Self, Writer), LinesError> {
        let failed = |source| LinesError { option: kind.option, path: path.to_owned(), source };
        let sink = Sink::open(path).map_err(failed)?;
        let (queue, items) = sync_channel(most);
        let writing = Arc::clone(counters);
        let thread = std::thread::Builder::new()
            .name(kind.option.to_owned())
            .spawn(move || write(sink, &items, kind, &writing))
            .map_err(failed)?;
        Ok((Self { queue, kind, counters: Arc::clone(counters) }, Writer(thread, kind.option)))
    }

    /// Has `line` written; where too many wait it is dropped, and counted.
    pub fn put(&self, line: T) {
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) =
            self.queue.try_send(Item::Line(line))
        {
            (self.kind.dropped)(&self.counters).add();
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
            error!(option = self.1, "a writer has failed");
        }
    }
}

fn write<T: Serialize>(mut sink: Sink, items: &Receiver<Item<T>>, kind: Kind, counters: &Counters) {
    let mut line = Vec::new();
    while let Ok(item) = items.recv() {
        match item {
            Item::Line(item) => {
                line.clear();
                let written =
                    serde_json::to_writer(&mut line, &item).map_err(io::Error::from).and_then(|()| {
                        line.push(b'\n');
                        // One write a line: a reader, or another writer, never sees half of one.
                        sink.write_all(&line)
                    });
                match written {
                    Ok(()) => (kind.written)(counters).add(),
                    Err(error) => {
                        (kind.failed)(counters).add();
                        warn!(%error, option = kind.option, path = %sink.path().display(), "cannot write a record");
                    }
                }
            }
            Item::Reopen => match sink.reopen() {
                Ok(()) => info!(path = %sink.path().display(), "{} opened again", kind.option),
                Err(error) => {
                    error!(
                        %error, option = kind.option, path = %sink.path().display(),
                        "cannot open a log again; the old one stays"
                    );
                }
            },
            Item::End => return,
        }
    }
}
