//! Where one msgpack value ends, told while its bytes arrive.

use rmp::Marker;
use thiserror::Error;

/// Nesting that the scanner has room for, whatever its limits say.
const MAX_DEPTH: usize = 32;

/// What one value may amount to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the whole value.
    pub bytes: usize,
    /// Nested arrays and maps, at most 32.
    pub depth: usize,
    /// Values in it, keys included.
    pub items: usize,
}

impl Default for Limits {
    /// Room for the largest body that any module forwards (300 kB) several times over, and for ten times the headers
    /// that servers take. A request needs five levels.
    fn default() -> Self {
        Self { bytes: 4 * 1024 * 1024, depth: 16, items: 65_536 }
    }
}

/// How far a value has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// More must come.
    Incomplete {
        /// The length that the value has at least; within the limits, so it may be reserved.
        at_least: usize,
    },
    /// The value is there.
    Complete {
        /// Its length; what follows belongs to something else.
        len: usize,
    },
}

/// Why bytes can not become an acceptable value, however many more come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The value is, or declares to be, longer than allowed.
    #[error("longer than {limit} bytes")]
    TooLong {
        /// The limit.
        limit: usize,
    },
    /// Arrays or maps are nested deeper than allowed.
    #[error("nested deeper than {limit} levels")]
    TooDeep {
        /// The limit.
        limit: usize,
    },
    /// There are, or are declared to be, more values in it than allowed.
    #[error("more than {limit} values")]
    TooMany {
        /// The limit.
        limit: usize,
    },
    /// A byte that begins nothing in msgpack.
    #[error("reserved byte at {at}")]
    Reserved {
        /// Its offset.
        at: usize,
    },
}

/// Finds the end of one value without reading any byte twice, without recursion and without allocating.
///
/// ```
/// use portcullis_protocol::frame::{Limits, Progress, Scanner};
///
/// let wire = [0x92, 0x01, 0xa3, b'a', b'b', b'c'];
/// let mut scanner = Scanner::new(Limits::default());
/// assert_eq!(scanner.scan(&wire[..3])?, Progress::Incomplete { at_least: 6 });
/// assert_eq!(scanner.scan(&wire)?, Progress::Complete { len: 6 });
/// # Ok::<(), portcullis_protocol::frame::FrameError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Scanner {
    limits: Limits,
    /// Everything before is whole values and opened containers.
    at: usize,
    items: usize,
    /// How many values each open container still lacks.
    open: [usize; MAX_DEPTH],
    depth: usize,
    done: bool,
}

impl Scanner {
    /// Starts before the first byte.
    pub fn new(limits: Limits) -> Self {
        let limits = Limits { depth: limits.depth.min(MAX_DEPTH), ..limits };
        Self { limits, at: 0, items: 1, open: [0; MAX_DEPTH], depth: 0, done: false }
    }

    /// Looks at all bytes that have arrived: those of the last call, and what came after them.
    ///
    /// # Errors
    ///
    /// As soon as a declared length, depth or number breaks a limit; the scanner then is of no further use.
    pub fn scan(&mut self, bytes: &[u8]) -> Result<Progress, FrameError> {
        while !self.done {
            match self.head(bytes)? {
                Head::Partial { at_least } => return Ok(Progress::Incomplete { at_least }),
                Head::Value { end } => {
                    self.at = end;
                    self.close();
                }
                Head::Container { start, children: 0 } => {
                    self.at = start;
                    self.close();
                }
                Head::Container { start, children } => {
                    self.at = start;
                    self.open(children)?;
                }
            }
        }
        Ok(Progress::Complete { len: self.at })
    }

