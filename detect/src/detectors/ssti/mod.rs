//! SSTI: template expressions that compute, call or look into the engine.
//!
//! Catches, between the delimiters of the common engines (`{{ }}`, `{% %}`, `${ }`, `#{ }`, `*{ }`, `<% %>`, `<#..>`,
//! `[= ]`, `@( )`, `#set(..)`, `{php}`): arithmetic on literals, which every probe starts with; calls on literals;
//! members that lead to the language behind the engine (`__class__`, `constructor`, `getClass`, `?new()`); names of
//! what runs commands; and objects that only the engine's insides have (`_self`, `cycler`, `freemarker.template`).
//!
//! Deliberately misses: placeholders and filters as mail templates, Helm charts, shells and JavaScript have them
//! (`{{ user.name | upper }}`, `${HOME}`, `{{#each items}}`, `<%= title %>`), also with arithmetic on names.
//!
//! False-positive risk: posts about template engines with live exploits. Vectors: `vectors/ssti`.

mod expression;

use std::ops::Range;

use crate::budget::Steps;
use crate::detectors::Detector;
use crate::features::Features;
use crate::scan::{self, find, starts_with_ignore_case};
use crate::signal::Tag;
use crate::value::{Finding, Part, Value};

/// The detector's row in the table.
pub(crate) const DETECTOR: Detector = Detector {
    name: "ssti",
    words: &[
        "<%",
        "<#",
        "[#",
        "[=",
        "[[",
        "<@",
        "@(",
        "#set",
        "#evaluate",
        "#foreach",
        "#if",
        "$class",
        ".class.forname(",
        "#include",
    ],
    possible: |features, word| word || features.any(Features::BRACE),
    inspect,
};

/// Macros of XWiki whose content runs as a script.
const SCRIPTS: [&[u8]; 4] = [b"groovy", b"velocity", b"python", b"async async=false"];
/// Bytes of one expression that are read.
const LONGEST: usize = 1024;

fn inspect(value: &Value<'_>, steps: &mut Steps) -> Option<Finding> {
    let bytes = value.bytes;
    let found = |(detector, span)| Finding { tag: Tag::Ssti, detector, span };
    if let Some(at) = find(bytes, b"${{<%[%") {
        return Some(found(("SSTI-PROBE", at..at + 7)));
    }
    if value.features.any(Features::BRACE)
        && let Some(hit) = braces(bytes, steps)
    {
        return Some(found(hit));
    }
    for &(open, close) in TAGS {
        if let Some(hit) = tags(bytes, open, close, steps) {
            return Some(found(hit));
        }
    }
    let velocity = value.features.any(Features::HASH | Features::DOLLAR) && value.field.part != Part::Whole;
    if velocity { directive(bytes).map(found) } else { None }
}

type Hit = (&'static str, Range<usize>);

/// Expressions in braces; what stands before or behind the brace tells which engine's.
fn braces(bytes: &[u8], steps: &mut Steps) -> Option<Hit> {
    let mut done = 0;
    for at in memchr::memchr_iter(b'{', bytes) {
        if at < done {
            continue;
        }
        let before = at.checked_sub(1).and_then(|at| bytes.get(at)).copied();
        let (from, close): (usize, &[u8]) = match (before, bytes.get(at + 1)) {
            (_, Some(b'{')) => (at + 2, b"}}"),
            (_, Some(b'%')) => (at + 2, b"%}"),
            (Some(b'$' | b'#' | b'*' | b'@' | b'~'), _) => (at + 1, b"}"),
            // A filter that takes `${` out, and a letter behind a backslash that the engine takes out: `$\A{7*7}`.
            (Some(b'A'..=b'Z' | b'a'..=b'z'), _)
                if bytes.get(..at - 1).is_some_and(|head| head.ends_with(b"\\")) =>
            {
                (at + 1, b"}")
            }
            _ => {
                let single = single(bytes, at);
                if single.is_some() {
                    return single;
                }
                continue;
            }
        };
        let rest = bytes.get(from..)?;
        let window = rest.get(..rest.len().min(LONGEST)).unwrap_or_default();
        // Reading costs a step for every eight bytes, and a span is read once.
        if !steps.take(1 + window.len() / 8) {
            return None;
        }
        let Some(length) = find(window, close) else {
            // The next opener may still close.
            done = from;
            continue;
        };
        // `${a({})}` closes later than its first brace.
        let length = if close == b"}" { balanced(window) } else { length };
        let content = window.get(..length).unwrap_or_default();
        if close == b"}}" && SCRIPTS.contains(&content.trim_ascii()) {
            return Some(("SSTI-SCRIPT", at..from + length));
        }
        let whole = bytes.len() <= from + length + close.len() + 1 && at <= 1;
        if let Some(detector) = expression::active(content, whole) {
            return Some((detector, at..from + length));
        }
        // Engines nest; but what lies inside has been read with the whole.
        done = if close == b"}" { from } else { from + length };
    }
    None
}

fn balanced(window: &[u8]) -> usize {
    let mut depth = 0_usize;
    for (at, byte) in window.iter().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 0 => return at,
            b'}' => depth -= 1,
            _ => {}
        }
    }
    window.len()
}

