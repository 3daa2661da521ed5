use portcullis_detect::{Header, Location, Request, Signal, Tag};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Ask, Known};
use crate::facts::Facts;
use crate::policy::Policy;

const TEXTS: &[&str] = &["/admin", "/shop/x", "DE", "GET", "POST", "bot", "a.example", "x"];

fn single() -> impl Strategy<Value = Value> {
    let fields = prop::sample::select(vec![
        "path",
        "useragent",
        "domain",
        "method",
        "country",
        "paramvalue",
        "agentname",
    ]);
    let operators = prop::sample::select(vec![
        "equals",
        "doesNotEqual",
        "contains",
        "like",
        "notLike",
        "matches",
        "inList",
        "notInList",
    ]);
    (fields, operators, prop::sample::select(TEXTS)).prop_map(|(field, operator, text)| {
        let is_word = matches!(field, "method" | "country");
        let operator =
            if is_word && matches!(operator, "contains" | "matches") { "equals" } else { operator };
        let value = match (field, operator) {
            ("country", "inList" | "notInList") => "site.countries".to_owned(),
            (_, "inList" | "notInList") => "site.texts".to_owned(),
            ("method", _) => "POST".to_owned(),
            ("country", _) => "DE".to_owned(),
            (_, "like") => format!("*{text}*"),
            (_, "matches") => format!("^{text}(a|b)*"),
            _ => text.to_owned(),
        };
        json!({"type": "single", "field": field, "operator": operator, "value": value})
    })
}

fn address() -> impl Strategy<Value = Value> {
    let values = prop::sample::select(vec![
        ("equals", "10.0.0.0/8"),
        ("equals", "10.*.0.1"),
        ("doesNotEqual", "10.0.0.1"),
        ("inList", "site.ips"),
    ]);
    values.prop_map(
        |(operator, value)| json!({"type": "single", "field": "ip", "operator": operator, "value": value}),
    )
}

fn multival() -> impl Strategy<Value = Value> {
    let fields = prop::sample::select(vec!["requestHeader", "queryParameter", "requestCookie", "signal"]);
    let operators = prop::sample::select(vec!["exists", "doesNotExist"]);
    (fields, operators, any::<bool>(), prop::sample::select(TEXTS)).prop_map(
        |(field, operator, is_any, text)| {
            let name = if field == "signal" {
                json!({"type": "single", "field": "signalType", "operator": "equals", "value": "SQLI"})
            } else {
                json!({"type": "single", "field": "name", "operator": "equals", "value": text})
            };
            let value = json!({"type": "single", "field": "value", "operator": "contains", "value": "x"});
            json!({"type": "multival", "field": field, "operator": operator,
            "groupOperator": if is_any { "any" } else { "all" }, "conditions": [name, value]})
        },
    )
}

fn conditions() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![3 => single(), 1 => address(), 1 => multival()];
    leaf.prop_recursive(2, 12, 4, |inner| {
        (any::<bool>(), prop::collection::vec(inner, 1..4)).prop_map(|(is_any, conditions)| {
            json!({"type": "group", "groupOperator": if is_any { "any" } else { "all" }, "conditions": conditions})
        })
    })
}

fn policy(rules: Vec<Vec<Value>>) -> Policy {
    let rules: Vec<_> = rules
        .into_iter()
        .enumerate()
        .map(|(id, conditions)| {
            json!({"id": id.to_string(), "type": "request", "groupOperator": if id % 2 == 0 { "all" } else { "any" },
                "conditions": conditions, "actions": [{"type": "block"}]})
        })
        .collect();
    let text = json!({
        "lists": [{"name": "texts", "type": "string", "entries": ["/admin", "bot", "a.example"]},
            {"name": "countries", "type": "country", "entries": ["DE"]}, {"name": "ips", "type": "ip", "entries": ["10.0.0.0/8"]}],
        "rules": rules,
    });
    Policy::from_json("policy.json", &text.to_string()).unwrap()
}

proptest! {
    #[test]
    fn the_index_leaves_out_no_rule_that_holds(
        rules in prop::collection::vec(prop::collection::vec(conditions(), 1..4), 1..12),
        path in prop::sample::select(vec!["/", "/admin", "/%61dmin", "/shop/x?x=x", "/a?bot=xx", "/xab"]),
        agent in prop::sample::select(vec!["", "bot", "a bot", "x"]),
        host in prop::sample::select(vec!["a.example", "A.Example:80", "b.example"]),
        method in prop::sample::select(vec!["GET", "POST"]),
        country in prop::sample::select(vec!["", "DE", "FR"]),
        client in prop::sample::select(vec![[10, 0, 0, 1], [10, 9, 0, 1], [192, 0, 2, 1]]),
        is_attack: bool,
    ) {
        let policy = policy(rules);
        let headers = [
            Header { name: b"User-Agent", value: agent.as_bytes() },
            Header { name: b"X", value: b"x" },
            Header { name: b"Cookie", value: b"x=x; bot=1" },
        ];
        let request = Request {
            method: method.as_bytes(), authority: host.as_bytes(), target: path.as_bytes(), headers: &headers, ..Request::default()
        };
        let mut facts = Facts::new(&request, Some(client.into()));
        facts.country = country;
        facts.agent = "x";
        let found = Signal {
            tag: Tag::Sqli, location: Location::Post, name: b"x".to_vec(), value: b"x".to_vec(), span: 0..0, detector: "TEST",
        };
        let signals: Vec<_> = if is_attack { vec![Known::found(&found)] } else { Vec::new() };
        let candidates = policy.rules.candidates(&facts, &signals);
        for (number, rule) in policy.rules.request.iter().enumerate() {
            let ask = Ask { facts: Some(&facts), signals: &signals, finding: None, response: None, forms: policy.rules.forms(rule) };
            if rule.test.holds(&ask) {
                let number = u32::try_from(number).unwrap();
                prop_assert_eq!(candidates.next(number), Some(number), "{:?}", rule);
            }
        }
    }
}
