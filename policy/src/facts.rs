//! What rules are asked about: the facts of a request.

use std::cell::OnceCell;
use std::net::IpAddr;

use portcullis_detect::{Engine, Request};

/// A parameter, cookie or header: name and value, decoded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub name: Vec<u8>,
    /// Its value.
    pub value: Vec<u8>,
}

/// The parameters of a body that is not a plain form, for `Facts::post`.
pub fn post_parameters(engine: &Engine, request: &Request<'_>) -> Vec<Parameter> {
    let found = engine.post_parameters(request).into_iter();
    let mut parameters: Vec<_> = found.map(|(name, value)| Parameter { name, value }).collect();
    // Numbers and booleans hold no attack, and are no business of the engine's.
    if request.body.bytes.trim_ascii_start().starts_with(b"{")
        && let Ok(tree) = serde_json::from_slice(request.body.bytes)
    {
        scalars("", &tree, &mut parameters);
    }
    parameters
}

/// Adds what of a JSON document is no text, each under the last key that leads to it. The parser bounds its depth.
fn scalars(name: &str, tree: &serde_json::Value, out: &mut Vec<Parameter>) {
    use serde_json::Value;
    if out.len() >= MOST_PAIRS {
        return;
    }
    match tree {
        Value::Object(map) => map.iter().for_each(|(name, value)| scalars(name, value, out)),
        Value::Array(items) => items.iter().for_each(|value| scalars(name, value, out)),
        Value::Number(_) | Value::Bool(_) if !name.is_empty() => {
            out.push(Parameter { name: name.into(), value: tree.to_string().into_bytes() });
        }
        Value::Number(_) | Value::Bool(_) | Value::String(_) | Value::Null => {}
    }
}

/// A request as rules see it. What costs something to find out is found out when the first rule asks.
#[derive(Debug)]
pub struct Facts<'a> {
    /// The request.
    pub request: &'a Request<'a>,
    /// The client's address.
    pub client: Option<IpAddr>,
    /// The client's country as two letters; empty where it is not known. Looked up only where
    /// [`Needs`](crate::Needs) says so.
    pub country: &'a str,
    /// Fingerprints of the client's TLS hello; empty where the caller has none.
    pub ja3: &'a str,
    /// The same in the newer form.
    pub ja4: &'a str,
    /// The agent's name.
    pub agent: &'a str,
    /// The parameters of a body that is not a plain form, which this crate reads itself. Filled only where
    /// [`Needs`](crate::Needs) says so.
    pub post: &'a [Parameter],
    pub(crate) known: Known,
}

/// What was found out.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pub(crate) path: OnceCell<Vec<Vec<u8>>>,
    pub(crate) domain: OnceCell<Vec<u8>>,
    pub(crate) query: OnceCell<Vec<Parameter>>,
    pub(crate) post: OnceCell<Vec<Parameter>>,
    pub(crate) cookies: OnceCell<Vec<Parameter>>,
}

impl<'a> Facts<'a> {
    /// The facts that every caller has; the others can be set.
    pub fn new(request: &'a Request<'a>, client: Option<IpAddr>) -> Self {
        Self { request, client, country: "", ja3: "", ja4: "", agent: "", post: &[], known: Known::default() }
    }

    /// The forms of the path: as it came, and as a server reads it where that is something else.
    pub(crate) fn paths(&self) -> &[Vec<u8>] {
        self.known.path.get_or_init(|| {
            let raw = path(self.request.target);
            let read = normal(&decoded(raw, false));
            if read == raw { vec![read] } else { vec![raw.to_vec(), read] }
        })
    }

    /// The host in lower case, without port and final dot.
    pub(crate) fn domain(&self) -> &[u8] {
        self.known.domain.get_or_init(|| domain(self.request))
    }

