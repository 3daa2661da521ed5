//! Taking values that fit and noting those that do not.

use std::time::Duration;

use serde_json::{Map, Value};

/// Reads values; what is wrong with one is noted, and the target keeps what it had.
#[derive(Default)]
pub(super) struct Reader {
    pub(super) problems: Vec<String>,
}

impl Reader {
    pub(super) fn text(&mut self, key: &str, value: &Value, into: &mut String) {
        match value.as_str() {
            Some(text) if !text.is_empty() => text.clone_into(into),
            _ => self.unusable(key, "a string that is not empty"),
        }
    }

    /// A part of a metric's name.
    pub(super) fn name(&mut self, key: &str, value: &Value, into: &mut String) {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        match value.as_str() {
            Some(text) if !text.is_empty() && text.bytes().all(fits) => text.clone_into(into),
            _ => self.unusable(key, "letters, digits and _"),
        }
    }

    pub(super) fn flag(&mut self, key: &str, value: &Value, into: &mut bool) {
        match value.as_bool() {
            Some(flag) => *into = flag,
            None => self.unusable(key, "true or false"),
        }
    }

    /// One of some words; the word's meaning stands beside it.
    pub(super) fn choice<T: Copy>(&mut self, key: &str, value: &Value, choices: &[(&str, T)], into: &mut T) {
        let chosen = value.as_str().and_then(|word| choices.iter().find(|(known, _)| *known == word));
        match chosen {
            Some((_, meaning)) => *into = *meaning,
            None => {
                let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
                self.unusable(key, &format!("one of {}", words.join(", ")));
            }
        }
    }

    pub(super) fn number(
        &mut self,
        key: &str,
        value: &Value,
        (min, max): (u64, u64),
        into: &mut u64,
    ) -> Taken {
        match whole(value).filter(|number| (min..=max).contains(number)) {
            Some(number) => {
                *into = number;
                Taken::Yes
            }
            None => {
                self.unusable(key, &format!("a number from {min} to {max}"));
                Taken::No
            }
        }
    }

    pub(super) fn size(&mut self, key: &str, value: &Value, range: (u64, u64), into: &mut usize) {
        let mut number = 0;
        if self.number(key, value, range, &mut number) == Taken::Yes {
            *into = usize::try_from(number).unwrap_or(*into);
        }
    }

    pub(super) fn status(&mut self, key: &str, value: &Value, range: (u64, u64), into: &mut u16) {
        let mut number = 0;
        if self.number(key, value, range, &mut number) == Taken::Yes {
            *into = u16::try_from(number).unwrap_or(*into);
        }
    }

    pub(super) fn millis(&mut self, key: &str, value: &Value, range: (u64, u64), into: &mut Duration) {
        let mut number = 0;
        if self.number(key, value, range, &mut number) == Taken::Yes {
            *into = Duration::from_millis(number);
        }
    }

    /// A list of strings, each in lower case from then on.
    pub(super) fn words(&mut self, key: &str, value: &Value, into: &mut Vec<String>) {
        if let Some(words) = self.strings(key, value) {
            *into = words.into_iter().map(|word| word.to_ascii_lowercase()).collect();
        }
    }

    /// A list of paths.
    pub(super) fn paths(&mut self, key: &str, value: &Value, into: &mut Vec<String>) {
        match self.strings(key, value) {
            Some(paths) if paths.iter().all(|path| path.starts_with('/')) => *into = paths,
            Some(_) => self.unusable(key, "a list of paths, each beginning with /"),
            None => {}
        }
    }

    fn strings(&mut self, key: &str, value: &Value) -> Option<Vec<String>> {
        let strings = value.as_array().filter(|list| list.len() <= MAX_ITEMS).and_then(|list| {
            let text = |item: &Value| item.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
            list.iter().map(text).collect()
        });
        if strings.is_none() {
            self.unusable(key, &format!("a list of at most {MAX_ITEMS} strings that are not empty"));
        }
        strings
    }

    pub(super) fn list<'a>(&mut self, key: &str, value: &'a Value) -> &'a [Value] {
        match value.as_array() {
            Some(list) if list.len() <= MAX_ITEMS => list,
            _ => {
                self.unusable(key, &format!("a list of at most {MAX_ITEMS} objects"));
                &[]
            }
        }
    }

    pub(super) fn object<'a>(&mut self, key: &str, value: &'a Value) -> Option<&'a Map<String, Value>> {
        if !value.is_object() {
            self.unusable(key, "an object");
        }
        value.as_object()
    }

    pub(super) fn unusable(&mut self, key: &str, wanted: &str) {
        self.problems.push(format!("{key} must be {wanted}; the default stays"));
    }

    pub(super) fn unknown(&mut self, key: &str) {
        self.problems.push(format!("{key} is not known; it has no effect"));
    }
}

/// A number without a fraction, however it is written: control planes that keep numbers as floats write 100 as 100.0.
fn whole(value: &Value) -> Option<u64> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the number is whole and in range"
    )]
    let of_float = |number: f64| {
        let fits = number.fract() == 0.0 && (0.0..=MAX_WHOLE).contains(&number);
        fits.then_some(number as u64)
    };
    value.as_u64().or_else(|| of_float(value.as_f64()?))
}

/// Whether a value was taken.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    Yes,
    No,
}

/// Up to here a float holds every whole number.
const MAX_WHOLE: f64 = 9_007_199_254_740_992.0;

/// Items of a list, so that no request pays for a configuration without end.
const MAX_ITEMS: usize = 1000;
