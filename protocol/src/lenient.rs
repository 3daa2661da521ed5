//! Readers for fields whose types differ between modules.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::message::Pair;

/// Pairs reserved at once, whatever number the peer declares; more grow as they arrive.
const RESERVED_PAIRS: usize = 64;

/// Reads an integer of any family and width; nil and text that is no number are 0.
pub(crate) fn int<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    Ok(deserializer.deserialize_any(IntVisitor)?.unwrap_or(0))
}

/// Reads an integer of any family and width; nil and text that is no number are -1, the modules' own "not known".
pub(crate) fn int_or_unknown<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    Ok(deserializer.deserialize_any(IntVisitor)?.unwrap_or(-1))
}

/// Reads an integer of any family and width; nil and text that is no number are none.
pub(crate) fn maybe_int<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    deserializer.deserialize_any(IntVisitor)
}

/// Reads a truth value; numbers are true unless zero, nil is false.
pub(crate) fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(deserializer.deserialize_any(IntVisitor)?.is_some_and(|value| value != 0))
}

/// Reads `[[name, value], ...]`; nil is empty, and so is the empty map that Lua makes of an empty table.
pub(crate) fn pairs<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Pair<'a>>, D::Error> {
    deserializer.deserialize_any(PairsVisitor)
}

struct IntVisitor;

impl<'de> Visitor<'de> for IntVisitor {
    type Value = Option<i64>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number or nil")
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Some(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Some(i64::try_from(value).unwrap_or(i64::MAX)))
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "the cast drops the fraction and saturates, as meant"
    )]
    fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Some(value as i64))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Some(i64::from(value)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(text.trim().parse().ok())
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
        Ok(std::str::from_utf8(bytes).ok().and_then(|text| text.trim().parse().ok()))
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_none<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

struct PairsVisitor;

impl<'de> Visitor<'de> for PairsVisitor {
    type Value = Vec<Pair<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of name and value pairs")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut pairs = Vec::with_capacity(seq.size_hint().unwrap_or(0).min(RESERVED_PAIRS));
        while let Some(WirePair(pair)) = seq.next_element()? {
            pairs.push(pair);
        }
        Ok(pairs)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut pairs = Vec::with_capacity(map.size_hint().unwrap_or(0).min(RESERVED_PAIRS));
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Ok(pairs)
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_none<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }
}

/// One `[name, value]`; what is missing is empty, what is more is ignored.
struct WirePair<'a>(Pair<'a>);

impl<'de: 'a, 'a> Deserialize<'de> for WirePair<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WirePairVisitor)
    }
}

struct WirePairVisitor;

impl<'de> Visitor<'de> for WirePairVisitor {
    type Value = WirePair<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name and a value")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let name = seq.next_element()?.unwrap_or_default();
        let value = seq.next_element()?.unwrap_or_default();
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(WirePair((name, value)))
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(WirePair(Pair::default()))
    }
}
