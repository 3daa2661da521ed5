//! Reads typed values from a tree and collects what is wrong with it.

use std::cell::Cell;
use std::fmt::Write as _;
use std::ops::RangeInclusive;

use crate::source::{Key, Kind, Node, Problem};

/// Reads the values of one file.
pub(crate) struct Reader {
    file: String,
    path: Vec<Step>,
    /// The rule that is being read, by its id or place.
    pub(crate) rule: Option<String>,
    pub(crate) problems: Vec<Problem>,
    pub(crate) warnings: Vec<Problem>,
}

#[derive(Clone, Debug)]
enum Step {
    Key(String),
    Index(usize),
}

impl Reader {
    pub(crate) fn new(file: &str) -> Self {
        Self {
            file: file.to_owned(),
            path: Vec::new(),
            rule: None,
            problems: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Notes that `node` can not be used.
    pub(crate) fn problem(&mut self, node: &Node, reason: impl Into<String>) {
        let problem = self.at(node.line, node.column, reason.into());
        self.problems.push(problem);
    }

    /// Notes that `node` has no effect.
    pub(crate) fn warn(&mut self, node: &Node, reason: impl Into<String>) {
        let problem = self.at(node.line, node.column, reason.into());
        self.warnings.push(problem);
    }

    fn at(&self, line: usize, column: usize, reason: String) -> Problem {
        let mut field = String::new();
        for step in &self.path {
            // Writing to a text can not fail.
            let _written = match step {
                Step::Key(key) if field.is_empty() => write!(field, "{key}"),
                Step::Key(key) => write!(field, ".{key}"),
                Step::Index(index) => write!(field, "[{index}]"),
            };
        }
        Problem { file: self.file.clone(), line, column, rule: self.rule.clone(), field, reason }
    }

    /// Reads below the key `key`.
    pub(crate) fn key<T>(&mut self, key: &str, read: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(Step::Key(key.to_owned()));
        let out = read(self);
        self.path.pop();
        out
    }

    /// Reads the item `index`.
    pub(crate) fn index<T>(&mut self, index: usize, read: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(Step::Index(index));
        let out = read(self);
        self.path.pop();
        out
    }

    /// Reads every item of a list, also one in the form in which replies hold it: `{"totalCount": 1, "data": [...]}`.
    pub(crate) fn items<T>(
        &mut self,
        node: &Node,
        most: usize,
        mut read: impl FnMut(&mut Self, &Node) -> Option<T>,
    ) -> Vec<T> {
        let items = match &node.kind {
            Kind::List(items) => items,
            Kind::Null => return Vec::new(),
            Kind::Map(_) => {
                let Some(object) = self.object(node) else { return Vec::new() };
                for ignored in ["totalCount", "meta", "next"] {
                    object.take(ignored);
                }
                let data = object.take("data");
                object.finish(self, &[]);
                return match data {
                    Some(data) => self.key("data", |reader| match data.kind {
                        Kind::Map(_) => {
                            reader.problem(data, "expected a list, not an object");
                            Vec::new()
                        }
                        _ => reader.items(data, most, read),
                    }),
                    None => {
                        self.problem(node, "expected a list, or an object with a list called data");
                        Vec::new()
                    }
                };
            }
            other => {
                self.problem(node, format!("expected a list, not {}", other.noun()));
                return Vec::new();
            }
        };
        if items.len() > most {
            self.problem(node, format!("{} items are more than {most}", items.len()));
            return Vec::new();
        }
        let each = items.iter().enumerate();
        each.filter_map(|(index, item)| self.index(index, |reader| read(reader, item))).collect()
    }

    pub(crate) fn object<'n>(&mut self, node: &'n Node) -> Option<Object<'n>> {
        match &node.kind {
            Kind::Map(pairs) => {
                let mut fields: Vec<Field<'n>> = Vec::new();
                for (key, value) in pairs {
                    let name = fold(&key.name);
                    if fields.iter().any(|field| field.name == name) {
                        self.problem(value, format!("the key {} is there twice, in two spellings", key.name));
                    }
                    fields.push(Field { name, key, value, used: Cell::new(false) });
                }
                Some(Object { fields })
            }
            other => {
                self.problem(node, format!("expected an object, not {}", other.noun()));
                None
            }
        }
    }

    pub(crate) fn text(&mut self, node: &Node) -> Option<String> {
        match &node.kind {
            Kind::Text(text) if text.len() > MOST_TEXT => {
                self.problem(node, format!("longer than {MOST_TEXT} bytes"));
                None
            }
            Kind::Text(text) => Some(text.clone()),
            // Exports of other tools write numbers bare.
            Kind::Int(number) => Some(number.to_string()),
            other => {
                self.problem(node, format!("expected a text, not {}; put it in quotes", other.noun()));
                None
            }
        }
    }

