//! Reading one message.

use serde::Deserialize;
use thiserror::Error;

use crate::frame::{FrameError, Limits, Progress, Scanner};

/// Why bytes are not a message.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The bytes do not begin with a map.
    #[error("message is not a map")]
    NotMap,
    /// The message goes on after the bytes.
    #[error("message is cut off")]
    Truncated,
    /// Bytes follow the message.
    #[error("{excess} bytes after the message")]
    Trailing {
        /// How many.
        excess: usize,
    },
    /// The message is not msgpack, or breaks a limit.
    #[error("malformed message")]
    Frame(#[from] FrameError),
    /// A known key has a value of an impossible type, stands twice, or is missing where it must not be.
    #[error("unusable message")]
    Value(#[source] Box<rmp_serde::decode::Error>),
}

/// Reads the map that is the whole of `bytes`.
pub(crate) fn map<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, DecodeError> {
    // Languages that do not tell an empty map from other empty things send any of them.
    let bytes = match bytes {
        [0xc0] | [0xa0] | [0x90] | [0xc4, 0] => &[0x80],
        _ => bytes,
    };
    // The derived readers take an array for a struct too, field by field: no sender means that.
    if !matches!(bytes.first(), None | Some(0x80..=0x8f | 0xde | 0xdf)) {
        return Err(DecodeError::NotMap);
    }
    // The walk bounds depth and count before the reader, which would take the peer's word for them, sees the bytes.
    let limits = Limits { bytes: bytes.len(), ..Limits::default() };
    match Scanner::new(limits).scan(bytes) {
        Ok(Progress::Complete { len }) => match bytes.len() - len {
            0 => rmp_serde::from_slice(bytes).map_err(|error| DecodeError::Value(Box::new(error))),
            excess => Err(DecodeError::Trailing { excess }),
        },
        Ok(Progress::Incomplete { .. }) | Err(FrameError::TooLong { .. }) => Err(DecodeError::Truncated),
        Err(error) => Err(error.into()),
    }
}
