//! GRAPHQL-IDE: the page of a GraphQL development environment is asked for, or a request comes from one.
//!
//! Catches paths that end in such a page's usual name, and `Referer` and `Origin` that lead to one or to a hosted one.
//! Deliberately misses: pages under other names, and desktop programs that send neither header.

use crate::engine::Inspection;
use crate::request::Request;
use crate::scan;
use crate::signal::{Location, Tag};

/// What such pages are called.
const PAGES: [&[u8]; 9] = [
    b"graphiql",
    b"playground",
    b"graphql-playground",
    b"graphql-explorer",
    b"graphql-voyager",
    b"voyager",
    b"altair",
    b"graphql-ide",
    b"apollo-sandbox",
];

/// Hosts and schemes of environments that run elsewhere.
const HOSTED: [&[u8]; 4] = [
    b"https://studio.apollographql.com",
    b"https://sandbox.apollo.dev",
    b"altair://",
    b"https://altair-gql.sirmuel.design",
];

pub(super) fn inspect(request: &Request<'_>, inspection: &mut Inspection<'_>) {
    if is_page(request.target) {
        inspection.note(Tag::GraphqlIde, Location::Path, "GRAPHQL-IDE", request.target);
        return;
    }
    let from = ["referer", "origin"].into_iter().flat_map(|name| request.header_values(name));
    for value in from {
        let hosted = HOSTED.iter().any(|host| scan::starts_with_ignore_case(value, host));
        if hosted || is_page(value) {
            inspection.note(Tag::GraphqlIde, Location::Header, "GRAPHQL-IDE", value);
            return;
        }
    }
}

/// Whether the path of a target or URL ends in the name of a page.
fn is_page(target: &[u8]) -> bool {
    let end = target.iter().position(|byte| matches!(byte, b'?' | b'#' | b';')).unwrap_or(target.len());
    let path = target.get(..end).unwrap_or_default();
    let path = scan::find(path, b"://").map_or(path, |at| path.get(at + 3..).unwrap_or_default());
    let path = path.strip_suffix(b"/").unwrap_or(path);
    let mut segments = path.rsplit(|&byte| byte == b'/');
    let last = segments.next().unwrap_or_default();
    let last = if scan::same(last, b"index.html") { segments.next().unwrap_or_default() } else { last };
    let last = last.strip_suffix(b".html").unwrap_or(last);
    // A page needs a path before its name: `playground` alone is a host.
    segments.next().is_some() && PAGES.iter().any(|page| scan::same(last, page))
}
