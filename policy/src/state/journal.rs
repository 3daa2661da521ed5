//! Changes of flags as bytes that can be appended to a file: what was acknowledged is there after a crash.
//!
//! An entry is its length (2 bytes), a checksum of the rest (8), a kind (1) and the flag. A file that ends within an entry
//! was torn by a crash: the entries before count.

use siphasher::sip::SipHasher24;

use super::flag::Flag;

/// A change of the flags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A client was flagged.
    Set(Flag),
    /// It is flagged no more.
    Cleared(Flag),
}

/// What was read from a journal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Journal {
    /// The changes in their order.
    pub changes: Vec<Change>,
    /// Bytes at the end that are no entry: a crash tore them, or they are not a journal's.
    pub torn: usize,
}

impl Change {
    /// The entry for a journal.
    pub fn to_entry(&self) -> Vec<u8> {
        let (kind, flag) = match self {
            Self::Set(flag) => (0, flag),
            Self::Cleared(flag) => (1, flag),
        };
        let mut body = vec![kind];
        flag.write(&mut body);
        let mut entry = u16::try_from(body.len()).unwrap_or_default().to_le_bytes().to_vec();
        entry.extend(checksum(&body).to_le_bytes());
        entry.extend(body);
        entry
    }

    fn read(bytes: &[u8]) -> Option<(Self, usize)> {
        let (length, rest) = bytes.split_first_chunk::<2>()?;
        let (sum, rest) = rest.split_first_chunk::<8>()?;
        let body = rest.get(..usize::from(u16::from_le_bytes(*length)))?;
        if checksum(body) != u64::from_le_bytes(*sum) {
            return None;
        }
        let (kind, flag) = body.split_first()?;
        let (flag, _) = Flag::read(flag)?;
        let change = match kind {
            0 => Self::Set(flag),
            1 => Self::Cleared(flag),
            _ => return None,
        };
        Some((change, 10 + body.len()))
    }
}

impl Journal {
    /// Reads as many entries as there are; `bytes` are a file's, of which a crash may have torn the end.
    pub fn read(bytes: &[u8]) -> Self {
        let (mut changes, mut at) = (Vec::new(), 0);
        while let Some((change, length)) = bytes.get(at..).and_then(Change::read) {
            changes.push(change);
            at += length;
        }
        Self { changes, torn: bytes.len() - at }
    }
}

/// Tells torn bytes from whole ones; no secret, no protection against forgery.
pub(crate) fn checksum(bytes: &[u8]) -> u64 {
    SipHasher24::new_with_keys(0x706f_7274_6375_6c6c, 0x6973_2073_7461_7465).hash(bytes)
}
