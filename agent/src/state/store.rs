//! The folder that state is kept in: one snapshot, and the journals that continue it.
//!
//! A snapshot is written beside the old one and renamed over it, so that there is always a whole one. Before it is made a
//! new journal is begun; once it is in place, the journals before that one have nothing to add and are removed. What can
//! not be used is never half-used, and never deleted: it is renamed, for somebody to look at.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::process::geteuid;
use thiserror::Error;
use tracing::warn;

use super::envelope::{self, Head, Kind, Refusal};
use super::journal::{self, Journal};

const SNAPSHOT: &str = "state";
const FRESH: &str = "state.new";
const JOURNAL: &str = "journal.";
const LOCK: &str = "lock";
const REFUSED: &str = "refused.";

/// Bytes of a snapshot.
const MOST: u64 = 512 * 1024 * 1024;

/// Bytes that are read at once.
const BUFFER: usize = 64 * 1024;

/// Refused files that are kept.
const MOST_REFUSED: usize = 4;

/// The folder.
#[derive(Debug)]
pub(super) struct Store {
    folder: PathBuf,
    generation: u64,
    // Held as long as the folder is ours.
    _lock: File,
}

/// What was in the folder.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The snapshot, checked, and when it was made, in milliseconds since 1970.
    pub(super) snapshot: Option<(u64, Parts)>,
    /// The entries of each journal that continues it, oldest first.
    pub(super) journals: Vec<Vec<u8>>,
    /// Files that were not used, and why.
    pub(super) refused: Vec<(String, Refusal)>,
}

/// Why state can not be kept.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process has the folder.
    #[error("shared-cache-dir: another agent keeps its state in {}", folder.display())]
    Taken {
        /// The folder.
        folder: PathBuf,
    },
    /// The system refuses a step.
    #[error("shared-cache-dir: cannot {step} {}: {source}", path.display())]
    System {
        /// The step.
        step: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Somebody else made the folder, and could have put anything there.
    #[error("shared-cache-dir: {} belongs to another user", folder.display())]
    Owner {
        /// The folder.
        folder: PathBuf,
    },
    /// There are no more threads.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
}

