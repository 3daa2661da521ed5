//! What every state file begins with, and how one tells a file of its own from a torn or foreign one.

use thiserror::Error;

/// Bytes before the payload: kind, version, generation, time, length, the payload's checksum, the head's own.
pub(super) const HEAD: usize = 40;

/// The version of everything that is written.
const VERSION: u32 = 1;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// All that is remembered.
    Snapshot,
    /// What was decided since.
    Journal,
}

impl Kind {
    const fn magic(self) -> [u8; 4] {
        match self {
            Self::Snapshot => *b"PCSS",
            Self::Journal => *b"PCSJ",
        }
    }
}

/// Why a file is not used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Refusal {
    /// It does not begin as one of ours does.
    #[error("not a state file")]
    Foreign,
    /// Another version wrote it.
    #[error("version {found} of the format, this agent reads {VERSION}")]
    Version {
        /// What it says.
        found: u32,
    },
    /// It is shorter or longer than it says.
    #[error("{found} bytes of payload where {said} are announced")]
    Length {
        /// What it says.
        said: u64,
        /// What there is.
        found: u64,
    },
    /// Its bytes are not those that were written.
    #[error("checksum does not match")]
    Checksum,
    /// It is larger than any state.
    #[error("larger than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: u64,
    },
    /// What it holds can not be understood.
    #[error("{0}")]
    Content(String),
}

/// The head of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Snapshots and the journals that continue them are numbered.
    pub(super) generation: u64,
    /// When it was written, in milliseconds since 1970.
    pub(super) millis: u64,
}

/// The head of a `kind` of file; `length` and `sum` are those of a snapshot's payload, and 0 for a journal, whose entries
/// carry sums of their own.
pub(super) fn head(kind: Kind, head: Head, length: u64, sum: u32) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEAD);
    bytes.extend(kind.magic());
    bytes.extend(VERSION.to_be_bytes());
    bytes.extend(head.generation.to_be_bytes());
    bytes.extend(head.millis.to_be_bytes());
    bytes.extend(length.to_be_bytes());
    bytes.extend(sum.to_be_bytes());
    bytes.extend(crc32fast::hash(&bytes).to_be_bytes());
    bytes
}

/// A head that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Opened {
    pub(super) head: Head,
    length: u64,
    sum: u32,
}

/// Reads the head of a `kind` of file.
///
/// # Errors
///
/// When the file is not one of ours.
pub(super) fn open(kind: Kind, bytes: &[u8; HEAD]) -> Result<Opened, Refusal> {
    let mut fields = Fields(bytes);
    if fields.take::<4>() != kind.magic() {
        return Err(Refusal::Foreign);
    }
    let found = u32::from_be_bytes(fields.take());
    if found != VERSION {
        return Err(Refusal::Version { found });
    }
    let generation = u64::from_be_bytes(fields.take());
    let millis = u64::from_be_bytes(fields.take());
    let length = u64::from_be_bytes(fields.take());
    let sum = u32::from_be_bytes(fields.take());
    if u32::from_be_bytes(fields.take()) != crc32fast::hash(bytes.get(..HEAD - 4).unwrap_or_default()) {
        return Err(Refusal::Checksum);
    }
    Ok(Opened { head: Head { generation, millis }, length, sum })
}

impl Opened {
    /// Whether a payload of `length` bytes with this `sum` is what was written.
    ///
    /// # Errors
    ///
    /// When it is not.
    pub(super) fn check(&self, length: u64, sum: u32) -> Result<(), Refusal> {
        if length != self.length {
            return Err(Refusal::Length { said: self.length, found: length });
        }
        if sum == self.sum { Ok(()) } else { Err(Refusal::Checksum) }
    }
}

struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        match self.0.split_first_chunk::<N>() {
            Some((field, rest)) => {
                self.0 = rest;
                *field
            }
            // The head has its length, so this does not happen.
            None => [0; N],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD_OF: Head = Head { generation: 7, millis: 1_790_000_000_000 };

    fn bytes() -> [u8; HEAD] {
        head(Kind::Snapshot, HEAD_OF, 7, 8).try_into().unwrap()
    }

    #[test]
    fn reads_what_it_writes() {
        let opened = open(Kind::Snapshot, &bytes()).unwrap();
        assert_eq!(opened.head, HEAD_OF);
        assert_eq!(opened.check(7, 8), Ok(()));
        assert_eq!(opened.check(6, 8), Err(Refusal::Length { said: 7, found: 6 }));
        assert_eq!(opened.check(7, 9), Err(Refusal::Checksum));
    }

    #[test]
    fn refuses_a_head_of_which_any_byte_is_changed() {
        for at in 0..HEAD {
            let mut changed = bytes();
            changed[at] ^= 0x10;
            assert!(open(Kind::Snapshot, &changed).is_err(), "changed at {at}");
        }
    }

    #[test]
    fn tells_foreign_files_and_other_versions_apart() {
        assert_eq!(open(Kind::Snapshot, &[b'{'; HEAD]), Err(Refusal::Foreign));
        assert_eq!(open(Kind::Journal, &bytes()), Err(Refusal::Foreign));
        let mut other = bytes();
        other[7] = 9;
        assert_eq!(open(Kind::Snapshot, &other), Err(Refusal::Version { found: 9 }));
    }
}
