//! Redactions that an operator adds.

use std::collections::HashSet;
use std::sync::Arc;

use super::{REDACTED, header, is_secret};

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

    /// Whether a parameter of this name holds a secret. Of a path such as `user.pin` or `user[pin]` the last part is a name
    /// too.
    pub fn is_secret(&self, name: &[u8]) -> bool {
        let last = name.rsplit(|byte| matches!(byte, b'.' | b'[' | b'/')).next().unwrap_or_default();
        let last = last.strip_suffix(b"]").unwrap_or(last);
        is_secret(name) || self.has(name, Place::Parameter) || self.has(last, Place::Parameter)
    }

    fn has(&self, name: &[u8], place: Place) -> bool {
        if self.own.is_empty() {
            return false;
        }
        let field = String::from_utf8_lossy(name).to_ascii_lowercase();
        self.own.contains(&Redaction { field, place })
    }
}
