//! The published JSON Schema and the reader agree on what a policy is.

use std::cell::RefCell;
use std::collections::HashMap;

use portcullis_policy::{Policy, Source};
use regex::Regex;
use serde_json::{Map, Value, json};

use crate::common::vectors;

fn schema() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/schema/policy.schema.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The part of JSON Schema that the file uses; a keyword that it does not know fails.
fn fits(root: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    for (keyword, rule) in schema.as_object().unwrap() {
        let holds = match keyword.as_str() {
            "$ref" => {
                let pointer = rule.as_str().unwrap().strip_prefix('#').unwrap();
                fits(root, root.pointer(pointer).unwrap(), value)?;
                true
            }
            "type" => {
                let types: Vec<&Value> = rule.as_array().map_or(vec![rule], |types| types.iter().collect());
                types.iter().any(|name| is(name.as_str().unwrap(), value))
            }
            "const" => rule == value,
            "enum" => rule.as_array().unwrap().contains(value),
            "minimum" => value.as_i64().is_none_or(|number| number >= rule.as_i64().unwrap()),
            "maximum" => value.as_i64().is_none_or(|number| number <= rule.as_i64().unwrap()),
            "minItems" => value.as_array().is_none_or(|items| items.len() as u64 >= rule.as_u64().unwrap()),
            "maxItems" => value.as_array().is_none_or(|items| items.len() as u64 <= rule.as_u64().unwrap()),
            "pattern" => value.as_str().is_none_or(|text| is_match(rule.as_str().unwrap(), text)),
            "not" => fits(root, rule, value).is_err(),
            "propertyNames" => value.as_object().is_none_or(|object| {
                object.keys().all(|key| fits(root, rule, &Value::from(key.as_str())).is_ok())
            }),
            "allOf" => {
                for schema in rule.as_array().unwrap() {
                    fits(root, schema, value)?;
                }
                true
            }
            "anyOf" => rule.as_array().unwrap().iter().any(|schema| fits(root, schema, value).is_ok()),
            "items" => {
                for item in value.as_array().into_iter().flatten() {
                    fits(root, rule, item)?;
                }
                true
            }
            "required" => value.as_object().is_none_or(|object| {
                rule.as_array().unwrap().iter().all(|key| object.contains_key(key.as_str().unwrap()))
            }),
            "properties" => {
                for (key, value) in value.as_object().into_iter().flatten() {
                    let patterns = schema["patternProperties"].as_object().unwrap();
                    let by_pattern = patterns.iter().filter(|(pattern, _)| is_match(pattern, key));
                    let all: Vec<&Value> =
                        rule.get(key).into_iter().chain(by_pattern.map(|(_, of)| of)).collect();
                    if all.is_empty() {
                        return Err(format!("{key} is not known"));
                    }
                    for schema in all {
                        fits(root, schema, value).map_err(|error| format!("{key}: {error}"))?;
                    }
                }
                true
            }
            // Looked at with properties.
            "additionalProperties" | "patternProperties" => true,
            "$schema" | "title" | "description" | "$defs" => true,
            other => panic!("this test does not know {other}"),
        };
        if !holds {
            return Err(format!("{keyword} {rule} does not hold for {value}"));
        }
    }
    Ok(())
}

fn is(name: &str, value: &Value) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("{other}"),
    }
}

/// Patterns are made anew for each of thousands of questions otherwise.
fn is_match(pattern: &str, text: &str) -> bool {
    thread_local! {
        static KNOWN: RefCell<HashMap<String, Regex>> = RefCell::default();
    }
    KNOWN.with_borrow_mut(|known| {
        let made = || Regex::new(pattern).unwrap();
        known.entry(pattern.to_owned()).or_insert_with(made).is_match(text)
    })
}

fn compiles(document: &Value) -> Result<(), String> {
    let text = document.to_string();
    Policy::compile(&[Source { name: "policy.json", text: &text }])
        .map(|_| ())
        .map_err(|error| error.to_string())
}

