//! Counts, sizes, durations, shares and file modes.

use std::fmt;
use std::time::Duration;

use crate::table::OptionValue;
use crate::values::ValueError;

impl OptionValue for u64 {
    const FORM: &'static str = "NUMBER";

    fn read(text: &str) -> Result<Self, ValueError> {
        text.trim().parse().map_err(|_| ValueError::Form { expected: "a whole number" })
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

/// A debug level: a number, where `true` is 1 and `false` is 0.
impl OptionValue for u8 {
    const FORM: &'static str = "LEVEL";

    fn read(text: &str) -> Result<Self, ValueError> {
        match text.trim().to_ascii_lowercase().as_str() {
            "true" => Ok(1),
            "false" => Ok(0),
            digits => digits.parse().map_err(|_| ValueError::Form { expected: "a level: 0, 1 or 2" }),
        }
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

/// A length of time. A bare number is milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

/// Longer than any time-out anybody wants, and far from overflow when added to a clock.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

impl OptionValue for Span {
    const FORM: &'static str = "DURATION";

    fn read(text: &str) -> Result<Self, ValueError> {
        let expected = "a duration such as 100ms, 1.5s or 1m30s (a bare number is milliseconds)";
        let text = text.trim();
        if let Ok(millis) = text.parse::<u64>() {
            return within(Duration::from_millis(millis));
        }
        let mut total = Duration::ZERO;
        let mut rest = text;
        while !rest.is_empty() {
            let digits =
                rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or(ValueError::Form { expected })?;
            let (number, tail) = rest.split_at(digits);
            let letters = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
            let (unit, next) = tail.split_at(letters);
            let number: f64 = number.parse().map_err(|_| ValueError::Form { expected })?;
            let seconds = match unit {
                "ns" => 1e-9,
                "us" | "\u{b5}s" => 1e-6,
                "ms" => 1e-3,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3600.0,
                _ => return Err(ValueError::Form { expected }),
            };
            let part =
                Duration::try_from_secs_f64(number * seconds).map_err(|_| ValueError::Form { expected })?;
            total = total.saturating_add(part);
            rest = next;
        }
        if text.is_empty() { Err(ValueError::Form { expected }) } else { within(total) }
    }

    fn show(&self) -> String {
        format!("{:?}", self.0)
    }
}

fn within(span: Duration) -> Result<Span, ValueError> {
    if span > LONGEST {
        return Err(ValueError::Form { expected: "a duration of at most a year" });
    }
    Ok(Span(span))
}

/// A number of bytes; `K`, `M` and `G` (also `KiB`, `KB`, ...) are powers of 1024.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

impl OptionValue for ByteSize {
    const FORM: &'static str = "BYTES";

    fn read(text: &str) -> Result<Self, ValueError> {
        let error = ValueError::Form { expected: "a number of bytes such as 307200 or 300KiB" };
        let text = text.trim();
        let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(split);
        let shift = match unit.trim().to_ascii_lowercase().as_str() {
            "" | "b" => 0,
            "k" | "kb" | "kib" => 10,
            "m" | "mb" | "mib" => 20,
            "g" | "gb" | "gib" => 30,
            _ => return Err(error),
        };
        let number: u64 = number.parse().map_err(|_| error.clone())?;
        number.checked_mul(1 << shift).map(Self).ok_or(error)
    }

    fn show(&self) -> String {
        self.0.to_string()
    }
}

/// How many threads may work: a number, a share of the CPUs, or by the number of CPUs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Procs {
    /// One CPU: 1; two or three: 2; more: half of them.
    #[default]
    Auto,
    /// This many.
    Count(u64),
    /// This share of the CPUs, at least one.
    Share(u64),
}

impl Procs {
    /// The number of threads on a machine with `cpus` CPUs; at least 1.
    pub fn threads(self, cpus: usize) -> usize {
        let wanted = match self {
            Self::Auto => match cpus {
                0 | 1 => 1,
                2 | 3 => 2,
                more => more / 2,
            },
            Self::Count(count) => usize::try_from(count).unwrap_or(usize::MAX),
            Self::Share(percent) => cpus.saturating_mul(usize::try_from(percent).unwrap_or(100)) / 100,
        };
        wanted.clamp(1, 1024)
    }
}

impl fmt::Display for Procs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Count(count) => write!(f, "{count}"),
            Self::Share(percent) => write!(f, "{percent}%"),
        }
    }
}

impl OptionValue for Procs {
    const FORM: &'static str = "NUMBER|N%";

    fn read(text: &str) -> Result<Self, ValueError> {
        let error = ValueError::Form { expected: "a number of CPUs, a share such as 50%, or auto" };
        match text.trim() {
            "" | "auto" | "0" => Ok(Self::Auto),
            text => match text.strip_suffix('%') {
                Some(share) => match share.trim().parse() {
                    Ok(percent @ 1..=100) => Ok(Self::Share(percent)),
                    Ok(_) => Err(ValueError::Range { least: 1, most: 100 }),
                    Err(_) => Err(error),
                },
                None => text.parse().map(Self::Count).map_err(|_| error),
            },
        }
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

/// A share from 0 to 100, with or without a percent sign.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Percent(pub u8);

impl OptionValue for Percent {
    const FORM: &'static str = "PERCENT";

    fn read(text: &str) -> Result<Self, ValueError> {
        let text = text.trim();
        let number = text.strip_suffix('%').unwrap_or(text).trim();
        match number.parse() {
            Ok(percent @ 0..=100) => Ok(Self(percent)),
            Ok(_) => Err(ValueError::Range { least: 0, most: 100 }),
            Err(_) => Err(ValueError::Form { expected: "a share from 0 to 100" }),
        }
    }

    fn show(&self) -> String {
        self.0.to_string()
    }
}

/// The permission bits of a file, in octal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mode(pub u32);

impl OptionValue for Mode {
    const FORM: &'static str = "OCTAL";

    fn read(text: &str) -> Result<Self, ValueError> {
        match u32::from_str_radix(text.trim(), 8) {
            Ok(mode @ 0..=0o777) => Ok(Self(mode)),
            _ => Err(ValueError::Form { expected: "permission bits in octal, such as 0666" }),
        }
    }

    fn show(&self) -> String {
        format!("{:04o}", self.0)
    }
}
