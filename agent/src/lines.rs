//! Files of JSON lines: what is written goes through a bounded queue to a thread, and delays nobody.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;
use std::time::Instant;

use serde::Serialize;
use serde_json::Value;
use thiserror::Error;
use tracing::{error, info, warn};

use crate::counters::{Counter, Counters};
use crate::events::Event;
use crate::memory::{Held, Memory};
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
    /// Lines that found too many before them.
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

/// What can be a line.
pub trait Line: Serialize + Send + 'static {
    /// About how many bytes it holds, where a client has a say in that.
    fn size(&self) -> usize {
        0
    }
}

impl Line for Box<Record> {
    fn size(&self) -> usize {
        Record::size(self)
    }
}

impl Line for Event {}

impl Line for Value {}

/// The sending end.
#[derive(Debug)]
pub struct Lines<T> {
    queue: SyncSender<Item<T>>,
    memory: Arc<Memory>,
    orders: Arc<Orders>,
    kind: Kind,
    counters: Arc<Counters>,
}

#[derive(Debug)]
enum Item<T> {
    Line(T, Held),
    Reopen,
    /// Has the thread look at its orders.
    Wake,
}

/// What must not wait for a place in the queue: where nobody reads what is written, there is none.
#[derive(Debug, Default)]
struct Orders {
    reopen: AtomicBool,
    end: AtomicBool,
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
pub struct Writer {
    thread: JoinHandle<()>,
    /// Has nothing to say, and closes with the thread.
    ended: Receiver<()>,
    option: &'static str,
}

impl<T: Line> Lines<T> {
    /// Opens the file, and writes to it from a thread; at most `most` lines wait, and bytes for so many records.
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
        let (ending, ended) = channel();
        let orders = Arc::<Orders>::default();
        let writing = Writing { sink, items, orders: Arc::clone(&orders), kind };
        let counting = Arc::clone(counters);
        let work = move || {
            let _ending: Sender<()> = ending;
            writing.run(&counting);
        };
        let thread = std::thread::Builder::new().name(kind.option.to_owned()).spawn(work).map_err(failed)?;
        let lines =
            Self { queue, memory: Memory::of_records(most), orders, kind, counters: Arc::clone(counters) };
        Ok((lines, Writer { thread, ended, option: kind.option }))
    }

    /// Has `line` written; where too many wait, or too large ones, it is dropped, and counted.
    pub fn put(&self, line: T) {
        let mut held = self.memory.hold();
        let fits = held.grow_to(line.size()).is_ok();
        if !fits || self.queue.try_send(Item::Line(line, held)).is_err() {
            (self.kind.dropped)(&self.counters).add();
        }
    }

    /// Has the file opened again once what waits is written; at once where too much waits.
    pub fn reopen(&self) {
        if self.queue.try_send(Item::Reopen).is_err() {
            self.orders.reopen.store(true, Ordering::Release);
        }
    }

    /// Has the thread end once what waits is written.
    pub fn end(&self) {
        self.orders.end.store(true, Ordering::Release);
        // Full means that it wakes anyway.
        let _awake = self.queue.try_send(Item::Wake);
    }
}

impl Writer {
    /// Waits until all is written, or until the time given: where nobody reads what is written, that is for ever.
    pub fn join(self, until: Instant) {
        let left = until.saturating_duration_since(Instant::now());
        if self.ended.recv_timeout(left) == Err(RecvTimeoutError::Timeout) {
            error!(option = self.option, "not everything could be written in time; the rest is lost");
        } else if self.thread.join().is_err() {
            error!(option = self.option, "a writer has failed");
        }
    }
}

/// What the thread has.
struct Writing<T> {
    sink: Sink,
    items: Receiver<Item<T>>,
    orders: Arc<Orders>,
    kind: Kind,
}

impl<T: Line> Writing<T> {
    fn run(mut self, counters: &Counters) {
        let mut page = Page::default();
        while let Some(item) = self.next() {
            match item {
                Item::Line(line, _held) => match page.put(&mut self.sink, &line) {
                    Ok(()) => (self.kind.written)(counters).add(),
                    Err(error) => {
                        (self.kind.failed)(counters).add();
                        let path = self.sink.path().display();
                        warn!(%error, option = self.kind.option, %path, "cannot write a record");
                    }
                },
                Item::Reopen => self.reopen(&mut page),
                Item::Wake => {}
            }
            if self.orders.reopen.swap(false, Ordering::AcqRel) {
                self.reopen(&mut page);
            }
        }
    }

