//! The types that options have, each with its own reading of what a user wrote.

mod choice;
mod network;
mod number;
mod text;

pub use self::choice::{LogFormat, LogLevel, StatsdType};
pub use self::network::{HostPort, Networks, RpcAddress};
pub use self::number::{ByteSize, Mode, Percent, Procs, Span};
pub use self::text::{Csv, Secret};

use crate::table::OptionValue;

/// Why a value was refused. Never holds the value: it may be a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// Not of the option's form.
    #[error("expected {expected}")]
    Form {
        /// What would do.
        expected: &'static str,
    },
    /// A number outside its bounds.
    #[error("must be between {least} and {most}")]
    Range {
        /// Least allowed.
        least: u64,
        /// Most allowed.
        most: u64,
    },
    /// Required and empty.
    #[error("must not be empty")]
    Empty,
    /// A fault at a place within the value.
    #[error("{reason} at character {at}")]
    At {
        /// What is wrong.
        reason: String,
        /// Where, counted from 1.
        at: usize,
    },
    /// No such option.
    #[error("no such option")]
    UnknownOption,
}

/// An option that may be left unset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Optional<T>(pub Option<T>);

impl<T> Optional<T> {
    /// The value, where one is set.
    pub fn as_ref(&self) -> Option<&T> {
        self.0.as_ref()
    }
}

impl<T: OptionValue> OptionValue for Optional<T> {
    const FORM: &'static str = T::FORM;
    const SWITCH: bool = T::SWITCH;
    const SECRET: bool = T::SECRET;

    fn read(text: &str) -> Result<Self, ValueError> {
        if text.is_empty() { Ok(Self(None)) } else { T::read(text).map(|value| Self(Some(value))) }
    }

    fn show(&self) -> String {
        self.0.as_ref().map(T::show).unwrap_or_default()
    }
}
