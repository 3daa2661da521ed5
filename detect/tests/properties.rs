//! What holds for every request: no panic, no budget overrun, no form twice, and a pre-filter that drops nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use portcullis_detect::{Body, Budgets, Engine, Header, Location, Request, Signals, Tag};
use proptest::collection::vec;
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_oneof, proptest};
use proptest::{prop_assert, prop_assert_eq};

static ENGINE: LazyLock<Engine> = LazyLock::new(|| Engine::new(roomy()));
static EXHAUSTIVE: LazyLock<Engine> = LazyLock::new(|| Engine::exhaustive(roomy()));

/// Steps enough for every detector on every value, so that the two engines differ in nothing but the pre-filter.
fn roomy() -> Budgets {
    let mut budgets = Budgets::default();
    budgets.steps = usize::MAX;
    budgets
}

/// Pieces of every language that a detector reads, and of every encoding.
const PIECES: &[&str] = &[
    "'",
    "\"",
    "`",
    "--",
    "#",
    "/*",
    "*/",
    ";",
    "|",
    "&",
    "&&",
    "$(",
    ")",
    "${",
    "}",
    "{{",
    "}}",
    "<",
    ">",
    "</",
    "/>",
    "=",
    "(",
    " or ",
    " and ",
    " union select ",
    " from ",
    "1",
    "0x31",
    "sleep(5)",
    "select ",
    "waitfor delay ",
    "<script",
    "<svg",
    "onload",
    "onerror",
    "alert(1)",
    "javascript:",
    "src",
    "href",
    "style",
    "../",
    "..\\",
    "/etc/passwd",
    "c:\\windows",
    "cat ",
    "id",
    "whoami",
    "ping ",
    "cmd.exe",
    "powershell",
    "jndi:",
    "ldap://",
    "http://127.0.0.1",
    "169.254.169.254",
    "file:///",
    "<!ENTITY ",
    "SYSTEM ",
    "<!DOCTYPE ",
    "[$ne]",
    "$where",
    "*)(",
    "uid=",
    "\r\n",
    "Set-Cookie:",
    "GET / HTTP/1.1",
    "rO0AB",
    "O:4:\"",
    "__proto__",
    "constructor",
    "<?php ",
    "eval(",
    "system(",
    "__import__",
    "Runtime",
    "getClass",
    "#set(",
    "<!--#exec",
    "%27",
    "%253c",
    "%u0027",
    "&lt;",
    "&#x27;",
    "\\x27",
    "\\u003c",
    "\\74",
    "+ADw-",
    "PHNjcmlwdD4=",
    "\u{ff1c}",
    "\u{2019}",
    "\0",
    "word",
    " ",
    "a",
    "/",
    ".",
    ":",
];

fn value() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        8 => (0..PIECES.len()).prop_map(|at| PIECES[at].as_bytes().to_vec()),
        1 => vec(any::<u8>(), 0..4),
        1 => "[ -~]{0,8}".prop_map(String::into_bytes),
    ];
    vec(piece, 0..9).prop_map(|pieces| pieces.concat())
}

fn content_type() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        Just(""),
        Just("application/x-www-form-urlencoded"),
        Just("application/json"),
        Just("application/xml"),
        Just("application/graphql"),
        Just("application/grpc"),
        Just("multipart/form-data; boundary=b"),
        Just("text/plain; charset=utf-7"),
        Just("application/octet-stream"),
    ]
}

fn found(signals: &Signals) -> BTreeSet<(Tag, &'static str, Vec<u8>)> {
    signals.iter().map(|signal| (signal.tag, signal.location.as_str(), signal.name.clone())).collect()
}

fn in_query(value: &[u8]) -> Vec<u8> {
    let mut target = b"/?value=".to_vec();
    target.extend(value.iter().flat_map(|byte| format!("%{byte:02x}").into_bytes()));
    target
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_pre_filter_equals_the_full_path(value in value(), content_type in content_type()) {
        let target = in_query(&value);
        let mut agent = b"Mozilla/5.0 (".to_vec();
        agent.extend_from_slice(&value);
        let headers = [
            Header { name: b"user-agent", value: &agent },
            Header { name: b"accept", value: &value },
            Header { name: b"cookie", value: &value },
            Header { name: b"referer", value: &value },
            Header { name: b"x-value", value: &value },
            Header { name: b"content-type", value: content_type.as_bytes() },
        ];
        let body = Body { bytes: &value, truncated: false };
        let request = Request { method: b"POST", target: &target, headers: &headers, body, ..Request::default() };
        prop_assert_eq!(found(&ENGINE.inspect(&request)), found(&EXHAUSTIVE.inspect(&request)));
    }

    #[test]
    fn arbitrary_requests_stay_within_their_budgets(
        target in vec(any::<u8>(), 0..64),
        head in value(),
        body in prop_oneof![value(), vec(any::<u8>(), 0..256)],
        content_type in content_type(),
        coding in prop_oneof![Just(""), Just("gzip"), Just("deflate"), Just("br"), Just("deflate, gzip")],
    ) {
        let headers = [
            Header { name: &head, value: &head },
            Header { name: b"authorization", value: &head },
            Header { name: b"content-type", value: content_type.as_bytes() },
            Header { name: b"content-encoding", value: coding.as_bytes() },
        ];
        let body = Body { bytes: &body, truncated: false };
        let request = Request { method: b"PUT", target: &target, headers: &headers, body, ..Request::default() };
        let budgets = Budgets::default();
        let signals = ENGINE.inspect(&request);
        prop_assert!(signals.len() <= budgets.signals);
        for signal in &signals {
            prop_assert!(signal.value.len() <= budgets.evidence_bytes);
            prop_assert!(signal.value.get(signal.span.clone()).is_some(), "{:?}", signal);
        }
    }

    #[test]
    fn a_form_is_handed_on_once(value in value()) {
        let headers = [Header { name: b"x-value", value: &value }];
        let forms = ENGINE.trace(&Request { headers: &headers, ..Request::default() });
        let forms: Vec<_> = forms.iter().filter(|form| form.location == Location::Header && form.name == b"x-value").collect();
        let distinct: BTreeSet<_> = forms.iter().map(|form| &form.bytes).collect();
        prop_assert_eq!(distinct.len(), forms.len());
        prop_assert!(forms.len() <= Budgets::default().forms);
    }
}

