//! The journal: what was decided since the last snapshot, one entry behind the other, as the policy writes them.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use super::envelope::{self, Head, Kind};

/// Bytes of a journal. Where it is full, the next snapshot has what it lacks.
pub(super) const MOST: u64 = 64 * 1024 * 1024;

/// A journal that is written to.
#[derive(Debug)]
pub(super) struct Journal {
    file: Arc<File>,
    bytes: u64,
}

impl Journal {
    /// Makes a new one at `path`.
    pub(super) fn create(path: &Path, head: Head) -> io::Result<Self> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        let head = envelope::head(Kind::Journal, head, 0, 0);
        file.write_all(&head)?;
        Ok(Self { file: Arc::new(file), bytes: size(&head) })
    }

    /// Adds `entries`. They are with the system when this returns, and survive the end of the process.
    pub(super) fn append(&mut self, entries: &[u8]) -> io::Result<()> {
        let bytes = self.bytes.saturating_add(size(entries));
        if bytes > MOST {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        match (&*self.file).write_all(entries) {
            Ok(()) => {
                self.bytes = bytes;
                Ok(())
            }
            Err(error) => {
                // Half an entry would hide those behind it.
                let _cut = self.file.set_len(self.bytes);
                let _back = (&*self.file).seek(SeekFrom::Start(self.bytes));
                Err(error)
            }
        }
    }

    /// The file, for another thread to have the disk hold it.
    pub(super) fn file(&self) -> Arc<File> {
        Arc::clone(&self.file)
    }
}

fn size(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn holds_what_is_appended_behind_its_head() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("journal");
        let head = Head { generation: 1, millis: 2 };
        let mut journal = Journal::create(&path, head).unwrap();
        journal.append(b"one").unwrap();
        journal.append(b"two").unwrap();
        let bytes = std::fs::read(path).unwrap();
        let (first, entries) = bytes.split_first_chunk().unwrap();
        assert_eq!(envelope::open(Kind::Journal, first).unwrap().head, head);
        assert_eq!(entries, b"onetwo");
    }

    #[test]
    fn takes_no_more_than_is_read_back() {
        let dir = TempDir::new().unwrap();
        let mut journal =
            Journal::create(&dir.path().join("journal"), Head { generation: 1, millis: 2 }).unwrap();
        journal.bytes = MOST - 2;
        assert_eq!(journal.append(b"one").unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }
}