    pub(crate) fn bool(&mut self, node: &Node) -> Option<bool> {
        match &node.kind {
            Kind::Bool(value) => Some(*value),
            other => {
                self.problem(node, format!("expected true or false, not {}", other.noun()));
                None
            }
        }
    }

    pub(crate) fn int(&mut self, node: &Node, range: RangeInclusive<i64>) -> Option<i64> {
        let number = match &node.kind {
            Kind::Int(number) => Some(*number),
            // Terraform writes numbers as texts.
            Kind::Text(text) => text.trim().parse().ok(),
            _ => None,
        };
        match number {
            Some(number) if range.contains(&number) => Some(number),
            Some(number) => {
                self.problem(node, format!("{number} is not within {} and {}", range.start(), range.end()));
                None
            }
            None => {
                self.problem(node, format!("expected a number, not {}", node.kind.noun()));
                None
            }
        }
    }

    /// Reads one of a few words.
    pub(crate) fn choice<T: Copy>(&mut self, node: &Node, what: &str, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(node)?;
        let name = fold(&text);
        match words.iter().find(|(word, _)| fold(word) == name) {
            Some((_, value)) => Some(*value),
            None => {
                let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
                self.problem(node, format!("{text:?} is no {what}; known are {}", known.join(", ")));
                None
            }
        }
    }
}

/// An object that is being read: what nobody takes is unknown.
pub(crate) struct Object<'n> {
    fields: Vec<Field<'n>>,
}

struct Field<'n> {
    name: String,
    key: &'n Key,
    value: &'n Node,
    used: Cell<bool>,
}

impl<'n> Object<'n> {
    /// The value under `name`, unless it is null.
    pub(crate) fn take(&self, name: &str) -> Option<&'n Node> {
        let field = self.field(name)?;
        field.used.set(true);
        Some(field.value).filter(|value| value.kind != Kind::Null)
    }

    fn field(&self, name: &str) -> Option<&Field<'n>> {
        let name = fold(name);
        self.fields.iter().find(|field| field.name == name)
    }

    /// Reads the value under `name`.
    pub(crate) fn read<T>(
        &self,
        reader: &mut Reader,
        name: &str,
        read: impl FnOnce(&mut Reader, &'n Node) -> Option<T>,
    ) -> Option<T> {
        let value = self.take(name)?;
        reader.key(name, |reader| read(reader, value))
    }

    /// Reads the first of `names` that is there: one key under its older and newer names.
    pub(crate) fn read_any<T>(
        &self,
        reader: &mut Reader,
        names: &[&str],
        read: impl FnOnce(&mut Reader, &'n Node) -> Option<T>,
    ) -> Option<T> {
        let there: Vec<&str> = names.iter().copied().filter(|name| self.field(name).is_some()).collect();
        match there.as_slice() {
            [] => None,
            [name] => self.read(reader, name, read),
            [name, other, ..] => {
                if let Some(node) = self.take(other) {
                    reader.problem(node, format!("{name} and {other} are the same; give one"));
                }
                self.read(reader, name, read)
            }
        }
    }

    pub(crate) fn text(&self, reader: &mut Reader, name: &str) -> Option<String> {
        self.read(reader, name, Reader::text)
    }

    pub(crate) fn bool(&self, reader: &mut Reader, name: &str) -> Option<bool> {
        self.read(reader, name, Reader::bool)
    }

    pub(crate) fn int(&self, reader: &mut Reader, name: &str, range: RangeInclusive<i64>) -> Option<i64> {
        self.read(reader, name, |reader, node| reader.int(node, range))
    }

    /// Reports what nobody took; `known` are keys that exports have and that mean nothing here.
    pub(crate) fn finish(&self, reader: &mut Reader, known: &[&str]) {
        for field in self.fields.iter().filter(|field| !field.used.get()) {
            if known.iter().chain(EXPORTED).any(|known| fold(known) == field.name) {
                continue;
            }
            let Key { name, line, column } = field.key;
            let place = Node { kind: Kind::Null, line: *line, column: *column };
            reader.key(name, |reader| reader.problem(&place, "this key does not exist"));
        }
    }
}

/// Keys that replies of consoles add to everything.
const EXPORTED: &[&str] = &["id", "created", "createdBy", "createdAt", "updated", "updatedBy", "updatedAt"];

/// `does_not_equal` and `doesNotEqual` are the same name, `blockHTTPCode` and `block_http_code` too.
pub(crate) fn fold(name: &str) -> String {
    name.chars().filter(|letter| *letter != '_').map(|letter| letter.to_ascii_lowercase()).collect()
}

/// Bytes that a text may have.
const MOST_TEXT: usize = 8192;
