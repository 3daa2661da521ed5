//! Redactions that an operator adds.

use std::collections::HashSet;
use std::sync::Arc;

use super::{REDACTED, header, is_secret, spellings, text, unescaped};

/// Where what is redacted stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// A parameter of query or body.
    Parameter,
    /// A header of the request.
    RequestHeader,
    /// A header of the response.
    ResponseHeader,
}

/// A name whose value is not written down.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Redaction {
    /// The name in lower case.
    pub(crate) field: String,
    pub(crate) place: Place,
}

/// The redactions in force: those that always are, and the operator's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Redactions {
    own: Arc<HashSet<Redaction>>,
}

impl Redactions {
    pub(crate) fn new(own: Vec<Redaction>) -> Self {
        Self { own: Arc::new(own.into_iter().collect()) }
    }

    /// A request header's value as it may be shown.
    pub fn request_header(&self, name: &[u8], value: &[u8]) -> String {
        if self.has(name, Place::RequestHeader) { REDACTED.to_owned() } else { header(name, value) }
    }

    /// A response header's value as it may be shown.
    pub fn response_header(&self, name: &[u8], value: &[u8]) -> String {
        if self.has(name, Place::ResponseHeader) { REDACTED.to_owned() } else { header(name, value) }
    }

    /// Whether a parameter of this name holds a secret, however often it is percent-encoded. Of a path such as `user.pin` or
    /// `user[pin]` the last part is a name too.
    pub fn is_secret(&self, name: &[u8]) -> bool {
        spellings(name).iter().any(|name| {
            let last = name.rsplit(|byte| matches!(byte, b'.' | b'[' | b'/')).next().unwrap_or_default();
            let last = last.strip_suffix(b"]").unwrap_or(last);
            is_secret(name) || self.has(name, Place::Parameter) || self.has(last, Place::Parameter)
        })
    }

    /// A request's target as it may be shown: values of parameters that hold a secret, by their name or by what they look
    /// like, are gone.
    pub fn target(&self, target: &[u8]) -> String {
        let whole = String::from_utf8_lossy(target);
        let Some((path, query)) = whole.split_once('?') else { return super::encoded(target) };
        let mut shown = super::encoded(path.as_bytes());
        let (query, fragment) =
            query.split_once('#').map_or((query, None), |(query, rest)| (query, Some(rest)));
        let mut joint = '?';
        let mut rest = query;
        loop {
            let end = rest.find(['&', ';']).unwrap_or(rest.len());
            let (pair, after) = rest.split_at(end);
            shown.push(joint);
            self.pair(pair, &mut shown);
            let mut after = after.chars();
            let Some(next) = after.next() else { break };
            (joint, rest) = (next, after.as_str());
        }
        if let Some(fragment) = fragment {
            shown.push('#');
            self.pair(fragment, &mut shown);
        }
        // What spans several of them.
        text(shown.as_bytes())
    }

    /// Adds one parameter of a query as it may be shown.
    fn pair(&self, pair: &str, shown: &mut String) {
        let (name, value) = pair.split_once('=').map_or((pair, None), |(name, value)| (name, Some(value)));
        let plain = unescaped(pair.as_bytes());
        let is_secret = self.is_secret(&unescaped(name.as_bytes()));
        match value {
            Some(_) if is_secret => shown.extend([name, "=", REDACTED]),
            // Written with escapes it looks like nothing.
            _ if text(&plain) != String::from_utf8_lossy(&plain) => {
                let shown_name =
                    text(&unescaped(name.as_bytes())) == String::from_utf8_lossy(&unescaped(name.as_bytes()));
                if shown_name && value.is_some() {
                    shown.extend([name, "="]);
                }
                shown.push_str(REDACTED);
            }
            _ => shown.push_str(pair),
        }
    }

    fn has(&self, name: &[u8], place: Place) -> bool {
        if self.own.is_empty() {
            return false;
        }
        let field = String::from_utf8_lossy(name).to_ascii_lowercase();
        self.own.contains(&Redaction { field, place })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_name_of_a_secret_under_percent_signs() {
        let own = Redaction { field: "nickname".to_owned(), place: Place::Parameter };
        let redactions = Redactions::new(vec![own]);
        for name in ["user%5Bpin%5D", "user%255Bpin%255D", "%70assword", "nick%6Eame", "a%2Enickname"] {
            assert!(redactions.is_secret(name.as_bytes()), "{name}");
        }
        for name in ["user%5Bname%5D", "100%", "%", "%zz", "a%20b", "%25252525"] {
            assert!(!redactions.is_secret(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn shows_a_target_without_its_secrets() {
        let own = Redaction { field: "nickname".to_owned(), place: Place::Parameter };
        let redactions = Redactions::new(vec![own]);
        for (target, shown) in [
            ("/a/b", "/a/b"),
            ("/a?b=c&d", "/a?b=c&d"),
            ("/a?password=hunter2&b=1", "/a?password=[redacted]&b=1"),
            ("/a?b=1;user%5Bpin%5D=1234", "/a?b=1;user%5Bpin%5D=[redacted]"),
            ("/a?%70assword=hunter2", "/a?%70assword=[redacted]"),
            ("/a?nickname=joe", "/a?nickname=[redacted]"),
            ("/pay/4111111111111111?x", "/pay/[redacted]?x"),
            ("/a?q=4111+1111+1111+1111", "/a?q=[redacted]"),
            ("/a?q=%34111111111111111&z", "/a?q=[redacted]&z"),
            ("/a?q=password%3Dhunter2", "/a?q=[redacted]"),
            ("/a?4111111111111111", "/a?[redacted]"),
            ("http://shop.example/a?token=x#access_token=y", "http://shop.example/a?token=[redacted]"),
            ("/a#access_token=y", "/a#access_token=[redacted]"),
            ("/a?b#access_token=y", "/a?b#access_token=[redacted]"),
            ("/a?", "/a?"),
            ("/a?&&=", "/a?&&="),
            ("/%zz?a=%", "/%zz?a=%"),
        ] {
            assert_eq!(redactions.target(target.as_bytes()), shown);
        }
    }
}
