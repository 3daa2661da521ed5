//! Texts of a policy: parsed to trees that know where everything stood.

mod json;
mod node;
mod problem;
mod yaml;

pub(crate) use self::node::{Key, Kind, Node};
pub use self::problem::{PolicyError, Problem};

/// A text and the name by which errors call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source<'a> {
    /// The name, usually a path. One that ends in `.yaml` or `.yml` is YAML, others are JSON.
    pub name: &'a str,
    /// What it says.
    pub text: &'a str,
}

impl Source<'_> {
    /// Parses the text.
    pub(crate) fn parse(&self) -> Result<Node, Problem> {
        let lower = self.name.to_ascii_lowercase();
        let is_yaml = [".yaml", ".yml"].iter().any(|end| lower.ends_with(end));
        let parsed = if is_yaml { yaml::parse(self.text) } else { json::parse(self.text) };
        parsed.map_err(|fault| Problem {
            file: self.name.to_owned(),
            line: fault.line,
            column: fault.column,
            rule: None,
            field: String::new(),
            reason: fault.reason,
        })
    }
}

/// Why a text is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) reason: String,
}

/// Levels that a text may nest.
const DEEPEST: usize = 32;
/// Values that a text may have: a list has 100,000 and there may be some.
const MOST_NODES: usize = 4_000_000;

#[cfg(test)]
mod tests;
