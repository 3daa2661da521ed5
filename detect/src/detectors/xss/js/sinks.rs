//! What script does harm with: calls that run text, show that they ran or send data, and assignments that navigate or
//! write markup.

use std::ops::Range;

use crate::detectors::xss::tag::is_space;
use crate::scan;

/// How sure a sink is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Strength {
    /// Only behind a break-out: the name is a common word too.
    BrokenOut,
    /// Even as the whole value.
    Alone,
}

/// What stands before a call's parenthesis, an assignment's sign or a dot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Callee<'a> {
    /// Nothing of interest.
    Nothing,
    /// The end of `if (..)`, `for (..)`, ...: a statement follows.
    Block,
    /// A literal.
    Literal,
    /// An array.
    Array,
    /// A name by itself.
    Word(&'a [u8]),
    /// A member of the window, document or location.
    Global(&'a [u8]),
    /// A member of something else.
    Member(&'a [u8]),
    /// A member whose name is computed: `top['al'+'ert']`.
    Computed,
}

impl<'a> Callee<'a> {
    /// The member `name` of this.
    pub(super) fn member(self, name: &'a [u8]) -> Self {
        let forwards = matches!(name, b"call" | b"apply" | b"bind");
        match self {
            Self::Word(b"Reflect") if matches!(name, b"get" | b"apply" | b"construct") => Self::Computed,
            _ if forwards && call(&self).is_some() => self,
            // Common names of variables: only what is a function of the window counts.
            Self::Word(b"parent" | b"this" | b"opener") if !listed(RUNS, name) && !is_global(name) => {
                Self::Member(name)
            }
            Self::Word(base) | Self::Global(base) if is_global(base) => Self::Global(name),
            _ => Self::Member(name),
        }
    }

    /// Whether `this[..](..)` hides the name of what it calls.
    pub(super) fn hides_members(self) -> bool {
        match self {
            Self::Word(base) | Self::Global(base) => is_global(base),
            Self::Array | Self::Computed => true,
            _ => false,
        }
    }
}

/// How sure a call of `callee` is harm.
pub(super) fn call(callee: &Callee<'_>) -> Option<Strength> {
    match callee {
        Callee::Word(name) if listed(RUNS, name) => Some(Strength::Alone),
        Callee::Word(name) if memchr::memchr(b'\\', name).is_some() => Some(Strength::Alone),
        Callee::Word(name) if listed_ignore_case(RUNS, name) || listed(SENDS, name) => {
            Some(Strength::BrokenOut)
        }
        Callee::Global(name) if listed(RUNS, name) || listed(GLOBAL_CALLS, name) => Some(Strength::Alone),
        Callee::Global(name) if listed(SENDS, name) => Some(Strength::BrokenOut),
        Callee::Member(name) if listed(MEMBER_CALLS, name) => Some(Strength::Alone),
        Callee::Member(name) if listed(MEMBER_WRITES, name) => Some(Strength::BrokenOut),
        Callee::Member(name) if listed_ignore_case(RUNS, name) || listed_ignore_case(MEMBER_CALLS, name) => {
            Some(Strength::BrokenOut)
        }
        Callee::Computed => Some(Strength::Alone),
        _ => None,
    }
}

/// Whether calls of `callee` run text only where text is what they are given, as a timer does.
pub(super) fn takes_text(callee: &Callee<'_>) -> bool {
    let (Callee::Word(name) | Callee::Global(name)) = callee else { return false };
    matches!(*name, b"setTimeout" | b"setInterval" | b"setImmediate")
}

/// How sure a template given to `callee` is harm: nobody tags one with `call`, except to call with it.
pub(super) fn tag(callee: &Callee<'_>) -> Option<Strength> {
    match callee {
        Callee::Member(b"call" | b"apply" | b"bind" | b"map" | b"sort" | b"from") => Some(Strength::Alone),
        Callee::Global(b"call" | b"apply") => Some(Strength::Alone),
        _ => call(callee),
    }
}

/// How sure an assignment to `callee` is harm.
pub(super) fn assign(callee: &Callee<'_>) -> Option<Strength> {
    match callee {
        Callee::Word(b"onerror") => Some(Strength::Alone),
        Callee::Word(b"location") => Some(Strength::BrokenOut),
        Callee::Global(b"location" | b"href" | b"cookie" | b"domain" | b"onerror" | b"innerHTML") => {
            Some(Strength::Alone)
        }
        Callee::Member(b"innerHTML" | b"outerHTML" | b"src" | b"href" | b"location") | Callee::Computed => {
            Some(Strength::BrokenOut)
        }
        _ => None,
    }
}

/// How sure the mere mention of `callee` is harm.
pub(super) fn read(callee: &Callee<'_>, given: bool) -> Option<Strength> {
    match callee {
        // Given to a call, it leaves the page.
        Callee::Global(b"cookie") if given => Some(Strength::Alone),
        Callee::Global(b"cookie" | b"domain" | b"localStorage") => Some(Strength::BrokenOut),
        _ => None,
    }
}

/// Whether `name` runs text or shows that it ran, whoever calls it.
pub(super) fn runs(name: &[u8]) -> bool {
    matches!(name, b"alert" | b"eval" | b"confirm" | b"prompt" | b"Function")
}

/// Whether the first argument is a string that names a module elsewhere.
pub(super) fn is_remote(arguments: &[u8]) -> bool {
    let inside = arguments.trim_ascii_start().get(1..).unwrap_or_default();
    [&b"data:"[..], b"//", b"http:", b"https:", b"blob:"].iter().any(|scheme| inside.starts_with(scheme))
}

/// Whether a property's name, given as a string, is one that runs what it is given.
pub(super) fn hidden_name(literal: &[u8]) -> bool {
    let inside = literal.get(1..literal.len().saturating_sub(1)).unwrap_or_default();
    listed(RUNS, inside) || listed(MEMBER_CALLS, inside)
}

/// Whether a string that names a member of a global is one that only an attack spells as a string.
pub(super) fn hidden_member(literal: &[u8]) -> bool {
    let inside = literal.get(1..literal.len().saturating_sub(1)).unwrap_or_default();
    let escaped = memchr::memchr(b'\\', inside).is_some();
    escaped || hidden_name(literal) || listed(&[b"cookie", b"location", b"domain", b"write"], inside)
}

/// Finds a harmful call or member by its spelling alone, in any case.
pub(super) fn loose(bytes: &[u8]) -> Option<Range<usize>> {
    let call = memchr::memchr2_iter(b'(', b'`', bytes).find_map(|open| loose_call(bytes, open));
    call.or_else(|| memchr::memchr_iter(b'.', bytes).find_map(|dot| loose_member(bytes, dot)))
}

/// Finds a value that starts with a call of one that decodes or runs text, given to another: `eval(atob(..))`.
pub(super) fn nested(bytes: &[u8]) -> Option<Range<usize>> {
    let value = bytes.trim_ascii();
    let outer = memchr::memchr(b'(', value)?;
    let rest = value.get(outer + 1..)?;
    let inner = memchr::memchr(b'(', rest)?;
    let (outside, inside) = (value.get(..outer)?, rest.get(..inner)?);
    let inside = memchr::memrchr(b'.', inside).and_then(|dot| inside.get(dot + 1..)).unwrap_or(inside);
    let decodes =
        |name: &[u8]| listed_ignore_case(MEMBER_CALLS, name) || listed(&[b"atob", b"unescape"], name);
    let fires = listed(RUNS, outside) && decodes(inside) && value.ends_with(b")");
    let from = bytes.len() - bytes.trim_ascii_start().len();
    fires.then_some(from..from + outer + 1 + inner + 1)
}

/// Finds what every probe calls, handed on to be called: `setTimeout(alert,0,1)`, `[alert].forEach(f=>f(1))`.
pub(super) fn handed(bytes: &[u8]) -> Option<Range<usize>> {
    memchr::memchr(b'(', bytes)?;
    scan::find_all(bytes, b"alert").take(8).find_map(|at| {
        let (before, after) = (bytes.get(..at)?.trim_ascii_end(), bytes.get(at + 5..)?.trim_ascii_start());
        let timers = [&b"setTimeout("[..], b"setInterval(", b"setImmediate(", b")("];
        let given = timers.iter().any(|head| before.ends_with(head));
        // An array of nothing else, or a property that a conversion calls: `{toString:alert}`.
        let next = after.first();
        let alone = match before.last() {
            Some(b'[') => next == Some(&b']'),
            Some(b':') => next == Some(&b'}'),
            _ => false,
        };
        let ends = matches!(next, None | Some(b')' | b','));
        ((given && ends) || alone).then_some(at..at + 5)
    })
}

/// Finds what every probe calls or reads, by its spelling alone: for text next to markup, where other calls are prose.
pub(super) fn probe(bytes: &[u8]) -> Option<Range<usize>> {
    let call = memchr::memchr2_iter(b'(', b'`', bytes).find_map(|open| {
        let (before, after) = (bytes.get(..open)?, bytes.get(open + 1..)?);
        let before = before.strip_suffix(b")").unwrap_or(before);
        let length = before.iter().rev().take(24).take_while(|&&byte| is_word(byte)).count();
        let (base, name) = before.split_at_checked(before.len() - length)?;
        // Another object's function of that name is its own business.
        if base.ends_with(b".")
            && !GLOBALS
                .iter()
                .any(|global| base.get(..base.len() - 1).is_some_and(|base| base.ends_with(global)))
        {
            return listed_ignore_case(&[b"fromCharCode"], name).then_some(before.len() - length..open + 1);
        }
        let shows = listed_ignore_case(&[b"alert", b"confirm", b"prompt", b"msgbox"], name);
        let runs = listed_ignore_case(&[b"eval", b"execScript", b"fromCharCode"], name)
            && after.first() != Some(&b')');
        // `the alert() function`
        let named = matches!(after, [b')', b' ', next, ..] if next.is_ascii_alphabetic());
        ((shows && !named) || runs).then_some(before.len() - length..open + 1)
    });
    call.or_else(|| memchr::memchr_iter(b'.', bytes).find_map(|dot| loose_member(bytes, dot)))
}

fn loose_call(bytes: &[u8], open: usize) -> Option<Range<usize>> {
    let before = bytes.get(..open)?;
    let spaces = before.iter().rev().take(8).take_while(|&&byte| is_space(byte)).count();
    let before = before.get(..before.len() - spaces)?;
    // `(alert)(1)`, `top[..](1)`, `eval?.(1)`.
    let before = before.strip_suffix(b"?.").or_else(|| before.strip_suffix(b")")).unwrap_or(before);
    if before.last() == Some(&b']') && spaces == 0 && bytes.get(open) == Some(&b'(') {
        return is_computed(before).then_some(before.len() - 1..open + 1);
    }
    let length = before.iter().rev().take(24).take_while(|&&byte| is_word(byte)).count();
    let name = before.get(before.len() - length..)?;
    let listed = listed_ignore_case(RUNS, name)
        || listed_ignore_case(MEMBER_CALLS, name)
        || listed(GLOBAL_CALLS, name);
    listed.then_some(before.len() - length..open + 1)
}

/// Whether the index that ends `before` joins strings or follows a global's name.
fn is_computed(before: &[u8]) -> bool {
    let near = before.get(before.len().saturating_sub(80)..).unwrap_or_default();
    let Some(open) = memchr::memrchr(b'[', near) else { return false };
    let inside = near.get(open..).unwrap_or_default();
    let base = near.get(..open).unwrap_or_default();
    let length = base.iter().rev().take_while(|&&byte| is_word(byte)).count();
    let quoted = inside.iter().any(|byte| matches!(byte, b'\'' | b'"' | b'`' | b'/' | b'+'));
    quoted && is_global(base.get(base.len() - length..).unwrap_or_default())
}

fn loose_member(bytes: &[u8], dot: usize) -> Option<Range<usize>> {
    let before = bytes.get(..dot)?;
    let length = before.iter().rev().take(16).take_while(|&&byte| is_word(byte)).count();
    let base = before.get(before.len() - length..)?;
    let after = bytes.get(dot + 1..)?;
    let end = after.iter().take(16).take_while(|&&byte| is_word(byte)).count();
    let name = after.get(..end)?;
    let known = LOOSE_MEMBERS.iter().any(|(known_base, known_name)| {
        // A filter that strips brackets leaves `scriptdocument.cookie`.
        let base = base.strip_prefix(b"script").unwrap_or(base);
        known_base.eq_ignore_ascii_case(base) && known_name.eq_ignore_ascii_case(name)
    });
    known.then_some(dot - length..dot + 1 + end)
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$')
}

fn is_global(name: &[u8]) -> bool {
    listed(GLOBALS, name)
}

fn listed(list: &[&[u8]], name: &[u8]) -> bool {
    list.contains(&name)
}

fn listed_ignore_case(list: &[&[u8]], name: &[u8]) -> bool {
    list.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// Functions that run text or, as every probe does, show that they ran.
const RUNS: &[&[u8]] = &[
    b"alert",
    b"confirm",
    b"prompt",
    b"eval",
    b"Function",
    b"setTimeout",
    b"setInterval",
    b"setImmediate",
    b"execScript",
    b"importScripts",
    b"msgbox",
];

/// Functions that send or load, with names that are common words.
const SENDS: &[&[u8]] = &[
    b"fetch",
    b"open",
    b"print",
    b"import",
    b"atob",
    b"find",
    b"postMessage",
    b"btoa",
    b"Worker",
    b"SharedWorker",
    b"Image",
    b"XMLHttpRequest",
    b"WebSocket",
    b"EventSource",
    b"write",
    b"$",
    b"jQuery",
    b"Proxy",
    b"Array",
    b"require",
];

/// Calls on the window, document or location.
const GLOBAL_CALLS: &[&[u8]] =
    &[b"write", b"writeln", b"createElement", b"appendChild", b"assign", b"replace", b"execCommand"];

/// Calls on anything.
const MEMBER_CALLS: &[&[u8]] = &[
    b"constructor",
    b"fromCharCode",
    b"fromCodePoint",
    b"eval",
    b"alert",
    b"getScript",
    b"sendBeacon",
    b"createContextualFragment",
    b"execScript",
    b"msgbox",
    b"getOwnPropertyDescriptor",
];

/// Calls on anything, behind a break-out.
const MEMBER_WRITES: &[&[u8]] =
    &[b"appendChild", b"insertAdjacentHTML", b"setAttribute", b"write", b"append", b"html"];

/// Names of the window, the document and what they lead to.
const GLOBALS: &[&[u8]] = &[
    b"window",
    b"self",
    b"top",
    b"parent",
    b"frames",
    b"globalThis",
    b"document",
    b"location",
    b"this",
    b"opener",
    b"navigator",
    b"body",
    b"documentElement",
    b"defaultView",
];

/// Members whose mention next to markup is enough.
const LOOSE_MEMBERS: &[(&[u8], &[u8])] = &[
    (b"document", b"cookie"),
    (b"document", b"domain"),
    (b"document", b"location"),
    (b"document", b"write"),
    (b"document", b"writeln"),
    (b"window", b"location"),
    (b"window", b"open"),
    (b"window", b"onerror"),
    (b"location", b"href"),
    (b"location", b"hash"),
    (b"location", b"search"),
];
