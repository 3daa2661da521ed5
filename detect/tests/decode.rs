//! The vectors of the decoders: `vectors/decode/<decoder>.txt`.
//!
//! A line that is not indented is a value, sent as a header's value or, after a line `@query`, as it stands in a query.
//! The indented lines below it are the other forms that the detectors must be shown, all of them and no others; one
//! that starts with `!` is a tag that must be raised.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]

mod common;

use portcullis_detect::{Engine, Header, Location, Request, Tag};

#[test]
fn values_decode_to_exactly_their_forms() {
    let engine = Engine::default();
    let mut wrong = Vec::new();
    for (file, text) in common::files("decode") {
        let cases = cases(&text);
        assert!(!cases.is_empty(), "{file} holds no vector");
        for case in cases {
            let (mut forms, tags) = case.run(&engine);
            let mut expected = case.forms.clone();
            forms.sort();
            expected.sort();
            if forms != expected || tags != case.tags {
                let shown: Vec<String> = forms.iter().map(|form| form.escape_ascii().to_string()).collect();
                wrong.push(format!("{file}: {} gave {shown:#?} and {tags:?}", case.value.escape_ascii()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[derive(Default)]
struct Case {
    in_query: bool,
    value: Vec<u8>,
    forms: Vec<Vec<u8>>,
    tags: Vec<String>,
}

impl Case {
    /// The forms beside the first one, and the tags about encoding.
    fn run(&self, engine: &Engine) -> (Vec<Vec<u8>>, Vec<String>) {
        let mut target = b"/?value=".to_vec();
        let headers = [Header { name: b"x-value", value: &self.value }];
        let (headers, place) = if self.in_query {
            target.extend_from_slice(&self.value);
            (&headers[..0], Location::QueryString)
        } else {
            (&headers[..], Location::Header)
        };
        let request = Request { target: &target, headers, ..Request::default() };
        let forms =
            engine.trace(&request).into_iter().filter(|form| form.location == place && form.part == "value");
        let forms = forms.map(|form| form.bytes).filter(|form| *form != self.value).collect();
        let encoding = [Tag::DoubleEncoding, Tag::NotUtf8, Tag::NullByte, Tag::InspectionLimit];
        let signals = engine.inspect(&request);
        let tags = signals.iter().filter(|signal| encoding.contains(&signal.tag));
        (forms, tags.map(|signal| signal.tag.to_string()).collect())
    }
}

fn cases(text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let mut in_query = false;
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        match line.strip_prefix("    ") {
            _ if line == "@query" => in_query = true,
            _ if line == "@header" => in_query = false,
            None => cases.push(Case { in_query, value: common::unescape(line), ..Case::default() }),
            Some(line) => {
                let case = cases.last_mut().expect("a value before its forms");
                match line.strip_prefix('!') {
                    Some(tag) => case.tags.push(tag.to_owned()),
                    None => case.forms.push(common::unescape(line)),
                }
            }
        }
    }
    cases
}
