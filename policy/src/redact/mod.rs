//! What must not leave the request: secrets by the name they stand under, and by what they look like.

mod custom;

use std::borrow::Cow;

pub(crate) use self::custom::Redaction;
pub use self::custom::{Place, Redactions};

/// What stands in the place of a secret.
pub const REDACTED: &str = "[redacted]";

/// Headers whose value is never shown.
const HEADERS: &[&str] =
    &["authorization", "proxy-authorization", "x-auth-token", "cookie", "set-cookie", "x-api-key"];

/// Parts of a header's name that say as much.
const HEADER_PARTS: &[&str] = &["-token", "-auth", "-key", "-sess", "-pass", "-secret"];

/// Headers that hold a URL, whose query is not shown.
const URLS: &[&str] = &["referer", "location", "content-location"];

/// Parts of a parameter's name that say that it holds a secret.
const PARAMETER_PARTS: &[&str] = &[
    "passw",
    "passphrase",
    "passcode",
    "pwd",
    "secret",
    "token",
    "apikey",
    "api_key",
    "api-key",
    "authoriz",
    "credential",
    "sessid",
    "session",
    "signature",
    "privatekey",
    "private_key",
    "creditcard",
    "credit_card",
    "cardnumber",
    "card_number",
    "card-number",
    "accountnumber",
    "account_number",
    "access_key",
    "accesskey",
];

/// Whole names that say so.
const PARAMETERS: &[&str] = &[
    "pass",
    "pin",
    "otp",
    "cvv",
    "cvc",
    "cvv2",
    "ssn",
    "sid",
    "jwt",
    "auth",
    "key",
    "sig",
    "pan",
    "iban",
    "code_verifier",
];

/// A header's value as it may be shown.
pub fn header(name: &[u8], value: &[u8]) -> String {
    let lower = lower(name);
    if HEADERS.contains(&lower.as_str()) || HEADER_PARTS.iter().any(|part| lower.contains(part)) {
        return REDACTED.to_owned();
    }
    if URLS.contains(&lower.as_str()) {
        return encoded(without_query(value));
    }
    encoded(value)
}

/// Whether a parameter, field or cookie of this name holds a secret.
pub fn is_secret(name: &[u8]) -> bool {
    let lower = lower(name);
    // The last part of a path such as user.password or user[pin].
    let last = lower.trim_end_matches(']').rsplit(['.', '[', '/']).next().unwrap_or_default();
    PARAMETERS.contains(&last) || PARAMETER_PARTS.iter().any(|part| lower.contains(part))
}

/// A name as it is written, and with its percent signs undone, once, twice and three times.
fn spellings(name: &[u8]) -> Vec<Cow<'_, [u8]>> {
    let mut all = vec![Cow::Borrowed(name)];
    while all.len() <= MOST_ESCAPES {
        let Some(last) = all.last().filter(|last| last.contains(&b'%')) else { break };
        let plain = unescaped(last);
        if plain == **last {
            break;
        }
        all.push(plain.into());
    }
    all
}

/// The text with its percent signs undone, once.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let digit = |at: usize| text.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        let escaped = if byte == b'%' { digit(at + 1).zip(digit(at + 2)) } else { None };
        match escaped.map(|(high, low)| u8::try_from(high * 16 + low).unwrap_or(byte)) {
            Some(escaped) => out.push(escaped),
            None => out.push(if byte == b'+' { b' ' } else { byte }),
        }
        at += if escaped.is_some() { 3 } else { 1 };
    }
    out
}

/// How often a name is looked at with its percent signs undone.
const MOST_ESCAPES: usize = 3;

/// A target or URL without query and fragment.
pub fn without_query(url: &[u8]) -> &[u8] {
    url.split(|byte| matches!(byte, b'?' | b'#')).next().unwrap_or_default()
}

/// Text that may be percent-encoded, as it may be shown: under percent signs a secret looks like none.
pub fn encoded(value: &[u8]) -> String {
    if !value.iter().any(|byte| matches!(byte, b'%' | b'+')) {
        return text(value);
    }
    let plain = unescaped(value);
    let shown = text(&plain);
    if shown == String::from_utf8_lossy(&plain) { text(value) } else { shown }
}

/// Bytes as text, without what looks like a secret.
pub fn text(value: &[u8]) -> String {
    patterns(&String::from_utf8_lossy(value))
}

/// The text without card numbers, social security numbers, tokens, and what is assigned to a secret's name.
fn patterns(value: &str) -> String {
    let bytes = value.as_bytes();
    let mut out = String::with_capacity(value.len());
    let (mut at, mut kept) = (0, 0);
    while at < bytes.len() {
        let rest = bytes.get(at..).unwrap_or_default();
        let before = at.checked_sub(1).and_then(|before| bytes.get(before)).copied();
        let secret = [assigned(rest), token(rest), number(rest)]
            .into_iter()
            .flatten()
            .next()
            .filter(|_| before.is_none_or(|byte| !byte.is_ascii_alphanumeric()));
        match secret {
            Some(span) => {
                out.push_str(value.get(kept..at + span.start).unwrap_or_default());
                out.push_str(REDACTED);
                at += span.end;
                kept = at;
            }
            None => at += 1,
        }
    }
    out.push_str(value.get(kept..).unwrap_or_default());
    out
}

type Span = std::ops::Range<usize>;