/// Smarty and its kin take single braces, which prose and JSON have too: only what no prose has.
fn single(bytes: &[u8], at: usize) -> Option<Hit> {
    let content = bytes.get(at + 1..)?;
    let content = content.strip_prefix(b"/").unwrap_or(content);
    let known = [
        &b"php}"[..],
        b"$smarty.",
        b"system(",
        b"passthru(",
        b"phpinfo(",
        b"if system(",
        b"if phpinfo(",
        b"Smarty_",
    ];
    if known.iter().any(|known| starts_with_ignore_case(content, known)) {
        return Some(("SSTI-CALL", at..at + 8));
    }
    let whole = at == 0 && content.ends_with(b"}");
    let inside = content.get(..content.len().saturating_sub(1)).unwrap_or_default();
    let probe = whole
        && content.len() <= 16
        && memchr::memchr(b'*', inside).is_some()
        && expression::is_arithmetic(inside);
    probe.then_some(("SSTI-ARITHMETIC", at..bytes.len()))
}

/// Expressions in tags.
fn tags(bytes: &[u8], open: &[u8], close: &[u8], steps: &mut Steps) -> Option<Hit> {
    let mut from = 0;
    while let Some(at) = bytes.get(from..).and_then(|rest| find(rest, open)) {
        let start = from + at + open.len();
        let rest = bytes.get(start..).unwrap_or_default();
        let window = rest.get(..rest.len().min(LONGEST)).unwrap_or_default();
        if !steps.take(1 + window.len() / 8) {
            return None;
        }
        from = start;
        let Some(length) = find(window, close) else { continue };
        let content = window.get(..length).unwrap_or_default();
        let content = content.strip_prefix(b"=").or_else(|| content.strip_prefix(b"-")).unwrap_or(content);
        if let Some(detector) = expression::active(content, false) {
            return Some((detector, start - open.len()..start + length));
        }
        // A probe of ASP, ERB and their kin: a name, and nothing printed. Placeholders print.
        let value = bytes.trim_ascii();
        let inside = window.get(..length).unwrap_or_default();
        let name = inside.trim_ascii();
        let lone = open == b"<%" && value.len() == inside.len() + open.len() + close.len();
        if lone && inside.starts_with(b" ") && name.iter().all(u8::is_ascii_alphanumeric) && name.len() >= 3 {
            return Some(("SSTI-PROBE", start - open.len()..start + length));
        }
        from = start + length;
    }
    None
}

/// Velocity: `#set($x=..)` and references that reach a class.
fn directive(bytes: &[u8]) -> Option<Hit> {
    for name in [&b"#set"[..], b"#evaluate", b"#foreach", b"#if", b"#include"] {
        let Some(at) = scan::find(bytes, name) else { continue };
        let rest = bytes.get(at + name.len()..)?.trim_ascii_start();
        if !rest.starts_with(b"(") {
            continue;
        }
        let content = rest.get(1..rest.len().min(LONGEST)).unwrap_or_default();
        let line = memchr::memchr(b'\n', content).and_then(|end| content.get(..end)).unwrap_or(content);
        let assigned = memchr::memchr(b'=', line).and_then(|at| line.get(at + 1..)).unwrap_or(line);
        let end = memchr::memrchr(b')', assigned).unwrap_or(assigned.len());
        if let Some(detector) = expression::active(assigned.get(..end).unwrap_or_default(), false) {
            return Some((detector, at..at + name.len() + 1));
        }
    }
    let class = scan::find(bytes, b"$class.inspect").or_else(|| scan::find(bytes, b".class.forName("))?;
    Some(("SSTI-INTERNALS", class..class + 14))
}

/// Tags that hold an expression.
const TAGS: &[(&[u8], &[u8])] =
    &[(b"<%", b"%>"), (b"<#", b">"), (b"[#", b"]"), (b"[=", b"]"), (b"@(", b")"), (b"[[", b"]]")];

#[cfg(test)]
mod tests;