impl Store {
    /// Takes `folder`, makes it where there is none, and reads what is in it.
    ///
    /// # Errors
    ///
    /// When the folder can not be made, taken or read.
    pub(super) fn open(folder: &Path) -> Result<(Self, Found), StoreError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|error| failed("make", folder, error))?;
        ours(folder)?;
        let lock = lock(folder)?;
        let mut store = Self { folder: folder.to_owned(), generation: 0, _lock: lock };
        let found = store.read()?;
        Ok((store, found))
    }

    fn read(&mut self) -> Result<Found, StoreError> {
        let mut found = Found::default();
        let mut since = 0;
        match Parts::open(&self.path(SNAPSHOT)) {
            Ok(None) => {}
            Ok(Some((head, parts))) => {
                since = head.generation;
                found.snapshot = Some((head.millis, parts));
            }
            Err(Unread::Refused(refusal)) => self.refuse(SNAPSHOT, refusal, &mut found),
            Err(Unread::Io(error)) => return Err(failed("read", &self.path(SNAPSHOT), error)),
        }
        self.generation = since;
        for number in self.journals()? {
            self.generation = self.generation.max(number);
            if number < since {
                continue;
            }
            let name = format!("{JOURNAL}{number}");
            match bytes(&self.path(&name), journal::MOST) {
                Ok(None) => {}
                Ok(Some(bytes)) => {
                    // An agent that ended before it could write the head had nothing to say.
                    let Some((head, entries)) = bytes.split_first_chunk() else { continue };
                    match envelope::open(Kind::Journal, head) {
                        Ok(_) => found.journals.push(entries.to_vec()),
                        Err(refusal) => self.refuse(&name, refusal, &mut found),
                    }
                }
                Err(Unread::Refused(refusal)) => self.refuse(&name, refusal, &mut found),
                Err(Unread::Io(error)) => return Err(failed("read", &self.path(&name), error)),
            }
        }
        Ok(found)
    }

    /// Puts the snapshot aside though its bytes are as they were written: its content can not be used.
    pub(super) fn refuse_snapshot(&mut self, reason: String, found: &mut Found) {
        self.refuse(SNAPSHOT, Refusal::Content(reason), found);
    }

    /// Begins the journal that continues the next snapshot.
    ///
    /// # Errors
    ///
    /// When it can not be made.
    pub(super) fn begin(&mut self, millis: u64) -> Result<(u64, Journal), StoreError> {
        let generation = self.generation + 1;
        let path = self.path(&format!("{JOURNAL}{generation}"));
        let journal = Journal::create(&path, Head { generation, millis })
            .map_err(|error| failed("write", &path, error))?;
        self.generation = generation;
        Ok((generation, journal))
    }

    /// A way to write snapshots from another thread.
    pub(super) fn snapshots(&self) -> Snapshots {
        Snapshots { folder: self.folder.clone() }
    }

    fn journals(&self) -> Result<Vec<u64>, StoreError> {
        journals(&self.folder).map_err(|error| failed("list", &self.folder, error))
    }

    fn refuse(&self, name: &str, refusal: Refusal, found: &mut Found) {
        let kept = (0..MOST_REFUSED)
            .map(|number| format!("{REFUSED}{number}.{name}"))
            .find(|kept| !self.path(kept).exists())
            // The first tells most about how it began.
            .unwrap_or_else(|| format!("{REFUSED}{}.{name}", MOST_REFUSED - 1));
        if let Err(error) = fs::rename(self.path(name), self.path(&kept)) {
            warn!(%error, name, "cannot keep a refused state file aside");
        }
        found.refused.push((kept, refusal));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// Writes snapshots.
#[derive(Clone, Debug)]
pub(super) struct Snapshots {
    folder: PathBuf,
}

impl Snapshots {
    /// Puts `parts` in the place of the snapshot that is there, and removes the journals before `generation`. Returns how
    /// many bytes it has.
    ///
    /// # Errors
    ///
    /// When the system refuses; the old snapshot and all journals are there then.
    pub(super) fn write(
        &self,
        generation: u64,
        millis: u64,
        parts: &mut dyn Iterator<Item = Vec<u8>>,
    ) -> Result<u64, StoreError> {
        let (fresh, path) = (self.folder.join(FRESH), self.folder.join(SNAPSHOT));
        let mut write = || -> io::Result<u64> {
            let mut file =
                OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
            // The head is known when all is written; until then there is none.
            file.seek(SeekFrom::Start(u64::try_from(envelope::HEAD).unwrap_or_default()))?;
            let (mut length, mut sum) = (0, crc32fast::Hasher::new());
            for part in &mut *parts {
                let size =
                    u32::try_from(part.len()).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
                for bytes in [&size.to_be_bytes(), part.as_slice()] {
                    sum.update(bytes);
                    length += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                    file.write_all(bytes)?;
                }
            }
            let head = Head { generation, millis };
            file.rewind()?;
            file.write_all(&envelope::head(Kind::Snapshot, head, length, sum.finalize()))?;
            file.sync_all()?;
            Ok(length)
        };
        let length = write().map_err(|error| {
            // What is half there takes room that the next one needs.
            let _gone = fs::remove_file(&fresh);
            failed("write", &fresh, error)
        })?;
        fs::rename(&fresh, &path).map_err(|error| failed("replace", &path, error))?;
        // Only now is the rename with the disk, and the journals are not needed any more.
        File::open(&self.folder)
            .and_then(|folder| folder.sync_all())
            .map_err(|error| failed("sync", &self.folder, error))?;
        let old = journals(&self.folder).map_err(|error| failed("list", &self.folder, error))?;
        for number in old.into_iter().filter(|number| *number < generation) {
            let path = self.folder.join(format!("{JOURNAL}{number}"));
            fs::remove_file(&path).map_err(|error| failed("remove", &path, error))?;
        }
        Ok(length)
    }
}

/// The parts of a snapshot, read one after the other.
#[derive(Debug)]
pub(super) struct Parts(BufReader<File>);

impl Parts {
    /// Opens the snapshot at `path` and checks that it is as it was written; none where there is no file.
    fn open(path: &Path) -> Result<Option<(Head, Self)>, Unread> {
        let Some(file) = regular(path)? else { return Ok(None) };
        if file.metadata().map_err(Unread::Io)?.len() > MOST {
            return Err(Unread::Refused(Refusal::TooLarge { limit: MOST }));
        }
        let mut reader = BufReader::with_capacity(BUFFER, file);
        let mut head = [0; envelope::HEAD];
        match reader.read_exact(&mut head) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(Unread::Refused(Refusal::Foreign));
            }
            Err(error) => return Err(Unread::Io(error)),
        }
        let opened = envelope::open(Kind::Snapshot, &head).map_err(Unread::Refused)?;
        let (mut length, mut sum) = (0, crc32fast::Hasher::new());
        loop {
            let bytes = reader.fill_buf().map_err(Unread::Io)?;
            if bytes.is_empty() {
                break;
            }
            sum.update(bytes);
            let read = bytes.len();
            length += u64::try_from(read).unwrap_or(u64::MAX);
            reader.consume(read);
        }
        opened.check(length, sum.finalize()).map_err(Unread::Refused)?;
        reader
            .seek(SeekFrom::Start(u64::try_from(envelope::HEAD).unwrap_or_default()))
            .map_err(Unread::Io)?;
        Ok(Some((opened.head, Self(reader))))
    }
}

