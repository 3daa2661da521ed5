//! One condition on arbitrary requests: every field with every operator and an arbitrary value. No panic; a condition and
//! its opposite never both hold, nor both fail, where the fact is known and has one form.
#![no_main]

use std::fmt::Write as _;

use libfuzzer_sys::fuzz_target;
use portcullis_detect::{Header, Request, Signals};
use portcullis_policy::{Facts, Policy, Secret, Source, State, StateLimits};

/// Fields of one value; the path has several forms, and to stop a request one of them is enough.
const FIELDS: &[(&str, bool)] = &[
    ("domain", true),
    ("ip", true),
    ("country", true),
    ("method", true),
    ("scheme", true),
    ("useragent", true),
    ("agentname", true),
    ("path", false),
    ("ja3fingerprint", false),
];
/// Operators and their opposites.
const OPERATORS: &[(&str, &str)] = &[
    ("equals", "doesNotEqual"),
    ("contains", "doesNotContain"),
    ("like", "notLike"),
    ("matches", "doesNotMatch"),
    ("inList", "notInList"),
];

fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => out.extend(['\\', letter]),
            control if control < ' ' => write!(out, "\\u{:04x}", u32::from(control)).unwrap(),
            other => out.push(other),
        }
    }
    out + "\""
}

fn rule(id: usize, field: &str, operator: &str, value: &str) -> String {
    format!(
        r#"{{"id": "{id}", "type": "request", "groupOperator": "all", "conditions": [{{"type": "single", "field": "{field}",
        "operator": "{operator}", "value": {}}}], "actions": [{{"type": "addSignal", "signal": "site.r{id}"}}]}}"#,
        quoted(value)
    )
}

fuzz_target!(|bytes: &[u8]| {
    let [field, operator, address, rest @ ..] = bytes else { return };
    let (field, is_single) = FIELDS[usize::from(*field) % FIELDS.len()];
    let (operator, opposite) = OPERATORS[usize::from(*operator) % OPERATORS.len()];
    let mut parts = rest.splitn(3, |&byte| byte == b'\n');
    let value = String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
    let (target, agent) = (parts.next().unwrap_or(b"/"), parts.next().unwrap_or(b"curl/8"));
    let rules = [rule(0, field, operator, &value), rule(1, field, opposite, &value)].join(",");
    let text = format!(
        r#"{{"site": {{"agentLevel": "block"}}, "rules": [{rules}], "lists": [
        {{"name": "ips", "type": "ip", "entries": ["192.0.2.0/25", "2001:db8::/32"]}},
        {{"name": "texts", "type": "string", "entries": ["curl/8", "GET"]}},
        {{"name": "open", "type": "wildcard", "entries": ["*bot*", "/a?c*"]}}]}}"#
    );
    let Ok(policy) = Policy::compile(&[Source { name: "policy.json", text: &text }]) else { return };
    let headers = [Header { name: b"User-Agent", value: agent }];
    let request = Request {
        method: b"GET",
        scheme: b"http",
        target,
        authority: b"shop.example",
        headers: &headers,
        ..Request::default()
    };
    let state = State::new(StateLimits { counters: 1, flags: 1, rates: 1 }, &Secret::new(b"fuzz"));
    let mut facts = Facts::new(&request, Some([192, 0, 2, *address].into()));
    facts.country = "DE";
    facts.agent = "agent-1";
    let decision = policy.decide(&facts, &Signals::default(), state.at(1_790_000_000_000));
    let holds = |name: &str| decision.names().any(|known| known == name);
    if is_single {
        assert!(holds("site.r0") != holds("site.r1"), "{field} {operator} {value:?}: both or neither");
    }
});