/// `password=hunter2`, `"token": "abc"`.
fn assigned(rest: &[u8]) -> Option<Span> {
    let name_end = run(rest, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    if name_end == 0 || name_end > 64 {
        return None;
    }
    let mut at = name_end + run(rest.get(name_end..)?, |byte| matches!(byte, b'"' | b'\'' | b' '));
    if !matches!(rest.get(at)?, b'=' | b':') || !is_secret(rest.get(..name_end)?) {
        return None;
    }
    at += 1;
    at += run(rest.get(at..)?, |byte| matches!(byte, b'"' | b'\'' | b' '));
    let end = at
        + run(rest.get(at..)?, |byte| {
            !matches!(byte, b'&' | b';' | b',' | b'"' | b'\'' | b'}' | b' ' | b'\n')
        });
    (end > at).then_some(at..end)
}

/// A JSON web token, an access key of a cloud, a bearer.
fn token(rest: &[u8]) -> Option<Span> {
    let word = |from: usize| {
        from + run(rest.get(from..).unwrap_or_default(), |byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'+' | b'/' | b'=' | b'~')
        })
    };
    if rest.starts_with(b"eyJ") {
        let end = word(0);
        return (end >= 20 && rest.get(..end)?.contains(&b'.')).then_some(0..end);
    }
    if rest.starts_with(b"AKIA") || rest.starts_with(b"ASIA") {
        let end = word(0);
        return (end == 20).then_some(0..end);
    }
    let bearer = rest.get(..7).filter(|head| head.eq_ignore_ascii_case(b"bearer "))?.len();
    let end = word(bearer);
    (end >= bearer + 8).then_some(bearer..end)
}

/// A card number that passes its check digit, or a social security number.
fn number(rest: &[u8]) -> Option<Span> {
    if !rest.first()?.is_ascii_digit() {
        return None;
    }
    let end = run(rest, |byte| byte.is_ascii_digit() || matches!(byte, b' ' | b'-'));
    let written = rest.get(..end)?.trim_ascii_end();
    let groups: Vec<usize> = written.split(|byte| matches!(byte, b' ' | b'-')).map(<[u8]>::len).collect();
    if groups == [3, 2, 4] {
        return Some(0..written.len());
    }
    let digits: Vec<u32> =
        written.iter().filter(|byte| byte.is_ascii_digit()).map(|byte| u32::from(byte - b'0')).collect();
    let card = (13..=19).contains(&digits.len()) && groups.iter().all(|group| *group >= 3) && luhn(&digits);
    card.then_some(0..written.len())
}

fn luhn(digits: &[u32]) -> bool {
    let weigh = |(index, digit): (usize, &u32)| match index % 2 {
        0 => *digit,
        _ if *digit > 4 => digit * 2 - 9,
        _ => digit * 2,
    };
    digits.iter().any(|digit| *digit != 0)
        && digits.iter().rev().enumerate().map(weigh).sum::<u32>() % 10 == 0
}

fn run(bytes: &[u8], test: impl Fn(u8) -> bool) -> usize {
    bytes.iter().take_while(|byte| test(**byte)).count()
}

fn lower(name: &[u8]) -> String {
    String::from_utf8_lossy(name.get(..256).unwrap_or(name)).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hides_headers_that_hold_secrets() {
        for name in [
            "Authorization",
            "cookie",
            "SET-COOKIE",
            "X-Auth-Token",
            "x-csrf-token",
            "X-Api-Key",
            "my-session",
        ] {
            let shown = header(name.as_bytes(), b"hunter2");
            assert_eq!(shown, REDACTED, "{name}");
        }
        assert_eq!(header(b"User-Agent", b"curl/8"), "curl/8");
        assert_eq!(header(b"Referer", b"https://a.example/p?q=1#f"), "https://a.example/p");
        assert_eq!(header(b"location", b"/next?code=1"), "/next");
    }

    #[test]
    fn knows_names_of_secrets() {
        for name in [
            "password",
            "user[Password]",
            "new_passwd",
            "user.pin",
            "access_token",
            "cvv",
            "sid",
            "apiKey",
            "card_number",
        ] {
            assert!(is_secret(name.as_bytes()), "{name}");
        }
        for name in ["q", "id", "page", "compass", "passage", "keyword", "monkey", "author", "spin", ""] {
            assert!(!is_secret(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn hides_what_looks_like_a_secret_in_a_path() {
        for (value, shown) in [
            ("/a/b%20c+d", "/a/b%20c+d"),
            ("/pay/4111%201111%201111%201111/x", "/pay/[redacted]/x"),
            ("/pay/4111-1111-1111-1111", "/pay/[redacted]"),
            ("/%", "/%"),
        ] {
            assert_eq!(encoded(value.as_bytes()), shown);
        }
    }

    #[test]
    fn hides_what_looks_like_a_secret() {
        for (value, shown) in [
            ("card 4111 1111 1111 1111 end", "card [redacted] end"),
            ("4111111111111111", "[redacted]"),
            ("4111111111111112", "4111111111111112"),
            ("ssn 078-05-1120.", "ssn [redacted]."),
            ("a=1&password=hunter2&b=2", "a=1&password=[redacted]&b=2"),
            (r#"{"user":"bob","token": "abc"}"#, r#"{"user":"bob","token": "[redacted]"}"#),
            ("bearer abcdefghijkl", "bearer [redacted]"),
            ("x eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOjF9.c2ln", "x [redacted]"),
            ("AKIAABCDEFGHIJKLMNOP", "[redacted]"),
            ("1' or '1'='1", "1' or '1'='1"),
            ("", ""),
            ("2026-11-23 10:11:12", "2026-11-23 10:11:12"),
        ] {
            assert_eq!(text(value.as_bytes()), shown);
        }
        assert_eq!(text(b"\xff password=\xff"), "\u{fffd} password=[redacted]");
    }
}
