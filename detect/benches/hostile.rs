//! What a request can be made to cost: hostile text repeated to 300 KB in every place that takes a body, the dearest
//! shapes first. `-- --search SECONDS` also joins the pieces at random and keeps what costs most.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use portcullis_detect::{Body, Engine, Header, Request, Tag};

fn main() -> Result<()> {
    let mut search = Duration::ZERO;
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        if arg == "--search" {
            let seconds = args.next().context("--search needs seconds")?;
            search = Duration::from_secs(seconds.parse()?);
        }
    }
    let engine = Engine::default();
    let mut found: Vec<Cost> = PIECES
        .iter()
        .flat_map(|piece| PLACES.iter().map(move |place| (piece.as_bytes().to_vec(), place)))
        .map(|(unit, place)| Cost::of(&engine, unit, place))
        .collect();
    found.extend(
        documents()
            .into_iter()
            .map(|(name, content_type, body)| Cost::of_body(&engine, name, content_type, &body)),
    );
    let started = Instant::now();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    while started.elapsed() < search {
        let count = 1 + random.below(4);
        let unit: Vec<u8> = (0..=count).flat_map(|_| PIECES[random.below(PIECES.len())].bytes()).collect();
        let place = &PLACES[random.below(PLACES.len())];
        found.push(Cost::of(&engine, unit, place));
    }
    found.sort_by_key(|cost| std::cmp::Reverse(cost.time));
    println!("{:>9}  {:<7} {:<10} repeated", "us", "limit", "place");
    for cost in found.iter().take(SHOWN) {
        let limit = if cost.limited { "limited" } else { "" };
        println!(
            "{:9.0}  {limit:<7} {:<10} {}",
            cost.time.as_secs_f64() * 1e6,
            cost.place,
            cost.unit.escape_ascii()
        );
    }
    println!("{} shapes of {SIZE} bytes", found.len());
    Ok(())
}

/// Bytes of a hostile body.
const SIZE: usize = 300 * 1024;
const SHOWN: usize = 40;

struct Cost {
    time: Duration,
    place: &'static str,
    unit: Vec<u8>,
    limited: bool,
}

impl Cost {
    fn of(engine: &Engine, unit: Vec<u8>, place: &Place) -> Self {
        let body = (place.fill)(&unit);
        Self { unit, ..Self::of_body(engine, place.name, place.content_type, &body) }
    }

    fn of_body(engine: &Engine, place: &'static str, content_type: &'static str, body: &[u8]) -> Self {
        let headers = [Header { name: b"content-type", value: content_type.as_bytes() }];
        let body = Body { bytes: body, truncated: false };
        let request = Request { method: b"POST", headers: &headers, body, ..Request::default() };
        let time = |_| {
            let started = Instant::now();
            let signals = engine.inspect(&request);
            (started.elapsed(), signals.iter().any(|signal| signal.tag == Tag::InspectionLimit))
        };
        // The least of two: the machine may have been busy.
        let (time, limited) = (0..2).map(time).min().unwrap_or_default();
        Self { time, place, unit: Vec::new(), limited }
    }
}

/// A place for a hostile value.
struct Place {
    name: &'static str,
    content_type: &'static str,
    fill: fn(&[u8]) -> Vec<u8>,
}

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";

const PLACES: &[Place] = &[
    Place { name: "text", content_type: "text/plain", fill: |unit| repeated(unit, SIZE) },
    Place { name: "form-few", content_type: FORM, fill: |unit| fields(unit, 100_000) },
    Place { name: "form-many", content_type: FORM, fill: |unit| fields(unit, 24) },
    Place { name: "json-few", content_type: JSON, fill: |unit| strings(unit, 100_000) },
    Place { name: "json-many", content_type: JSON, fill: |unit| strings(unit, 40) },
    Place { name: "xml", content_type: "application/xml", fill: |unit| repeated(unit, SIZE) },
];

fn repeated(unit: &[u8], size: usize) -> Vec<u8> {
    unit.iter().copied().cycle().take(size).collect()
}

/// Form fields with values of about `size` bytes, percent-encoded once.
fn fields(unit: &[u8], size: usize) -> Vec<u8> {
    let mut value = String::new();
    for byte in repeated(unit, size) {
        if byte.is_ascii_alphanumeric() || b"-._~()*/;:@$,!'\"<>`{}[]|^\\".contains(&byte) {
            value.push(char::from(byte));
        } else {
            let _ = write!(value, "%{byte:02x}");
        }
    }
    let field = format!("a={value}&");
    repeated(field.as_bytes(), SIZE)
}

/// JSON strings of about `size` bytes.
fn strings(unit: &[u8], size: usize) -> Vec<u8> {
    let text = String::from_utf8_lossy(&repeated(unit, size)).into_owned();
    let mut element = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => element.extend(['\\', c]),
            c if c < ' ' => {
                let _ = write!(element, "\\u{:04x}", u32::from(c));
            }
            c => element.push(c),
        }
    }
    element.push_str("\",");
    let mut body = String::from("[");
    while body.len() < SIZE {
        body.push_str(&element);
    }
    body.push_str("1]");
    body.into_bytes()
}

