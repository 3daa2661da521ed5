//! Where a value came from, and what was wrong with one.

use std::fmt;
use std::ops::Deref;
use std::path::PathBuf;

/// Where the value in force came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    #[default]
    Default,
    /// A line of the configuration file.
    File {
        /// The file.
        path: PathBuf,
        /// Its line, from 1.
        line: usize,
    },
    /// An environment variable.
    Environment {
        /// Its name.
        variable: String,
    },
    /// A command line flag.
    CommandLine,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment { variable } => write!(f, "environment {variable}"),
            Self::CommandLine => f.write_str("command line"),
        }
    }
}

/// A value and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set<T> {
    /// The value in force.
    pub value: T,
    /// Where it came from.
    pub origin: Origin,
}

impl<T> Deref for Set<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> Set<T> {
    /// Whether somebody set the option, as against its default.
    pub fn is_set(&self) -> bool {
        self.origin != Origin::Default
    }
}

impl<T: fmt::Display> fmt::Display for Set<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

/// Something that keeps the agent from starting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The option, or empty for a fault of the file as a whole.
    pub option: String,
    /// Where the faulty value came from.
    pub origin: Origin,
    /// What is wrong, without the value of a secret.
    pub reason: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.option.is_empty(), &self.origin) {
            (true, origin) => write!(f, "{origin}: {}", self.reason),
            (false, Origin::Default) => write!(f, "{}: {}", self.option, self.reason),
            (false, origin) => write!(f, "{} ({origin}): {}", self.option, self.reason),
        }
    }
}

/// Every problem of a configuration, one a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{problem}")?;
        }
        Ok(())
    }
}

/// Something a user should know, that does not keep the agent from starting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// No such option.
    Unknown {
        /// As it was written.
        option: String,
        /// Where.
        origin: Origin,
        /// The known option with the most similar name, where one is similar.
        nearest: Option<&'static str>,
    },
    /// The option is known, and nothing follows from it here.
    NoEffect {
        /// Its name.
        option: &'static str,
        /// Where it was set.
        origin: Origin,
        /// Why nothing follows.
        reason: &'static str,
    },
    /// The option works, and another should be used.
    Deprecated {
        /// Its name.
        option: &'static str,
        /// Where it was set.
        origin: Origin,
        /// What to use.
        instead: &'static str,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { option, origin, nearest: Some(nearest) } => {
                write!(f, "unknown option {option} ({origin}); did you mean {nearest}?")
            }
            Self::Unknown { option, origin, nearest: None } => {
                write!(f, "unknown option {option} ({origin})")
            }
            Self::NoEffect { option, origin, reason } => {
                write!(f, "option {option} ({origin}) has no effect here: {reason}")
            }
            Self::Deprecated { option, origin, instead } => {
                write!(f, "option {option} ({origin}) is deprecated: use {instead}")
            }
        }
    }
}
