//! The vectors of whole requests and responses: `vectors/request/*.jsonl`.
//!
//! A line is one case: the pieces of a request (all optional), or of a response; the signals that it `raises`, each
//! `TAG` or `TAG/DETECTOR`; those that it keeps `silent`; the `patches` to switch on. `benign` asks for no attack
//! signal at all. Bodies are text.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read};
use std::path::Path;

use flate2::Compression;
use flate2::read::GzEncoder;
use portcullis_detect::{Body, Budgets, Engine, Header, Patch, Request, Response, Signals, Tag};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    #[serde(default)]
    method: Option<String>,
    #[serde(default)]
    scheme: String,
    #[serde(default)]
    target: Option<String>,
    #[serde(default)]
    protocol: Option<String>,
    #[serde(default)]
    tls_protocol: String,
    #[serde(default)]
    tls_cipher: String,
    #[serde(default)]
    headers: Vec<(String, String)>,
    #[serde(default)]
    body: String,
    /// The status of a response; then the case is one.
    #[serde(default)]
    code: Option<u16>,
    #[serde(default)]
    patches: Vec<String>,
    #[serde(default)]
    raises: Vec<String>,
    #[serde(default)]
    silent: Vec<String>,
    #[serde(default)]
    benign: bool,
}

#[test]
fn requests_raise_what_their_vectors_say() -> anyhow::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors/request");
    let engine = Engine::default();
    let (mut seen, mut wrong) = (0, Vec::new());
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        for line in fs::read_to_string(&path)?.lines().filter(|line| !line.trim().is_empty()) {
            let case: Case =
                serde_json::from_str(line).map_err(|e| anyhow::anyhow!("{}: {e}: {line}", path.display()))?;
            seen += 1;
            let checks = case.raises.len() + case.silent.len() + usize::from(case.benign);
            if checks == 0 {
                wrong.push(format!("{}: checks nothing", case.name));
            }
            wrong.extend(
                case.complaints(&engine)?.into_iter().map(|complaint| format!("{}: {complaint}", case.name)),
            );
        }
    }
    assert!(seen > 0, "no vectors were found");
    assert!(wrong.is_empty(), "{} of {seen} vectors are wrong:\n{}", wrong.len(), wrong.join("\n"));
    Ok(())
}

#[test]
fn every_virtual_patch_has_a_vector_that_raises_it() -> anyhow::Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors/request/patches.jsonl");
    let text = fs::read_to_string(path)?;
    let missing: Vec<&str> = Patch::all()
        .iter()
        .map(|patch| patch.id)
        .filter(|id| !text.contains(&format!("\"raises\":[\"VIRTUAL-PATCH/{id}\"")))
        .collect();
    assert!(missing.is_empty(), "no vector raises {missing:?}");
    Ok(())
}

#[test]
fn every_tag_is_raised_by_a_vector() -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors");
    let mut raised: BTreeSet<Tag> = BTreeSet::new();
    let engine = Engine::default();
    for entry in fs::read_dir(root.join("request"))? {
        for line in fs::read_to_string(entry?.path())?.lines().filter(|line| !line.trim().is_empty()) {
            let case: Case = serde_json::from_str(line)?;
            raised.extend(case.signals(&engine)?.iter().map(|signal| signal.tag));
        }
    }
    for entry in fs::read_dir(&root)? {
        let Ok(text) = fs::read(entry?.path().join("attacks.txt")) else { continue };
        for line in text.split(|&byte| byte == b'\n') {
            let line = String::from_utf8_lossy(line).replace("\\r", "\r").replace("\\n", "\n");
            let target = line.bytes().fold("/?q=".to_owned(), |target, byte| format!("{target}%{byte:02x}"));
            let signals = engine.inspect(&Request { target: target.as_bytes(), ..Request::default() });
            raised.extend(signals.iter().map(|signal| signal.tag));
        }
    }
    let missing: Vec<&Tag> = Tag::ALL.iter().filter(|tag| !raised.contains(tag)).collect();
    assert!(missing.is_empty(), "no vector raises {missing:?}");
    Ok(())
}

