//! The grammars of headers that every browser sends: a value that fits its grammar can hold no attack's syntax.

/// Whether `value` is a list such as `text/html, */*;q=0.8` or `"Chromium";v="120"`: items between commas, parameters
/// between semicolons, each a token, a token pair around one slash, or a quoted plain text.
pub(crate) fn is_token_list(value: &[u8]) -> bool {
    let mut rest = value;
    let mut first = true;
    loop {
        while let [b' ' | b'\t', tail @ ..] = rest {
            rest = tail;
        }
        let mut kinds = 0;
        let mut length = 0;
        for &byte in rest {
            let kind = KINDS[usize::from(byte)];
            if kind & (END | OTHER) != 0 {
                if kind & OTHER != 0 {
                    return false;
                }
                break;
            }
            kinds |= kind;
            length += 1;
        }
        let (part, tail) = rest.split_at_checked(length).unwrap_or((rest, &[]));
        if !is_part(part, kinds, first) {
            return false;
        }
        let Some((&end, tail)) = tail.split_first() else { return true };
        (first, rest) = (end == b',', tail);
    }
}

/// Whether an item, which is the `first` part between two commas, or a parameter has the form it must have; `kinds` are
/// those of its bytes.
fn is_part(part: &[u8], kinds: u8, first: bool) -> bool {
    match (kinds, first) {
        // A word; a parameter is more than that, or nothing.
        (0, _) => true,
        (WORD, true) => true,
        (WORD, false) => false,
        (_, true) => is_item(trim_blanks(part)),
        (_, false) => is_parameter(trim_blanks(part)),
    }
}

/// What a byte is in such a list, a bit each.
const WORD: u8 = 1;
/// A hyphen is a word's too, but two of them are not.
const HYPHEN: u8 = 2;
/// What only some parts may have.
const SIGN: u8 = 4;
/// A comma or a semicolon.
const END: u8 = 8;
/// What no list has.
const OTHER: u8 = 16;

const KINDS: [u8; 256] = {
    let mut kinds = [OTHER; 256];
    let mut byte = 0_u8;
    while byte < 0x80 {
        kinds[byte as usize] = match byte {
            b'-' => HYPHEN,
            b',' | b';' => END,
            b' ' | b'\t' | b'"' | b'/' | b'=' | b'?' | b'*' | b':' | b'+' => SIGN,
            b'.' | b'_' => WORD,
            _ if byte.is_ascii_alphanumeric() => WORD,
            _ => OTHER,
        };
        byte += 1;
    }
    kinds
};

/// Whether `value` is a browser's `User-Agent`: products and flat comments.
pub(crate) fn is_user_agent(value: &[u8]) -> bool {
    let Some(mut rest) = value.strip_prefix(b"Mozilla/") else {
        return false;
    };
    // Slashes and dots are plain here, a path out of its folder is not.
    if crate::scan::find(value, b"..").is_some() {
        return false;
    }
    loop {
        let product = rest.iter().position(|byte| !is_token(*byte)).unwrap_or(rest.len());
        rest = match rest.get(product..) {
            None | Some([]) => return true,
            Some([b',', b' ', tail @ ..]) => tail,
            Some([b' ', b'(', tail @ ..]) => match comment(tail) {
                Some([]) => return true,
                Some([b' ', tail @ ..]) => tail,
                _ => return false,
            },
            Some([b' ', tail @ ..]) => tail,
            Some(_) => return false,
        };
    }
}

/// Where in a `User-Agent` the comment stands that says which browsers it is like; nearly all have it.
pub(crate) fn usual_comment(value: &[u8]) -> std::ops::Range<usize> {
    const COMMENT: &[u8] = b" (KHTML, like Gecko)";
    crate::scan::find(value, COMMENT).map_or(0..0, |at| at..at + COMMENT.len())
}

/// What follows the comment that begins before `rest`, if it holds nothing but plain words.
fn comment(rest: &[u8]) -> Option<&[u8]> {
    let end = memchr::memchr(b')', rest)?;
    let words = rest.get(..end)?;
    words
        .iter()
        .all(|&byte| is_token(byte) || matches!(byte, b' ' | b';' | b','))
        .then(|| rest.get(end + 1..))?
}

/// Cuts blanks off both ends; a line break is none, since what stands behind one is another line to some reader.
fn trim_blanks(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

fn is_item(item: &[u8]) -> bool {
    // The start of an SQL comment; only boundaries, which are parameters, have it in earnest.
    if crate::scan::find(item, b"--").is_some() {
        return false;
    }
    if let [b'"', text @ .., b'"'] = item {
        return is_plain_text(text);
    }
    match memchr::memchr(b'/', item) {
        // A MIME type; one slash, so that no path fits.
        Some(at) => {
            let (kind, sub) = (item.get(..at).unwrap_or_default(), item.get(at + 1..).unwrap_or_default());
            // A number before `/*` would be the start of a comment.
            let named = kind == b"*" || kind.first().is_some_and(u8::is_ascii_alphabetic);
            named && is_mime_part(kind) && is_mime_part(sub)
        }
        None => {
            let end = memchr::memchr(b'=', item).unwrap_or(item.len());
            let name = item.get(..end).unwrap_or_default();
            let named = end == item.len() || name.iter().any(u8::is_ascii_alphabetic);
            named
                && name.iter().all(|&byte| is_word(byte) || matches!(byte, b'?' | b'*' | b':'))
                && item.get(end + 1..).unwrap_or_default().iter().copied().all(is_word)
        }
    }
}

fn is_parameter(parameter: &[u8]) -> bool {
    match memchr::memchr(b'=', parameter) {
        Some(at) => {
            let value = parameter.get(at + 1..).unwrap_or_default();
            let value = match value {
                [b'"', text @ .., b'"'] => text,
                _ => value,
            };
            let name = parameter.get(..at).unwrap_or_default();
            // `2=2` is a condition.
            name.iter().any(u8::is_ascii_alphabetic)
                && name.iter().copied().all(is_word)
                && (value.iter().copied().all(is_word) || is_plain_text(value) && !is_comment(value))
        }
        None => parameter.is_empty(),
    }
}

fn is_mime_part(part: &[u8]) -> bool {
    !part.is_empty() && part.iter().all(|&byte| is_word(byte) || matches!(byte, b'*' | b'+'))
}

fn is_plain_text(text: &[u8]) -> bool {
    text.iter().all(|&byte| byte.is_ascii_alphanumeric() || matches!(byte, b' ' | b'.' | b'_' | b'-'))
}

/// Whether a text holds the start of an SQL comment; boundaries hold hyphens, but no blanks beside them.
fn is_comment(text: &[u8]) -> bool {
    text.contains(&b' ') && crate::scan::find(text, b"--").is_some()
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'/' | b':' | b'+')
}
