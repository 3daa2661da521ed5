//! SSRF and AWS-SSRF: URLs that make a server call inward, read as the client library behind would read them.
//!
//! Catches metadata services in any spelling (AWS-SSRF), the server itself or its network in a spelling that only
//! serves to get past a filter (numbers in other bases, short forms, IPv4 in IPv6, names that resolve inward, circled
//! letters), plain loopback or private addresses with the port or path of a service that is never public, schemes that
//! reach files or speak other protocols (`gopher:`, `dict:`, `file:`, `netdoc:`, `jar:`, ...), user information that
//! looks like the host, and the remote include that ends in `.txt?`.
//!
//! Deliberately misses: any other http or https URL, also to `localhost` or a private address (native apps redirect
//! there, intranets link there), whatever the name of the parameter; `Referer`, `Origin` and forwarding headers.
//!
//! False-positive risks: pages that report `file:` URLs to an analytics endpoint, forms for LDAP servers.
//! Vectors: `vectors/ssrf`.

mod host;
mod service;

use crate::budget::Steps;
use crate::detectors::Detector;
use crate::detectors::ssrf::host::{Reach, Spelling};
use crate::lists;
use crate::scan::{self, starts_with_ignore_case};
use crate::signal::{Location, Tag};
use crate::value::{Field, Finding, Value};

/// The detector's row in the table.
pub(crate) const DETECTOR: Detector = Detector {
    name: "ssrf",
    words: &[
        "//",
        "169.254.",
        "metadata",
        "instance-data",
        "localhost",
        "file:",
        "netdoc:",
        "jar:",
        "http:",
        "https:",
        "100.100.100.200",
        "ip6-",
        "/latest/",
        "/computemetadata/",
        "/opc/",
        "/openstack",
        ".docker.internal",
        ".containers.internal",
        ".cluster.local",
        "kubernetes.default",
        ".consul",
        "localtest.me",
        "lvh.me",
        "vcap.me",
        "lacolhost.com",
        "localh.st",
        "bugbounty.dod.network",
        "spoofed.burpcollaborator.net",
        "mail.ebc.apple.com",
        ".nip.io",
        ".sslip.io",
        ".xip.io",
        ".rbndr.us",
        ".1u.ms",
        ".traefik.me",
    ],
    possible: |_, word| word,
    inspect,
};

/// Schemes that let a URL do what a page never asks for.
const SCHEMES: &[&str] = lists::list!("schemes.txt");
/// What reading a host costs.
const HOST_STEPS: usize = 8;
/// The longest authority that is read.
const AUTHORITY: usize = 255;

fn inspect(value: &Value<'_>, steps: &mut Steps) -> Option<Finding> {
    if !reads(value.field) {
        return None;
    }
    let bytes = value.bytes;
    let start = bytes.len() - bytes.trim_ascii_start().len();
    if let Some((tag, detector, end)) = whole(bytes.get(start..).unwrap_or_default(), value) {
        return Some(Finding { tag, detector, span: start..start + end });
    }
    for at in scan::find_all(bytes, b"://") {
        if !steps.take(HOST_STEPS) {
            return None;
        }
        let (before, after) = (bytes.get(..at).unwrap_or_default(), bytes.get(at + 3..).unwrap_or_default());
        let scheme = trailing_scheme(before);
        let from = at - scheme.len();
        let place = place(before.get(..from).unwrap_or_default());
        let url = Url::read(scheme, after);
        if let Some((tag, detector)) = url.verdict(place) {
            return Some(Finding { tag, detector, span: from..at + 3 + url.authority.len() });
        }
    }
    None
}

/// Whether a URL in `field` is one that the application may fetch.
fn reads(field: &Field<'_>) -> bool {
    let passive = [&b"referer"[..], b"origin", b"host", b"via", b"forwarded", b"from"];
    match field.location {
        Location::UserAgent | Location::Response => false,
        Location::Header => {
            !passive.iter().any(|name| field.name.eq_ignore_ascii_case(name))
                && !starts_with_ignore_case(field.name, b"x-forwarded-")
                && !starts_with_ignore_case(field.name, b"sec-")
        }
        _ => true,
    }
}

