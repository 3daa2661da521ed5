//! Functions and classes by name.

use std::cmp::Ordering;

use crate::lists::{self, Shapes};
use crate::scan::starts_with_ignore_case;

const FUNCTIONS_TEXT: &str = include_str!("functions.txt");
const FUNCTIONS: [&str; lists::count(FUNCTIONS_TEXT)] = lists::lines(FUNCTIONS_TEXT);
const FUNCTION_NAMES: [&str; FUNCTIONS.len()] = lists::heads(&FUNCTIONS, b' ');
static FUNCTION_SHAPES: Shapes = Shapes::of(&FUNCTION_NAMES);
const NAMES_TEXT: &str = include_str!("names.txt");
const NAMES: [&str; lists::count(NAMES_TEXT)] = lists::lines(NAMES_TEXT);
static NAME_SHAPES: Shapes = Shapes::of(&lists::tails(&NAMES, b' '));

/// How much a call of a function says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Function {
    /// No value calls it but code.
    Sure,
    /// Runs what it is given.
    Dangerous,
    /// An ordinary function.
    Plain,
}

/// How much a dotted name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    /// Decides anywhere.
    Anywhere,
    /// Decides as the whole value or in code.
    Code,
}

/// Looks a function up, in any case as PHP would.
pub(crate) fn function(name: &[u8]) -> Option<Function> {
    if !FUNCTION_SHAPES.may_hold(name) {
        return None;
    }
    let row = FUNCTION_NAMES.binary_search_by(|known| compare(known, name)).ok()?;
    Some(match FUNCTIONS.get(row)?.split(' ').nth(1)? {
        "s" => Function::Sure,
        "d" => Function::Dangerous,
        _ => Function::Plain,
    })
}

/// Whether `name` belongs to one of PHP's libraries, whose names share a prefix.
pub(crate) fn is_library_function(name: &[u8]) -> bool {
    const PREFIXES: &[&[u8]] = &[
        b"apache_",
        b"apcu_",
        b"array_",
        b"call_user_",
        b"curl_",
        b"ftp_",
        b"iconv_",
        b"imap_",
        b"ini_",
        b"ldap_",
        b"libxml_",
        b"mb_",
        b"mysql_",
        b"mysqli_",
        b"ob_",
        b"oci_",
        b"odbc_",
        b"opcache_",
        b"openssl_",
        b"pcntl_",
        b"pg_",
        b"php_",
        b"posix_",
        b"preg_",
        b"proc_",
        b"shm_",
        b"simplexml_",
        b"socket_",
        b"sodium_",
        b"spl_",
        b"sqlsrv_",
        b"ssh2_",
        b"stream_",
        b"zend_",
    ];
    PREFIXES.iter().any(|prefix| name.len() > prefix.len() + 2 && starts_with_ignore_case(name, prefix))
}

/// The weightiest dotted name within `chain`, at the borders of its names.
pub(crate) fn name(chain: &[u8]) -> Option<Name> {
    let mut best = None;
    let mut at = 0;
    for _ in 0..16 {
        let Some(rest) = chain.get(at..) else { break };
        if rest.first().is_some_and(|&byte| NAME_SHAPES.may_start(byte)) {
            match name_at(rest) {
                Some(Name::Anywhere) => return Some(Name::Anywhere),
                found => best = found.or(best),
            }
        }
        match rest.iter().position(|&byte| !byte.is_ascii_alphanumeric() && byte != b'_') {
            Some(joint) => at += joint + 1,
            None => break,
        }
    }
    best
}

/// The weightiest dotted name that `rest` starts with.
fn name_at(rest: &[u8]) -> Option<Name> {
    let first = NAMES.partition_point(|row| compare(tail(row), rest) == Ordering::Less);
    let mut best = None;
    // A name that is the start of `rest` sorts at most a few rows before it.
    for row in NAMES.iter().take(first + 1).rev().take(8) {
        if starts_with(rest, tail(row).as_bytes()) {
            if row.starts_with('!') {
                return Some(Name::Anywhere);
            }
            best = Some(Name::Code);
        }
    }
    best
}

fn tail(row: &str) -> &str {
    row.split_at_checked(2).map_or("", |(_, name)| name)
}

/// Whether `rest` starts with the dotted `name`, any joint for the dot, up to the end of a name.
fn starts_with(rest: &[u8], name: &[u8]) -> bool {
    let joint = |byte: u8| !byte.is_ascii_alphanumeric() && byte != b'_';
    let same =
        |(here, wanted): (&u8, &u8)| here.eq_ignore_ascii_case(wanted) || (*wanted == b'.' && joint(*here));
    rest.len() >= name.len()
        && rest.iter().zip(name).all(same)
        && rest.get(name.len()).is_none_or(|byte| joint(*byte))
}

fn compare(known: &str, name: &[u8]) -> Ordering {
    known.bytes().cmp(name.iter().map(u8::to_ascii_lowercase))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_sorted_and_lower_case() {
        assert!(FUNCTIONS.is_sorted());
        assert!(NAMES.is_sorted_by_key(|row| tail(row)));
        assert!(FUNCTIONS.iter().chain(&NAMES).all(|row| *row == row.to_ascii_lowercase()));
    }

    #[test]
    fn every_name_is_found_whole_and_inside() {
        for row in NAMES {
            assert!(name(tail(row).as_bytes()).is_some(), "{row}");
            assert!(name(format!("x.{}.y", tail(row)).as_bytes()).is_some(), "{row}");
        }
        assert_eq!(name(b"java.lang.NullPointerException"), None);
        assert_eq!(name(b"java.lang.Runtimes"), None);
        assert_eq!(name(b"java.lang.Runtime.getRuntime"), Some(Name::Anywhere));
    }

    #[test]
    fn every_name_holds_a_word_of_the_pre_filter() {
        for row in NAMES {
            assert!(super::super::WORDS.iter().any(|word| tail(row).contains(word)), "{row}");
        }
    }

    #[test]
    fn functions_are_found_in_any_case() {
        assert_eq!(function(b"Base64_Decode"), Some(Function::Sure));
        assert_eq!(function(b"SYSTEM"), Some(Function::Dangerous));
        assert_eq!(function(b"systems"), None);
    }
}
