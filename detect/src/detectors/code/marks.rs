//! Constructs that no value has but code: tags, superglobals, stream wrappers, calls of expressions.

use std::ops::Range;

use crate::scan::starts_with_ignore_case;

use super::chain::skip_blank;
use super::pages;
use super::scripts;
use super::tables;

/// A construct and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) detector: &'static str,
    pub(crate) span: Range<usize>,
}

/// Finds the first mark.
pub(crate) fn find(bytes: &[u8]) -> Option<Mark> {
    let mut at = 0;
    // Looked for once: many beginnings without an end must not each look for it.
    let last_close = memchr::memrchr(b')', bytes);
    let mut last_interpolation = None;
    while let Some(next) = bytes.get(at..).and_then(next_special) {
        at += next;
        let rest = bytes.get(at..).unwrap_or_default();
        let found = match rest {
            [b'<', ..] => tag(rest)
                .map(|len| ("CODE-PHP-TAG", len))
                .or_else(|| pages::tag(rest).map(|len| ("CODE-SERVER-PAGE", len))),
            [b'$', ..] => superglobal(rest)
                .map(|len| ("CODE-PHP-SUPERGLOBAL", len))
                .or_else(|| {
                    // A generated password has the marks, and hardly ever the parenthesis that closes.
                    let len = variable_call(rest)?;
                    let opens = rest.get(len) == Some(&b'(');
                    (!opens || last_close > Some(at + len)).then_some(("CODE-PHP-VARIABLE-CALL", len))
                })
                .or_else(|| interpolated_call(rest).map(|len| ("CODE-EXPRESSION", len))),
            [b':', b'h' | b'H', ..] => scripts::h2_script(bytes, at).map(|len| ("CODE-JDBC", len)),
            [b':', b':' | b'/', ..] => static_call(rest)
                .map(|len| ("CODE-PHP-VARIABLE-CALL", len))
                .or_else(|| wrapper(bytes, at).map(|len| ("CODE-PHP-WRAPPER", len))),
            [b'{', ..] => starts_with_ignore_case(rest, b"{php}").then_some(("CODE-PHP-TAG", 5)),
            [b'@', b'{', b'[', inner @ ..] => {
                let last = *last_interpolation
                    .get_or_insert_with(|| bytes.windows(2).rposition(|pair| pair == b"]}"));
                let end = if last > Some(at + 2) { crate::scan::find(inner, b"]}") } else { None };
                end.map(|len| ("CODE-PERL-INTERPOLATION", len + 5))
            }
            [b'%', b'p', ..] => scripts::pipe_file(bytes, at).map(|len| ("CODE-POSTSCRIPT", len)),
            [b'%', b'x' | b'q', ..] => percent_command(bytes, at).map(|len| ("CODE-RUBY-COMMAND", len)),
            [b'"' | b'\'', b'.', ..] if scripts::groovy_command(rest).is_some() => {
                scripts::groovy_command(rest).map(|len| ("CODE-GROOVY-COMMAND", len))
            }
            [b'"' | b'\'' | b']' | b'}' | b')', ..] => expression_call(bytes, at)
                .map(|len| ("CODE-PHP-VARIABLE-CALL", len))
                .or_else(|| scripts::render_property(bytes, at).map(|len| ("CODE-DRUPAL-RENDER", len))),
            _ => None,
        };
        if let Some((detector, len)) = found {
            return Some(Mark { detector, span: at..(at + len).min(bytes.len()) });
        }
        at += 1;
    }
    None
}

fn next_special(rest: &[u8]) -> Option<usize> {
    rest.iter().position(|byte| {
        matches!(byte, b'<' | b'$' | b':' | b'{' | b'@' | b'%' | b'"' | b'\'' | b']' | b'}' | b')')
    })
}

/// `<?php`, `<?=`, `<? echo`, `<cfexecute`; an XML declaration is none.
fn tag(rest: &[u8]) -> Option<usize> {
    if let Some(name) = rest.strip_prefix(b"<cf") {
        let tags: [&[u8]; 6] = [b"execute", b"query", b"file ", b"invoke", b"object", b"include"];
        return tags.iter().any(|tag| starts_with_ignore_case(name, tag)).then_some(10);
    }
    let inner = rest.strip_prefix(b"<?")?;
    if starts_with_ignore_case(inner, b"php") {
        return inner.get(3).is_none_or(|byte| !byte.is_ascii_alphanumeric()).then_some(5);
    }
    if inner.starts_with(b"=") {
        return Some(3);
    }
    let code = skip_blank(inner, 0);
    let statement = inner.get(code..).unwrap_or_default();
    // An instruction of XML has its name right behind the mark.
    let short = inner.first().is_some_and(u8::is_ascii_whitespace)
        && statement.first().is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'$')
        && crate::scan::find(statement.get(..256).unwrap_or(statement), b"?>").is_some();
    if short {
        return Some(2 + code);
    }
    let variable = matches!(statement, [b'$', name, ..] if name.is_ascii_alphabetic() || *name == b'_');
    let blank = code > 0 || variable;
    let words: [&[u8]; 7] = [b"echo", b"print", b"eval", b"system", b"exec", b"include", b"require"];
    let runs = variable || (blank && words.iter().any(|word| starts_with_ignore_case(statement, word)));
    // `<?xml :echo 1` is a label to PHP and no declaration.
    let label = starts_with_ignore_case(inner, b"xml")
        && inner.get(skip_blank(inner, 3)..).is_some_and(|rest| rest.starts_with(b":"));
    (runs || label).then_some(2 + code)
}

