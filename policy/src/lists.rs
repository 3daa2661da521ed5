//! Lists that rules refer to.

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};

use crate::ip::IpMap;
use crate::rule::Wild;

/// A list.
#[derive(Debug)]
pub(crate) struct List {
    /// Its name as rules write it: `site.offices`.
    pub(crate) name: String,
    pub(crate) entries: Entries,
}

/// What a list holds.
#[derive(Debug)]
pub(crate) enum Entries {
    Texts(Cases<Texts>),
    Ips(IpMap<()>),
    Wildcards(Cases<Wildcards>),
}

/// What a list holds as it is written, and in lower case for what is compared without case.
#[derive(Debug, Default)]
pub(crate) struct Cases<T> {
    pub(crate) written: T,
    pub(crate) folded: T,
}

impl<T> Cases<T> {
    /// The one to ask.
    pub(crate) const fn of(&self, fold: bool) -> &T {
        if fold { &self.folded } else { &self.written }
    }
}

/// Texts.
#[derive(Debug, Default)]
pub(crate) struct Texts(HashSet<Box<[u8]>, FixedState>);

/// Wildcards by what they begin or end with, so that a long list is not read from end to end.
#[derive(Debug, Default)]
pub(crate) struct Wildcards {
    exact: HashSet<Box<[u8]>, FixedState>,
    prefixes: Ends,
    suffixes: Ends,
    others: Vec<Wild>,
}

/// Texts by length: one look-up for each length that there is.
#[derive(Debug, Default)]
struct Ends {
    by_length: HashMap<usize, HashSet<Box<[u8]>, FixedState>, FixedState>,
}

impl Texts {
    pub(crate) fn insert(&mut self, text: &[u8]) {
        self.0.insert(text.into());
    }

    pub(crate) fn contains(&self, text: &[u8]) -> bool {
        self.0.contains(text)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(|text| &**text)
    }
}

impl Wildcards {
    pub(crate) fn insert(&mut self, wild: Wild) {
        match wild {
            Wild::Exact(text) => {
                self.exact.insert(text);
            }
            Wild::Prefix(text) => self.prefixes.insert(text),
            Wild::Suffix(text) => self.suffixes.insert(text),
            other @ (Wild::Any | Wild::Within(_) | Wild::Other(_)) => self.others.push(other),
        }
    }

    /// How many have to be tried one by one.
    pub(crate) fn slow(&self) -> usize {
        self.others.len()
    }

    pub(crate) fn contains(&self, text: &[u8]) -> bool {
        self.exact.contains(text)
            || self.prefixes.any(|length| text.get(..length))
            || self.suffixes.any(|length| text.get(text.len().checked_sub(length)?..))
            || self.others.iter().any(|wild| wild.matches(text))
    }
}

impl Ends {
    fn insert(&mut self, text: Box<[u8]>) {
        self.by_length.entry(text.len()).or_default().insert(text);
    }

    fn any<'t>(&self, cut: impl Fn(usize) -> Option<&'t [u8]>) -> bool {
        self.by_length.iter().any(|(length, texts)| cut(*length).is_some_and(|end| texts.contains(end)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_match_by_either_end() {
        let mut list = Wildcards::default();
        for pattern in ["/exact", "/pre*", "*.suf", "*in*", "/x?z"] {
            list.insert(Wild::new(pattern, false).unwrap());
        }
        for text in ["/exact", "/prefix", "/a.suf", "/a/in/b", "/xyz"] {
            assert!(list.contains(text.as_bytes()), "{text}");
        }
        for text in ["", "/", "/exac", ".su", "/xz"] {
            assert!(!list.contains(text.as_bytes()), "{text}");
        }
        assert_eq!(list.slow(), 2);
    }
}
