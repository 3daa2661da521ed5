//! A value on its way to the detectors.

use std::ops::Range;

use crate::features::Features;
use crate::signal::{Location, Tag};

/// A value a client controls, as [`input`](crate::input) found it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field<'a> {
    /// Where it stood.
    pub(crate) location: Location,
    /// What part of that place it is.
    pub(crate) part: Part,
    /// The parameter, header, cookie or key name; the JSON path's last key for JSON.
    pub(crate) name: &'a [u8],
    /// The bytes as received.
    pub(crate) raw: &'a [u8],
    /// The encoding that the place itself implies: what the application undoes before it sees the value.
    pub(crate) wire: Wire,
}

/// Which part of its place a field is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// A parameter's, header's or cookie's value.
    Value,
    /// Its name.
    Name,
    /// The whole path of the target, or the whole of a header that is also read in parts.
    Whole,
    /// A file name in a multipart part.
    FileName,
    /// A body that no parser claims, or the text of a file part.
    Text,
}

impl Part {
    /// The name used in traces.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Value => "value",
            Self::Name => "name",
            Self::Whole => "whole",
            Self::FileName => "file-name",
            Self::Text => "text",
        }
    }
}

/// The encoding that a place implies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    /// Taken as it is: headers, multipart, JSON strings already unescaped.
    Plain,
    /// Percent-encoded, `+` is itself: paths, cookies.
    Percent,
    /// `application/x-www-form-urlencoded`: percent-encoded, `+` is a space.
    Form,
}

impl Wire {
    /// What undoes it, by the name used in traces.
    pub(crate) const fn decoder(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Percent => Some("percent"),
            Self::Form => Some("form"),
        }
    }
}

/// One decoded form of a field, the thing a detector reads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Value<'a> {
    /// Where it came from.
    pub(crate) field: &'a Field<'a>,
    /// This form's bytes.
    pub(crate) bytes: &'a [u8],
    /// What one pass over `bytes` saw.
    pub(crate) features: Features,
    /// Whether it saw a word of the detector that reads the value.
    pub(crate) word: bool,
}

/// What a detector found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// The signal's tag.
    pub(crate) tag: Tag,
    /// Which idea of the detector fired, e.g. `SQLI-TAUTOLOGY`; shown to users, stable.
    pub(crate) detector: &'static str,
    /// The evidence within the value's bytes.
    pub(crate) span: Range<usize>,
}