const SUPERGLOBALS: &[&[u8]] =
    &[b"_GET", b"_POST", b"_REQUEST", b"_COOKIE", b"_SERVER", b"_FILES", b"_ENV", b"_SESSION", b"GLOBALS"];

fn superglobal(rest: &[u8]) -> Option<usize> {
    let name = rest.get(1..)?;
    let known = SUPERGLOBALS.iter().find(|known| starts_with_ignore_case(name, known))?;
    let end = 1 + known.len();
    match rest.get(skip_blank(rest, end)) {
        None | Some(b'[' | b'{' | b')' | b';' | b'=') => Some(end),
        _ => None,
    }
}

/// `$f[0](x)`, `$a->$b(x)`, `$_(x)`, `${@$f}(x)`
fn variable_call(rest: &[u8]) -> Option<usize> {
    let mut at = 1;
    let braced = rest.get(1) == Some(&b'{');
    if braced {
        let close = rest.iter().take(64).position(|&byte| byte == b'}')?;
        let inner = rest.get(2..close).unwrap_or_default();
        let dynamic = inner.iter().find(|byte| !byte.is_ascii_whitespace() && **byte != b'@');
        if !dynamic.is_some_and(|byte| matches!(byte, b'$' | b'\'' | b'"')) {
            return None;
        }
        if matches!(inner.last(), Some(b'\'' | b'"')) && inner.len() > 2 && close + 1 == rest.len() {
            return Some(close + 1);
        }
        at = close + 1;
    } else {
        at += name_len(rest, at);
        if at == 1 {
            return None;
        }
    }
    let mut dynamic = braced || rest.get(1) == Some(&b'_');
    for _ in 0..4 {
        let next = skip_blank(rest, at);
        // A comment hides what prose has no use for.
        let index = matches!(rest.get(next), Some(b'[' | b'(')) && rest.get(at) == Some(&b'/');
        at = if index { next } else { at };
        match rest.get(at..) {
            Some([b'[', inner @ ..]) => {
                // A nested index closes at the bracket that ends it.
                let close = matching(inner, b'[', b']')?;
                let key = inner.get(..close).unwrap_or_default();
                if key.is_empty() || key.contains(&b' ') {
                    return None;
                }
                dynamic = true;
                at += close + 2;
            }
            Some([b'-', b'>', b'$', ..]) => {
                dynamic = true;
                at += 3 + name_len(rest, at + 3);
            }
            _ => break,
        }
    }
    (dynamic && rest.get(at) == Some(&b'(') && !is_macro(rest, at)).then_some(at)
}

/// Whether the call whose parenthesis is at `at` is a macro of Grafana's for a query: `$__timeFilter(created)`.
fn is_macro(rest: &[u8], at: usize) -> bool {
    let name = rest.get(..at).unwrap_or_default();
    let known = name.starts_with(b"$__time") || name.starts_with(b"$__unixEpoch");
    known && rest.get(at + 1).is_some_and(u8::is_ascii_alphabetic)
}

/// `X::$f(x)`
fn static_call(rest: &[u8]) -> Option<usize> {
    let name = rest.strip_prefix(b"::$")?;
    let len = name_len(name, 0);
    (len > 0 && name.get(len) == Some(&b'(')).then_some(3 + len)
}

/// `${phpinfo()}`, `${@print(1)}`
fn interpolated_call(rest: &[u8]) -> Option<usize> {
    let inner = rest.strip_prefix(b"${")?;
    let inner = inner.strip_prefix(b"@").unwrap_or(inner);
    let len = name_len(inner, 0);
    let call = inner.get(len) == Some(&b'(');
    (call && tables::function(inner.get(..len)?).is_some()).then_some(len + 2)
}

const WRAPPERS: &[&str] = &[
    "php",
    "phar",
    "expect",
    "zip",
    "glob",
    "ogg",
    "rar",
    "ssh2.exec",
    "ssh2.shell",
    "compress.zlib",
    "compress.bzip2",
    "input",
];

/// `php://filter` and its kin.
fn wrapper(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = bytes.get(at..)?;
    if !rest.starts_with(b"://") {
        return None;
    }
    let head = bytes.get(..at)?;
    let scheme = head.iter().rev().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'.').count();
    let scheme = head.get(at - scheme..)?;
    let known = WRAPPERS.iter().any(|known| scheme.eq_ignore_ascii_case(known.as_bytes()));
    let target = rest.get(3).is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.'));
    (known && target).then_some(3)
}

/// `%x(id)`, `%x{id}`
fn percent_command(bytes: &[u8], at: usize) -> Option<usize> {
    let before = at.checked_sub(1).and_then(|at| bytes.get(at));
    let word = before.is_some_and(u8::is_ascii_alphanumeric);
    match bytes.get(at + 1..)? {
        [b'x', b'(' | b'{' | b'[', next, ..] if !word && next.is_ascii_lowercase() => Some(3),
        _ => None,
    }
}

