//! Every field with every operator in either phase, from `vectors/policy/conditions.json`.

use std::collections::BTreeSet;

use crate::common::{Given, START, policy, refusal, state, vectors};
use serde_json::{Value, json};

fn condition(case: &Value) -> Value {
    let mut out = case.clone();
    let object = out.as_object_mut().unwrap();
    object.retain(|key, _| !matches!(key.as_str(), "yes" | "no" | "multival"));
    match case["multival"].as_str() {
        Some(field) => {
            object.insert("type".into(), "multival".into());
            object.insert("field".into(), field.into());
            for part in object["conditions"].as_array_mut().unwrap() {
                part["type"] = "single".into();
            }
        }
        None => {
            object.insert("type".into(), "single".into());
        }
    }
    out
}

fn rules(lists: &Value, conditions: &[Value]) -> Value {
    json!({
        "lists": lists,
        "rules": [{
            "id": "rule", "type": "request", "enabled": true, "reason": "test", "groupOperator": "all",
            "conditions": conditions, "actions": [{"type": "addSignal", "signal": "site.hit"}],
        }],
    })
}

fn is_of_response(case: &Value) -> bool {
    case["field"] == "responseCode" || case["multival"] == "responseHeader"
}

#[test]
fn every_condition_holds_where_it_should_and_only_there() {
    let file = vectors("conditions.json");
    let (mut asked, mut wrong) = (0, Vec::new());
    for case in file["cases"].as_array().unwrap() {
        let alone = policy(&rules(&file["lists"], &[condition(case)]));
        let always =
            json!({"type": "single", "field": "responseCode", "operator": "greaterEqual", "value": "100"});
        let late = policy(&rules(&file["lists"], &[condition(case), always]));
        for (requests, expected) in [("yes", true), ("no", false)] {
            for given in case[requests].as_array().unwrap() {
                let request = Given::new(given);
                let early = request.decide(&alone, &state(), START).names().any(|name| name == "site.hit");
                if !is_of_response(case) && early != expected {
                    wrong.push(format!("request: {case} {given}"));
                }
                let decision = request.respond(&late, &state(), START).unwrap();
                if decision.names().any(|name| name == "site.hit") != expected {
                    wrong.push(format!("response: {case} {given}"));
                }
                asked += 2;
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {asked}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(asked > 2000, "{asked}");
}

const OPERATORS: &[&str] = &[
    "equals",
    "doesNotEqual",
    "contains",
    "doesNotContain",
    "greaterEqual",
    "lesserEqual",
    "like",
    "notLike",
    "exists",
    "doesNotExist",
    "matches",
    "doesNotMatch",
    "inList",
    "notInList",
];

const SINGLES: &[&str] = &[
    "scheme",
    "method",
    "path",
    "useragent",
    "domain",
    "ip",
    "responseCode",
    "agentname",
    "paramname",
    "paramvalue",
    "country",
    "ja3Fingerprint",
    "ja4Fingerprint",
    "protocolVersion",
];

const MULTIVALS: &[&str] =
    &["signal", "requestHeader", "responseHeader", "queryParameter", "postParameter", "requestCookie"];

const PARTS: &[&str] =
    &["name", "value", "valueString", "valueInt", "valueIp", "signalType", "parameterName"];

/// A value that is right for the field, so that only the operator can be wrong.
fn value(field: &str, operator: &str) -> &'static str {
    match (field, operator) {
        ("ip" | "valueIp", "inList" | "notInList") => "site.offices",
        ("country", "inList" | "notInList") => "site.countries",
        (_, "inList" | "notInList") => "site.names",
        ("ip" | "valueIp", _) => "192.0.2.1",
        ("country", _) => "DE",
        ("method", _) => "GET",
        ("scheme", _) => "https",
        ("signalType", _) => "SQLI",
        _ => "42",
    }
}

#[test]
fn what_a_policy_may_ask_has_a_vector_and_the_rest_is_refused() {
    let file = vectors("conditions.json");
    let mut seen = BTreeSet::new();
    for case in file["cases"].as_array().unwrap() {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let multival = text(&case["multival"]);
        seen.insert((multival.clone(), text(&case["field"]), text(&case["operator"])));
        for part in case["conditions"].as_array().into_iter().flatten() {
            seen.insert((multival.clone(), text(&part["field"]), text(&part["operator"])));
        }
    }
    let lists = &file["lists"];
    let check = |multival: &str, field: &str, operator: &str, condition: Value| {
        let text = rules(lists, &[condition]).to_string();
        let source = portcullis_policy::Source { name: "policy.json", text: &text };
        let may = portcullis_policy::Policy::compile(&[source]).is_ok();
        let key = (multival.to_owned(), field.to_owned(), operator.to_owned());
        assert_eq!(may, seen.contains(&key), "{key:?}: may be asked, has a vector");
    };
    for operator in OPERATORS {
        for field in SINGLES {
            let value = value(field, operator);
            check(
                "",
                field,
                operator,
                json!({"type": "single", "field": field, "operator": operator, "value": value}),
            );
        }
        for multival in MULTIVALS {
            let mut condition =
                json!({"type": "multival", "field": multival, "operator": operator, "conditions": []});
            check(multival, "", operator, condition.clone());
            condition["operator"] = "exists".into();
            for part in PARTS {
                let value = value(part, operator);
                condition["conditions"] =
                    json!([{"type": "single", "field": part, "operator": operator, "value": value}]);
                // The same by another name.
                if *part != "parameterName" || *multival == "signal" {
                    check(multival, part, operator, condition.clone());
                }
            }
        }
    }
}

#[test]
fn groups_nest_three_deep_and_no_deeper() {
    let leaf = |path: &str| json!({"type": "single", "field": "path", "operator": "equals", "value": path});
    let group = |operator: &str, conditions: Vec<Value>| json!({"type": "group", "groupOperator": operator, "conditions": conditions});
    let method = json!({"type": "single", "field": "method", "operator": "equals", "value": "POST"});
    let deep = group("any", vec![group("all", vec![leaf("/a"), method.clone()]), leaf("/b")]);
    let nested = policy(&rules(&json!([]), std::slice::from_ref(&deep)));
    let hits = |given: Value| {
        Given::new(&given).decide(&nested, &state(), START).names().any(|name| name == "site.hit")
    };
    assert!(hits(json!({"target": "/b"})) && hits(json!({"target": "/a", "method": "POST"})));
    assert!(!hits(json!({"target": "/a"})) && !hits(json!({"target": "/c", "method": "POST"})));
    let deeper = rules(&json!([]), &[group("all", vec![group("all", vec![deep])])]);
    assert!(refusal(&deeper).contains("groups nested deeper than 3"), "{}", refusal(&deeper));
    let eleven: Vec<_> = (0..11).map(|_| leaf("/a")).collect();
    assert!(refusal(&rules(&json!([]), &eleven)).contains("11 items are more than 10"));
    assert!(refusal(&rules(&json!([]), &[group("all", vec![])])).contains("needs conditions"));
}

#[test]
fn an_allowance_can_not_be_reached_by_another_way_to_write_a_path() {
    let policy = policy(&json!({
        "site": {"agentLevel": "block"},
        "rules": [
            {"id": "a", "type": "request", "conditions": [{"type": "single", "field": "path", "operator": "like", "value": "/static/*"}],
             "actions": [{"type": "allow"}]},
            {"id": "b", "type": "request", "conditions": [{"type": "single", "field": "path", "operator": "like", "value": "/admin*"}],
             "actions": [{"type": "block"}]},
        ],
    }));
    let code = |target: &str| Given::new(&json!({"target": target})).decide(&policy, &state(), START).code();
    assert_eq!(code("/static/a.css"), 200);
    for target in
        ["/admin", "/%61dmin", "//admin", "/static/../admin", "/static/%2e%2e/admin", "/x/..;/admin"]
    {
        assert_eq!(code(target), 406, "{target}");
    }
}
