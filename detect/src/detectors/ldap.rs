//! LDAP: break-outs of a search filter (RFC 4515).
//!
//! Catches a value that closes a parenthesis it never opened and goes on with another filter item
//! (`*)(uid=*`, `x)(&(cn=a)`, `*)!(sn=*`), one that starts as a wildcard and opens a filter (`*(|(mail=*))`), one that
//! ends the filter with a NUL, and one that compares passwords (`userPassword:2.5.13.18:=a`).
//!
//! Deliberately misses: other whole filters (`(&(objectClass=group)(cn=a*))`), which directories' own forms send; lone
//! metacharacters.
//!
//! False-positive risk: a cut-out of code or mathematics such as `a)(b=c`. Vectors: `vectors/ldap`.

use crate::budget::Steps;
use crate::detectors::Detector;
use crate::features::Features;
use crate::scan::Cursor;
use crate::signal::Tag;
use crate::value::{Finding, Value};

/// The detector's row in the table.
pub(crate) const DETECTOR: Detector = Detector {
    name: "ldap",
    words: &[")(", ")&", ")|", ")!", "*(", "*)", "))\0", "userpassword"],
    possible: |features, word| {
        (word && features.any(Features::PAREN | Features::COLON))
            // `)  ( |`
            || (features.any(Features::PAREN) && features.any(Features::PIPE | Features::AMP))
    },
    inspect,
};

fn inspect(value: &Value<'_>, steps: &mut Steps) -> Option<Finding> {
    let bytes = value.bytes;
    if is_secret(Cursor::new(bytes)) == Some(b':') {
        return Some(found(0, bytes.len()));
    }
    let mut cursor = Cursor::new(bytes);
    let mut depth = 0_usize;
    while !cursor.is_empty() && steps.take(1) {
        cursor.take_while(|byte| byte != b'(' && byte != b')');
        let at = cursor.at();
        let star = cursor.before() == Some(b'*');
        match cursor.bump()? {
            b'(' => {
                depth += 1;
                if is_secret(cursor).is_some() {
                    return Some(found(at, cursor.at()));
                }
                let mut ahead = cursor;
                if star && at == 1 && matches!(ahead.bump(), Some(b'|' | b'&')) && item(&mut ahead) {
                    return Some(found(at, ahead.at()));
                }
            }
            _ if depth > 0 => depth -= 1,
            _ => {
                let mut ahead = cursor;
                ahead.take_while(|byte| byte == b')');
                // `x))\0`: the server reads no further.
                let ends = (star || ahead.at() > at + 1) && ahead.peek() == Some(0);
                if ends || is_constant(ahead) || goes_on(&mut ahead, star) {
                    return Some(found(at, ahead.at()));
                }
            }
        }
    }
    None
}

fn found(start: usize, end: usize) -> Finding {
    Finding { tag: Tag::Ldap, detector: "LDAP-FILTER", span: start..end }
}

/// What follows the attribute that holds passwords, where a filter asks for it: `userPassword=a*`, or a matching rule,
/// `userPassword:2.5.13.18:=a`. Nobody finds people that way, but one byte after the other is found out.
fn is_secret(mut cursor: Cursor<'_>) -> Option<u8> {
    if !cursor.eat_ignore_case(b"userPassword") {
        return None;
    }
    let operator = cursor.peek();
    if cursor.eat(b":") {
        cursor.take_while(|byte| byte.is_ascii_digit() || byte == b'.' || byte == b':');
        return operator.filter(|_| cursor.before() == Some(b':') && cursor.eat(b"="));
    }
    operator.filter(|_| cursor.eat(b">=") || cursor.eat(b"<=") || cursor.eat(b"~=") || cursor.eat(b"="))
}

/// Whether another item follows: `(cn=`, `!(sn=`, `(|(mail=`, ...
fn goes_on(cursor: &mut Cursor<'_>, star: bool) -> bool {
    if star {
        cursor.take_while(|byte| byte == b' ');
    }
    cursor.take_while(|byte| b"&|!".contains(&byte));
    item(cursor)
}

/// `(&)`, which is true, and `(|`, which the filter's own rest goes on with, as the end of a value or before a NUL.
fn is_constant(mut cursor: Cursor<'_>) -> bool {
    cursor.take_while(|byte| matches!(byte, b' ' | b'\t'));
    if !cursor.eat(b"(") {
        return false;
    }
    cursor.take_while(|byte| matches!(byte, b' ' | b'\t'));
    let operators = cursor.take_while(|byte| matches!(byte, b'&' | b'|'));
    if operators.len() != 1 {
        return false;
    }
    let closed = !cursor.take_while(|byte| byte == b')').is_empty();
    matches!(cursor.peek(), None | Some(0)) && (closed || operators == b"|")
}

/// `(attribute=value`, its parenthesis and operators, as deep as they go.
fn item(cursor: &mut Cursor<'_>) -> bool {
    if cursor.take_while(|byte| b"(&|! ".contains(&byte)).first() != Some(&b'(') {
        return false;
    }
    let is_attribute = |byte: u8| byte.is_ascii_alphanumeric() || b"-;.:".contains(&byte);
    let attribute = cursor.take_while(is_attribute);
    let starts = attribute.first().is_some_and(u8::is_ascii_alphanumeric);
    let operator = cursor.eat(b">=") || cursor.eat(b"<=") || cursor.eat(b"~=") || cursor.eat(b"=");
    // `==` and `=>` are of programming languages, a space belongs to prose and code.
    starts && operator && !matches!(cursor.peek(), Some(b'=' | b'>' | b' '))
}
