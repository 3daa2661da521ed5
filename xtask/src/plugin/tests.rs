//! The shipped files, every key, and that the schema says what the parser does.

mod agreement;

use serde_json::Value;

use super::*;

const SCHEMA: &str = include_str!("../../../envoy/filter.schema.json");

fn faulty(text: &str) -> bool {
    !Config::parse(text.as_bytes()).1.is_empty()
}

#[test]
fn the_shipped_configuration_is_understood_whole() {
    let envoy = include_str!("../../../envoy/envoy.yaml");
    let (_, rest) = envoy.split_once("value: |\n").unwrap();
    let (text, _) = rest.split_once("\n                  - name:").unwrap();
    assert!(text.contains("\"agent_cluster\""), "{text}");
    assert!(!faulty(text), "{text}");
}

#[test]
fn the_examples_are_understood_whole() {
    for example in [
        include_str!("../../../envoy/plugin/ask-always.json"),
        include_str!("../../../envoy/plugin/local-first.json"),
    ] {
        assert!(!faulty(example), "{example}");
    }
}

#[test]
fn takes_every_key_and_the_ends_of_every_range() {
    for good in [
        "",
        "{}",
        r#"{"agent_cluster": "a", "inspect": false, "mode": "local-first", "timeout_ms": 5, "fail_open": false}"#,
        r#"{"fail_status": 599, "filter_state": false, "log_level": "off", "metrics_prefix": "a_1"}"#,
        r#"{"body": {"mode": "after", "max_bytes": 1048576, "content_types": ["text/"], "skip_paths": ["/a"]}}"#,
        r#"{"body": {"content_types": [], "skip_paths": []}, "scope": [], "profiles": {}}"#,
        r#"{"breaker": {"failures": 0, "pause_ms": 100, "max_pause_ms": 600000}, "local": {"poll_ms": 100}}"#,
        r#"{"local": {"max_body_bytes": 0}}"#,
        r#"{"local": {"max_body_bytes": 1048576}}"#,
        r#"{"local": {"max_age_ms": 600000}, "report": {"enabled": false, "min_status": 600, "slow_ms": 1}}"#,
        r#"{"report": {"large_bytes": 9007199254740991, "headers": ["*"]}, "route_metadata": true}"#,
        r#"{"fingerprints": {"ja3": "a", "ja4": "b", "cipher": "c"}}"#,
        r#"{"profiles": {"p": {"inspect": true, "mode": "ask-always", "body": {"mode": "none"}}},
            "scope": [{"profile": "p"}, {"host": "*.a.example", "path": "/x", "profile": "off", "fail_open": true},
                      {"host": "*"}, {"host": "A-b.example:8080"}, {"host": "[::1]"}]}"#,
    ] {
        assert!(!faulty(good), "{good}");
    }
}

#[test]
fn refuses_what_the_schema_refuses() {
    for bad in [
        "[]",
        "{",
        "7",
        r#"{"colour": 1}"#,
        r#"{"agent_cluster": ""}"#,
        r#"{"agent_cluster": 1}"#,
        r#"{"inspect": "yes"}"#,
        r#"{"mode": "local_first"}"#,
        r#"{"timeout_ms": 4}"#,
        r#"{"timeout_ms": 2001}"#,
        r#"{"timeout_ms": 5.5}"#,
        r#"{"timeout_ms": "100"}"#,
        r#"{"fail_open": 1}"#,
        r#"{"fail_status": 399}"#,
        r#"{"fail_status": 600}"#,
        r#"{"body": []}"#,
        r#"{"body": {"mode": "buffer"}}"#,
        r#"{"body": {"max_bytes": 0}}"#,
        r#"{"body": {"max_bytes": 1048577}}"#,
        r#"{"body": {"content_types": "text/"}}"#,
        r#"{"body": {"content_types": [""]}}"#,
        r#"{"body": {"skip_paths": ["a"]}}"#,
        r#"{"body": {"skip_paths": [1]}}"#,
        r#"{"body": {"colour": 1}}"#,
        r#"{"breaker": {"failures": -1}}"#,
        r#"{"breaker": {"failures": 1001}}"#,
        r#"{"breaker": {"pause_ms": 99}}"#,
        r#"{"breaker": {"max_pause_ms": 600001}}"#,
        r#"{"breaker": {"colour": 1}}"#,
        r#"{"local": {"poll_ms": 99}}"#,
        r#"{"local": {"max_age_ms": 199}}"#,
        r#"{"local": {"max_body_bytes": 1048577}}"#,
        r#"{"local": 1}"#,
        r#"{"report": {"min_status": 199}}"#,
        r#"{"report": {"slow_ms": 0}}"#,
        r#"{"report": {"large_bytes": 0}}"#,
        r#"{"report": {"headers": [1]}}"#,
        r#"{"report": {"enabled": null}}"#,
        r#"{"fingerprints": {"ja3": ""}}"#,
        r#"{"fingerprints": {"ja5": "x"}}"#,
        r#"{"filter_state": 0}"#,
        r#"{"log_level": "debug"}"#,
        r#"{"metrics_prefix": "a.b"}"#,
        r#"{"metrics_prefix": ""}"#,
        r#"{"route_metadata": "yes"}"#,
        r#"{"profiles": []}"#,
        r#"{"profiles": {"p": 1}}"#,
        r#"{"profiles": {"p": {"colour": 1}}}"#,
        r#"{"profiles": {"p": {"timeout_ms": 1}}}"#,
        r#"{"scope": {}}"#,
        r#"{"scope": [1]}"#,
        r#"{"scope": [{"host": ""}]}"#,
        r#"{"scope": [{"host": "*a"}]}"#,
        r#"{"scope": [{"host": "a b"}]}"#,
        r#"{"scope": [{"path": "a"}]}"#,
        r#"{"scope": [{"colour": 1}]}"#,
        r#"{"scope": [{"profile": 1}]}"#,
        r#"{"scope": [{"body": {"mode": "x"}}]}"#,
    ] {
        assert!(faulty(bad), "{bad}");
    }
}

#[test]
fn the_schema_tells_the_defaults_that_are() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let mut told = serde_json::Map::new();
    collect(&schema, &schema["properties"], &mut told);
    let text = Value::Object(told).to_string();
    let (config, problems) = Config::parse(text.as_bytes());
    assert_eq!((config, problems), (Config::default(), vec![]), "{text}");
}

/// The object that holds every default of a schema's properties.
fn collect(schema: &Value, properties: &Value, into: &mut serde_json::Map<String, Value>) {
    for (name, property) in properties.as_object().unwrap() {
        let reference = property["$ref"].as_str().map(|path| path.trim_start_matches('#'));
        let property = reference.map_or(property, |path| schema.pointer(path).unwrap());
        if let Some(default) = property.get("default") {
            into.insert(name.clone(), default.clone());
        } else if property["properties"].is_object() {
            let mut inner = serde_json::Map::new();
            collect(schema, &property["properties"], &mut inner);
            into.insert(name.clone(), Value::Object(inner));
        }
    }
}
