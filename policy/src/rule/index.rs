//! Which rules can hold for a request at all: a thousand of them must not cost a thousand evaluations.
//!
//! Of a rule's conditions one that must hold, and that can be looked up, says when the rule has to be asked: it names a
//! path, an address, a country. Rules without such a condition are always asked. That what is found here is never too
//! little is a property test.

use std::net::IpAddr;
use std::sync::Arc;

use aho_corasick::{AhoCorasick, MatchKind};
use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::field::{Field, Multi, Part};
use super::predicate::{Matcher, Predicate, lower};
use super::test::{Known, Leaf, Test};
use super::wild::Wild;
use crate::facts::{Facts, Parameter};
use crate::ip::{IpMap, Pattern};
use crate::lists::{Entries, List};

/// Rules by what has to be there for them to hold.
#[derive(Debug, Default)]
pub(crate) struct Index {
    always: Set,
    paths: Texts,
    agents: Texts,
    domains: Texts,
    addresses: IpMap<Vec<u32>>,
    lists: Vec<(Field, Arc<List>, Vec<u32>)>,
    words: Vec<(Field, ByName)>,
    signals: ByName,
    headers: ByName,
    queries: ByName,
    cookies: ByName,
    posts: ByName,
}

/// Numbers of rules by a name or word.
#[derive(Debug, Default)]
struct ByName(HashMap<Box<[u8]>, Vec<u32>, FixedState>);

impl ByName {
    fn add(&mut self, name: Box<[u8]>, number: u32) {
        self.0.entry(name).or_default().push(number);
    }

    fn find(&self, name: &[u8], set: &mut Set) {
        if let Some(numbers) = self.0.get(name) {
            set.extend(numbers);
        }
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Numbers of rules.
#[derive(Clone, Debug, Default)]
pub(crate) struct Set(Vec<u64>);

/// Rules by texts that equal a value, or stand in it.
#[derive(Debug, Default)]
struct Texts {
    whole: HashMap<Box<[u8]>, Vec<u32>, FixedState>,
    parts: Vec<(Box<[u8]>, u32)>,
    automaton: Option<AhoCorasick>,
}

/// What has to be there.
#[derive(Clone, Debug)]
enum Key {
    Whole(Field, Box<[u8]>),
    Within(Field, Box<[u8]>),
    Word(Field, Box<[u8]>),
    Address(Pattern),
    List(Field, Arc<List>),
    Signal(Box<[u8]>),
    Named(Multi, Box<[u8]>),
}

impl Set {
    pub(crate) fn insert(&mut self, number: u32) {
        let word = number as usize / 64;
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        if let Some(bits) = self.0.get_mut(word) {
            *bits |= 1 << (number % 64);
        }
    }

    /// The first number from `from` on.
    pub(crate) fn next(&self, from: u32) -> Option<u32> {
        let first = from as usize / 64;
        let mut mask = u64::MAX << (from % 64);
        for (word, bits) in self.0.iter().enumerate().skip(first) {
            let left = bits & mask;
            if left != 0 {
                return u32::try_from(word * 64).ok().map(|base| base + left.trailing_zeros());
            }
            mask = u64::MAX;
        }
        None
    }

    fn extend(&mut self, numbers: &[u32]) {
        numbers.iter().for_each(|number| self.insert(*number));
    }
}

impl Index {
    /// Indexes tests by their place.
    pub(crate) fn new<'t>(tests: impl IntoIterator<Item = &'t Test>) -> Self {
        let mut index = Self::default();
        for (number, test) in tests.into_iter().enumerate() {
            let Ok(number) = u32::try_from(number) else { break };
            match keys(test) {
                Some(found) if found.len() <= MOST_KEYS => {
                    found.into_iter().for_each(|key| index.add(key, number));
                }
                Some(_) | None => index.always.insert(number),
            }
        }
        for texts in [&mut index.paths, &mut index.agents, &mut index.domains] {
            texts.build(&mut index.always);
        }
        index
    }

    /// The numbers of the tests that can hold, and maybe of some that can not.
    pub(crate) fn candidates(&self, facts: &Facts<'_>, signals: &[Known<'_>]) -> Set {
        let mut set = self.always.clone();
        facts.paths().iter().for_each(|path| self.paths.find(path, &mut set));
        self.agents.find(facts.user_agent(), &mut set);
        self.domains.find(facts.domain(), &mut set);
        if let Some(address) = facts.client {
            self.addresses.all(address).for_each(|numbers| set.extend(numbers));
        }
        for (field, list, numbers) in &self.lists {
            let is_in = match field {
                Field::Ip => facts.client.is_some_and(|address| is_ip_in(list, address)),
                other => values(*other, facts, &mut |value| is_text_in(list, *other, value)),
            };
            if is_in {
                set.extend(numbers);
            }
        }
        for (field, words) in &self.words {
            let _seen = values(*field, facts, &mut |value| {
                words.find(&lower(value), &mut set);
                false
            });
        }
        signals.iter().for_each(|signal| self.on_signal(signal.name, &mut set));
        if !self.headers.is_empty() {
            for header in facts.request.headers {
                self.headers.find(&lower(header.name), &mut set);
            }
        }
        named(&self.queries, || facts.query(), &mut set);
        named(&self.cookies, || facts.cookies(), &mut set);
        named(&self.posts, || facts.post(), &mut set);
        set
    }

