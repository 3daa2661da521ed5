//! Protocol Buffers without their schema: strings, wherever the wire format allows one, also in gRPC frames.

use crate::scan::Cursor;

/// How reading a message ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The bytes are a message to the last.
    Message,
    /// They are not.
    Other,
}

/// Hands each text in `bytes` to `visit`: length-delimited fields that are UTF-8 and no message themselves.
pub(crate) fn walk<'a>(bytes: &'a [u8], depth: usize, visit: &mut dyn FnMut(&'a [u8])) -> End {
    let mut strings = Vec::new();
    let end = match frames(bytes) {
        Some(messages) => messages.into_iter().fold(End::Message, |end, message| {
            if message_strings(message, depth, &mut strings) { end } else { End::Other }
        }),
        None if message_strings(bytes, depth, &mut strings) => End::Message,
        None => End::Other,
    };
    if end == End::Message {
        strings.into_iter().for_each(visit);
    }
    end
}

/// The messages of a gRPC body: a flag, a length, a message, and so on.
fn frames(bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let mut messages = Vec::new();
    let mut rest = bytes;
    while let Some((&[flag, a, b, c, d], tail)) = rest.split_first_chunk() {
        let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).ok()?;
        if flag != 0 {
            return None;
        }
        let (message, next) = tail.split_at_checked(length)?;
        messages.push(message);
        rest = next;
    }
    (rest.is_empty() && !messages.is_empty()).then_some(messages)
}

/// Collects the strings of one message; false, and nothing added, if `bytes` is none.
fn message_strings<'a>(bytes: &'a [u8], depth: usize, strings: &mut Vec<&'a [u8]>) -> bool {
    let before = strings.len();
    let whole = fields(bytes, depth, strings).is_some();
    if !whole {
        strings.truncate(before);
    }
    whole
}

fn fields<'a>(bytes: &'a [u8], depth: usize, strings: &mut Vec<&'a [u8]>) -> Option<()> {
    let mut cursor = Cursor::new(bytes);
    while !cursor.is_empty() {
        let key = varint(&mut cursor)?;
        if key >> 3 == 0 {
            return None;
        }
        let length = match key & 7 {
            0 => {
                varint(&mut cursor)?;
                continue;
            }
            1 => 8,
            2 => usize::try_from(varint(&mut cursor)?).ok()?,
            5 => 4,
            _ => return None,
        };
        let content = cursor.rest().get(..length)?;
        cursor.skip(length);
        if key & 7 != 2 || content.is_empty() {
            continue;
        }
        // Text first: few texts are messages by accident, and a message is seldom text.
        let is_text = |bytes: &[u8]| {
            bytes.iter().all(|&byte| byte >= b' ' || matches!(byte, b'\t' | b'\n' | b'\r'))
                && std::str::from_utf8(bytes).is_ok()
        };
        if is_text(content) {
            strings.push(content);
        } else if depth > 0 {
            message_strings(content, depth - 1, strings);
        }
    }
    Some(())
}

fn varint(cursor: &mut Cursor<'_>) -> Option<u64> {
    let mut value = 0;
    for shift in 0..10 {
        let byte = cursor.bump()?;
        value |= u64::from(byte & 0x7f).checked_shl(shift * 7)?;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}