impl Iterator for Parts {
    type Item = io::Result<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut size = [0; 4];
        match self.0.fill_buf() {
            Ok([]) => return None,
            Ok(_) => {}
            Err(error) => return Some(Err(error)),
        }
        let mut part = Vec::new();
        let read = self.0.read_exact(&mut size).and_then(|()| {
            let size = u64::from(u32::from_be_bytes(size));
            // Grows with what is there, whatever is announced.
            self.0.by_ref().take(size).read_to_end(&mut part)
        });
        Some(read.map(|_| part))
    }
}

fn journals(folder: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        numbers.extend(name.to_str().and_then(|name| name.strip_prefix(JOURNAL)?.parse::<u64>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Whether the folder, and the link to it if there is one, is this user's or root's: the default is in a folder where
/// everybody may make one.
fn ours(folder: &Path) -> Result<(), StoreError> {
    let me = geteuid().as_raw();
    for metadata in [fs::symlink_metadata(folder), fs::metadata(folder)] {
        let owner = metadata.map_err(|error| failed("look at", folder, error))?.uid();
        if owner != me && owner != 0 {
            return Err(StoreError::Owner { folder: folder.to_owned() });
        }
    }
    Ok(())
}

fn lock(folder: &Path) -> Result<File, StoreError> {
    let path = folder.join(LOCK);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600);
    let file = options.open(&path).map_err(|error| failed("write", &path, error))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(StoreError::Taken { folder: folder.to_owned() }),
        Err(error) => Err(failed("lock", &path, error.into())),
    }
}

enum Unread {
    Refused(Refusal),
    Io(io::Error),
}

/// A regular file; none where there is none.
fn regular(path: &Path) -> Result<Option<File>, Unread> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Unread::Io(error)),
    };
    match file.metadata().map_err(Unread::Io)?.is_file() {
        true => Ok(Some(file)),
        false => Err(Unread::Refused(Refusal::Foreign)),
    }
}