    /// Adds the tests that a signal makes possible.
    pub(crate) fn on_signal(&self, name: &str, set: &mut Set) {
        if self.signals.is_empty() {
            return;
        }
        self.signals.find(&lower(name.as_bytes()), set);
    }

    fn add(&mut self, key: Key, number: u32) {
        match key {
            Key::Whole(field, text) => match self.texts(field) {
                Some(texts) => texts.whole.entry(text).or_default().push(number),
                None => self.always.insert(number),
            },
            Key::Within(field, text) => match self.texts(field) {
                Some(texts) => texts.parts.push((text, number)),
                None => self.always.insert(number),
            },
            Key::Word(field, text) => {
                let at = self.words.iter().position(|(known, _)| *known == field).unwrap_or(self.words.len());
                if at == self.words.len() {
                    self.words.push((field, ByName::default()));
                }
                if let Some((_, words)) = self.words.get_mut(at) {
                    words.add(text, number);
                }
            }
            Key::Address(pattern) => match self.addresses.get_mut(&pattern) {
                Some(numbers) => numbers.push(number),
                None => self.addresses.insert(pattern, vec![number]),
            },
            Key::List(field, list) => {
                let known =
                    self.lists.iter_mut().find(|(of, known, _)| *of == field && Arc::ptr_eq(known, &list));
                match known {
                    Some((_, _, numbers)) => numbers.push(number),
                    None => self.lists.push((field, list, vec![number])),
                }
            }
            Key::Signal(name) => self.signals.add(name, number),
            Key::Named(of, name) => {
                let map = match of {
                    Multi::RequestHeader => &mut self.headers,
                    Multi::QueryParameter => &mut self.queries,
                    Multi::RequestCookie => &mut self.cookies,
                    Multi::PostParameter => &mut self.posts,
                    Multi::Signal | Multi::ResponseHeader => return self.always.insert(number),
                };
                map.add(name, number);
            }
        }
    }

    fn texts(&mut self, field: Field) -> Option<&mut Texts> {
        match field {
            Field::Path => Some(&mut self.paths),
            Field::UserAgent => Some(&mut self.agents),
            Field::Domain => Some(&mut self.domains),
            _ => None,
        }
    }
}

impl Texts {
    fn build(&mut self, always: &mut Set) {
        if self.parts.is_empty() {
            return;
        }
        let automaton = AhoCorasick::builder()
            .match_kind(MatchKind::Standard)
            .build(self.parts.iter().map(|(text, _)| text));
        match automaton {
            Ok(automaton) => self.automaton = Some(automaton),
            // Too large to build: asked one by one then.
            Err(_) => self.parts.iter().for_each(|(_, number)| always.insert(*number)),
        }
    }

