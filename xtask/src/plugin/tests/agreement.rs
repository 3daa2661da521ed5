//! The JSON Schema and the filter's parser say the same of any document.
//!
//! Documents are drawn from the schema itself, so that a key it gains is tried without a word here: mostly what it wants,
//! values on both sides of every bound, and now and then something else altogether.

use std::cell::Cell;

use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config as Cases, TestRunner};
use regex::Regex;
use serde_json::{Map, Value, json};

use super::{SCHEMA, faulty};

#[test]
fn schema_and_parser_agree() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let (good, bad) = (Cell::new(0), Cell::new(0));
    let mut runner = TestRunner::new(Cases { cases: 4_000, failure_persistence: None, ..Cases::default() });
    let outcome = runner.run(&documents(&schema, &schema), |document| {
        let fits = Schema(&schema).accepts(&schema, &document) && profiles_are_known(&document);
        let counted = if fits { &good } else { &bad };
        counted.set(counted.get() + 1);
        prop_assert_eq!(fits, !faulty(&document.to_string()), "{}", document);
        Ok(())
    });
    outcome.unwrap();
    let (good, bad) = (good.get(), bad.get());
    assert!(
        good > 400 && bad > 400,
        "of the documents {good} were good and {bad} bad: one kind is hardly tried"
    );
}

#[test]
fn lists_end_where_the_schema_says() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    for (length, fits) in [(1000, true), (1001, false)] {
        let words = vec!["/a"; length];
        for document in [
            json!({"body": {"content_types": words}}),
            json!({"body": {"skip_paths": words}}),
            json!({"report": {"headers": words}}),
            json!({"scope": vec![json!({}); length]}),
        ] {
            assert_eq!(Schema(&schema).accepts(&schema, &document), fits, "schema, {length}");
            assert_eq!(!faulty(&document.to_string()), fits, "parser, {length}");
        }
    }
}

/// The one thing that a schema cannot say: an entry begins with a profile that is there.
fn profiles_are_known(document: &Value) -> bool {
    let known = |name: &str| name == "off" || document["profiles"].get(name).is_some();
    let entries = document["scope"].as_array().into_iter().flatten();
    entries.filter_map(|entry| entry["profile"].as_str()).all(known)
}

/// A schema that references are looked up in.
#[derive(Clone, Copy)]
struct Schema<'a>(&'a Value);

impl<'a> Schema<'a> {
    fn resolve(self, part: &'a Value) -> &'a Value {
        match part["$ref"].as_str() {
            Some(path) => self.0.pointer(path.trim_start_matches('#')).unwrap(),
            None => part,
        }
    }

    /// Whether a value fits a part of the schema, by the keywords that the schema uses; another one is an error.
    fn accepts(self, part: &'a Value, value: &Value) -> bool {
        let part = self.resolve(part);
        part.as_object().unwrap().iter().all(|(keyword, wanted)| match keyword.as_str() {
            "$schema" | "$defs" | "title" | "description" | "default" => true,
            "type" => is_of(wanted.as_str().unwrap(), value),
            "enum" => wanted.as_array().unwrap().contains(value),
            "minimum" => value.as_f64().is_none_or(|number| number >= wanted.as_f64().unwrap()),
            "maximum" => value.as_f64().is_none_or(|number| number <= wanted.as_f64().unwrap()),
            "minLength" => {
                value.as_str().is_none_or(|text| text.chars().count() as u64 >= wanted.as_u64().unwrap())
            }
            "pattern" => {
                let pattern = Regex::new(wanted.as_str().unwrap()).unwrap();
                value.as_str().is_none_or(|text| pattern.is_match(text))
            }
            "maxItems" => value.as_array().is_none_or(|list| list.len() as u64 <= wanted.as_u64().unwrap()),
            "items" => value.as_array().is_none_or(|list| list.iter().all(|item| self.accepts(wanted, item))),
            "properties" => value.as_object().is_none_or(|map| {
                map.iter().all(|(key, value)| wanted.get(key).is_none_or(|part| self.accepts(part, value)))
            }),
            "additionalProperties" => value.as_object().is_none_or(|map| {
                let others = map.iter().filter(|(key, _)| part["properties"].get(key).is_none());
                match wanted {
                    Value::Bool(any) => *any || others.count() == 0,
                    part => others.map(|(_, value)| value).all(|value| self.accepts(part, value)),
                }
            }),
            other => panic!("the schema says {other}, which this test does not know"),
        })
    }
}

fn is_of(kind: &str, value: &Value) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        other => panic!("the schema says type {other}, which this test does not know"),
    }
}