#[test]
fn the_pre_filter_equals_the_full_path_on_all_vectors() {
    let mut seen = 0;
    for (file, line) in lines(&common::folder("")) {
        let target = in_query(&line);
        let headers = [Header { name: b"content-type", value: b"application/json" }];
        let body = Body { bytes: &line, truncated: false };
        let request = Request { target: &target, headers: &headers, body, ..Request::default() };
        assert_eq!(found(&ENGINE.inspect(&request)), found(&EXHAUSTIVE.inspect(&request)), "{file}");
        seen += 1;
    }
    assert!(seen > 100, "only {seen} vectors were found");
}

/// A pre-filter goes wrong first where a name that a detector knows stands in an unusual place of its own language.
#[test]
fn the_pre_filter_equals_the_full_path_on_every_name_of_the_tables() {
    const AROUND: [(&str, &str); 12] = [
        ("", ""),
        ("", "("),
        ("", "(1)"),
        ("$.", "($a)"),
        ("a\\", "\\b"),
        ("a.", ".b"),
        ("/", "/"),
        ("'", "=1"),
        ("{", "}"),
        ("<", " "),
        ("a ", " b"),
        (";", "\n"),
    ];
    let names = names(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    assert!(names.len() > 3000, "only {} names were found", names.len());
    for name in &names {
        for (before, behind) in AROUND {
            let value = [before, name, behind].concat();
            let headers = [Header { name: b"x-value", value: value.as_bytes() }];
            let request = Request { headers: &headers, ..Request::default() };
            assert_eq!(found(&ENGINE.inspect(&request)), found(&EXHAUSTIVE.inspect(&request)), "{value:?}");
        }
    }
}

/// What fuzzing has found.
#[test]
fn the_pre_filter_equals_the_full_path_on_regressions() {
    for value in [
        "http://0x7f.1/\n",
        ".\x10\0\0\0\0\0\0\0.\n",
        "sqlmap\0\0\x01\0fi\0\0/etc/passwd\0f",
        "__import__",
        "\r\nid",
        "base64_decode",
        "allow_url_include=1",
        "java.lang.Runtime",
        "Mozilla/5.0 java.lang.Runtime",
        "Mozilla/5.0 php://input",
        "php.ini",
        "( )    (|",
        "a;b=\" --.\"",
        "IEX(",
        "$.class.forName(",
        "process\\env",
    ] {
        let headers = ["accept", "x-value", "user-agent"]
            .map(|name| Header { name: name.as_bytes(), value: value.as_bytes() });
        let request = Request { target: value.as_bytes(), headers: &headers, ..Request::default() };
        assert_eq!(found(&ENGINE.inspect(&request)), found(&EXHAUSTIVE.inspect(&request)), "{value:?}");
    }
}

#[test]
fn a_spent_budget_is_reported() {
    type Shrink = fn(&mut Budgets);
    let request = Request {
        target: b"/?a=1&b=2&c=%2525252527&d=4",
        headers: &[Header { name: b"content-type", value: b"application/json" }],
        body: Body { bytes: br#"{"a":[[[["deep"]]]],"b":"{\"c\":\"d\"}"}"#, truncated: false },
        ..Request::default()
    };
    let spends = |signals: &Signals| signals.iter().any(|signal| signal.tag == Tag::InspectionLimit);
    assert!(!spends(&Engine::default().inspect(&request)));
    let budgets: [(&str, Shrink); 8] = [
        ("body-bytes", |budgets| budgets.body_bytes = 8),
        ("fields", |budgets| budgets.fields = 3),
        ("value-bytes", |budgets| budgets.value_bytes = 2),
        ("depth", |budgets| budgets.depth = 2),
        ("nesting", |budgets| budgets.nesting = 0),
        ("forms", |budgets| budgets.forms = 2),
        ("decoded-bytes", |budgets| budgets.decoded_bytes = 1),
        ("steps", |budgets| budgets.steps = 20),
    ];
    for (name, shrink) in budgets {
        let mut budgets = Budgets::default();
        shrink(&mut budgets);
        let signals = Engine::new(budgets).inspect(&request);
        assert!(spends(&signals), "{name} spent in silence");
    }
}

/// Every word of the detectors' tables, and its last segment.
fn names(folder: &Path) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            names.append(&mut self::names(&path));
        } else if path.extension().is_some_and(|end| end == "txt") {
            for word in fs::read_to_string(&path).unwrap().split_whitespace() {
                names.insert(word.to_owned());
                names.extend(word.rsplit('/').next().map(str::to_owned));
            }
        }
    }
    names
}

/// Every line of every vector file, unescaped where it is well escaped.
fn lines(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut lines = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "txt") {
                let name = path.display().to_string();
                let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
                lines.extend(text.lines().enumerate().map(|(at, line)| {
                    let line = line
                        .replace("\\r", "\r")
                        .replace("\\n", "\n")
                        .replace("\\0", "\0")
                        .replace("\\\\", "\\");
                    (format!("{name}:{}", at + 1), line.into_bytes())
                }));
            }
        }
    }
    lines
}
