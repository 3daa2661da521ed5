//! Content codings undone under caps on size and ratio.

use std::io::Read;

use brotli_decompressor::Decompressor;
use flate2::bufread::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};

/// What became of a coded body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Inflated {
    /// All of it was decoded.
    Whole(Vec<u8>),
    /// The input ends, or goes wrong, after this much.
    Broken(Vec<u8>),
    /// It decodes to more than the caps allow; this is the start.
    Capped(Vec<u8>),
    /// No coding that this engine reads.
    Unknown,
}

impl Inflated {
    /// How many bytes were decoded.
    #[cfg(feature = "fuzzing")]
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Whole(bytes) | Self::Broken(bytes) | Self::Capped(bytes) => bytes.len(),
            Self::Unknown => 0,
        }
    }
}

/// A content coding that this engine reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    Gzip,
    Deflate,
    Brotli,
}

impl Coding {
    /// The coding called `name`.
    pub(crate) fn named(name: &[u8]) -> Option<Self> {
        match name.to_ascii_lowercase().as_slice() {
            b"gzip" | b"x-gzip" => Some(Self::Gzip),
            b"deflate" => Some(Self::Deflate),
            b"br" => Some(Self::Brotli),
            _ => None,
        }
    }

    /// The coding that `bytes` shows by its magic number.
    pub(crate) fn sniffed(bytes: &[u8]) -> Option<Self> {
        bytes.starts_with(&[0x1f, 0x8b, 8]).then_some(Self::Gzip)
    }

    /// Decodes `bytes` up to `cap` bytes.
    pub(crate) fn decode(self, bytes: &[u8], cap: usize) -> Inflated {
        match self {
            Self::Gzip => read(&mut MultiGzDecoder::new(bytes), cap),
            Self::Brotli => read(&mut Decompressor::new(bytes, 4096), cap),
            // The name means zlib, and many clients send a bare deflate stream under it.
            Self::Deflate => match read(&mut ZlibDecoder::new(bytes), cap) {
                Inflated::Broken(start) if start.is_empty() => read(&mut DeflateDecoder::new(bytes), cap),
                other => other,
            },
        }
    }
}

/// Undoes `codings`, a Content-Encoding list, last one first.
pub(crate) fn undo(bytes: &[u8], codings: &[u8], cap: usize) -> Inflated {
    let names = codings.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
    let names: Vec<&[u8]> =
        names.filter(|name| !name.is_empty() && !name.eq_ignore_ascii_case(b"identity")).collect();
    if names.len() > MOST_CODINGS {
        return Inflated::Unknown;
    }
    let mut inflated = Inflated::Whole(bytes.to_vec());
    for name in names.iter().rev() {
        let Inflated::Whole(bytes) = &inflated else {
            return inflated;
        };
        inflated = match Coding::named(name) {
            Some(coding) => coding.decode(bytes, cap),
            None => return Inflated::Unknown,
        };
    }
    inflated
}

fn read(decoder: &mut dyn Read, cap: usize) -> Inflated {
    let mut out = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let room = cap.saturating_sub(out.len());
        match decoder.read(&mut chunk) {
            Ok(0) => return Inflated::Whole(out),
            Ok(n) if n > room => {
                out.extend_from_slice(chunk.get(..room).unwrap_or_default());
                return Inflated::Capped(out);
            }
            Ok(n) => out.extend_from_slice(chunk.get(..n).unwrap_or_default()),
            Err(_) => return Inflated::Broken(out),
        }
    }
}

/// Codings on top of each other; honest clients use one.
const MOST_CODINGS: usize = 3;
