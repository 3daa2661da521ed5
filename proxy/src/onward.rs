//! The head that an upstream gets.

use std::borrow::Cow;

use bytes::{BufMut, BytesMut};
use http::header::{CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{Method, Request};

use crate::forward::{self, Source};
use crate::inspect::Seen;
use crate::settings::{Host, Listener};
use crate::upgrade::Wanted;

/// A request's head on its way, made anew for each attempt.
pub(crate) struct Onward<'a> {
    /// The request.
    pub seen: &'a Seen,
    /// Headers that the verdict adds.
    pub added: &'a [(HeaderName, HeaderValue)],
    /// The client's address.
    pub peer: &'a HeaderValue,
    /// Whose rules it obeys.
    pub listener: &'a Listener,
    /// What the parser knows of the request beside it.
    pub extensions: &'a http::Extensions,
    /// The switch of protocols that is asked for.
    pub upgrade: Option<&'a Wanted>,
    /// Whether trailers end the body: it has no length then.
    pub trailers: bool,
}

impl Onward<'_> {
    /// Its method.
    pub(crate) fn method(&self) -> &Method {
        &self.seen.method
    }

    /// As hyper takes it, its Host only where it is not the upstream's own.
    pub(crate) fn parts(&self) -> Parts {
        let (mut head, ()) = Request::new(()).into_parts();
        head.method = self.seen.method.clone();
        head.uri = self.seen.uri.clone();
        let mut headers = HeaderMap::with_capacity(self.seen.headers.len() + 8);
        if let Some(host) = self.host() {
            headers.insert(HOST, host.into_owned());
        }
        self.fields(|name, value| {
            headers.append(name, value.clone());
        });
        if let Some(length) = self.seen.headers.get(CONTENT_LENGTH).filter(|_| !self.trailers) {
            headers.insert(CONTENT_LENGTH, length.clone());
        }
        head.headers = headers;
        if self.listener.header_case {
            head.extensions = self.extensions.clone();
            head.extensions.remove::<hyper::ext::Protocol>();
        }
        if let Some(upgrade) = self.upgrade {
            upgrade.announce(&mut head, self.listener.inspect_websocket);
        }
        head
    }

    /// As HTTP/1.1 has it, before a body of `length` bytes; `own` is the upstream's own Host.
    pub(crate) fn write(&self, own: &HeaderValue, length: usize, out: &mut BytesMut) {
        let mut put = |parts: &[&[u8]]| parts.iter().for_each(|part| out.put_slice(part));
        let path = self.seen.uri.path_and_query().map_or("/", PathAndQuery::as_str);
        // A target in absolute form may have a query and no path.
        let root = if path.starts_with(['/', '*']) { "" } else { "/" };
        let method = self.seen.method.as_str();
        put(&[method.as_bytes(), b" ", root.as_bytes(), path.as_bytes(), b" HTTP/1.1\r\nhost: "]);
        put(&[self.host().as_deref().unwrap_or(own).as_bytes(), b"\r\n"]);
        self.fields(|name, value| put(&[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"]));
        if length > 0 || self.seen.headers.contains_key(CONTENT_LENGTH) {
            put(&[b"content-length: ", itoa(length, &mut [0; 20]), b"\r\n"]);
        }
        put(&[b"\r\n"]);
    }

    /// The Host that the upstream sees where it is the client's.
    fn host(&self) -> Option<Cow<'_, HeaderValue>> {
        match self.listener.host {
            Host::Client => host(self.seen),
            Host::Upstream => None,
        }
    }

    /// Every header but Host and Content-Length.
    fn fields(&self, put: impl FnMut(&HeaderName, &HeaderValue)) {
        let host = host(self.seen);
        let source = Source { peer: self.peer, host: host.as_deref(), scheme: self.listener.scheme() };
        forward::onward(&self.seen.headers, &source, self.listener.rewriting, self.added, put);
    }
}

/// The host that the client asked for: a target in absolute form, as HTTP/2's always is, outranks the header (RFC 9112
/// section 3.2.2).
fn host(seen: &Seen) -> Option<Cow<'_, HeaderValue>> {
    let host = match seen.uri.authority() {
        Some(authority) => {
            let host = authority.as_str().rsplit('@').next().unwrap_or_default();
            Cow::Owned(HeaderValue::from_str(host).ok()?)
        }
        None => Cow::Borrowed(seen.headers.get(HOST)?),
    };
    (!host.is_empty()).then_some(host)
}

/// `number` in digits, without an allocation.
fn itoa(mut number: usize, digits: &mut [u8; 20]) -> &[u8] {
    let mut start = digits.len();
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
        start -= 1;
        if number == 0 {
            break;
        }
    }
    digits.get(start..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_in_digits() {
        for number in [0, 7, 10, 65_326, usize::MAX] {
            assert_eq!(itoa(number, &mut [0; 20]), number.to_string().as_bytes());
        }
    }
}
