//! What is wrong with a policy.

use std::fmt;

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub file: String,
    /// Line, counted from 1; 0 where it is about the file as a whole.
    pub line: usize,
    /// Column, counted from 1.
    pub column: usize,
    /// The rule, by its id or place.
    pub rule: Option<String>,
    /// The path of keys to the value, `siteRules[3].conditions[0].operator`; empty for the file as a whole.
    pub field: String,
    /// What is wrong.
    pub reason: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column, rule, field, reason } = self;
        write!(f, "{file}:{line}:{column}: ")?;
        if let Some(rule) = rule {
            write!(f, "rule {rule}: ")?;
        }
        if !field.is_empty() {
            write!(f, "{field}: ")?;
        }
        f.write_str(reason)
    }
}

/// Why a policy can not be used: everything that is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyError {
    /// The problems in the order of the files; at least one.
    pub problems: Vec<Problem>,
    /// How many more there are.
    pub more: usize,
}

impl PolicyError {
    /// Problems that are told one by one.
    pub(crate) const MOST: usize = 100;

    pub(crate) fn new(mut problems: Vec<Problem>) -> Self {
        let more = problems.len().saturating_sub(Self::MOST);
        problems.truncate(Self::MOST);
        Self { problems, more }
    }
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            let start = if index == 0 { "" } else { "\n" };
            write!(f, "{start}{problem}")?;
        }
        if self.more > 0 {
            write!(f, "\nand {} more", self.more)?;
        }
        Ok(())
    }
}

impl std::error::Error for PolicyError {}
