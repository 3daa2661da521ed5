//! Values of any type, for the messages that the filter reads.
//!
//! A reader of its own for every field is quicker, and makes ten times the code: too much in a module that its host
//! compiles before it serves. Agents write these messages, not modules in many languages: a string that is a list or has a
//! fraction is an error here.

use std::fmt;

use rmp_serde::decode::Error;
use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::bytestr::ByteStr;
use crate::decode::{self, DecodeError};
use crate::message::{Pair, RespAction};

/// The fields of a message that were not taken yet.
#[derive(Debug)]
pub(crate) struct Fields<'a>(Vec<(Any<'a>, Any<'a>)>);

/// A value as it stands in a message, borrowing from it. How deep it goes and how much there is in it was bounded before.
#[derive(Debug)]
enum Any<'a> {
    Nil,
    Bool(bool),
    /// One that does not fit is the nearest that does.
    Int(i64),
    Float(f64),
    /// A string or binary.
    Bytes(&'a [u8]),
    List(Vec<Any<'a>>),
    Map(Vec<(Any<'a>, Any<'a>)>),
    /// An extension.
    Other,
}

impl<'a> Fields<'a> {
    /// Reads the map that is the whole of `bytes`.
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        match decode::map(bytes)? {
            Any::Map(fields) => Ok(Self(fields)),
            _ => Err(DecodeError::NotMap),
        }
    }

    /// Takes an integer of any family and width, or text that is one; none where the field is absent, nil or other text.
    pub(crate) fn int(&mut self, name: &str) -> Result<Option<i64>, DecodeError> {
        self.take(name, Any::int)
    }

    /// Takes a truth value; numbers are true unless zero, what is absent or nil is false.
    pub(crate) fn flag(&mut self, name: &str) -> Result<bool, DecodeError> {
        Ok(self.int(name)?.is_some_and(|value| value != 0))
    }

    /// Takes a string; what is absent or nil is empty.
    pub(crate) fn string(&mut self, name: &str) -> Result<ByteStr<'a>, DecodeError> {
        self.take(name, Any::string)
    }

    /// Takes a list of strings; what is absent or nil is empty.
    pub(crate) fn strings(&mut self, name: &str) -> Result<Vec<ByteStr<'a>>, DecodeError> {
        self.take(name, |value| value.list(Any::string))
    }

    /// Takes `[[name, value], ...]` or a map; what is absent or nil is empty.
    pub(crate) fn pairs(&mut self, name: &str) -> Result<Vec<Pair<'a>>, DecodeError> {
        self.take(name, Any::pairs)
    }

    /// Takes a list of lists of pairs; what is absent or nil is empty.
    pub(crate) fn pair_lists(&mut self, name: &str) -> Result<Vec<Vec<Pair<'a>>>, DecodeError> {
        self.take(name, |value| value.list(Any::pairs))
    }

    /// Takes `[[code, [argument, ...]], ...]`; what is absent or nil is empty.
    pub(crate) fn actions(&mut self, name: &str) -> Result<Vec<RespAction<'a>>, DecodeError> {
        self.take(name, |value| value.list(Any::action))
    }

    /// Takes an integer that must be there and fit: a verdict is never guessed.
    pub(crate) fn code(&mut self, name: &str) -> Result<i32, DecodeError> {
        let wide = self.int(name)?.ok_or_else(|| unusable(name, "missing, or not a number"))?;
        i32::try_from(wide).map_err(|_| unusable(name, "out of range"))
    }

    fn take<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(Any<'a>) -> Result<T, &'static str>,
    ) -> Result<T, DecodeError> {
        let is_it = |(key, _): &(Any<'a>, Any<'a>)| matches!(key, Any::Bytes(key) if *key == name.as_bytes());
        let value = match self.0.iter().position(is_it) {
            Some(at) => self.0.swap_remove(at).1,
            None => Any::Nil,
        };
        if self.0.iter().any(is_it) {
            return Err(unusable(name, "stands twice"));
        }
        read(value).map_err(|error| unusable(name, error))
    }
}

impl<'a> Any<'a> {
    fn int(self) -> Result<Option<i64>, &'static str> {
        Ok(match self {
            Any::Nil => None,
            Any::Bool(value) => Some(value.into()),
            Any::Int(value) => Some(value),
            #[expect(
                clippy::cast_possible_truncation,
                reason = "the cast drops the fraction and saturates, as meant"
            )]
            Any::Float(value) => Some(value as i64),
            Any::Bytes(text) => std::str::from_utf8(text).ok().and_then(|text| text.trim().parse().ok()),
            Any::List(_) | Any::Map(_) | Any::Other => return Err("not a number"),
        })
    }

    fn string(self) -> Result<ByteStr<'a>, &'static str> {
        match self {
            Any::Nil => Ok(ByteStr::EMPTY),
            Any::Int(value) => Ok(value.to_string().into()),
            Any::Bool(value) => Ok((if value { "true" } else { "false" }).into()),
            Any::Bytes(bytes) => Ok(bytes.into()),
            _ => Err("not a string"),
        }
    }

    fn list<T>(self, read: impl FnMut(Any<'a>) -> Result<T, &'static str>) -> Result<Vec<T>, &'static str> {
        match self {
            Any::Nil => Ok(Vec::new()),
            Any::List(values) => values.into_iter().map(read).collect(),
            _ => Err("not a list"),
        }
    }

    fn pairs(self) -> Result<Vec<Pair<'a>>, &'static str> {
        match self {
            Any::Map(pairs) => {
                pairs.into_iter().map(|(name, value)| Ok((name.string()?, value.string()?))).collect()
            }
            other => other.list(Any::pair),
        }
    }

    /// What is missing is empty, what is more is ignored.
    fn pair(self) -> Result<Pair<'a>, &'static str> {
        let mut parts = self.list(Ok)?.into_iter();
        let mut next = || parts.next().map_or(Ok(ByteStr::EMPTY), Any::string);
        Ok((next()?, next()?))
    }

    fn action(self) -> Result<RespAction<'a>, &'static str> {
        let Any::List(parts) = self else { return Err("not a list") };
        let Ok([Any::Int(code), args]) = <[_; 2]>::try_from(parts) else {
            return Err("not a code and its arguments");
        };
        let code = i8::try_from(code).map_err(|_| "out of range")?;
        Ok(RespAction { code, args: args.list(Any::string)? })
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Any<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyVisitor)
    }
}

struct AnyVisitor;

impl<'de> Visitor<'de> for AnyVisitor {
    type Value = Any<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Any::Nil)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Any::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Any::Int(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Any::Int(i64::try_from(value).unwrap_or(i64::MAX)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Any::Float(value))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Any::Bytes(text.as_bytes()))
    }

    fn visit_borrowed_bytes<E>(self, bytes: &'de [u8]) -> Result<Self::Value, E> {
        Ok(Any::Bytes(bytes))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Any::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = seq.next_element()? {
            values.push(value);
        }
        Ok(Any::List(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Any::Map(entries))
    }
}

/// The error names the field, never its value.
fn unusable(name: &str, what: &str) -> DecodeError {
    DecodeError::Value(Box::new(Error::custom(format_args!("{name}: {what}"))))
}
