//! The grammars of headers that every browser sends: a value that fits its grammar can hold no attack's syntax.

/// Whether `value` is a list such as `text/html, */*;q=0.8` or `"Chromium";v="120"`: items between commas, parameters
/// between semicolons, each a token, a token pair around one slash, or a quoted plain text.
pub(crate) fn is_token_list(value: &[u8]) -> bool {
    value.split(|&byte| byte == b',').all(|item| {
        let mut parts = item.split(|&byte| byte == b';').map(trim_blanks);
        parts.next().is_some_and(is_item) && parts.all(is_parameter)
    })
}

/// Whether `value` is a browser's `User-Agent`: products and flat comments.
pub(crate) fn is_user_agent(value: &[u8]) -> bool {
    let Some(mut rest) = value.strip_prefix(b"Mozilla/") else {
        return false;
    };
    // Slashes and dots are plain here, a path out of its folder is not.
    if memchr::memmem::find(value, b"..").is_some() {
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
    if memchr::memmem::find(item, b"--").is_some() {
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
            let name = memchr::memchr(b'=', item).unwrap_or(item.len());
            item.get(..name)
                .unwrap_or_default()
                .iter()
                .all(|&byte| is_word(byte) || matches!(byte, b'?' | b'*' | b':'))
                && item.get(name + 1..).unwrap_or_default().iter().copied().all(is_word)
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
            parameter.get(..at).unwrap_or_default().iter().copied().all(is_word)
                && (value.iter().copied().all(is_word) || is_plain_text(value))
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

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'/' | b':' | b'+')
}