/// Policies that say a little of everything.
fn documents() -> Vec<Value> {
    let rules = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/rules.md")).unwrap();
    let yaml = rules.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let mut documents: Vec<Value> = yaml.map(|text| serde_saphyr::from_str(text).unwrap()).collect();
    documents.push(json!({"lists": vectors("conditions.json")["lists"]}));
    documents.push(json!({
        "$schema": "policy.schema.json",
        "site": {"displayName": "shop", "agentLevel": "log", "agentAnonMode": "EU", "immediateBlock": false, "blockHTTPCode": 302,
            "blockRedirectURL": "/no", "blockDurationSeconds": 600, "attackThresholds": [{"interval": 1, "threshold": 5}],
            "clientIPRules": [{"header": "X-Real-IP"}], "ipv6Prefix": 56, "members": {"uri": "/x"}},
        "corpRules": {"totalCount": 1, "data": [{"id": "c", "created": "x", "createdby": "y", "type": "request", "corpScope": "specificSites",
            "siteNames": ["shop"], "enabled": true, "reason": "all", "groupOperator": "any", "requestlogging": "none", "expiration": "",
            "conditions": [{"type": "group", "groupOperator": "any", "conditions": [
                {"type": "multival", "field": "signal", "operator": "doesNotExist", "groupOperator": "any", "conditions": [
                    {"type": "single", "field": "signalType", "operator": "equals", "value": "site.mine"}]}]}],
            "actions": [{"type": "setResponseHeader", "header": "A", "value": "b"}, {"type": "deception", "deceptionType": "invalid_login_response"}]}]},
        "signals": [{"shortName": "mine", "description": "", "tagName": "site.mine", "longName": "mine", "configurable": true}],
        "thresholds": [{"action": "block", "enabled": true, "interval": 600, "limit": 5, "name": "n", "signal": "XSS", "duration": 60}],
        "alerts": [{"tagName": "SQLI", "longName": "many", "interval": 10, "threshold": 5, "enabled": true, "action": "info", "skipNotifications": true}],
        "whitelist": [{"source": "192.0.2.1", "note": "", "expires": "2027-01-01T00:00:00Z"}], "blocklist": ["198.51.100.0/24"],
        "redactions": [{"field": "mother", "redactionType": 2}], "headerLinks": [{"type": "request", "name": "X", "linkName": "l", "link": "https://a.example"}],
        "configuredTemplates": [{"name": "LOGINATTEMPT", "detections": [{"id": "1", "enabled": true, "fields": [{"name": "path", "value": "/l*"}]}],
            "alerts": [{"longName": "l", "interval": 1, "threshold": 1, "action": "flagged"}]}],
        "virtualPatches": [{"id": "CVE-2021-44228", "enabled": true, "mode": "log"}],
    }));
    documents
}

/// Every place of a document, as the steps to it.
fn places(value: &Value, at: &str, out: &mut Vec<String>) {
    out.push(at.to_owned());
    match value {
        Value::Object(map) => {
            map.iter()
                .for_each(|(key, value)| places(value, &format!("{at}/{}", key.replace('/', "~1")), out));
        }
        Value::Array(items) => {
            items
                .iter()
                .take(2)
                .enumerate()
                .for_each(|(index, value)| places(value, &format!("{at}/{index}"), out));
        }
        _ => {}
    }
}

#[test]
fn what_compiles_fits_the_schema() {
    let schema = schema();
    for document in documents() {
        compiles(&document).unwrap();
        fits(&schema, &schema, &document).unwrap_or_else(|error| panic!("{error}\n{document}"));
    }
}

/// Keys whose value a console's export has and that mean nothing here: the reader does not look into them.
const OPEN: &[&str] = &[
    "totalCount",
    "$schema",
    "members",
    "expiration",
    "created",
    "createdby",
    "note",
    "skipNotifications",
    "longName",
    "configurable",
];

#[test]
fn a_key_that_does_not_exist_is_refused_by_both() {
    let schema = schema();
    let mut tried = 0;
    for document in documents() {
        let mut all = Vec::new();
        places(&document, "", &mut all);
        for place in all {
            let mut changed = document.clone();
            let Some(Value::Object(map)) = changed.pointer_mut(&place) else { continue };
            if OPEN.iter().any(|open| place.ends_with(&format!("/{open}"))) {
                continue;
            }
            map.insert("colour".into(), "red".into());
            assert!(compiles(&changed).is_err(), "the reader takes {place}/colour");
            assert!(fits(&schema, &schema, &changed).is_err(), "the schema takes {place}/colour");
            tried += 1;
        }
    }
    assert!(tried > 60, "{tried}");
}

