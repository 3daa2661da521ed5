//! JavaScript: does a script that takes the value up still parse, and does it then call something?
//!
//! A script with a syntax error never runs, which is what tells an attack from prose: the value is lexed from every
//! state in which a script could be when it meets it, and judged only if what follows is a program.

mod lex;
mod program;
mod sinks;

use std::ops::Range;

use crate::budget::Steps;
use crate::detectors::xss::Hit;
use crate::detectors::xss::js::program::{Start, program};
use crate::detectors::xss::js::sinks::Strength;
use crate::scan;

/// Finds a parameter's name that, with its `=`, assigns to what script does harm with.
pub(super) fn name_hit(bytes: &[u8], steps: &mut Steps) -> Option<Hit> {
    memchr::memchr(b'.', bytes)?;
    let sink = program::assigned(bytes, steps)?;
    if sink.strength == Strength::Alone { Hit::new("XSS-JS", sink.span) } else { None }
}

/// Finds JavaScript that would run: as the whole value where `bare`, or after the value closes what it stands in.
pub(super) fn hit(bytes: &[u8], bare: bool, steps: &mut Steps) -> Option<Hit> {
    if let Some(span) = soup(bytes) {
        return Hit::new("XSS-JS-SOUP", span);
    }
    if !bytes.iter().any(|byte| matches!(byte, b'(' | b'`' | b'=' | b'[')) {
        return None;
    }
    if bare {
        let sink = program(bytes, 0, Start::Statement, steps);
        if let Some(sink) = sink.filter(|sink| sink.strength == Strength::Alone) {
            return Hit::new("XSS-JS", sink.span);
        }
        if let Some(span) = sinks::nested(bytes) {
            return Hit::new("XSS-JS", span);
        }
        if let Some(span) = sinks::handed(bytes)
            && program::parses(bytes, steps)
        {
            return Hit::new("XSS-JS", span);
        }
    }
    for quote in [b'\'', b'"', b'`'] {
        let closes = memchr::memchr(quote, bytes);
        if let Some(sink) = closes.and_then(|at| program(bytes, at + 1, Start::AfterString, steps)) {
            return Hit::new("XSS-JS-STRING", sink.span);
        }
    }
    for closer in [&b"*/"[..], b"${", b"\n"] {
        let ends = scan::find(bytes, closer);
        let sink = ends.and_then(|at| program(bytes, at + closer.len(), Start::Statement, steps));
        if let Some(sink) = sink.filter(|sink| closer == b"${" || sink.strength == Strength::Alone) {
            return Hit::new("XSS-JS", sink.span);
        }
    }
    None
}

/// Finds a call or a read that script does harm with, whatever stands around it: for places that are code already.
pub(super) fn loose(bytes: &[u8]) -> Option<Range<usize>> {
    sinks::loose(bytes)
}

/// Finds what every probe calls or reads: for text next to markup.
pub(super) fn probe(bytes: &[u8]) -> Option<Range<usize>> {
    sinks::probe(bytes)
}

/// Whether the code of a `javascript:` URL, in lower case and without spaces, does nothing: links that scripts handle.
pub(super) fn harmless(code: &[u8]) -> bool {
    let mut code = code;
    while let Some(shorter) = code.strip_suffix(b";").or_else(|| code.strip_suffix(b"//")) {
        code = shorter;
    }
    const NOTHING: &[&[u8]] = &[
        b"",
        b"#",
        b"void(0)",
        b"void0",
        b"void(null)",
        b"void",
        b"void()",
        b"false",
        b"returnfalse",
        b"undefined",
        b"history.back()",
        b"history.go(-1)",
        b"window.history.back()",
        b"window.history.go(-1)",
    ];
    NOTHING.contains(&code)
}

/// Whether what follows `javascript:` at the start of a value is code that does something, rather than a title.
pub(super) fn is_url_code(code: &[u8]) -> bool {
    let mut plain = [0; 32];
    let kept = code.iter().filter(|byte| **byte > b' ');
    let length = plain.iter_mut().zip(kept).map(|(slot, byte)| *slot = byte.to_ascii_lowercase()).count();
    let short = code.len() <= 64;
    if short && plain.get(..length).is_some_and(harmless) {
        return false;
    }
    if loose(code).is_some() {
        return true;
    }
    let mut steps = Steps::new(2_000);
    // A member too: its value becomes the page.
    let acts = |code: &[u8]| {
        code.iter().any(|byte| matches!(byte, b'(' | b'`' | b'=' | b'[' | b'%'))
            || [&b"window."[..], b"document.", b"location.", b"self.", b"top."]
                .iter()
                .any(|base| code.starts_with(base))
    };
    acts(code) && program::parses(code, &mut steps)
}

/// A run of `[]()!+` that builds its words out of nothing.
fn soup(bytes: &[u8]) -> Option<Range<usize>> {
    // Most texts end here: without three of these there are no three signs, without one of those no pair.
    let few = memchr::memchr2_iter(b'+', b'!', bytes).take(3).count() < 3;
    if few || memchr::memchr3(b']', b'}', b'+', bytes).is_none() {
        return None;
    }
    let mut from = 0;
    let mut pairs = 0;
    let mut signs = 0;
    let mut previous = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        match byte {
            b'[' | b']' | b'(' | b')' | b'!' | b'+' | b'{' | b'}' => {}
            b' ' | b'\t' | b'\n' | b'\r' if at > from => continue,
            _ => {
                from = at + 1;
                pairs = 0;
                signs = 0;
                previous = 0;
                continue;
            }
        }
        pairs += usize::from(matches!((previous, byte), (b'[', b']') | (b'{', b'}') | (b'!', b'+')));
        signs +=
            usize::from(matches!((previous, byte), (b'+', b'[' | b'!' | b'(' | b'{') | (b'!', b'[' | b'!')));
        previous = byte;
        if pairs >= 3 && signs >= 3 && at - from >= 11 {
            return Some(from..at + 1);
        }
    }
    None
}