/// Documents for a part of the schema, most of which fit it.
fn documents(schema: &Value, part: &Value) -> BoxedStrategy<Value> {
    let part = Schema(schema).resolve(part);
    let fitting = match part["type"].as_str() {
        Some("object") => objects(schema, part),
        Some("array") => {
            let items = documents(schema, &part["items"]);
            prop::collection::vec(items, 0..4).prop_map(Value::Array).boxed()
        }
        Some("boolean") => any::<bool>().prop_map(Value::Bool).boxed(),
        Some("integer") => integers(part).boxed(),
        Some("string") => select(TEXTS).prop_map(Value::from).boxed(),
        _ => select(part["enum"].as_array().unwrap().clone()).boxed(),
    };
    prop_oneof![60 => fitting, 1 => anything()].boxed()
}

fn objects(schema: &Value, part: &Value) -> BoxedStrategy<Value> {
    let none = Map::new();
    let properties = part["properties"].as_object().unwrap_or(&none);
    let known = properties.iter().map(|(name, part)| {
        let name = name.clone();
        let member = documents(schema, part).prop_map(move |value| (name.clone(), value));
        prop::option::weighted(0.2, member).boxed()
    });
    let known: Vec<_> = known.collect();
    let others = match &part["additionalProperties"] {
        Value::Object(_) => {
            let named = (select(TEXTS), documents(schema, &part["additionalProperties"]));
            prop::collection::vec(named, 0..3).boxed()
        }
        // Nobody has a key like this.
        _ => prop::collection::vec((Just("colour"), anything()), 0..=1)
            .prop_flat_map(|keys| prop_oneof![40 => Just(Vec::new()), 1 => Just(keys)])
            .boxed(),
    };
    let members = (known, others).prop_map(|(known, others)| {
        let others = others.into_iter().map(|(name, value)| (name.to_owned(), value));
        Value::Object(known.into_iter().flatten().chain(others).collect())
    });
    members.boxed()
}

/// Both ends of the range, what lies next to them, and one between.
fn integers(part: &Value) -> impl Strategy<Value = Value> + use<> {
    let (min, max) = (part["minimum"].as_i64().unwrap(), part["maximum"].as_i64().unwrap());
    prop_oneof![
        20 => (min..=max).prop_map(Value::from),
        8 => select(vec![min, min + 1, max - 1, max]).prop_map(Value::from),
        2 => select(vec![min - 1, max + 1]).prop_map(Value::from),
        2 => (min..=max.min(1 << 31)).prop_map(|number| f64::from(i32::try_from(number).unwrap_or(i32::MAX)).into()),
        1 => (min..=max.min(1 << 30)).prop_map(|number| (f64::from(i32::try_from(number).unwrap()) + 0.5).into()),
    ]
}

fn anything() -> impl Strategy<Value = Value> {
    let values = vec![
        Value::Null,
        json!(true),
        json!(0),
        json!(-1),
        json!(5.5),
        json!(1e300),
        json!("100"),
        json!([]),
        json!([1]),
        json!({}),
        json!({"a": 1}),
    ];
    select(values)
}

/// Texts, some of which each pattern takes, and some of which none does.
const TEXTS: &[&str] = &[
    "a",
    "a_1",
    "off",
    "/",
    "/a/b",
    "*",
    "*.a.example",
    "A-b.example:8080",
    "[::1]",
    "text/",
    "",
    " ",
    "a b",
    "a\n",
    "/\n",
    "*.",
    "*a",
    "**",
    "a*",
    "a/",
    "ä",
    "\u{0}",
];