/// How a URL stands in its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// It is the value, or all of an attribute, element or string in it.
    Whole,
    /// It is part of a text.
    Within,
}

fn place(before: &[u8]) -> Place {
    let blank = before.trim_ascii().is_empty();
    if blank || before.eq_ignore_ascii_case(b"url:") || before.eq_ignore_ascii_case(b"view-source:") {
        return Place::Whole;
    }
    match before {
        [.., b'=' | b'>'] | [b'"' | b'\'' | b'(' | b'<'] => Place::Whole,
        [text @ .., b'"' | b'\''] if matches!(text.trim_ascii_end().last(), Some(b'=' | b':')) => {
            Place::Whole
        }
        _ => Place::Within,
    }
}

/// A URL, cut where the parser behind would cut it.
struct Url<'a> {
    scheme: &'a [u8],
    authority: &'a [u8],
    host: &'a [u8],
    port: &'a [u8],
    path: &'a [u8],
}

impl<'a> Url<'a> {
    fn read(scheme: &'a [u8], after: &'a [u8]) -> Self {
        let limit = after.get(..AUTHORITY).unwrap_or(after);
        let ends = |byte: u8| b"/?#\"'<>`".contains(&byte) || byte.is_ascii_whitespace();
        let end = limit.iter().position(|&byte| ends(byte)).unwrap_or(limit.len());
        let (authority, path) = after.split_at(end);
        let place = authority
            .iter()
            .rposition(|&byte| byte == b'@')
            .map_or(authority, |at| authority.get(at + 1..).unwrap_or_default());
        let colon = match place.iter().position(|&byte| byte == b']') {
            Some(bracket) => bracket + 1,
            None => place.iter().position(|&byte| byte == b':').unwrap_or(place.len()),
        };
        let (host, port) = place.split_at(colon);
        Self { scheme, authority, host, port: port.strip_prefix(b":").unwrap_or_default(), path }
    }

    fn verdict(&self, place: Place) -> Option<(Tag, &'static str)> {
        if place == Place::Whole && lists::holds(SCHEMES, self.scheme) {
            return Some((Tag::Ssrf, "SSRF-SCHEME"));
        }
        let (reach, spelling) = host::read(self.host);
        match (reach, spelling) {
            (Reach::Metadata, _) => return Some((Tag::AwsSsrf, "SSRF-METADATA")),
            (Reach::Loopback | Reach::Private, Spelling::Odd) => return Some((Tag::Ssrf, "SSRF-ADDRESS")),
            (Reach::Public, Spelling::Odd) if place == Place::Whole => {
                return Some((Tag::Ssrf, "SSRF-SPELLING"));
            }
            _ => {}
        }
        if place == Place::Within {
            return None;
        }
        if reach != Reach::Public && service::is_inner(self.port, self.path) {
            return Some((Tag::Ssrf, "SSRF-SERVICE"));
        }
        if self.disguised() {
            return Some((Tag::Ssrf, "SSRF-USERINFO"));
        }
        self.included().then_some((Tag::Ssrf, "REMOTE-INCLUDE"))
    }

    /// Whether what stands before `@` is written to be taken for the host.
    fn disguised(&self) -> bool {
        let Some(at) = self.authority.iter().rposition(|&byte| byte == b'@') else {
            // `http://good#@evil`: parsers disagree on where the authority ends.
            return self.path.starts_with(b"#@") || self.path.starts_with(b" @");
        };
        let user = self.authority.get(..at).unwrap_or_default();
        if user.ends_with(b"\\") || user.ends_with(b"&") || user.contains(&b'@') && user.contains(&b':') {
            return true;
        }
        let name = user.split(|&byte| byte == b':').next().unwrap_or_default();
        let Some(dot) = name.iter().rposition(|&byte| byte == b'.') else { return false };
        let end = name.get(dot + 1..).unwrap_or_default();
        let known = [&b"com"[..], b"net", b"org", b"io", b"gov", b"edu", b"info", b"biz"];
        known.iter().any(|tld| end.eq_ignore_ascii_case(tld))
            || name.iter().all(|&byte| byte.is_ascii_digit() || byte == b'.')
    }

