//! The chunked transfer coding (RFC 9112 section 7.1), read strictly.

use crate::guard::Limits;
use crate::head;
use crate::rejection::Rejection;

/// Where in a chunked body the next byte stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Chunked {
    /// In a size line, of which this much was read.
    Size(Vec<u8>),
    /// In data, this many bytes before its end.
    Data(u64),
    /// Before the CR behind the data.
    DataReturn,
    /// Before the LF behind the data.
    DataFeed,
    /// In the trailer section, of which this much was read.
    Trailers(Vec<u8>),
}

/// Whether the body goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// More bytes belong to it.
    Open,
    /// Its last byte was taken.
    Ended,
}

impl Chunked {
    /// A body of which nothing was read.
    pub(crate) fn new() -> Self {
        Self::Size(Vec::new())
    }

    /// Takes bytes of the body off `input`, leaving what follows it.
    pub(crate) fn take(&mut self, input: &mut &[u8], limits: &Limits) -> Result<Progress, Rejection> {
        while let Some((&byte, rest)) = input.split_first() {
            match self {
                Self::Data(left) => {
                    let n = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                    *input = input.get(n..).unwrap_or_default();
                    *left -= n as u64;
                    if *left == 0 {
                        *self = Self::DataReturn;
                    }
                    continue;
                }
                Self::DataReturn | Self::DataFeed => {
                    let (wanted, next) = match self {
                        Self::DataReturn => (b'\r', Self::DataFeed),
                        _ => (b'\n', Self::new()),
                    };
                    if byte != wanted {
                        return Err(Rejection::ChunkEnd);
                    }
                    *self = next;
                }
                Self::Size(line) => {
                    line.push(byte);
                    if line.len() > limits.chunk_line {
                        return Err(Rejection::ChunkExtension);
                    }
                    if byte == b'\n' {
                        *self = match size(line)? {
                            0 => Self::Trailers(Vec::new()),
                            size => Self::Data(size),
                        };
                    }
                }
                Self::Trailers(section) => {
                    section.push(byte);
                    if section.len() > limits.head {
                        return Err(Rejection::Trailer);
                    }
                    if byte == b'\n' && (section.as_slice() == b"\r\n" || section.ends_with(b"\n\r\n")) {
                        head::judge_trailers(section, limits)?;
                        *input = rest;
                        return Ok(Progress::Ended);
                    }
                    // A section that LF alone would end is one that a lenient parser ends earlier.
                    if section.ends_with(b"\n\n") || section.as_slice() == b"\n" {
                        return Err(Rejection::BareLineFeed);
                    }
                }
            }
            *input = rest;
        }
        Ok(Progress::Open)
    }
}

/// The size in a whole size line.
fn size(line: &[u8]) -> Result<u64, Rejection> {
    let line = line.strip_suffix(b"\r\n").ok_or(Rejection::BareLineFeed)?;
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (number, extension) = line.split_at_checked(digits).ok_or(Rejection::ChunkSize)?;
    // Fifteen digits cannot overflow; sixteen do in parsers that count in signed numbers.
    if !(1..=15).contains(&digits) {
        return Err(Rejection::ChunkSize);
    }
    let visible = |&byte: &u8| byte == b'\t' || (b' '..0x7f).contains(&byte);
    match extension.first() {
        None => {}
        Some(b';') if extension.iter().all(visible) => {}
        Some(b';') => return Err(Rejection::ChunkExtension),
        Some(_) => return Err(Rejection::ChunkSize),
    }
    number.iter().try_fold(0_u64, |size, &byte| {
        let digit = char::from(byte).to_digit(16).ok_or(Rejection::ChunkSize)?;
        Ok(size << 4 | u64::from(digit))
    })
}
