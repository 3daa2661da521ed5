//! DESERIALIZATION: serialized objects where an application might bring them back to life.
//!
//! Catches Java streams (raw, base64, hex), objects in PHP's format, .NET's BinaryFormatter, Python pickles that call,
//! Ruby's Marshal with a gadget, node-serialize functions, YAML tags that construct, typed JSON and XStream documents
//! that name classes of the platform, and the class names of known gadget chains, also inside base64
//! (`gadgets.txt`, `fragments.txt`).
//!
//! Deliberately misses: PHP arrays and scalars, encrypted or signed states (`__VIEWSTATE`, Java Server Faces' view
//! state unless a gadget shows), JSON-LD's `@type`.
//!
//! False-positive risks: applications that keep PHP objects in cookies (exclude the cookie), posts about the attacks.
//! Vectors: `vectors/deserialization`.

pub(crate) mod gadgets;
mod pickle;
mod text;

use crate::budget::Steps;
use crate::detectors::Detector;
use crate::features::Features;
use crate::scan;
use crate::signal::Tag;
use crate::value::{Finding, Value};

/// The detector's row in the table.
pub(crate) const DETECTOR: Detector = Detector {
    name: "deser",
    words: &[
        "rO0AB",
        "KztAAU",
        "Cs7QAF",
        "aced0005",
        "AAEAAAD/////",
        "_$$ND_FUNC$$_",
        ":{",
        "!!",
        "!ruby/",
        "!python/",
        "!js/",
        "!perl/",
        "yaml.org,2002:",
        "java.",
        "javax.",
        "com.sun.",
        "org.apache.",
        "org.springframework.",
        "com.mchange.",
        "sun.",
        "jdk.",
        "serialization=",
        "<dynamic-proxy>",
        "gAJ",
        "gAN",
        "gAS",
        "gAW",
        "cos\n",
        "cposix\n",
        "cnt\n",
        "csubprocess\n",
        "cbuiltins\n",
        "c__builtin__\n",
        "ccommands\n",
        "csys\n",
        "cpty\n",
        "crunpy\n",
        "cplatform\n",
        "csocket\n",
    ],
    // Binary formats begin with control bytes.
    possible: |features, word| word || features.any(Features::NUL | Features::CONTROL),
    inspect,
};

fn inspect(value: &Value<'_>, steps: &mut Steps) -> Option<Finding> {
    let bytes = value.bytes;
    if !steps.take(1 + bytes.len() / 16) {
        return None;
    }
    let (detector, start, end) = java(value)
        .or_else(|| dotnet(bytes))
        .or_else(|| node(bytes))
        .or_else(|| php(bytes))
        .or_else(|| text::yaml(bytes))
        .or_else(|| text::typed(value))
        .or_else(|| text::xstream(bytes))
        .or_else(|| pickle::read(bytes))
        .or_else(|| ruby(bytes))?;
    Some(Finding { tag: Tag::Deserialization, detector, span: start..end })
}

/// The idea that fired, and the evidence.
type Place = (&'static str, usize, usize);

/// A Java object stream: magic, version, and in base64 also at the two other alignments.
fn java(value: &Value<'_>) -> Option<Place> {
    let bytes = value.bytes;
    if bytes.starts_with(b"\xac\xed\x00\x05") {
        return Some(("JAVA-STREAM", 0, 4));
    }
    if value.field.name.eq_ignore_ascii_case(b"javax.faces.ViewState") {
        return None;
    }
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/-_".contains(&byte);
    let alone =
        |at: usize| at.checked_sub(1).and_then(|at| bytes.get(at)).is_none_or(|&byte| !is_base64(byte));
    if let Some(at) = scan::find_all(bytes, b"rO0AB").find(|&at| alone(at)) {
        return Some(("JAVA-BASE64", at, at + 5));
    }
    for shifted in [&b"KztAAU"[..], b"Cs7QAF"] {
        if let Some(at) = scan::find(bytes, shifted) {
            return Some(("JAVA-BASE64", at, at + shifted.len()));
        }
    }
    let hex = |at: usize| {
        let before = at.checked_sub(1).and_then(|at| bytes.get(at));
        before.is_none_or(|byte| !byte.is_ascii_hexdigit())
            && bytes.get(at + 8).is_none_or(|&byte| byte == b'7')
    };
    let lower = |word: &[u8]| scan::find_all(bytes, word).find(|&at| hex(at));
    lower(b"aced0005").or_else(|| lower(b"ACED0005")).map(|at| ("JAVA-HEX", at, at + 8))
}

/// .NET's BinaryFormatter in base64.
fn dotnet(bytes: &[u8]) -> Option<Place> {
    let text = bytes.trim_ascii_start();
    let start = bytes.len() - text.len();
    text.starts_with(b"AAEAAAD/////").then_some(("DOTNET-BINARY", start, start + 12))
}

/// A function that node-serialize would run.
fn node(bytes: &[u8]) -> Option<Place> {
    const MARK: &[u8] = b"_$$ND_FUNC$$_";
    scan::find(bytes, MARK).map(|at| ("NODE-FUNCTION", at, at + MARK.len()))
}

/// `O:8:"Class":1:{`, also with `C`, `E`, a sign before the length, or escaped quotes.
fn php(bytes: &[u8]) -> Option<Place> {
    scan::find_all(bytes, b":{").find_map(|at| {
        let head = bytes.get(..at)?;
        let head = strip_digits(head)?.strip_suffix(b":")?;
        let head = strip_quote(head)?;
        let name = head.iter().rev().take(160).take_while(|byte| is_class(**byte)).count();
        let head = strip_quote(head.get(..head.len() - name)?)?;
        let head = strip_digits(head.strip_suffix(b":")?)?;
        let head = head.strip_suffix(b"+").unwrap_or(head).strip_suffix(b":")?;
        let (kind, before) = head.split_last()?;
        let starts = before.last().is_none_or(|byte| !byte.is_ascii_alphanumeric());
        let object = matches!(kind, b'O' | b'o' | b'C' | b'c' | b'E') && name > 0 && starts;
        object.then_some(("PHP-OBJECT", before.len(), at + 2))
    })
}

fn strip_digits(text: &[u8]) -> Option<&[u8]> {
    let digits = text.iter().rev().take(12).take_while(|byte| byte.is_ascii_digit()).count();
    (digits > 0).then(|| text.get(..text.len() - digits))?
}

fn strip_quote(text: &[u8]) -> Option<&[u8]> {
    let text = text.strip_suffix(b"\"").or_else(|| text.strip_suffix(b"'"))?;
    Some(text.strip_suffix(b"\\").unwrap_or(text))
}

fn is_class(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte >= 0x80 || matches!(byte, b'_' | b'\\')
}

/// Ruby's Marshal of a class that a gadget chain begins with.
fn ruby(bytes: &[u8]) -> Option<Place> {
    const CHAINS: [&[u8]; 6] = [b"Gem::", b"ERB", b"ActiveSupport::", b"Net::", b"Kernel", b"Rack::"];
    let marshal = bytes.starts_with(b"\x04\x08");
    let named = || CHAINS.iter().any(|class| scan::find(bytes, class).is_some());
    (marshal && named()).then_some(("RUBY-MARSHAL", 0, 2))
}