    /// What is to be done next; none where the end has come and nothing waits.
    fn next(&self) -> Option<Item<T>> {
        match self.orders.end.load(Ordering::Acquire) {
            true => self.items.try_recv().ok(),
            false => self.items.recv().ok(),
        }
    }

    fn reopen(&mut self, page: &mut Page) {
        let (option, path) = (self.kind.option, self.sink.path().to_owned());
        match self.sink.reopen() {
            Ok(()) => {
                page.torn = false;
                info!(path = %path.display(), "{option} opened again");
            }
            Err(error) => {
                error!(%error, option, path = %path.display(), "cannot open a log again; the old one stays");
            }
        }
    }
}

/// Writes lines, each whole and by itself.
#[derive(Debug, Default)]
struct Page {
    line: Vec<u8>,
    /// Whether what stands last is the beginning of a line.
    torn: bool,
}

impl Page {
    /// Writes one; what a full disk left of the one before does not spoil it.
    fn put(&mut self, out: &mut impl Write, line: &impl Serialize) -> io::Result<()> {
        self.line.clear();
        if self.torn {
            self.line.push(b'\n');
        }
        serde_json::to_writer(&mut self.line, line)?;
        self.line.push(b'\n');
        // One write a line: a reader, or another writer, never sees half of one.
        let mut rest = self.line.as_slice();
        while !rest.is_empty() {
            match out.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    rest = rest.get(written..).unwrap_or_default();
                    self.torn =
                        !rest.is_empty() && self.line.get(self.line.len() - rest.len() - 1) != Some(&b'\n');
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::io::{BufRead, BufReader};

    use rustix::fs::{CWD, FileType, Mode, mknodat};
    use serde_json::json;

    use super::*;

    /// A disk that has so many bytes left.
    struct Disk(Vec<u8>, usize);

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = bytes.get(..self.1.min(bytes.len())).unwrap_or_default();
            if taken.is_empty() {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.0.extend(taken);
            self.1 -= taken.len();
            Ok(taken.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_that_a_full_disk_cut_does_not_spoil_the_next() {
        for left in 0..8 {
            let (mut disk, mut page) = (Disk(Vec::new(), left), Page::default());
            assert!(page.put(&mut disk, &json!({ "a": 1 })).is_err(), "{left}");
            assert!(page.put(&mut disk, &json!(2)).is_err());
            disk.1 = usize::MAX;
            page.put(&mut disk, &json!(3)).unwrap();
            let text = String::from_utf8(disk.0).unwrap();
            let begun = "{\"a\":1}".get(..left).unwrap();
            let wanted = if left == 0 { "3\n".to_owned() } else { format!("{begun}\n3\n") };
            assert_eq!(text, wanted);
        }
    }

    #[test]
    fn does_not_wait_for_a_file_that_nobody_reads() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pipe");
        mknodat(CWD, &path, FileType::Fifo, Mode::RWXU, 0).unwrap();
        // Has both ends, so that opening neither waits.
        let pipe = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let counters = Arc::default();
        let (lines, writer) = Lines::start(Kind::UPLOADS, &path, 2, &counters).unwrap();
        let mut put = 0;
        while counters.uploads_dropped.value() < 10 {
            lines.put(json!("x".repeat(1000)));
            put += 1;
        }
        lines.reopen();
        lines.end();
        writer.join(Instant::now());
        // All that was not dropped comes, when somebody reads.
        let written = BufReader::new(pipe).lines().map_while(Result::ok).take(put - 10);
        assert_eq!(written.filter(|line| line.len() == 1002).count(), put - 10);
    }

    #[test]
    fn records_that_wait_have_a_number_and_a_size() {
        struct Large;
        impl Serialize for Large {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_unit()
            }
        }
        impl Line for Large {
            fn size(&self) -> usize {
                2 * 1024 * 1024
            }
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        let counters = Arc::default();
        let (lines, writer) = Lines::start(Kind::DATA, file.path(), 10, &counters).unwrap();
        lines.put(Large);
        lines.end();
        writer.join(Instant::now() + std::time::Duration::from_secs(60));
        assert_eq!((counters.records.value(), counters.records_dropped.value()), (0, 1));
    }
}