    fn find(&self, text: &[u8], set: &mut Set) {
        if let Some(numbers) = self.whole.get(text) {
            set.extend(numbers);
        }
        if let Some(automaton) = &self.automaton {
            for found in automaton.find_overlapping_iter(text) {
                if let Some((_, number)) = self.parts.get(found.pattern().as_usize()) {
                    set.insert(*number);
                }
            }
        }
    }
}

/// What has to be there for `test` to hold: one of these; none where that can not be said.
fn keys(test: &Test) -> Option<Vec<Key>> {
    match test {
        Test::All(tests) => tests.iter().filter_map(keys).min_by_key(|keys| cost(keys)),
        Test::Any(tests) if tests.is_empty() => None,
        Test::Any(tests) => {
            let each = tests.iter().map(keys).collect::<Option<Vec<_>>>()?;
            Some(each.into_iter().flatten().collect())
        }
        Test::Leaf(Leaf::One(field, predicate)) => one(*field, predicate).map(|key| vec![key]),
        Test::Leaf(Leaf::Many(many)) => {
            if many.negate || (many.any && many.parts.len() > 1) {
                return None;
            }
            many.parts
                .iter()
                .find_map(|(part, predicate)| name(many.field, *part, predicate))
                .map(|key| vec![key])
        }
    }
}

fn one(field: Field, predicate: &Predicate) -> Option<Key> {
    if predicate.negate || field.is_of_response() {
        return None;
    }
    let text = |text: &[u8]| Some(text.into());
    match (field, &predicate.matcher) {
        // Of the parameters there are many.
        (Field::ParamName | Field::ParamValue, _) => None,
        (Field::Ip, Matcher::Ip(pattern)) => Some(Key::Address(*pattern)),
        (_, Matcher::In(list)) => Some(Key::List(field, Arc::clone(list))),
        (Field::Path | Field::UserAgent | Field::Domain, matcher) => match matcher {
            Matcher::Equals(whole) => Some(Key::Whole(field, text(whole)?)),
            Matcher::Like(Wild::Exact(whole)) => Some(Key::Whole(field, text(whole)?)),
            Matcher::Like(Wild::Prefix(part) | Wild::Suffix(part) | Wild::Within(part)) => long(field, part),
            Matcher::Contains(finder) => long(field, finder.needle()),
            Matcher::Matches(regex) => long(field, &literal(regex.as_str(), predicate.fold)?),
            Matcher::Like(Wild::Other(regex)) => long(field, &literal(regex.as_str(), predicate.fold)?),
            Matcher::Like(Wild::Any)
            | Matcher::AtLeast(_)
            | Matcher::AtMost(_)
            | Matcher::Number(_)
            | Matcher::Ip(_)
            | Matcher::In(_) => None,
        },
        (
            Field::Scheme | Field::Method | Field::Country | Field::ProtocolVersion | Field::AgentName,
            matcher,
        ) => match matcher {
            Matcher::Equals(word) => Some(Key::Word(field, word.to_ascii_lowercase().into())),
            _ => None,
        },
        (Field::Ja3 | Field::Ja4, Matcher::Equals(word)) => {
            Some(Key::Word(field, word.to_ascii_lowercase().into()))
        }
        _ => None,
    }
}

fn name(of: Multi, part: Part, predicate: &Predicate) -> Option<Key> {
    let Matcher::Equals(text) = &predicate.matcher else { return None };
    if predicate.negate {
        return None;
    }
    match (of, part) {
        (Multi::Signal, Part::SignalType) => Some(Key::Signal(text.to_ascii_lowercase().into())),
        (Multi::RequestHeader, Part::Name) => Some(Key::Named(of, text.to_ascii_lowercase().into())),
        (Multi::QueryParameter | Multi::PostParameter | Multi::RequestCookie, Part::Name) => {
            Some(Key::Named(of, text.clone()))
        }
        _ => None,
    }
}