/// The bytes of a file; none where there is none.
fn bytes(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, Unread> {
    let Some(file) = regular(path)? else { return Ok(None) };
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(Unread::Io)?;
    if u64::try_from(bytes.len()).is_ok_and(|len| len > limit) {
        return Err(Unread::Refused(Refusal::TooLarge { limit }));
    }
    Ok(Some(bytes))
}

fn failed(step: &'static str, path: &Path, source: io::Error) -> StoreError {
    StoreError::System { step, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn write(store: &Store, generation: u64, millis: u64, parts: &[&[u8]]) {
        let mut parts = parts.iter().map(|part| part.to_vec());
        store.snapshots().write(generation, millis, &mut parts).unwrap();
    }

    fn parts(found: Found) -> Option<(u64, Vec<Vec<u8>>)> {
        found.snapshot.map(|(millis, parts)| (millis, parts.map(Result::unwrap).collect()))
    }

    #[test]
    fn refuses_a_snapshot_that_is_cut_at_any_byte_or_has_any_byte_changed() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join(SNAPSHOT);
        let (store, _) = Store::open(dir.path()).unwrap();
        write(&store, 1, 2, &[b"one", b"", b"three"]);
        let whole = std::fs::read(&path).unwrap();
        let refused = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            matches!(Parts::open(&path), Err(Unread::Refused(_)))
        };
        for at in 0..whole.len() {
            assert!(refused(&whole[..at]), "cut at {at}");
            let mut changed = whole.clone();
            changed[at] ^= 0x10;
            assert!(refused(&changed), "changed at {at}");
        }
        assert!(refused(&[whole.as_slice(), b"x"].concat()));
        assert!(!refused(&whole));
    }

    #[test]
    fn finds_the_snapshot_and_what_came_after_it() {
        let dir = TempDir::new().unwrap();
        let (mut store, found) = Store::open(dir.path()).unwrap();
        assert!(found.snapshot.is_none() && found.journals.is_empty() && found.refused.is_empty());
        let (_, mut first) = store.begin(1).unwrap();
        first.append(b"in the snapshot").unwrap();
        let (generation, mut second) = store.begin(2).unwrap();
        second.append(b"after it").unwrap();
        write(&store, generation, 3, &[b"all", b"of it"]);
        drop(store);
        let (mut store, found) = Store::open(dir.path()).unwrap();
        assert_eq!(found.journals, [b"after it".to_vec()]);
        assert_eq!(parts(found), Some((3, vec![b"all".to_vec(), b"of it".to_vec()])));
        // An agent that ends before its first snapshot adds to the same one.
        let (_, mut third) = store.begin(4).unwrap();
        third.append(b"later").unwrap();
        drop(store);
        let (_, found) = Store::open(dir.path()).unwrap();
        assert_eq!(found.journals, [b"after it".to_vec(), b"later".to_vec()]);
    }

    #[test]
    fn loses_nothing_between_a_new_journal_and_its_snapshot() {
        let dir = TempDir::new().unwrap();
        let (mut store, _) = Store::open(dir.path()).unwrap();
        let (_, mut first) = store.begin(1).unwrap();
        first.append(b"one").unwrap();
        let (_, mut second) = store.begin(2).unwrap();
        second.append(b"two").unwrap();
        std::fs::write(dir.path().join(FRESH), b"half a snapsh").unwrap();
        drop(store);
        let (_, found) = Store::open(dir.path()).unwrap();
        assert_eq!(found.journals, [b"one".to_vec(), b"two".to_vec()]);
        assert!(found.refused.is_empty());
    }

    #[test]
    fn keeps_aside_what_it_cannot_use() {
        let dir = TempDir::new().unwrap();
        std::fs::write(dir.path().join(SNAPSHOT), b"something else entirely, and long enough").unwrap();
        std::fs::write(dir.path().join("journal.3"), [b'x'; 100]).unwrap();
        let (mut store, mut found) = Store::open(dir.path()).unwrap();
        assert_eq!(found.refused.len(), 2);
        assert!(
            dir.path().join("refused.0.state").exists() && dir.path().join("refused.0.journal.3").exists()
        );
        assert_eq!(store.begin(1).unwrap().0, 4);
        write(&store, 4, 1, &[b"unreadable to the policy"]);
        store.refuse_snapshot("of another policy".to_owned(), &mut found);
        assert!(dir.path().join("refused.1.state").exists());
    }

    #[test]
    fn leaves_a_folder_alone_that_another_has() {
        let dir = TempDir::new().unwrap();
        let (_store, _) = Store::open(dir.path()).unwrap();
        assert!(matches!(Store::open(dir.path()), Err(StoreError::Taken { .. })));
    }
}
