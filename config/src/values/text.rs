//! Text, paths, secrets, lists and switches.

use std::fmt;
use std::path::PathBuf;

use crate::table::OptionValue;
use crate::values::ValueError;

impl OptionValue for String {
    const FORM: &'static str = "TEXT";

    fn read(text: &str) -> Result<Self, ValueError> {
        Ok(text.to_owned())
    }

    fn show(&self) -> String {
        self.clone()
    }
}

impl OptionValue for PathBuf {
    const FORM: &'static str = "PATH";

    fn read(text: &str) -> Result<Self, ValueError> {
        if text.contains('\0') { Err(ValueError::Form { expected: "a path" }) } else { Ok(text.into()) }
    }

    fn show(&self) -> String {
        self.display().to_string()
    }
}

impl OptionValue for bool {
    const FORM: &'static str = "true|false";
    const SWITCH: bool = true;

    fn read(text: &str) -> Result<Self, ValueError> {
        match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "t" | "yes" | "y" | "on" => Ok(true),
            "false" | "0" | "f" | "no" | "n" | "off" | "" => Ok(false),
            _ => Err(ValueError::Form { expected: "true or false" }),
        }
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

/// A value that is never shown: not in `check-config`, a log, an error or a debug print.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The secret itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether none was given.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_empty() { "Secret(none)" } else { "Secret(set)" })
    }
}

impl OptionValue for Secret {
    const FORM: &'static str = "TEXT";
    const SECRET: bool = true;

    fn read(text: &str) -> Result<Self, ValueError> {
        Ok(Self(text.trim().to_owned()))
    }

    fn show(&self) -> String {
        if self.is_empty() { String::new() } else { "********".to_owned() }
    }
}

/// A comma-separated list; empty items are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Csv(pub Vec<String>);

impl Csv {
    /// Yields the items in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl OptionValue for Csv {
    const FORM: &'static str = "A,B,...";

    fn read(text: &str) -> Result<Self, ValueError> {
        let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
        Ok(Self(items.map(str::to_owned).collect()))
    }

    fn show(&self) -> String {
        self.0.join(",")
    }
}