/// A text that stands in whatever an expression matches, where one is plain to see.
fn literal(expression: &str, fold: bool) -> Option<Vec<u8>> {
    let mut parser =
        regex_syntax::ParserBuilder::new().utf8(false).unicode(false).case_insensitive(fold).build();
    let hir = parser.parse(expression).ok()?;
    required(&hir)
}

/// The longest literal that every match contains.
fn required(hir: &regex_syntax::hir::Hir) -> Option<Vec<u8>> {
    use regex_syntax::hir::HirKind;
    match hir.kind() {
        HirKind::Literal(literal) => Some(literal.0.to_vec()),
        HirKind::Capture(capture) => required(&capture.sub),
        HirKind::Repetition(repetition) if repetition.min > 0 => required(&repetition.sub),
        HirKind::Concat(parts) => parts.iter().filter_map(required).max_by_key(Vec::len),
        _ => None,
    }
}

fn long(field: Field, part: &[u8]) -> Option<Key> {
    (part.len() >= SHORTEST).then(|| Key::Within(field, part.into()))
}

/// The less, the fewer requests the keys let through, as far as one can guess.
fn cost(keys: &[Key]) -> usize {
    let each = |key: &Key| match key {
        Key::Address(_) | Key::Signal(_) => 1,
        Key::Whole(Field::Domain, _) => 8,
        Key::Whole(..) => 1,
        Key::Word(Field::Country | Field::Ja3 | Field::Ja4, _) => 3,
        Key::Named(..) => 4,
        Key::List(..) => 5,
        Key::Within(_, text) => 2 + 8 / text.len().max(1),
        Key::Word(..) => 50,
    };
    keys.iter().map(each).sum()
}

/// Calls `each` with the values of a field until one is what is looked for.
fn values(field: Field, facts: &Facts<'_>, each: &mut dyn FnMut(&[u8]) -> bool) -> bool {
    match field {
        Field::Path => facts.paths().iter().any(|path| each(path)),
        Field::Scheme => each(facts.request.scheme),
        Field::Method => each(facts.request.method),
        Field::UserAgent => each(facts.user_agent()),
        Field::Domain => each(facts.domain()),
        Field::AgentName => each(facts.agent.as_bytes()),
        Field::Country => each(facts.country.as_bytes()),
        Field::Ja3 => each(facts.ja3.as_bytes()),
        Field::Ja4 => each(facts.ja4.as_bytes()),
        Field::ProtocolVersion => each(facts.request.protocol),
        Field::Ip | Field::ResponseCode | Field::ParamName | Field::ParamValue => true,
    }
}

fn is_ip_in(list: &Arc<List>, address: IpAddr) -> bool {
    let predicate = Predicate { negate: false, fold: false, matcher: Matcher::In(Arc::clone(list)) };
    predicate.ip(Some(address))
}

fn is_text_in(list: &Arc<List>, field: Field, value: &[u8]) -> bool {
    use super::field::Kind;
    let fold = matches!(field.kind(), Kind::Fold | Kind::Word);
    let value = if fold { lower(value) } else { value.into() };
    match &list.entries {
        Entries::Texts(texts) => texts.of(fold).contains(&value),
        Entries::Wildcards(wildcards) => wildcards.of(fold).contains(&value),
        Entries::Ips(_) => true,
    }
}

fn named<'f>(map: &ByName, parameters: impl FnOnce() -> &'f [Parameter], set: &mut Set) {
    if map.is_empty() {
        return;
    }
    for parameter in parameters() {
        map.find(&parameter.name, set);
    }
}

/// Keys that a rule may have before it is simply always asked.
const MOST_KEYS: usize = 64;
/// Shorter texts stand in too many values to tell any apart.
const SHORTEST: usize = 3;