    /// Whether the URL is written to have a suffix that the script appends cut off.
    fn included(&self) -> bool {
        let web = [&b"http"[..], b"https", b"ftp", b"ftps"];
        web.iter().any(|scheme| self.scheme.eq_ignore_ascii_case(scheme))
            && (self.path.ends_with(b".txt?") || self.path.ends_with(b"??") || self.path.ends_with(b".txt\0"))
    }
}

/// A value that is a URL or host without `://`. The end of the evidence comes with the verdict.
fn whole(text: &[u8], Value { field, word, .. }: &Value<'_>) -> Option<(Tag, &'static str, usize)> {
    let value = text.trim_ascii_end();
    if let Some(end) = proxied(value) {
        return Some((Tag::Ssrf, "SSRF-PROXY", end));
    }
    let done =
        |verdict: Option<(Tag, &'static str)>| verdict.map(|(tag, detector)| (tag, detector, value.len()));
    if let Some(after) = value.strip_prefix(b"//") {
        // In a path this is only a doubled slash.
        let url = Url::read(b"", after);
        let verdict = url.verdict(Place::Whole).filter(|_| field.location != Location::Path);
        return done(verdict.filter(|(_, detector)| matches!(*detector, "SSRF-METADATA" | "SSRF-ADDRESS")));
    }
    let colon = value.iter().take(16).position(|&byte| byte == b':');
    if let Some(at) = colon {
        let (scheme, rest) = (value.get(..at).unwrap_or_default(), value.get(at + 1..).unwrap_or_default());
        let reads_files = [&b"file"[..], b"netdoc"].iter().any(|name| scheme.eq_ignore_ascii_case(name));
        if reads_files && (rest.starts_with(b"/") || rest.starts_with(b"\\\\")) {
            return done(Some((Tag::Ssrf, "SSRF-SCHEME")));
        }
        let nested = [&b"http"[..], b"file", b"ftp"].iter().any(|inner| starts_with_ignore_case(rest, inner));
        if scheme.eq_ignore_ascii_case(b"jar") && nested {
            return done(Some((Tag::Ssrf, "SSRF-SCHEME")));
        }
        let web = scheme.eq_ignore_ascii_case(b"http") || scheme.eq_ignore_ascii_case(b"https");
        if web && !rest.starts_with(b"//") {
            let start = rest.iter().position(|byte| !b"/\\".contains(byte)).unwrap_or(rest.len());
            let url = Url::read(scheme, rest.get(start..).unwrap_or_default());
            let odd = url.host.iter().any(u8::is_ascii_digit) || start > 0;
            return done(url.verdict(Place::Whole).filter(|_| odd));
        }
    }
    // Any word could be a host: without a scheme, one of those that are asked for must be there.
    if !word {
        return None;
    }
    let url = Url::read(b"", value);
    if !url.host.iter().all(|&byte| byte.is_ascii_alphanumeric() || b".-[]:".contains(&byte)) {
        return None;
    }
    let (reach, spelling) = host::read(url.host);
    let named = url.host.iter().any(u8::is_ascii_alphabetic);
    match reach {
        Reach::Metadata if service::is_metadata(url.path) => done(Some((Tag::AwsSsrf, "SSRF-METADATA"))),
        Reach::Loopback | Reach::Private if named && spelling == Spelling::Odd && url.path.len() <= 1 => {
            done(Some((Tag::Ssrf, "SSRF-ADDRESS")))
        }
        _ => None,
    }
}

/// `unix:AAA|http://inside/`: a reverse proxy's own syntax for a backend, which it may take from a query.
fn proxied(value: &[u8]) -> Option<usize> {
    let at = scan::find(value, b"unix:")?;
    let bar = at + memchr::memchr(b'|', value.get(at..)?)?;
    let backend = value.get(bar + 1..)?;
    [&b"http://"[..], b"https://", b"ajp://", b"fcgi://", b"uwsgi://"]
        .iter()
        .find(|scheme| starts_with_ignore_case(backend, scheme))
        .map(|scheme| bar + 1 + scheme.len())
}

/// The scheme at the end of `before`.
fn trailing_scheme(before: &[u8]) -> &[u8] {
    let is_scheme = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-._".contains(byte);
    let length = before.iter().rev().take(24).take_while(|byte| is_scheme(byte)).count();
    before.get(before.len() - length..).unwrap_or_default()
}