    pub(crate) fn user_agent(&self) -> &'a [u8] {
        self.request.header_values("user-agent").next().unwrap_or_default()
    }

    pub(crate) fn query(&self) -> &[Parameter] {
        self.known.query.get_or_init(|| pairs(query(self.request.target), b'&', true))
    }

    pub(crate) fn cookies(&self) -> &[Parameter] {
        self.known.cookies.get_or_init(|| {
            let headers = self.request.header_values("cookie");
            headers.flat_map(|header| pairs(header, b';', false)).take(MOST_PAIRS).collect()
        })
    }

    pub(crate) fn post(&self) -> &[Parameter] {
        self.known.post.get_or_init(|| {
            let media = self.request.header_values("content-type").next().unwrap_or_default();
            let media = media.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
            if media.eq_ignore_ascii_case(b"application/x-www-form-urlencoded") {
                pairs(self.request.body.bytes.trim_ascii_end(), b'&', true)
            } else {
                self.post.to_vec()
            }
        })
    }
}

/// The path of a target, also of one in absolute form.
fn path(target: &[u8]) -> &[u8] {
    let path = target.split(|byte| matches!(byte, b'?' | b'#')).next().unwrap_or_default();
    if path.starts_with(b"/") {
        return path;
    }
    match memchr::memmem::find(path, b"://") {
        Some(at) => {
            let rest = path.get(at + 3..).unwrap_or_default();
            let slash = memchr::memchr(b'/', rest).unwrap_or(rest.len());
            rest.get(slash..).filter(|path| !path.is_empty()).unwrap_or(b"/")
        }
        None => path,
    }
}

fn query(target: &[u8]) -> &[u8] {
    match memchr::memchr(b'?', target) {
        Some(at) => {
            let query = target.get(at + 1..).unwrap_or_default();
            query.split(|byte| *byte == b'#').next().unwrap_or_default()
        }
        None => &[],
    }
}

fn domain(request: &Request<'_>) -> Vec<u8> {
    let named = if request.authority.is_empty() {
        request.header_values("host").next().unwrap_or_default()
    } else {
        request.authority
    };
    // What stands before an at sign is a user's name, which nobody goes by.
    let named = named.rsplit(|byte| *byte == b'@').next().unwrap_or_default();
    let host = match named.strip_prefix(b"[") {
        Some(rest) => rest.split(|byte| *byte == b']').next().unwrap_or_default(),
        None => named.split(|byte| *byte == b':').next().unwrap_or_default(),
    };
    host.strip_suffix(b".").unwrap_or(host).to_ascii_lowercase()
}

/// Splits a list of pairs and decodes it; a name without value is a pair too.
fn pairs(text: &[u8], separator: u8, plus: bool) -> Vec<Parameter> {
    let text = text.get(..MOST_BYTES).unwrap_or(text);
    let parts = text.split(|byte| *byte == separator).map(<[u8]>::trim_ascii).filter(|part| !part.is_empty());
    let pair = |part: &[u8]| {
        let at = memchr::memchr(b'=', part).unwrap_or(part.len());
        let (name, value) = part.split_at(at);
        let value = value.get(1..).unwrap_or_default();
        Parameter { name: decoded(name, plus), value: decoded(value, plus) }
    };
    parts.take(MOST_PAIRS).map(pair).collect()
}

/// Undoes percent encoding once; what is none stays.
fn decoded(text: &[u8], plus: bool) -> Vec<u8> {
    let digit = |at: usize| text.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        match (byte, digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push(u8::try_from(high * 16 + low).unwrap_or_default());
                at += 3;
            }
            (b'+', _, _) if plus => {
                out.push(b' ');
                at += 1;
            }
            _ => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    out
}

/// The path with `.` and `..` resolved, and one slash where there are several.
fn normal(path: &[u8]) -> Vec<u8> {
    let mut kept: Vec<&[u8]> = Vec::new();
    let mut segments = path.split(|byte| matches!(byte, b'/' | b'\\')).peekable();
    let mut is_folder = false;
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        // Parameters of a segment are no part of its name.
        match segment.split(|byte| *byte == b';').next().unwrap_or_default() {
            b"" | b"." => is_folder |= is_last,
            b".." => {
                kept.pop();
                is_folder |= is_last;
            }
            other => kept.push(other),
        }
    }
    let mut out = Vec::with_capacity(path.len());
    for segment in &kept {
        out.push(b'/');
        out.extend_from_slice(segment);
    }
    if is_folder || kept.is_empty() {
        out.push(b'/');
    }
    out
}

