//! The vectors of the parsers: `vectors/input/<place>.txt`.
//!
//! A file is a list of requests. `=== name` starts one; its request line, headers, an empty line and the body follow,
//! body lines joined by a line feed. Then `--- fields` and every field that the detectors must be shown, as
//! `LOCATION part name=value`, all of them in order; then `--- signals` and the tags that the parser must raise.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]

mod common;

use portcullis_detect::{Body, Engine, Header, Request, Tag};

/// The tags that parsers raise.
const TAGS: &[Tag] = &[
    Tag::BodyParserEvasion,
    Tag::Compressed,
    Tag::GraphqlApi,
    Tag::GraphqlDepth,
    Tag::GraphqlDuplicateVariables,
    Tag::GraphqlIntrospection,
    Tag::GraphqlMissingOperation,
    Tag::GraphqlUndefinedVariables,
    Tag::InspectionLimit,
    Tag::JsonError,
    Tag::MalformedData,
    Tag::NoContentType,
    Tag::XmlError,
];

#[test]
fn requests_are_read_field_by_field() {
    let engine = Engine::default();
    let mut wrong = Vec::new();
    for (file, text) in common::files("input") {
        let cases = cases(&text);
        assert!(!cases.is_empty(), "{file} holds no vector");
        for case in cases {
            let (fields, tags) = case.run(&engine, case.body.len());
            if fields != case.fields || tags != case.tags {
                wrong.push(format!("{file}: {} gave {fields:#?} and {tags:?}", case.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_body_cut_anywhere_is_read_up_to_there() {
    let engine = Engine::default();
    for (file, text) in common::files("input") {
        for case in cases(&text) {
            let whole = case.run(&engine, case.body.len()).0.len();
            for length in 0..case.body.len() {
                let (fields, tags) = case.run(&engine, length);
                let cut = tags.iter().any(|tag| tag == "INSPECTION-LIMIT");
                assert!(cut || length == 0, "{file}: {} cut at {length} is not reported", case.name);
                assert!(fields.len() <= 2 * whole + 8, "{file}: {} cut at {length} grows fields", case.name);
            }
        }
    }
}

#[derive(Default)]
struct Case {
    name: String,
    head: Vec<String>,
    body: Vec<u8>,
    fields: Vec<String>,
    tags: Vec<String>,
}

impl Case {
    /// The fields and tags of the request with the first `length` bytes of its body.
    fn run(&self, engine: &Engine, length: usize) -> (Vec<String>, Vec<String>) {
        let head: Vec<Vec<u8>> = self.head.iter().map(|line| common::unescape(line)).collect();
        let (line, headers) = head.split_first().expect("a request line");
        let mut line = line.splitn(2, |&byte| byte == b' ');
        let headers: Vec<Header<'_>> = headers
            .iter()
            .map(|header| {
                let colon = header.iter().position(|&byte| byte == b':').expect("a header has a colon");
                Header { name: &header[..colon], value: header[colon + 1..].trim_ascii_start() }
            })
            .collect();
        let request = Request {
            method: line.next().expect("a method"),
            target: line.next().expect("a target"),
            headers: &headers,
            body: Body { bytes: &self.body[..length], truncated: length < self.body.len() },
            ..Request::default()
        };
        let fields = engine.trace(&request).into_iter().map(|form| {
            let (name, bytes) = (form.name.escape_ascii(), form.bytes.escape_ascii());
            format!("{} {} {name}={bytes}", form.location.as_str(), form.part)
        });
        let signals = engine.inspect(&request);
        let mut tags: Vec<String> = Vec::new();
        for signal in signals.iter().filter(|signal| TAGS.contains(&signal.tag)) {
            tags.push(signal.tag.to_string());
        }
        (fields.collect(), tags)
    }
}

fn cases(text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let mut part = "";
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("=== ") {
            cases.push(Case { name: name.to_owned(), ..Case::default() });
            part = "head";
            continue;
        }
        let Some(case) = cases.last_mut() else {
            continue;
        };
        match (part, line) {
            (_, "--- fields") => part = "fields",
            (_, "--- signals") => part = "signals",
            ("head", "") => part = "body",
            ("head", _) => case.head.push(line.to_owned()),
            ("body", _) => {
                if !case.body.is_empty() {
                    case.body.push(b'\n');
                }
                case.body.extend_from_slice(&common::unescape(line));
            }
            ("fields", _) if !line.is_empty() => case.fields.push(line.to_owned()),
            ("signals", _) if !line.is_empty() => case.tags.push(line.to_owned()),
            _ => {}
        }
    }
    cases
}