    /// Reads the marker here and the length behind it.
    fn head(&self, bytes: &[u8]) -> Result<Head, FrameError> {
        let Some(&byte) = bytes.get(self.at) else { return self.partial(1) };
        let (width, kind) = match Marker::from_u8(byte) {
            Marker::FixPos(_) | Marker::FixNeg(_) | Marker::Null | Marker::True | Marker::False => {
                return Ok(Head::Value { end: self.end(1)? });
            }
            Marker::U8 | Marker::I8 => return self.value(bytes, 2),
            Marker::U16 | Marker::I16 | Marker::FixExt1 => return self.value(bytes, 3),
            Marker::FixExt2 => return self.value(bytes, 4),
            Marker::U32 | Marker::I32 | Marker::F32 => return self.value(bytes, 5),
            Marker::FixExt4 => return self.value(bytes, 6),
            Marker::U64 | Marker::I64 | Marker::F64 => return self.value(bytes, 9),
            Marker::FixExt8 => return self.value(bytes, 10),
            Marker::FixExt16 => return self.value(bytes, 18),
            Marker::FixStr(len) => return self.value(bytes, 1 + usize::from(len)),
            Marker::FixArray(len) => return self.container(1, usize::from(len)),
            Marker::FixMap(len) => return self.container(1, usize::from(len) * 2),
            Marker::Str8 | Marker::Bin8 => (1, Kind::Bytes),
            Marker::Str16 | Marker::Bin16 => (2, Kind::Bytes),
            Marker::Str32 | Marker::Bin32 => (4, Kind::Bytes),
            Marker::Ext8 => (1, Kind::Ext),
            Marker::Ext16 => (2, Kind::Ext),
            Marker::Ext32 => (4, Kind::Ext),
            Marker::Array16 => (2, Kind::Array),
            Marker::Array32 => (4, Kind::Array),
            Marker::Map16 => (2, Kind::Map),
            Marker::Map32 => (4, Kind::Map),
            Marker::Reserved => return Err(FrameError::Reserved { at: self.at }),
        };
        let Some(declared) = bytes.get(self.at + 1..self.at + 1 + width) else {
            return self.partial(1 + width);
        };
        let declared = declared.iter().fold(0_usize, |len, &byte| len << 8 | usize::from(byte));
        let head = 1 + width;
        match kind {
            Kind::Bytes => self.value(bytes, declared.saturating_add(head)),
            Kind::Ext => self.value(bytes, declared.saturating_add(head + 1)),
            Kind::Array => self.container(head, declared),
            Kind::Map => self.container(head, declared.saturating_mul(2)),
        }
    }

    fn value(&self, bytes: &[u8], len: usize) -> Result<Head, FrameError> {
        let end = self.end(len)?;
        if end <= bytes.len() { Ok(Head::Value { end }) } else { self.partial(len) }
    }

    fn container(&self, head: usize, children: usize) -> Result<Head, FrameError> {
        // Each child has at least one byte, so a count can be too long before any child is there.
        self.end(head.saturating_add(children))?;
        Ok(Head::Container { start: self.end(head)?, children })
    }

    fn partial(&self, len: usize) -> Result<Head, FrameError> {
        Ok(Head::Partial { at_least: self.end(len)? })
    }

    fn end(&self, len: usize) -> Result<usize, FrameError> {
        match self.at.checked_add(len) {
            Some(end) if end <= self.limits.bytes => Ok(end),
            _ => Err(FrameError::TooLong { limit: self.limits.bytes }),
        }
    }

    fn open(&mut self, children: usize) -> Result<(), FrameError> {
        self.items = self.items.saturating_add(children);
        if self.items > self.limits.items {
            return Err(FrameError::TooMany { limit: self.limits.items });
        }
        match self.open.get_mut(self.depth) {
            Some(slot) if self.depth < self.limits.depth => *slot = children,
            _ => return Err(FrameError::TooDeep { limit: self.limits.depth }),
        }
        self.depth += 1;
        Ok(())
    }

    /// Counts a finished value, and every container that it finishes.
    fn close(&mut self) {
        while let Some(lacking) = self.depth.checked_sub(1).and_then(|top| self.open.get_mut(top)) {
            *lacking -= 1;
            if *lacking > 0 {
                return;
            }
            self.depth -= 1;
        }
        self.done = true;
    }
}

enum Head {
    Partial { at_least: usize },
    Value { end: usize },
    Container { start: usize, children: usize },
}

enum Kind {
    Bytes,
    Ext,
    Array,
    Map,
}

#[cfg(test)]
mod tests;
