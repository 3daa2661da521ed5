//! The vectors of the detectors: `vectors/<detector>/{attacks,near-misses,benign}.txt`.
//!
//! A line is one value, sent percent-encoded as a query parameter. An empty line or one that starts with `#` is none;
//! escapes are `\n \r \t \0 \\ \# \xHH`. An attack must raise one of the folder's tags, a near miss none of them, and
//! a benign value no attack signal of any detector.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};

use portcullis_detect::{Engine, Kind, Request, Signals, Tag};

/// Which tags a folder's attacks raise.
const FOLDERS: &[(&str, &[Tag])] = &[
    ("sqli", &[Tag::Sqli]),
    ("xss", &[Tag::Xss]),
    ("cmdexe", &[Tag::Cmdexe]),
    ("traversal", &[Tag::Traversal]),
    ("privatefile", &[Tag::PrivateFile]),
    ("code", &[Tag::CodeInjection]),
    ("ssti", &[Tag::Ssti]),
    ("ssi", &[Tag::Ssi]),
    ("ssrf", &[Tag::Ssrf, Tag::AwsSsrf]),
    ("log4j", &[Tag::Log4jJndi]),
    ("xxe", &[Tag::Xxe]),
    ("nosql", &[Tag::Nosql]),
    ("ldap", &[Tag::Ldap]),
    ("xpath", &[Tag::Xpath]),
    ("mail", &[Tag::MailInjection]),
    ("response-split", &[Tag::ResponseSplit]),
    ("deserialization", &[Tag::Deserialization]),
    ("prototype", &[Tag::PrototypePollution]),
    ("smuggling", &[Tag::Smuggling]),
    ("oob", &[Tag::OobDomain]),
];

#[test]
fn attacks_raise_their_tag() {
    check("attacks.txt", |signals, tags| signals.iter().any(|signal| tags.contains(&signal.tag)));
}

#[test]
fn near_misses_do_not_raise_the_tag() {
    check("near-misses.txt", |signals, tags| !signals.iter().any(|signal| tags.contains(&signal.tag)));
}

#[test]
fn benign_values_raise_no_attack_signal() {
    check("benign.txt", |signals, _| !signals.iter().any(|signal| signal.tag.kind() == Kind::Attack));
}

#[test]
fn every_folder_of_vectors_is_read() {
    let known = |name: &str| FOLDERS.iter().any(|(folder, _)| *folder == name);
    let unread: Vec<String> = fs::read_dir(root())
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().join("attacks.txt").exists())
        .map(|entry| entry.file_name().into_string().unwrap())
        .filter(|name| !known(name))
        .collect();
    assert!(unread.is_empty(), "no tag is given for the vectors in {unread:?}");
}

fn check(file: &str, expected: impl Fn(&Signals, &[Tag]) -> bool) {
    let engine = Engine::default();
    let mut seen = 0;
    let mut wrong = Vec::new();
    for (folder, tags) in FOLDERS {
        let path = root().join(folder).join(file);
        if !path.exists() {
            continue;
        }
        let values = vectors(&path);
        assert!(!values.is_empty(), "{} holds no vector", path.display());
        seen += values.len();
        for (number, value) in values {
            let signals = inspect(&engine, &value);
            if !expected(&signals, tags) {
                let raised: Vec<_> = signals.iter().map(|s| format!("{}/{}", s.tag, s.detector)).collect();
                wrong.push(format!(
                    "{folder}/{file}:{number}: {} raised {raised:?}",
                    String::from_utf8_lossy(&value)
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {seen} vectors are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

fn inspect(engine: &Engine, value: &[u8]) -> Signals {
    let mut target = b"/search?value=".to_vec();
    for &byte in value {
        if byte.is_ascii_alphanumeric() {
            target.push(byte);
        } else {
            target.extend_from_slice(format!("%{byte:02X}").as_bytes());
        }
    }
    engine.inspect(&Request { target: &target, ..Request::default() })
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors")
}

/// The values of a file with their line numbers.
fn vectors(path: &Path) -> Vec<(usize, Vec<u8>)> {
    let text = fs::read(path).unwrap();
    text.split(|&byte| byte == b'\n')
        .enumerate()
        .filter(|(_, line)| !line.is_empty() && !line.starts_with(b"#"))
        .map(|(index, line)| {
            let place = format!("{}:{}", path.display(), index + 1);
            (index + 1, unescape(line, &place))
        })
        .collect()
}

fn unescape(line: &[u8], place: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(line.len());
    let mut bytes = line.iter().copied();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        out.push(match bytes.next() {
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'0') => 0,
            Some(escaped @ (b'\\' | b'#')) => escaped,
            Some(b'x') => {
                let digits = [bytes.next(), bytes.next()].map(|digit| char::from(digit.unwrap_or(b' ')));
                u8::from_str_radix(&String::from_iter(digits), 16)
                    .unwrap_or_else(|_| panic!("{place}: bad \\x escape"))
            }
            other => panic!("{place}: unknown escape {:?}", other.map(char::from)),
        });
    }
    out
}