/// Documents that are deep, wide or wrapped.
fn documents() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let wide = |element: &str, end: &str| {
        let mut body = String::from("{\"a\":[");
        while body.len() < SIZE {
            body.push_str(element);
        }
        format!("{body}{end}]}}").into_bytes()
    };
    let mut wrapped = String::from("' or 1=1 -- ");
    while wrapped.len() * 2 < SIZE {
        wrapped = serde_json::json!({ "a": wrapped }).to_string();
    }
    let mut coded = "<script>alert(1)</script>".repeat(400);
    while coded.len() * 3 / 2 < SIZE {
        coded = base64(coded.as_bytes());
    }
    let parts = |head: &str, text: &str| {
        let part = format!("--b\r\nContent-Disposition: form-data; {head}\r\n\r\n{text}\r\n");
        repeated(part.as_bytes(), SIZE)
    };
    let percent = "%25".repeat(SIZE / 3);
    vec![
        ("json-deep", JSON, repeated(b"{\"a\":[", SIZE)),
        ("json-arrays", JSON, repeated(b"[", SIZE)),
        ("json-empty", JSON, wide("\"\",", "1")),
        ("json-keys", JSON, wide("{\"a\":1},", "1")),
        ("json-json", JSON, wide("\"{\\\"a\\\":\\\"{}\\\"}\",", "1")),
        ("json-token", JSON, wide("\"eyJhIjoiYiJ9.eyJhIjoiYiJ9.\",", "1")),
        ("json-query", JSON, wide("{\"query\":\"{a{b}}\"},", "1")),
        ("json-wrapped", JSON, wrapped.clone().into_bytes()),
        ("form-json", FORM, format!("a={}", wrapped.replace('%', "%25").replace('&', "%26")).into_bytes()),
        ("form-empty", FORM, repeated(b"&", SIZE)),
        ("form-names", FORM, repeated(b"a&", SIZE)),
        ("form-pairs", FORM, repeated(b"a=&", SIZE)),
        ("form-stray", FORM, [&b"a="[..], &repeated(b"& b'", SIZE)].concat()),
        ("form-percent", FORM, format!("a={percent}").into_bytes()),
        ("form-base64", FORM, format!("a={coded}").into_bytes()),
        ("multipart", "multipart/form-data; boundary=b", parts("name=a", "'")),
        ("files", "multipart/form-data; boundary=b", parts("name=a; filename=\"a.txt\"", "<x")),
        ("boundaries", "multipart/form-data; boundary=b", repeated(b"--b\r\n", SIZE)),
        ("disposition", "multipart/form-data; boundary=b", parts(&"name=a;".repeat(200), "'")),
        ("xml-deep", "application/xml", repeated(b"<a>", SIZE)),
        ("xml-flat", "application/xml", repeated(b"<a b='c'>d</a>", SIZE)),
        ("xml-attrs", "application/xml", [&b"<a "[..], &repeated(b"b='c' ", SIZE), b"/>"].concat()),
        (
            "xml-dtd",
            "application/xml",
            [&b"<!DOCTYPE a ["[..], &repeated(b"<!ENTITY a \"&a;\">", SIZE)].concat(),
        ),
        ("graphql", "application/graphql", repeated(b"{a", SIZE)),
        ("graphql-flat", "application/graphql", [&b"{"[..], &repeated(b"a:b ", SIZE), b"}"].concat()),
        ("grpc", "application/grpc", repeated(b"\x0a\x7f", SIZE)),
        ("binary", "application/octet-stream", repeated(b"aaaaaaaa'aaaaaaaa\x01\xff", SIZE)),
        ("charset", "text/plain; charset=utf-16", repeated(b"'\0", SIZE)),
    ]
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for three in bytes.chunks(3) {
        let bits =
            three.iter().fold(0_u32, |bits, &byte| bits << 8 | u32::from(byte)) << (8 * (3 - three.len()));
        for n in 0..=three.len() {
            out.extend(
                usize::try_from(bits >> (18 - 6 * n) & 63)
                    .ok()
                    .and_then(|digit| DIGITS.get(digit))
                    .map(|&digit| char::from(digit)),
            );
        }
    }
    out
}

/// Xorshift: the same shapes at every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit.max(1) as u64).unwrap_or_default()
    }
}

