//! The state as bytes: written whole, read whole or not at all.
//!
//! `PCSTATE` and a version (8 bytes), the time (8), the id of the secret (8), how many flags, small and large counters and
//! rates follow (8 each), these, and a checksum of all before it (8).

use thiserror::Error;

use super::counter::Counter;
use super::few::Few;
use super::flag::Flag;
use super::journal::checksum;
use super::rate::Rate;

/// What a snapshot holds.
#[derive(Debug)]
pub(crate) struct Contents {
    pub(crate) taken: u64,
    pub(crate) secret_id: u64,
    pub(crate) flags: Vec<Flag>,
    pub(crate) few: Vec<Few>,
    pub(crate) many: Vec<Counter>,
    pub(crate) rates: Vec<Rate>,
}

/// Why bytes are not taken as a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StateError {
    /// They are something else.
    #[error("not a snapshot of this program's state")]
    Foreign,
    /// Another version wrote them.
    #[error("a snapshot of version {version}, not {}", VERSION)]
    Version {
        /// Its version.
        version: u8,
    },
    /// They are fewer than they say, or more.
    #[error("torn: {length} bytes where {expected} are announced")]
    Length {
        /// Bytes there are.
        length: usize,
        /// Bytes there should be, at least.
        expected: u64,
    },
    /// They are not those that were written.
    #[error("damaged: the checksum does not match")]
    Checksum,
    /// An entry makes no sense.
    #[error("damaged: flag {index} can not be read")]
    Flag {
        /// Which.
        index: u64,
    },
}

/// A snapshot, whole, with its sum at the end.
pub(crate) fn write(contents: &Contents) -> Vec<u8> {
    let counts = [contents.flags.len(), contents.few.len(), contents.many.len(), contents.rates.len()];
    let [flags, few, many, rates] = counts;
    let size = HEAD + flags * 64 + few * Few::BYTES + many * Counter::BYTES + rates * Rate::BYTES + 8;
    let mut out = Vec::with_capacity(size);
    out.extend(MAGIC);
    out.push(VERSION);
    out.extend(contents.taken.to_le_bytes());
    out.extend(contents.secret_id.to_le_bytes());
    for count in counts {
        out.extend((count as u64).to_le_bytes());
    }
    contents.flags.iter().for_each(|flag| flag.write(&mut out));
    contents.few.iter().for_each(|few| few.write(&mut out));
    contents.many.iter().for_each(|counter| counter.write(&mut out));
    contents.rates.iter().for_each(|rate| rate.write(&mut out));
    let sum = checksum(&out);
    out.extend(sum.to_le_bytes());
    out
}

/// Reads a snapshot.
pub(crate) fn read(bytes: &[u8]) -> Result<Contents, StateError> {
    let magic = bytes.get(..MAGIC.len()).unwrap_or(bytes);
    if magic != MAGIC {
        return Err(StateError::Foreign);
    }
    match bytes.get(MAGIC.len()) {
        Some(&VERSION) => {}
        Some(&version) => return Err(StateError::Version { version }),
        None => return Err(StateError::Length { length: bytes.len(), expected: HEAD as u64 + 8 }),
    }
    let short = StateError::Length { length: bytes.len(), expected: HEAD as u64 + 8 };
    if bytes.len() < HEAD + 8 {
        return Err(short);
    }
    let (whole, sum) = bytes.split_last_chunk::<8>().ok_or(short)?;
    let mut numbers = whole.get(MAGIC.len() + 1..HEAD).unwrap_or_default().chunks_exact(8).map(|number| {
        let mut out = [0; 8];
        out.copy_from_slice(number);
        u64::from_le_bytes(out)
    });
    let mut next = || numbers.next().unwrap_or_default();
    let (taken, secret_id, flags) = (next(), next(), next());
    let (few, many, rates) = (next(), next(), next());
    let sizes = [(few, Few::BYTES), (many, Counter::BYTES), (rates, Rate::BYTES)];
    let fixed =
        sizes.iter().fold(0_u64, |sum, (count, each)| sum.saturating_add(count.saturating_mul(*each as u64)));
    let expected = fixed.saturating_add(flags.saturating_mul(SMALLEST_FLAG)).saturating_add(HEAD as u64 + 8);
    if (bytes.len() as u64) < expected {
        return Err(StateError::Length { length: bytes.len(), expected });
    }
    if checksum(whole) != u64::from_le_bytes(*sum) {
        return Err(StateError::Checksum);
    }
    let mut rest = whole.get(HEAD..).unwrap_or_default();
    let mut read_flags = Vec::new();
    for index in 0..flags {
        let (flag, length) = Flag::read(rest).ok_or(StateError::Flag { index })?;
        read_flags.push(flag);
        rest = rest.get(length..).unwrap_or_default();
    }
    if rest.len() as u64 != fixed {
        return Err(StateError::Length { length: bytes.len(), expected });
    }
    // All of them are there: together they are as many bytes as there are.
    let mut section = |count: u64, each: usize| {
        let (section, after) =
            rest.split_at((usize::try_from(count).unwrap_or_default() * each).min(rest.len()));
        rest = after;
        section
    };
    let (few, many) = (section(few, Few::BYTES), section(many, Counter::BYTES));
    Ok(Contents {
        taken,
        secret_id,
        flags: read_flags,
        few: chunks(few).map(Few::read).collect(),
        many: chunks(many).map(Counter::read).collect(),
        rates: chunks(section(rates, Rate::BYTES)).map(Rate::read).collect(),
    })
}

fn chunks<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = &[u8; N]> {
    bytes.chunks_exact(N).filter_map(|chunk| chunk.first_chunk())
}

const MAGIC: &[u8] = b"PCSTATE";
const VERSION: u8 = 2;
const HEAD: usize = 7 + 1 + 6 * 8;
const SMALLEST_FLAG: u64 = 16 + 1 + 8 + 8 + 1;
