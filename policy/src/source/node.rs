//! A value with its place.

/// A value and where it stood.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    pub(crate) line: usize,
    pub(crate) column: usize,
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A key and where it stood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) name: String,
    pub(crate) line: usize,
    pub(crate) column: usize,
}

impl Kind {
    /// What it is, for errors.
    pub(crate) const fn noun(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "true or false",
            Self::Int(_) => "a number",
            Self::Float(_) => "a number with a fraction",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Map(_) => "an object",
        }
    }
}

impl Node {
    /// What it says, without places: equal for equal trees, whatever the order of keys.
    pub(crate) fn render(&self, out: &mut String) {
        use std::fmt::Write as _;
        // Writing to a text can not fail.
        let _written = match &self.kind {
            Kind::Null => write!(out, "null"),
            Kind::Bool(value) => write!(out, "{value}"),
            Kind::Int(value) => write!(out, "{value}"),
            Kind::Float(value) => write!(out, "{value}"),
            Kind::Text(value) => write!(out, "{value:?}"),
            Kind::List(items) => {
                out.push('[');
                for item in items {
                    item.render(out);
                    out.push(',');
                }
                write!(out, "]")
            }
            Kind::Map(pairs) => {
                let mut sorted: Vec<_> = pairs.iter().collect();
                sorted.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
                out.push('{');
                for (key, value) in sorted {
                    let _written = write!(out, "{:?}:", key.name);
                    value.render(out);
                    out.push(',');
                }
                write!(out, "}}")
            }
        };
    }
}