/// Pieces of every language and encoding, most of them left open.
const PIECES: &[&str] = &[
    "'",
    "\"",
    "`",
    "''",
    "\\'",
    "\\\\\"",
    "'\"",
    "'or'",
    "' or ",
    "--",
    "#",
    "/*",
    "/**/",
    "*/",
    "-- \n",
    ";",
    "|",
    "&",
    "&&",
    "||",
    "$(",
    "$((",
    ")",
    "(",
    "((1)",
    "${",
    "}",
    "{",
    "{{",
    "}}",
    "{%",
    "#{",
    "*{",
    "<%",
    "<#",
    "[=",
    "[[",
    "]]",
    "@(",
    "#set(",
    "#if(",
    "$a$",
    "$$",
    "$a(",
    "$a->",
    "${a:-",
    "${${",
    ":-",
    "<",
    ">",
    "<a ",
    "<a b=",
    "<a b='",
    "<script",
    "<script>",
    "</script",
    "<style>",
    "<svg onload=",
    "onerror=",
    " onx=",
    "style=",
    "x:expression(",
    "url(",
    "<!--",
    "<!--#",
    "<![CDATA[",
    "<!DOCTYPE a [",
    "<!ENTITY a ",
    "<?",
    "<?php",
    "<esi:",
    "xi:include ",
    "=",
    "a=",
    "a=1,",
    " or 1",
    " and 1=1",
    " union select ",
    "select ",
    "select(",
    " from a",
    " where ",
    "case when ",
    "1",
    "1,",
    "1e",
    "0x",
    ".1",
    "a.b",
    "a.b.",
    "a.",
    "@",
    "@@",
    "[a ",
    "q'[",
    "u&'",
    "_a'",
    "n'",
    "sleep(",
    "char(",
    "in(",
    "between ",
    "order by 1,",
    "if(",
    "if a==",
    "for %a in (",
    "exist ",
    "eval(",
    "system(",
    "alert(",
    "fetch(",
    "alert`",
    "(alert)",
    "a(b(",
    "a;",
    "a\n",
    "\n",
    "\r\n",
    "\r\nSet-Cookie:",
    "\r\nGET / HTTP/1.1\r\n",
    "RCPT TO:",
    "javascript:",
    "javascript:a",
    "data:",
    "data:text/html,",
    "data:a;base64,",
    "a:",
    "a://",
    "http://",
    "//",
    "://a@",
    "http://127.1",
    "http://[::1",
    "unix:",
    "jar:",
    "../",
    "..\\",
    "..%2f",
    "%2e",
    "%252f",
    "%25",
    "%u002f",
    "%c0%af",
    "./",
    "/./",
    "..;/",
    "....//",
    ".\u{1}",
    "/etc/",
    "passwd",
    "/a",
    "/",
    ".",
    "..",
    "?",
    "a?",
    "0x2e0x2f",
    "%%32%65",
    "&amp;",
    "&#38;",
    "&#x26",
    "&lt",
    "\\x5c",
    "\\u005c",
    "\\134",
    "\\5c ",
    "+AHs-",
    "+A",
    "\u{ff1c}",
    "\u{ff07}",
    "\u{2024}",
    "\u{fffd}",
    "\u{0436}",
    "\u{4e2d}",
    "\u{4e2d}\u{6587} ",
    "\u{1f600}",
    "\u{200b}a",
    "a\u{ad}",
    "\u{2028}",
    "\0",
    "\0a",
    "\u{1}",
    "\t",
    " ",
    "a",
    "aa ",
    "word ",
    "the words, ",
    "a'b ",
    "A",
    "0",
    "00",
    "_",
    "__class__",
    "a_b",
    "java.lang.",
    "Runtime",
    "java.",
    "a->b",
    "a::b",
    "a\\b",
    "php://",
    "$_GET[",
    "\"a\"(",
    "\"a\"();",
    "];(",
    ")(",
    ");",
    "require('",
    "__proto__",
    "constructor",
    "[constructor]",
    "prototype.",
    "[$ne]",
    "$where",
    "$ne:",
    "*)(",
    "(uid=",
    "(&(",
    "count(/",
    "name(",
    "ancestor::",
    "//*",
    "']",
    "rO0AB",
    "aced0005",
    "O:4:\"",
    ":{",
    "s:1:\"",
    "cos\n",
    "!!",
    "!!python/",
    "@type",
    "gAJ",
    "_$$ND",
    "<dynamic-",
    "cat ",
    "id",
    ";id",
    "|id",
    "$(id",
    "`id`",
    "<(",
    "ping ",
    "/bin/",
    "/???/",
    "/b?n/",
    "{a,",
    "^a",
    "%a:~",
    "%COMSPEC%",
    "$IFS",
    "$'\\x",
    "() {",
    ":(){",
    "()",
    "\\n",
    "\\r\\n",
    "env ",
    "sudo ",
    "cmd ",
    "powershell ",
    "x.oast.fun",
    "interact.sh",
    "sqlmap",
    "!",
    "!+[]",
    "[]",
    "+[]",
    "![]",
    "~",
    "*",
    "^",
    "%x(",
    "@{[",
    "%{",
    "T(",
    "new ",
    "?.",
    "?.[",
    "=>",
    "function(",
    "return ",
    "while(",
    "do ",
    "throw ",
    "\\",
    "\\\\",
];