#[test]
fn what_comes_again_in_a_document_is_found_wherever_it_stands() {
    let names = |body: &str| -> Vec<String> {
        let signals = Engine::default().inspect(&json(body.as_bytes()));
        let named = signals.iter().filter(|signal| !signal.name.is_empty());
        named.map(|signal| String::from_utf8_lossy(&signal.name).into_owned()).collect()
    };
    let text = "<script>alert(1)</script>";
    let body = format!(
        r#"[{{"a":"x"}},{{"a":"{text}"}},{{"a":"x"}},{{"b":"{text}"}},{{"b":"x"}},{{"c":"{text}"}}]"#
    );
    assert_eq!(names(&body), ["a", "b", "c"]);
    // A comparison is asked for under some keys, and an attack under others.
    assert_eq!(names(r#"[{"filter":"7=7"},{"filter":"7=7"},{"page":"7=7"},{"filter":"7=7"}]"#), ["page"]);
}

#[test]
fn parameters_that_come_again_are_all_listed() {
    let listed = Engine::default().post_parameters(&json(br#"[{"a":"x"},{"a":"x"},{"a":"x"}]"#));
    assert_eq!(listed, vec![(b"a".to_vec(), b"x".to_vec()); 3]);
}

#[test]
fn a_brief_look_says_the_same_or_nothing() {
    let engine = Engine::default();
    for body in [r#"{"a":"fine"}"#, r#"{"a":"<script>alert(1)</script>"}"#, "{", ""] {
        let request = json(body.as_bytes());
        assert_eq!(engine.inspect_briefly(&request, 0, 1_000), Some(engine.inspect(&request)), "{body}");
    }
    let long = format!(r#"{{"a":"{}"}}"#, "sleep(1) or ".repeat(200));
    assert_eq!(engine.inspect_briefly(&json(long.as_bytes()), 0, 100), None);
    // To inflate takes time of which no steps are counted.
    assert_eq!(engine.inspect_briefly(&json(b"\x1f\x8b\x08 and so on"), 0, 1_000_000), None);
}

/// Servers that know no content codings for requests, or no character sets, take the bytes as they are.
#[test]
fn what_stands_beside_a_coding_or_a_charset_is_read_too() -> anyhow::Result<()> {
    const FORM: &str = "application/x-www-form-urlencoded";
    const ATTACK: &[u8] = b"&id=1%27+union+select+password+from+users--+&x=";
    const COMMENT: &[u8] = b"\x1f\x8b\x08\x10\0\0\0\0\0\x03";
    const EMPTY: &[u8] = b"\0\x03\0\0\0\0\0\0\0\0\0";
    let of = |pieces: &[&[u8]]| pieces.concat();
    let cases = [
        ("a comment of gzip", FORM, "", of(&[COMMENT, ATTACK, EMPTY])),
        ("the same, declared", FORM, "gzip", of(&[COMMENT, ATTACK, EMPTY])),
        ("behind a start that inflates", FORM, "gzip", of(&[&gzip(b"a=1")?, ATTACK])),
        ("short, in a comment", FORM, "", of(&[COMMENT, b"\x01&a=';id;'&\x01", EMPTY])),
        ("behind a byte order mark", FORM, "", of(&[b"\xff\xfe", ATTACK])),
        ("behind NULs", FORM, "", of(&[b"a\0b\0c\0", ATTACK])),
        ("as EBCDIC", "text/plain; charset=ibm037", "", of(&[b"a=1", ATTACK])),
        ("JSON as EBCDIC", "application/json; charset=ibm037", "", br#"{"a":"1' or sleep(5)-- "}"#.to_vec()),
        (
            "a part",
            "multipart/form-data; boundary=bb",
            "",
            of(&[
                COMMENT,
                b"\r\n--bb\r\ncontent-disposition: form-data; name=a\r\n\r\n';id;'\r\n--bb--\r\n",
                EMPTY,
            ]),
        ),
    ];
    for (name, content_type, coding, body) in cases {
        let headers = coded(content_type, coding);
        let body = Body { bytes: &body, truncated: false };
        let signals = Engine::default().inspect(&Request {
            method: b"POST",
            headers: &headers,
            body,
            ..Request::default()
        });
        assert!(signals.has_attack(), "{name}: {signals:?}");
    }
    Ok(())
}

#[test]
fn honest_bodies_in_a_coding_raise_nothing() -> anyhow::Result<()> {
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut words = String::new();
    while words.len() < 300_000 {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        words.push_str(&format!("&w{}={:x}", words.len(), random));
    }
    for (content_type, body) in [
        ("application/x-www-form-urlencoded", words[1..=200_000].to_owned()),
        ("application/json", format!("[\"{}\"]", words[..90_000].replace('&', "\",\""))),
    ] {
        let body = gzip(body.as_bytes())?;
        let headers = coded(content_type, "gzip");
        let body = Body { bytes: &body, truncated: false };
        let request = Request { method: b"POST", headers: &headers, body, ..Request::default() };
        let mut budgets = Budgets::default();
        budgets.fields = 100_000;
        let signals = Engine::new(budgets).inspect(&request);
        let tags: Vec<_> = signals.iter().map(|signal| signal.tag).filter(|tag| *tag != Tag::NoUa).collect();
        assert_eq!(tags, [], "{content_type}");
    }
    Ok(())
}

fn coded<'a>(content_type: &'a str, coding: &'a str) -> Vec<Header<'a>> {
    let headers = [("content-type", content_type), ("content-encoding", coding)];
    let sent = headers.into_iter().filter(|(_, value)| !value.is_empty());
    sent.map(|(name, value)| Header { name: name.as_bytes(), value: value.as_bytes() }).collect()
}

fn gzip(text: &[u8]) -> io::Result<Vec<u8>> {
    let mut coded = Vec::new();
    GzEncoder::new(text, Compression::fast()).read_to_end(&mut coded)?;
    Ok(coded)
}

fn json(body: &[u8]) -> Request<'_> {
    const HEADERS: &[Header<'_>] = &[Header { name: b"content-type", value: b"application/json" }];
    let body = Body { bytes: body, truncated: false };
    Request { method: b"POST", headers: HEADERS, body, ..Request::default() }
}

#[test]
fn patches_are_off_until_switched_on() {
    let headers = [Header { name: b"x-middleware-subrequest", value: b"middleware" }];
    let signals = Engine::default().inspect(&Request { headers: &headers, ..Request::default() });
    assert!(!signals.iter().any(|signal| signal.tag.as_str() == "VIRTUAL-PATCH"));
}

#[test]
fn an_unknown_patch_is_named() {
    let refused = Engine::default().with_patches(["CVE-2025-29927", "CVE-0000-1"]).err();
    assert_eq!(refused.map(|error| error.id), Some("CVE-0000-1".to_owned()));
}

impl Case {
    fn complaints(&self, engine: &Engine) -> anyhow::Result<Vec<String>> {
        let signals = self.signals(engine)?;
        let raised: Vec<String> = signals.iter().map(|s| format!("{}/{}", s.tag, s.detector)).collect();
        let has =
            |wanted: &String| raised.iter().any(|one| one == wanted || one.split('/').next() == Some(wanted));
        let mut complaints: Vec<String> = Vec::new();
        complaints.extend(
            self.raises
                .iter()
                .filter(|one| !has(one))
                .map(|one| format!("does not raise {one} but {raised:?}")),
        );
        complaints
            .extend(self.silent.iter().filter(|one| has(one)).map(|one| format!("raises {one}: {raised:?}")));
        if self.benign && signals.has_attack() {
            complaints.push(format!("is benign and raises {raised:?}"));
        }
        Ok(complaints)
    }

    fn signals(&self, engine: &Engine) -> anyhow::Result<Signals> {
        let patched = match self.patches.as_slice() {
            [] => None,
            ids => Some(Engine::new(Budgets::default()).with_patches(ids.iter().map(String::as_str))?),
        };
        let engine = patched.as_ref().unwrap_or(engine);
        let headers: Vec<Header<'_>> = self
            .headers
            .iter()
            .map(|(name, value)| Header { name: name.as_bytes(), value: value.as_bytes() })
            .collect();
        let target = self.target.as_deref().unwrap_or("/");
        if let Some(code) = self.code {
            return Ok(engine.inspect_response(&Response {
                code,
                target: target.as_bytes(),
                headers: &headers,
            }));
        }
        Ok(engine.inspect(&Request {
            method: self.method.as_deref().unwrap_or("GET").as_bytes(),
            scheme: self.scheme.as_bytes(),
            target: target.as_bytes(),
            protocol: self.protocol.as_deref().unwrap_or("HTTP/1.1").as_bytes(),
            tls_protocol: self.tls_protocol.as_bytes(),
            tls_cipher: self.tls_cipher.as_bytes(),
            headers: &headers,
            body: Body { bytes: self.body.as_bytes(), truncated: false },
            ..Request::default()
        }))
    }
}
