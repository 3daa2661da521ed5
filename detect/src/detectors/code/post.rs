//! Whether a value is a text for people, in which code is only written about.

/// Words of a text after which a call in it is a post about code.
const POST: usize = 24;

/// Whether the value has so many words of prose.
pub(super) fn has_words(bytes: &[u8]) -> bool {
    let (mut count, mut length, mut kinds) = (0, 0, 0);
    for &byte in bytes {
        let kind = KINDS[usize::from(byte)];
        if kind == BLANK {
            count += usize::from(kinds & OTHER == 0 && length >= 2);
            if count >= POST {
                return true;
            }
            (length, kinds) = (0, 0);
        } else {
            length += 1;
            kinds |= kind;
        }
    }
    count + usize::from(kinds & OTHER == 0 && length >= 2) >= POST
}

/// What a byte is to a word of prose; its letters and the signs behind them are nothing.
const KINDS: [u8; 256] = {
    let mut kinds = [OTHER; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        kinds[byte as usize] = match byte {
            byte if byte.is_ascii_whitespace() => BLANK,
            byte if byte.is_ascii_alphabetic() => 0,
            b',' | b'.' => 0,
            _ => OTHER,
        };
        byte += 1;
    }
    kinds
};
const BLANK: u8 = 1;
const OTHER: u8 = 2;

/// Whether a value that has many words is text for people: it does not begin as code does.
pub(super) fn is_text(bytes: &[u8]) -> bool {
    bytes
        .trim_ascii_start()
        .first()
        .is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'#' | b'*' | b'>' | b'-'))
}