#[test]
fn a_value_of_another_type_is_refused_by_both() {
    let schema = schema();
    let mut tried = 0;
    for document in documents() {
        let mut all = Vec::new();
        places(&document, "", &mut all);
        for place in all.iter().filter(|place| !place.is_empty()) {
            if OPEN.iter().any(|open| place.split('/').any(|step| step == *open)) || place.contains("/id") {
                continue;
            }
            let mut changed = document.clone();
            // No key takes a number with a fraction.
            *changed.pointer_mut(place).unwrap() = json!(1.5);
            assert!(compiles(&changed).is_err(), "the reader takes 1.5 at {place}");
            assert!(fits(&schema, &schema, &changed).is_err(), "the schema takes 1.5 at {place}");
            tried += 1;
        }
    }
    assert!(tried > 200, "{tried}");
}

#[test]
fn a_missing_key_that_the_schema_requires_is_missed_by_the_reader() {
    let schema = schema();
    let mut missed = 0;
    for document in documents() {
        let mut all = Vec::new();
        places(&document, "", &mut all);
        for place in all {
            let Some(Value::Object(map)) = document.pointer(&place) else { continue };
            for key in map.keys() {
                let mut changed = document.clone();
                let object: &mut Map<String, Value> =
                    changed.pointer_mut(&place).unwrap().as_object_mut().unwrap();
                object.remove(key);
                if fits(&schema, &schema, &changed).is_err() {
                    assert!(compiles(&changed).is_err(), "the reader does without {place}/{key}");
                    missed += 1;
                }
            }
        }
    }
    assert!(missed > 50, "{missed}");
}

/// `blockHTTPCode` in other ways of writing names.
fn spellings(name: &str) -> [String; 4] {
    let mut snake = String::new();
    let letters: Vec<char> = name.chars().collect();
    for (at, letter) in letters.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|at| letters.get(at));
        let after = letters.get(at + 1);
        let begins = letter.is_ascii_uppercase()
            && before.is_some_and(|before| {
                !before.is_ascii_uppercase() || after.is_some_and(char::is_ascii_lowercase)
            });
        if begins {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    [snake, name.to_ascii_lowercase(), name.to_ascii_uppercase(), format!("_{}_", name.replace('e', "E_"))]
}

/// A document with one thing written in another way.
fn respelled(document: &Value, place: &str) -> Vec<Value> {
    let mut all = Vec::new();
    let mut with = |value: Value| {
        let mut changed = document.clone();
        *changed.pointer_mut(place).unwrap() = value;
        all.push(changed);
    };
    match document.pointer(place).unwrap() {
        Value::String(text) => spellings(text).into_iter().for_each(|text| with(text.into())),
        Value::Number(number) => {
            [number.to_string(), format!(" {number} "), format!("{number}.0")]
                .into_iter()
                .for_each(|text| with(text.into()));
        }
        Value::Object(map) => {
            for key in map.keys() {
                for spelling in spellings(key) {
                    let mut other = map.clone();
                    let value = other.remove(key).unwrap();
                    other.insert(spelling, value);
                    with(Value::Object(other));
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Array(_) => {}
    }
    with(Value::Null);
    all
}

/// The schema takes whatever the reader takes, in every spelling that the reader knows.
#[test]
fn every_spelling_that_the_reader_takes_fits_the_schema() {
    let schema = schema();
    let (mut taken, mut keys) = (0, 0);
    for document in documents() {
        let mut all = Vec::new();
        places(&document, "", &mut all);
        for place in all.iter().filter(|place| !place.is_empty()) {
            let is_object = document.pointer(place).unwrap().is_object();
            for changed in respelled(&document, place) {
                if compiles(&changed).is_err() {
                    continue;
                }
                taken += 1;
                keys += usize::from(is_object);
                fits(&schema, &schema, &changed)
                    .unwrap_or_else(|error| panic!("{place}: {error}\n{changed}"));
            }
        }
    }
    assert!(taken > 1500 && keys > 800, "{taken}, {keys} with another key");
}

/// Each name of the schema can be written in each way, and each word of a few.
#[test]
fn the_schema_has_a_pattern_for_every_name() {
    fn look(at: &Value, seen: &mut usize) {
        if let (Some(properties), Some(patterns)) =
            (at["properties"].as_object(), at["patternProperties"].as_object())
        {
            for name in properties.keys() {
                for spelling in spellings(name) {
                    let matches = patterns.keys().filter(|pattern| is_match(pattern, &spelling)).count();
                    assert_eq!(matches, 1, "{spelling}");
                    *seen += 1;
                }
            }
        }
        match at {
            Value::Object(map) => map.values().for_each(|value| look(value, seen)),
            Value::Array(items) => items.iter().for_each(|value| look(value, seen)),
            _ => {}
        }
    }
    let mut seen = 0;
    look(&schema(), &mut seen);
    assert!(seen > 800, "{seen}");
}