/// Pairs that are read of one place, and bytes of it.
const MOST_PAIRS: usize = 1000;
const MOST_BYTES: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use portcullis_detect::Header;

    use super::*;

    fn text(bytes: &[u8]) -> String {
        String::from_utf8_lossy(bytes).into_owned()
    }

    fn paths(target: &str) -> Vec<String> {
        let request = Request { target: target.as_bytes(), ..Request::default() };
        Facts::new(&request, None).paths().iter().map(|path| text(path)).collect()
    }

    #[test]
    fn a_path_has_the_form_that_came_and_the_one_that_is_served() {
        assert_eq!(paths("/a/b?c=/d"), ["/a/b"]);
        assert_eq!(paths("/"), ["/"]);
        assert_eq!(paths("/a/"), ["/a/"]);
        assert_eq!(paths("/%61dmin"), ["/%61dmin", "/admin"]);
        assert_eq!(paths("//admin/./x/../y/"), ["//admin/./x/../y/", "/admin/y/"]);
        assert_eq!(paths("/static/..%2fadmin"), ["/static/..%2fadmin", "/admin"]);
        assert_eq!(paths("/../../x"), ["/../../x", "/x"]);
        assert_eq!(paths("/admin;a=1/x"), ["/admin;a=1/x", "/admin/x"]);
        assert_eq!(paths("/x/..;a/y"), ["/x/..;a/y", "/y"]);
        assert_eq!(paths("http://shop.example/a"), ["/a"]);
        assert_eq!(paths("http://shop.example"), ["/"]);
    }

    #[test]
    fn a_domain_is_a_host_without_port() {
        for (authority, domain) in [
            ("Shop.Example:8443", "shop.example"),
            ("shop.example.", "shop.example"),
            ("user:other.example@shop.example:80", "shop.example"),
            ("[2001:DB8::1]:80", "2001:db8::1"),
            ("", "from.header"),
        ] {
            let headers = [Header { name: b"Host", value: b"From.Header:1" }];
            let request =
                Request { authority: authority.as_bytes(), headers: &headers, ..Request::default() };
            assert_eq!(text(Facts::new(&request, None).domain()), domain);
        }
    }

    #[test]
    fn reads_parameters_of_other_bodies() {
        let read = |content_type: &str, body: &str| -> Vec<String> {
            let headers = [Header { name: b"Content-Type", value: content_type.as_bytes() }];
            let body = portcullis_detect::Body { bytes: body.as_bytes(), truncated: false };
            let request = Request { method: b"POST", headers: &headers, body, ..Request::default() };
            let mut pairs: Vec<_> = post_parameters(&Engine::default(), &request)
                .iter()
                .map(|pair| format!("{}:{}", text(&pair.name), text(&pair.value)))
                .collect();
            pairs.sort();
            pairs
        };
        let json = r#"{"user": {"role": "admin", "age": 42}, "tags": ["a", true], "role": "x"}"#;
        assert_eq!(read("application/json", json), ["age:42", "role:admin", "role:x", "tags:a", "tags:true"]);
        let parts = "--b\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\n../x\r\n--b--\r\n";
        assert_eq!(read("multipart/form-data; boundary=b", parts), ["file:../x"]);
    }

    #[test]
    fn reads_pairs_of_query_form_and_cookies() {
        let headers = [
            Header { name: b"Cookie", value: b"a=1; b=%20x+y" },
            Header { name: b"Content-Type", value: b"application/x-www-form-urlencoded; charset=utf-8" },
        ];
        let request = Request {
            target: b"/?a=1&b=x+y%21&c&=d&&a=2#e",
            headers: &headers,
            body: portcullis_detect::Body { bytes: b"p=%70\r\n", truncated: false },
            ..Request::default()
        };
        let facts = Facts::new(&request, None);
        let shown = |pairs: &[Parameter]| -> Vec<String> {
            pairs.iter().map(|pair| format!("{}:{}", text(&pair.name), text(&pair.value))).collect()
        };
        assert_eq!(shown(facts.query()), ["a:1", "b:x y!", "c:", ":d", "a:2"]);
        assert_eq!(shown(facts.cookies()), ["a:1", "b: x+y"]);
        assert_eq!(shown(facts.post()), ["p:p"]);
    }
}
