//! `agent.conf`: `name = value` lines and `[revproxy-listener.NAME]` blocks, read leniently.
//!
//! The form is TOML-like, and files in the wild are not all TOML: numbers come quoted, text comes bare, lists come as
//! CSV or as arrays. A line that is none of this is an error with its number.

use std::net::Ipv6Addr;

use crate::values::ValueError;

/// Longer files are refused.
pub(crate) const MOST_BYTES: usize = 1024 * 1024;

/// A value and the place where it stood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The block it belongs to, `None` for the agent itself.
    pub(crate) section: Option<String>,
    pub(crate) name: String,
    pub(crate) value: String,
    /// From 1.
    pub(crate) line: usize,
}

/// A block header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Section {
    pub(crate) name: String,
    pub(crate) line: usize,
}

/// What a file holds, faults included: all of them are reported.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Document {
    pub(crate) entries: Vec<Entry>,
    pub(crate) sections: Vec<Section>,
    pub(crate) faults: Vec<(usize, ValueError)>,
}

const SECTION: &str = "revproxy-listener.";

/// Reads a file's text.
pub(crate) fn parse(text: &str) -> Document {
    let mut document = Document::default();
    let mut section = None;
    let mut lines = text.strip_prefix('\u{feff}').unwrap_or(text).lines().enumerate();
    while let Some((index, line)) = lines.next() {
        let number = index + 1;
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(header) = line.strip_prefix('[') {
            match block(header) {
                Ok(name) => {
                    document.sections.push(Section { name: name.to_owned(), line: number });
                    section = Some(name.to_owned());
                }
                Err(error) => document.faults.push((number, error)),
            }
            continue;
        }
        let Some((name, value)) = line.split_once('=') else {
            document.faults.push((number, ValueError::Form { expected: "name = value" }));
            continue;
        };
        let mut value = value.trim().to_owned();
        if is_array(&value) {
            value = code(&value).to_owned();
            // It may go on over lines until its bracket closes.
            while !value.ends_with(']') {
                let Some((_, more)) = lines.next() else { break };
                value.push_str(code(more.trim()));
            }
        }
        match scalar(&value) {
            Ok(value) => document.entries.push(Entry {
                section: section.clone(),
                name: name.trim().trim_matches(['"', '\'']).to_ascii_lowercase().replace('_', "-"),
                value,
                line: number,
            }),
            Err(error) => document.faults.push((number, error)),
        }
    }
    document
}

fn block(header: &str) -> Result<&str, ValueError> {
    let error = ValueError::Form { expected: "[revproxy-listener.NAME]" };
    let inner = strip_comment(header).strip_suffix(']').ok_or(error.clone())?.trim();
    let name = inner.strip_prefix(SECTION).ok_or(error.clone())?.trim_matches(['"', '\'']);
    if name.is_empty() { Err(error) } else { Ok(name) }
}

/// A value without quotes, escapes, brackets and a comment behind it.
fn scalar(value: &str) -> Result<String, ValueError> {
    match value.chars().next() {
        Some('"') => basic(value),
        Some('\'') => {
            let inner = value.get(1..).unwrap_or_default();
            let end = inner.find('\'').ok_or(ValueError::Form { expected: "a closing quote" })?;
            tail(inner.get(end + 1..).unwrap_or_default())?;
            Ok(inner.get(..end).unwrap_or_default().to_owned())
        }
        Some('[') if is_array(value) => {
            let closed = value.strip_suffix(']').ok_or(ValueError::Form { expected: "a closing ]" })?;
            let inner = closed.get(1..).unwrap_or_default();
            let items: Result<Vec<String>, ValueError> =
                items(inner).map(str::trim).filter(|item| !item.is_empty()).map(scalar).collect();
            Ok(items?.join(","))
        }
        _ => Ok(strip_comment(value).to_owned()),
    }
}

/// Whether a value is an array. An IPv6 address with a port begins like one.
fn is_array(value: &str) -> bool {
    let Some(rest) = value.strip_prefix('[') else { return false };
    let address = rest.split_once("]:").and_then(|(address, _)| address.split('%').next());
    address.is_none_or(|address| address.parse::<Ipv6Addr>().is_err())
}

/// The places of an array's characters that are not within quotes. A quote that does not begin an item is none.
fn bare(text: &str) -> impl Iterator<Item = (usize, char)> {
    let (mut quote, mut is_escaped, mut is_fresh) = (None, false, true);
    text.char_indices().filter(move |&(_, c)| {
        match quote {
            Some(_) if is_escaped => is_escaped = false,
            Some('"') if c == '\\' => is_escaped = true,
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if is_fresh && matches!(c, '"' | '\'') => (quote, is_fresh) = (Some(c), false),
            None => {
                is_fresh = matches!(c, '[' | ',') || (is_fresh && c.is_whitespace());
                return true;
            }
        }
        false
    })
}

/// A line of an array without the comment behind it.
fn code(line: &str) -> &str {
    let begins = |at| line.get(..at).is_some_and(|before| before.is_empty() || before.ends_with([' ', '\t']));
    let comment = bare(line).find(|&(at, c)| c == '#' && begins(at));
    comment.and_then(|(at, _)| line.get(..at)).unwrap_or(line).trim_end()
}

/// What stands between the commas of an array.
fn items(inner: &str) -> impl Iterator<Item = &str> {
    let commas = bare(inner).filter(|(_, c)| *c == ',').map(|(at, _)| at);
    let mut from = 0;
    commas.chain([inner.len()]).map(move |to| {
        let item = inner.get(from..to).unwrap_or_default();
        from = to + 1;
        item
    })
}

/// A double-quoted string with the escapes of TOML that occur.
fn basic(value: &str) -> Result<String, ValueError> {
    let mut out = String::new();
    let mut rest = value.get(1..).unwrap_or_default().chars();
    loop {
        match rest.next() {
            Some('"') => return tail(rest.as_str()).map(|()| out),
            Some('\\') => match rest.next() {
                Some('n') => out.push('\n'),
                Some('t') => out.push('\t'),
                Some(c @ ('"' | '\\')) => out.push(c),
                // Windows paths and regular expressions come unescaped.
                Some(c) => out.extend(['\\', c]),
                None => break,
            },
            Some(c) => out.push(c),
            None => break,
        }
    }
    Err(ValueError::Form { expected: "a closing quote" })
}

fn tail(rest: &str) -> Result<(), ValueError> {
    let rest = rest.trim();
    if rest.is_empty() || rest.starts_with('#') {
        Ok(())
    } else {
        Err(ValueError::Form { expected: "nothing after the closing quote" })
    }
}

/// A bare value ends at a `#` that follows white space.
fn strip_comment(value: &str) -> &str {
    let comment =
        value.match_indices('#').find(|&(at, _)| value.get(..at).is_some_and(|v| v.ends_with([' ', '\t'])));
    match comment {
        Some((at, _)) => value.get(..at).unwrap_or(value).trim_end(),
        None => value.trim_end(),
    }
}
