//! One value in every place that has a grammar of its own, with the pre-filter and without: both find the same.
//!
//! The first byte chooses the place, so that each execution reads one place and many are made in little time.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_detect::{Body, Header, Request};
use portcullis_fuzz::the_prefilter_hides_nothing;

const TYPES: [&str; 6] = [
    "application/x-www-form-urlencoded",
    "application/json",
    "application/xml",
    "application/graphql",
    "multipart/form-data; boundary=b",
    "text/plain",
];

const HEADERS: [&str; 8] =
    ["x-value", "user-agent", "accept", "cookie", "referer", "authorization", "content-type", "x-filename"];

fuzz_target!(|bytes: &[u8]| {
    let Some((&place, value)) = bytes.split_first() else { return };
    let place = usize::from(place) % (1 + HEADERS.len() + TYPES.len());
    let header;
    let mut request = Request { method: b"POST", ..Request::default() };
    match place.checked_sub(1) {
        None => request.target = value,
        Some(name) if name < HEADERS.len() => {
            header = [Header { name: HEADERS[name].as_bytes(), value }];
            request.headers = &header;
        }
        Some(place) => {
            header = [Header { name: b"content-type", value: TYPES[place - HEADERS.len()].as_bytes() }];
            request.headers = &header;
            request.body = Body { bytes: value, truncated: false };
        }
    }
    the_prefilter_hides_nothing(&request);
});
