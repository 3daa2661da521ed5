//! How many values a message holds, found out before memory is taken for them: on the wire an empty header is two bytes,
//! read it is a hundred.

use bytes::Buf;
use prost::encoding::{WireType, decode_key, decode_varint};
use thiserror::Error;

/// Values that a message may hold; ten times the headers that Envoy takes.
const MOST: usize = 16_384;

/// Which fields of a message hold messages, and the shape of those.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape(pub(super) &'static [(u32, Shape)]);

/// A message in which nothing repeats.
pub(super) const LEAF: Shape = Shape(&[]);

/// A message whose shape is known.
pub(super) trait Shaped {
    /// Its shape.
    const SHAPE: Shape;
}

/// Why a message is not read.
#[derive(Debug, Error, PartialEq, Eq)]
pub(super) enum Refused {
    /// It is not a message.
    #[error("message is malformed")]
    Malformed,
    /// It holds too much.
    #[error("message holds more than {MOST} values")]
    TooMany,
}

/// Checks `message` against `shape`.
pub(super) fn check(message: &[u8], shape: Shape) -> Result<(), Refused> {
    walk(message, shape, &mut MOST.clone())
}

fn walk(mut message: &[u8], shape: Shape, left: &mut usize) -> Result<(), Refused> {
    while message.has_remaining() {
        let (field, kind) = decode_key(&mut message).map_err(|_| Refused::Malformed)?;
        *left = left.checked_sub(1).ok_or(Refused::TooMany)?;
        let bytes = match kind {
            WireType::Varint => {
                decode_varint(&mut message).map_err(|_| Refused::Malformed)?;
                continue;
            }
            WireType::SixtyFourBit => 8,
            WireType::ThirtyTwoBit => 4,
            WireType::LengthDelimited => {
                let length = decode_varint(&mut message).map_err(|_| Refused::Malformed)?;
                usize::try_from(length).map_err(|_| Refused::Malformed)?
            }
            // Nothing of Envoy's has groups.
            WireType::StartGroup | WireType::EndGroup => return Err(Refused::Malformed),
        };
        let (inner, rest) = message.split_at_checked(bytes).ok_or(Refused::Malformed)?;
        message = rest;
        // The depth of the recursion is the shape's.
        let nested = shape.0.iter().find(|(number, _)| *number == field);
        if let (WireType::LengthDelimited, Some((_, shape))) = (kind, nested) {
            walk(inner, *shape, left)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: Shape = Shape(&[(1, Shape(&[(1, LEAF)]))]);

    /// Field 1 with `inner` in it.
    fn nested(inner: &[u8]) -> Vec<u8> {
        let mut message = vec![0x0a];
        prost::encoding::encode_varint(inner.len() as u64, &mut message);
        message.extend_from_slice(inner);
        message
    }

    #[test]
    fn counts_values_at_every_level() {
        let empty = [0x0a, 0x00];
        assert_eq!(check(&nested(&empty.repeat(MOST - 1)), LIST), Ok(()));
        assert_eq!(check(&nested(&empty.repeat(MOST)), LIST), Err(Refused::TooMany));
        assert_eq!(check(&empty.repeat(MOST + 1), LIST), Err(Refused::TooMany));
        // What nothing is read of is not looked into.
        assert_eq!(check(&nested(&empty.repeat(MOST)), LEAF), Ok(()));
    }

    #[test]
    fn refuses_a_message_that_is_cut_anywhere() {
        let whole = nested(&[&nested(&[0x08, 0x01])[..], &[0x10, 0x96, 0x01, 0x1d, 1, 2, 3, 4]].concat());
        assert_eq!(check(&whole, LIST), Ok(()));
        for cut in 1..whole.len() {
            assert_eq!(check(&whole[..cut], LIST), Err(Refused::Malformed), "{cut}");
        }
    }

    #[test]
    fn refuses_groups_and_lengths_beyond_the_end() {
        assert_eq!(check(&[0x0b, 0x0c], LIST), Err(Refused::Malformed));
        assert_eq!(check(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f], LIST), Err(Refused::Malformed));
    }
}
