//! The one table: a macro that makes a typed struct, its specification and its assignment from the same rows.

use crate::origin::Origin;
use crate::values::ValueError;

/// What follows from setting an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It works as described.
    Active,
    /// It works, and may change.
    Experimental,
    /// It works, and another option should be used.
    Deprecated(&'static str),
    /// It is accepted so that an existing configuration loads, and nothing follows; the text says why.
    Accepted(&'static str),
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// Kebab-case name: the flag and the key in the file.
    pub name: &'static str,
    /// What its value looks like.
    pub form: &'static str,
    /// Its default as it would be written; empty for none.
    pub default: &'static str,
    /// What follows from setting it.
    pub effect: Effect,
    /// What it does.
    pub help: &'static str,
    /// Whether it may be given as a flag without a value.
    pub switch: bool,
    /// Whether its value must never be shown.
    pub secret: bool,
}

/// A type that an option can have.
pub(crate) trait OptionValue: Sized {
    /// What a value looks like, for `--usage`.
    const FORM: &'static str;
    /// Whether the option is a switch.
    const SWITCH: bool = false;
    /// Whether the value must never be shown.
    const SECRET: bool = false;

    /// Reads a value as a user wrote it, without surrounding quotes.
    fn read(text: &str) -> Result<Self, ValueError>;

    /// Writes the value so that [`OptionValue::read`] reads it again; a secret is masked.
    fn show(&self) -> String;
}

/// A struct whose fields are the options of one table.
pub(crate) trait Table: Sized {
    /// The rows in the order of the documentation.
    const SPECS: &'static [Spec];

    /// All defaults.
    fn defaults() -> Result<Self, (&'static str, ValueError)>;

    /// Sets option `name`.
    fn assign(&mut self, name: &str, text: &str, origin: &Origin) -> Result<(), ValueError>;

    /// Every option with its value as text (secrets masked) and origin, in the order of the table.
    fn entries(&self) -> Vec<(&'static str, String, Origin)>;
}

/// Makes a table: `"name" field: Type = "default", effect, "help";` a row.
macro_rules! table {
    (
        $(#[$meta:meta])*
        pub struct $table:ident {
            $($name:literal $field:ident : $type:ty = $default:literal, $effect:expr, $help:literal;)*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug)]
        pub struct $table {
            $(#[doc = $help] pub $field: $crate::origin::Set<$type>,)*
        }

        impl $crate::table::Table for $table {
            const SPECS: &'static [$crate::table::Spec] = &[$($crate::table::Spec {
                name: $name,
                form: <$type as $crate::table::OptionValue>::FORM,
                default: $default,
                effect: $effect,
                help: $help,
                switch: <$type as $crate::table::OptionValue>::SWITCH,
                secret: <$type as $crate::table::OptionValue>::SECRET,
            },)*];

            fn defaults() -> Result<Self, (&'static str, $crate::values::ValueError)> {
                Ok(Self {
                    $($field: $crate::origin::Set {
                        value: <$type as $crate::table::OptionValue>::read($default)
                            .map_err(|error| ($name, error))?,
                        origin: $crate::origin::Origin::Default,
                    },)*
                })
            }

            fn assign(
                &mut self,
                name: &str,
                text: &str,
                origin: &$crate::origin::Origin,
            ) -> Result<(), $crate::values::ValueError> {
                match name {
                    $($name => {
                        self.$field = $crate::origin::Set {
                            value: <$type as $crate::table::OptionValue>::read(text)?,
                            origin: origin.clone(),
                        };
                        Ok(())
                    })*
                    _ => Err($crate::values::ValueError::UnknownOption),
                }
            }

            fn entries(&self) -> Vec<(&'static str, String, $crate::origin::Origin)> {
                vec![$((
                    $name,
                    $crate::table::OptionValue::show(&self.$field.value),
                    self.$field.origin.clone(),
                ),)*]
            }
        }
    };
}

pub(crate) use table;

/// Finds the row called `name`.
pub(crate) fn spec(specs: &'static [Spec], name: &str) -> Option<&'static Spec> {
    specs.iter().find(|spec| spec.name == name)
}

/// The known name most like `name`, where at most a third of it differs.
pub(crate) fn nearest(specs: &'static [Spec], name: &str) -> Option<&'static str> {
    // Longer names than any option's are not worth comparing.
    if name.len() > 64 {
        return None;
    }
    specs
        .iter()
        .map(|spec| (distance(spec.name, name), spec.name))
        .filter(|&(distance, _)| distance * 3 <= name.len().max(3))
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, name)| name)
}

/// Levenshtein distance in bytes.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, y) in row.iter_mut().skip(1).zip(b.bytes()) {
            let cost = diagonal + usize::from(x != y);
            diagonal = *cell;
            left = cost.min(diagonal + 1).min(left + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_edits() {
        assert_eq!(distance("max-procs", "max-procs"), 0);
        assert_eq!(distance("max-procs", "max-proc"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