/// How far before its parenthesis the expression may begin.
const CALLEE: usize = 256;

/// `"sys"."tem"('id');`, `[system][0](id);`, `(f)("id");`: the value of an expression is called.
fn expression_call(bytes: &[u8], at: usize) -> Option<usize> {
    let open = skip_blank(bytes, at + 1);
    let rest = bytes.get(open..)?;
    if rest.first() != Some(&b'(') {
        return None;
    }
    let inner = rest.get(1..)?;
    let close = matching(inner, b'(', b')')?;
    let end = open + close + 2;
    // `("system")("id")` needs no semicolon where the value ends.
    let last = skip_blank(bytes, end) >= bytes.len();
    let strings = bytes.get(at) == Some(&b')')
        && at.checked_sub(1).and_then(|at| bytes.get(at)).is_some_and(|byte| matches!(byte, b'\'' | b'"'))
        && matches!(inner.first(), Some(b'\'' | b'"' | b'$'));
    if bytes.get(skip_blank(bytes, end)) != Some(&b';') && !(last && strings) {
        return None;
    }
    // What is called stands close by.
    let head = bytes.get(at.saturating_sub(CALLEE)..at)?;
    let argument = inner.get(skip_blank(inner, 0));
    let code = argument.is_none_or(|byte| !byte.is_ascii_alphabetic());
    let quoted = matches!(bytes.get(at), Some(b'\'' | b'"'));
    if quoted && open > at + 1 && !code {
        return None;
    }
    let callee = match bytes.get(at)? {
        // A string's end: `"system"(...)`; a name must stand in it.
        quote @ (b'"' | b'\'') => {
            let start = head.iter().rposition(|byte| byte == quote)?;
            let text = head.get(start + 1..)?;
            !text.is_empty()
                && text.len() <= 48
                && text.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'\\'))
        }
        b']' => {
            let start = head.iter().rposition(|&byte| byte == b'[')?;
            let indexed = head.get(..start)?.iter().rfind(|byte| !byte.is_ascii_whitespace());
            indexed.is_some_and(|byte| matches!(byte, b']' | b')'))
        }
        b'}' => {
            let start = head.iter().rposition(|&byte| byte == b'{')?;
            head.get(start + 1..)?.starts_with(b"[")
        }
        // `(system)('id');`, but not the call `f(x) (y);` nor a keyword's head.
        _ => {
            let start = head.iter().rposition(|&byte| byte == b'(')?;
            let outside = head.get(..start)?.iter().rfind(|byte| !byte.is_ascii_whitespace());
            let alone = outside.is_none_or(|byte| matches!(byte, b';' | b'{' | b'}' | b'=' | b')'));
            let callee = head.get(start + 1..)?;
            let name = callee.get(skip_blank(callee, 0)..).unwrap_or_default();
            alone
                && !name.is_empty()
                && name.iter().all(|byte| {
                    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'"' | b'\'' | b'.' | b' ' | b'$')
                })
                && !name.contains(&b' ')
        }
    };
    callee.then(|| end - at)
}

/// The offset of the bracket that closes, `inner` starting behind the one that opens.
fn matching(inner: &[u8], open: u8, close: u8) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, &byte) in inner.iter().enumerate().take(256) {
        if byte == open {
            depth += 1;
        } else if byte == close {
            match depth.checked_sub(1) {
                Some(less) => depth = less,
                None => return Some(at),
            }
        }
    }
    None
}

fn name_len(rest: &[u8], at: usize) -> usize {
    rest.get(at..)
        .unwrap_or_default()
        .iter()
        .take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_')
        .count()
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn marks_of_code_are_found() {
        for value in [
            "<?php echo 1;",
            "<?=`id`?>",
            "<?\techo 1;?>",
            "<?xml :echo 1;",
            "$_GET['c']",
            "$_COOKIE",
            "$GLOBALS[x]",
            "$f[0]('id')",
            "$a->$b(1)",
            "${@$f}(1)",
            "${phpinfo()}",
            "A::$f(1)",
            "php://filter/read=x",
            "x=phar:///tmp/a.phar",
            "{php}x{/php}",
            "@{[ system 'id' ]}",
            "%x(id)",
            "\"sys\".\"tem\"('id');",
            "[system][0](ls);",
            "(system)('id');",
            "<cfexecute name='x'>",
        ] {
            assert!(find(value.as_bytes()).is_some(), "{value}");
        }
    }

    #[test]
    fn what_looks_like_them_is_not() {
        for value in [
            "<?xml version=\"1.0\"?>",
            "$5 (sale)",
            "$total(net)",
            "$('#id')",
            "${name}",
            "[docs](http://host.example/x);",
            "see [1](note);",
            "f(x); (y);",
            "\"quoted words\" (note);",
            "100%x(2)",
            "http://host.example",
            "if (a) (b);",
        ] {
            assert_eq!(find(value.as_bytes()), None, "{value}");
        }
    }
}
