//! Wildcards: `*` any text, `?` one character, `[abc]` and `[a-z]` one of them, `[!abc]` none of them, `[cat|dog]` one of
//! these texts, `\` before a character that stands for itself.

use regex::bytes::{Regex, RegexBuilder};

/// A wildcard, in the cheapest form that says the same.
#[derive(Clone, Debug)]
pub(crate) enum Wild {
    /// Anything.
    Any,
    Exact(Box<[u8]>),
    Prefix(Box<[u8]>),
    Suffix(Box<[u8]>),
    Within(Box<[u8]>),
    Other(Regex),
}

impl Wild {
    /// Compiles `pattern`; where `fold`, it is in lower case and so will be what is matched.
    pub(crate) fn new(pattern: &str, fold: bool) -> Result<Self, String> {
        let pattern = if fold { pattern.to_ascii_lowercase() } else { pattern.to_owned() };
        let inner = pattern.trim_start_matches('*').trim_end_matches('*');
        if !inner.contains(['*', '?', '[', ']', '\\']) {
            let text: Box<[u8]> = inner.as_bytes().into();
            let (open, close) = (pattern.starts_with('*'), pattern.ends_with('*'));
            return Ok(match (open, close) {
                (true, _) if inner.is_empty() => Self::Any,
                (false, false) => Self::Exact(text),
                (false, true) => Self::Prefix(text),
                (true, false) => Self::Suffix(text),
                (true, true) => Self::Within(text),
            });
        }
        let expression = expression(&pattern)?;
        regex(&expression, false).map(Self::Other)
    }

    pub(crate) fn matches(&self, text: &[u8]) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(whole) => text == &**whole,
            Self::Prefix(start) => text.starts_with(start),
            Self::Suffix(end) => text.ends_with(end),
            Self::Within(part) => memchr::memmem::find(text, part).is_some(),
            Self::Other(regex) => regex.is_match(text),
        }
    }
}

/// Compiles a regular expression within limits; matching is linear in the text whatever the expression.
pub(crate) fn regex(expression: &str, fold: bool) -> Result<Regex, String> {
    if expression.len() > MOST_EXPRESSION {
        return Err(format!("an expression longer than {MOST_EXPRESSION} bytes"));
    }
    let mut builder = RegexBuilder::new(expression);
    builder.size_limit(SIZE).dfa_size_limit(SIZE).nest_limit(50).case_insensitive(fold).unicode(false);
    match builder.build() {
        Ok(regex) => Ok(regex),
        // What needs Unicode says so by failing without.
        Err(_) => builder.unicode(true).build().map_err(|error| {
            let text = error.to_string();
            text.lines().last().unwrap_or_default().trim().trim_start_matches("error: ").to_owned()
        }),
    }
}

fn expression(pattern: &str) -> Result<String, String> {
    let mut out = String::from("(?s)^");
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '*' => out.push_str(".*"),
            '?' => out.push('.'),
            '\\' => out.push_str(&regex::escape(&letters.next().unwrap_or('\\').to_string())),
            '[' => {
                let rest = letters.as_str();
                let end = rest.find(']').ok_or("a [ without a ]")?;
                let (inner, after) =
                    (rest.get(..end).unwrap_or_default(), rest.get(end + 1..).unwrap_or_default());
                out.push_str(&class(inner)?);
                letters = after.chars();
            }
            other => out.push_str(&regex::escape(&other.to_string())),
        }
    }
    out.push('$');
    Ok(out)
}

fn class(inner: &str) -> Result<String, String> {
    if inner.is_empty() {
        return Err("an empty []".to_owned());
    }
    if inner.contains('|') {
        let words: Vec<_> = inner.split('|').map(regex::escape).collect();
        return Ok(format!("(?:{})", words.join("|")));
    }
    let (not, inner) = match inner.strip_prefix(['!', '^']) {
        Some(rest) if !rest.is_empty() => ("^", rest),
        _ => ("", inner),
    };
    let mut out = format!("[{not}");
    let letters: Vec<char> = inner.chars().collect();
    let mut at = 0;
    while let Some(first) = letters.get(at) {
        match (letters.get(at + 1), letters.get(at + 2)) {
            (Some('-'), Some(last)) => {
                out.push_str(&format!("{}-{}", escaped(*first), escaped(*last)));
                at += 3;
            }
            _ => {
                out.push_str(&escaped(*first));
                at += 1;
            }
        }
    }
    out.push(']');
    Ok(out)
}

fn escaped(letter: char) -> String {
    if letter.is_ascii_alphanumeric() || !letter.is_ascii() {
        letter.to_string()
    } else {
        format!("\\{letter}")
    }
}

/// Bytes of an expression, and of what it compiles to.
const MOST_EXPRESSION: usize = 4096;
const SIZE: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_as_the_field_knows_wildcards() {
        for (pattern, yes, no) in [
            ("/login", "/login", "/login/"),
            ("/login*", "/login/x", "/xlogin"),
            ("*.php", "/a.php", "/a.php5"),
            ("*admin*", "/x/admin/y", "/x/admi"),
            ("*", "", "-"),
            ("/a/*/c", "/a/b/b/c", "/a/b/d"),
            ("/v?/x", "/v1/x", "/v12/x"),
            ("/v[12]/x", "/v2/x", "/v3/x"),
            ("/v[0-9]", "/v7", "/vx"),
            ("/v[!0-9]", "/vx", "/v7"),
            ("/[cat|dog]s", "/dogs", "/cows"),
            ("/a\\*", "/a*", "/ab"),
            ("/a\\[b]", "/a[b]", "/ab"),
            ("a.c", "a.c", "abc"),
        ] {
            let wild = Wild::new(pattern, false).unwrap();
            assert!(wild.matches(yes.as_bytes()), "{pattern} {yes}");
            if pattern != "*" {
                assert!(!wild.matches(no.as_bytes()), "{pattern} {no}");
            }
        }
        assert!(Wild::new("/a[", false).is_err());
        assert!(Wild::new("[]", false).is_err());
        assert!(Wild::new("*.EXAMPLE.com", true).unwrap().matches(b"www.example.com"));
    }

    #[test]
    fn an_expression_has_limits_and_a_reason() {
        assert!(regex("a(", false).unwrap_err().contains("unclosed group"));
        assert!(regex("(?:a{1000}){1000}", false).is_err());
        assert!(regex(&"a".repeat(5000), false).is_err());
        assert!(regex(r"\p{Greek}", false).unwrap().is_match("\u{3b1}".as_bytes()));
    }
}
