//! Where hostile text stands, and documents that are hostile as a whole.

use std::fmt::Write as _;

/// Bytes of a hostile body.
pub(crate) const SIZE: usize = 300 * 1024;

/// A place for a hostile value.
pub(crate) struct Place {
    pub(crate) name: &'static str,
    pub(crate) content_type: &'static str,
    pub(crate) fill: fn(&[u8]) -> Vec<u8>,
}

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";

pub(crate) const PLACES: &[Place] = &[
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
pub(crate) fn documents() -> Vec<(&'static str, &'static str, Vec<u8>)> {
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
        ("json-binary", JSON, binary(|byte| byte >= b' ')),
        ("json-escaped", JSON, binary(|byte| matches!(byte, b' '..=b'~'))),
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

/// Binary data as one JSON string, of the length that such bodies have in collections of requests: bytes that are not
/// `kept` stand as escapes.
fn binary(kept: fn(u8) -> bool) -> Vec<u8> {
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut body = b"{\"data\":\"".to_vec();
    while body.len() < 165_000 {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        match random.to_le_bytes()[0] {
            byte @ (b'"' | b'\\') => body.extend([b'\\', byte]),
            byte if kept(byte) => body.push(byte),
            byte => body.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
        }
    }
    body.extend_from_slice(b"\"}");
    body
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
