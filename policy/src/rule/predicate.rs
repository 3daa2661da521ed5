//! A condition on one value, compiled.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use memchr::memmem::Finder;
use regex::bytes::Regex;

use super::wild::Wild;
use crate::ip::Pattern;
use crate::lists::{Entries, List};

/// A condition on one value.
#[derive(Clone, Debug)]
pub(crate) struct Predicate {
    /// Whether it holds where the matcher does not.
    pub(crate) negate: bool,
    /// Whether letters' case does not matter: the matcher is in lower case, and so is what it is given.
    pub(crate) fold: bool,
    pub(crate) matcher: Matcher,
}

/// What a value is compared with.
#[derive(Clone, Debug)]
pub(crate) enum Matcher {
    Equals(Box<[u8]>),
    Contains(Box<Finder<'static>>),
    Like(Wild),
    Matches(Box<Regex>),
    AtLeast(i64),
    AtMost(i64),
    Number(i64),
    Ip(Pattern),
    In(Arc<List>),
}

impl Predicate {
    /// Whether it holds for a text.
    pub(crate) fn text(&self, value: &[u8]) -> bool {
        let value = if self.fold { lower(value) } else { Cow::Borrowed(value) };
        let found = match &self.matcher {
            Matcher::Equals(text) => *value == **text,
            Matcher::Contains(finder) => finder.find(&value).is_some(),
            Matcher::Like(wild) => wild.matches(&value),
            Matcher::Matches(regex) => regex.is_match(&value),
            Matcher::AtLeast(number) => integer(&value).is_some_and(|value| value >= *number),
            Matcher::AtMost(number) => integer(&value).is_some_and(|value| value <= *number),
            Matcher::Number(number) => integer(&value) == Some(*number),
            Matcher::Ip(pattern) => address(&value).is_some_and(|address| pattern.contains(address)),
            Matcher::In(list) => match &list.entries {
                Entries::Ips(ips) => address(&value).is_some_and(|address| ips.contains(address)),
                Entries::Texts(texts) => texts.of(self.fold).contains(&value),
                Entries::Wildcards(wildcards) => wildcards.of(self.fold).contains(&value),
            },
        };
        found != self.negate
    }

    /// Whether it holds for an address; one that is not known is none of those named.
    pub(crate) fn ip(&self, value: Option<IpAddr>) -> bool {
        let found = value.is_some_and(|value| match &self.matcher {
            Matcher::Ip(pattern) => pattern.contains(value),
            Matcher::In(list) => match &list.entries {
                Entries::Ips(ips) => ips.contains(value),
                Entries::Texts(texts) => texts.folded.contains(value.to_canonical().to_string().as_bytes()),
                Entries::Wildcards(wildcards) => {
                    wildcards.folded.contains(value.to_canonical().to_string().as_bytes())
                }
            },
            Matcher::Equals(_)
            | Matcher::Contains(_)
            | Matcher::Like(_)
            | Matcher::Matches(_)
            | Matcher::AtLeast(_)
            | Matcher::AtMost(_)
            | Matcher::Number(_) => {
                // Compiled for addresses only where it is text that is asked for: wildcards within IPv6.
                let text = value.to_canonical().to_string();
                Self { negate: false, ..self.clone() }.text(text.as_bytes())
            }
        });
        found != self.negate
    }
}

/// In lower case, and not copied where it is already.
pub(crate) fn lower(value: &[u8]) -> Cow<'_, [u8]> {
    if value.iter().any(u8::is_ascii_uppercase) {
        Cow::Owned(value.to_ascii_lowercase())
    } else {
        Cow::Borrowed(value)
    }
}

fn integer(value: &[u8]) -> Option<i64> {
    std::str::from_utf8(value).ok()?.trim().parse().ok()
}

fn address(value: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(value).ok()?.trim();
    text.trim_matches(['[', ']']).parse::<IpAddr>().ok().map(|address| address.to_canonical())
}
