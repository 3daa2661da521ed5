//! YAML 1.2 to a tree.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Options, Spanned, budget::Budget};

use super::{DEEPEST, Fault, Key, Kind, MOST_NODES, Node};

/// Parses the only document of `text`.
pub(crate) fn parse(text: &str) -> Result<Node, Fault> {
    let root: Spanned<Value> = serde_saphyr::from_str_with_options(text, options()).map_err(|error| {
        let place = error.location();
        let number = |of: fn(&serde_saphyr::Location) -> u64| {
            place.as_ref().map_or(0, |place| usize::try_from(of(place)).unwrap_or_default())
        };
        let (line, column) = (number(serde_saphyr::Location::line), number(serde_saphyr::Location::column));
        let text = error.without_snippet().to_string();
        let reason = text.lines().next().unwrap_or_default().to_owned();
        Fault { line, column, reason }
    })?;
    Ok(node(root))
}

fn options() -> Options {
    let mut budget = Budget::default();
    budget.max_depth = DEEPEST;
    budget.max_nodes = MOST_NODES;
    budget.max_events = 2 * MOST_NODES;
    budget.max_documents = 1;
    budget.max_aliases = 1000;
    budget.max_anchors = 1000;
    let mut options = Options::default();
    options.budget = Some(budget);
    options.alias_limits.max_total_replayed_events = MOST_ALIASED;
    options.alias_limits.max_replay_stack_depth = 8;
    options.alias_limits.max_alias_expansions_per_anchor = 1000;
    // Only true and false: a country may be called NO, a header On.
    options.strict_booleans = true;
    options
}

/// Values that aliases may repeat.
const MOST_ALIASED: usize = 100_000;

enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Spanned<Value>>),
    Map(Vec<(Spanned<String>, Spanned<Value>)>),
}

fn node(Spanned { value, referenced, .. }: Spanned<Value>) -> Node {
    let kind = match value {
        Value::Null => Kind::Null,
        Value::Bool(value) => Kind::Bool(value),
        Value::Int(value) => Kind::Int(value),
        Value::Float(value) => Kind::Float(value),
        Value::Text(value) => Kind::Text(value),
        Value::List(items) => Kind::List(items.into_iter().map(node).collect()),
        Value::Map(pairs) => {
            Kind::Map(pairs.into_iter().map(|(name, value)| (key(name), node(value))).collect())
        }
    };
    let (line, column) = place(&referenced);
    Node { kind, line, column }
}

fn key(Spanned { value, referenced, .. }: Spanned<String>) -> Key {
    let (line, column) = place(&referenced);
    Key { name: value, line, column }
}

fn place(location: &serde_saphyr::Location) -> (usize, usize) {
    let number = |number: u64| usize::try_from(number).unwrap_or_default();
    (number(location.line()), number(location.column()))
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Int(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(i64::try_from(value).map_or(Value::Float(f64::INFINITY), Value::Int))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(Value::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut pairs: A) -> Result<Value, A::Error> {
        let mut map = Vec::new();
        while let Some(pair) = pairs.next_entry()? {
            map.push(pair);
        }
        Ok(Value::Map(map))
    }
}
