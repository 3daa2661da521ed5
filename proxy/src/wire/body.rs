//! The body of an answer, taken out of the bytes that carry it.

use bytes::{Buf, Bytes, BytesMut};
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http_body::Frame;

use crate::wire::WireError;
use crate::wire::head::Framing;

/// Bytes of a chunk's size line with its extension.
const MOST_LINE: usize = 4096;
/// Bytes of a trailer section, and its headers.
const MOST_TRAILERS: usize = 64 * 1024;
const MOST_TRAILER_HEADERS: usize = 100;

/// Where in a body the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decoder {
    /// This many bytes before its end.
    Length(u64),
    /// Before a chunk's size.
    Size,
    /// In a chunk, this many bytes before its end.
    Chunk(u64),
    /// Behind a chunk's data.
    ChunkEnd,
    /// Before the trailers.
    Trailers,
    /// Somewhere: it ends with the connection.
    Close,
    /// Behind it.
    Ended,
}

impl Decoder {
    /// At the beginning.
    pub(super) fn new(framing: Framing) -> Self {
        match framing {
            Framing::Length(0) => Self::Ended,
            Framing::Length(length) => Self::Length(length),
            Framing::Chunked => Self::Size,
            Framing::Close => Self::Close,
        }
    }

    /// Takes the next part off `read`; none where more has to be read first, or at the end.
    ///
    /// # Errors
    /// Where chunks are malformed.
    pub(super) fn take(&mut self, read: &mut BytesMut) -> Result<Option<Frame<Bytes>>, WireError> {
        loop {
            match self {
                Self::Ended => return Ok(None),
                _ if read.is_empty() => return Ok(None),
                Self::Close => return Ok(Some(Frame::data(read.split().freeze()))),
                Self::Length(left) | Self::Chunk(left) => {
                    let n = usize::try_from(*left).unwrap_or(usize::MAX).min(read.len());
                    *left -= n as u64;
                    if *left == 0 {
                        *self = if matches!(self, Self::Length(_)) { Self::Ended } else { Self::ChunkEnd };
                    }
                    return Ok(Some(Frame::data(read.split_to(n).freeze())));
                }
                Self::ChunkEnd => match read.get(..2) {
                    Some(b"\r\n") => {
                        read.advance(2);
                        *self = Self::Size;
                    }
                    Some(_) => return Err(WireError::Chunk),
                    None => return Ok(None),
                },
                Self::Size => {
                    let Some(end) = read.iter().position(|&byte| byte == b'\n') else {
                        return if read.len() > MOST_LINE { Err(WireError::Chunk) } else { Ok(None) };
                    };
                    let line = read.split_to(end + 1);
                    *self = match size(&line)? {
                        0 => Self::Trailers,
                        size => Self::Chunk(size),
                    };
                }
                Self::Trailers => {
                    if read.starts_with(b"\r\n") {
                        read.advance(2);
                        *self = Self::Ended;
                        return Ok(None);
                    }
                    let Some(trailers) = trailers(read)? else { return Ok(None) };
                    *self = Self::Ended;
                    return Ok(Some(Frame::trailers(trailers)));
                }
            }
        }
    }
}

/// The size in a whole size line.
fn size(line: &[u8]) -> Result<u64, WireError> {
    let line = line.strip_suffix(b"\r\n").filter(|line| line.len() <= MOST_LINE).ok_or(WireError::Chunk)?;
    let number = line.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
    if !(1..=15).contains(&number.len()) {
        return Err(WireError::Chunk);
    }
    number.iter().try_fold(0_u64, |size, &byte| {
        let digit = char::from(byte).to_digit(16).ok_or(WireError::Chunk)?;
        Ok(size << 4 | u64::from(digit))
    })
}

/// Takes the trailers off `read`; none where they are not whole.
fn trailers(read: &mut BytesMut) -> Result<Option<HeaderMap>, WireError> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_TRAILER_HEADERS];
    let (length, found) = match httparse::parse_headers(read, &mut headers).map_err(WireError::Head)? {
        httparse::Status::Complete(whole) => whole,
        httparse::Status::Partial if read.len() > MOST_TRAILERS => return Err(WireError::LongHead),
        httparse::Status::Partial => return Ok(None),
    };
    let mut trailers = HeaderMap::with_capacity(found.len());
    for header in found {
        let name = HeaderName::from_bytes(header.name.as_bytes()).map_err(|_| WireError::Malformed)?;
        trailers.append(name, HeaderValue::from_bytes(header.value).map_err(|_| WireError::Malformed)?);
    }
    read.advance(length);
    Ok(Some(trailers))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes out of `sent`, given in pieces of `piece` bytes.
    fn decoded(
        framing: Framing,
        sent: &[u8],
        piece: usize,
    ) -> Result<(Vec<u8>, Option<HeaderMap>, bool), WireError> {
        let (mut decoder, mut read) = (Decoder::new(framing), BytesMut::new());
        let (mut data, mut trailers) = (Vec::new(), None);
        for piece in sent.chunks(piece) {
            read.extend_from_slice(piece);
            while let Some(frame) = decoder.take(&mut read)? {
                match frame.into_data() {
                    Ok(part) => data.extend_from_slice(&part),
                    Err(frame) => trailers = frame.into_trailers().ok(),
                }
            }
        }
        Ok((data, trailers, decoder == Decoder::Ended))
    }

    #[test]
    fn chunks_are_joined_wherever_they_are_cut() {
        let sent = b"5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nX-Sum: 1\r\n\r\n";
        for piece in 1..=sent.len() {
            let (data, trailers, ended) = decoded(Framing::Chunked, sent, piece).unwrap();
            assert_eq!(data, b"hello world", "{piece}");
            assert_eq!(trailers.unwrap()["x-sum"], "1");
            assert!(ended);
        }
        let (data, trailers, ended) = decoded(Framing::Chunked, b"1\r\na\r\n0\r\n\r\n", 1).unwrap();
        assert_eq!((&data[..], trailers, ended), (&b"a"[..], None, true));
    }

    #[test]
    fn malformed_chunks_are_an_error() {
        for sent in ["x\r\n", "\r\n", "1\n", "1\r\nab\r\n", "ffffffffffffffff\r\n", "0\r\nno colon\r\n\r\n"] {
            assert!(decoded(Framing::Chunked, sent.as_bytes(), 64).is_err(), "{sent:?}");
        }
        assert!(decoded(Framing::Chunked, &[b'1'; 2 * MOST_LINE], 64).is_err());
    }

    #[test]
    fn a_length_ends_where_it_says() {
        let (data, _, ended) = decoded(Framing::Length(3), b"abcd", 1).unwrap();
        assert_eq!((&data[..], ended), (&b"abc"[..], true));
        let (_, _, ended) = decoded(Framing::Length(3), b"ab", 2).unwrap();
        assert!(!ended);
        let (data, _, ended) = decoded(Framing::Close, b"abc", 2).unwrap();
        assert_eq!((&data[..], ended), (&b"abc"[..], false));
    }
}
