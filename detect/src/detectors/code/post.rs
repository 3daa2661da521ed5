//! Whether a value is a text for people, in which code is only written about.

/// Words of a text after which a call in it is a post about code.
const POST: usize = 24;

/// Whether the value has so many words of prose.
pub(super) fn has_words(bytes: &[u8]) -> bool {
    let (mut count, mut length, mut plain) = (0, 0, true);
    for &byte in bytes {
        if byte.is_ascii_whitespace() {
            count += usize::from(plain && length >= 2);
            if count >= POST {
                return true;
            }
            (length, plain) = (0, true);
        } else {
            length += 1;
            plain &= byte.is_ascii_alphabetic() || matches!(byte, b',' | b'.');
        }
    }
    count + usize::from(plain && length >= 2) >= POST
}

/// Whether a value that has many words is text for people: it does not begin as code does.
pub(super) fn is_text(bytes: &[u8]) -> bool {
    bytes
        .trim_ascii_start()
        .first()
        .is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'#' | b'*' | b'>' | b'-'))
}
