//! What happens over time, to the second, on a clock that is an argument.

use portcullis_policy::{Cause, Event, FlagKind, Journal, Policy, State};
use serde_json::{Value, json};

use crate::common::{Given, START, policy, request, state};

const IP: &str = "192.0.2.1";

fn site(mode: &str) -> Policy {
    policy(&json!({"site": {"agentLevel": mode, "blockDurationSeconds": 600}}))
}

/// Sends an attack and says what came of it.
fn attack(policy: &Policy, state: &State, seconds: u64) -> u16 {
    request(IP, "/", &["SQLI"]).decide(policy, state, START + seconds * 1000).code()
}

fn clean(policy: &Policy, state: &State, seconds: u64) -> u16 {
    request(IP, "/", &[]).decide(policy, state, START + seconds * 1000).code()
}

#[test]
fn fifty_attacks_within_a_minute_flag_and_only_attacks_are_blocked_then() {
    let (policy, state) = (site("block"), state());
    for second in 0..49 {
        assert_eq!(attack(&policy, &state, second), 200, "{second}");
    }
    let fiftieth = request(IP, "/", &["SQLI"]).decide(&policy, &state, START + 49_000);
    assert_eq!(fiftieth.code(), 200);
    let [Event::Reached { limit, .. }, Event::Flagged { flag, count, .. }] = &fiftieth.events[..] else {
        panic!("{:?}", fiftieth.events)
    };
    assert_eq!((flag.kind, flag.until, *count, *limit), (FlagKind::Block, START + 649_000, 50, 50));
    let blocked = request(IP, "/", &["XSS"]).decide(&policy, &state, START + 50_000);
    assert_eq!((blocked.code(), blocked.cause), (406, Some(Cause::Flagged { cause: "attacks".into() })));
    assert_eq!(clean(&policy, &state, 50), 200);
    let anomaly = request(IP, "/", &["NOUA"]).decide(&policy, &state, START + 50_000);
    assert_eq!(anomaly.code(), 200);
    assert!(anomaly.names().any(|name| name == "SITE-FLAGGED-IP"));
    assert_eq!(request("192.0.2.2", "/", &["SQLI"]).decide(&policy, &state, START + 50_000).code(), 200);
    // To the second: the last one of the flag, and the first one after it.
    assert_eq!(attack(&policy, &state, 648), 406);
    assert_eq!(attack(&policy, &state, 649), 200);
}

#[test]
fn forty_attacks_a_minute_flag_by_the_ten_minutes() {
    let (policy, state) = (site("block"), state());
    let mut flagged = None;
    for number in 0..400_u64 {
        // 40 a minute.
        let decision = request(IP, "/", &["SQLI"]).decide(&policy, &state, START + number * 1_500);
        if let Some(Event::Flagged { interval, .. }) = decision.events.last() {
            flagged = Some((number + 1, interval.seconds()));
            break;
        }
    }
    assert_eq!(flagged, Some((350, 600)));
}

#[test]
fn a_few_attacks_an_hour_never_flag() {
    let (policy, state) = (site("block"), state());
    for number in 0..2_000_u64 {
        // 24 a minute: 240 in ten, 1440 in sixty.
        let decision = request(IP, "/", &["SQLI"]).decide(&policy, &state, START + number * 2_500);
        assert!(decision.events.is_empty(), "{number}");
    }
}

/// The thresholds that each request came to, by their interval, and whether it flagged.
fn reached(policy: &Policy, state: &State, millis: u64) -> (Vec<u32>, bool) {
    let decision = request(IP, "/", &["SQLI"]).decide(policy, state, START + millis);
    let reached = decision.events.iter().filter_map(|event| match event {
        Event::Reached { interval, count, limit, .. } => {
            assert!(count >= limit);
            Some(interval.seconds())
        }
        Event::Flagged { .. } | Event::RateLimited { .. } => None,
    });
    (reached.collect(), decision.events.iter().any(Event::blocks))
}

#[test]
fn each_threshold_that_a_count_comes_to_is_told_once_and_flags_where_no_flag_holds() {
    let (policy, state) = (site("block"), state());
    for number in 1..=2_000 {
        let expected = match number {
            50 => (vec![60], true),
            350 => (vec![600], false),
            1800 => (vec![3600], false),
            _ => (vec![], false),
        };
        assert_eq!(reached(&policy, &state, number), expected, "{number}");
    }
    // The minute is over: coming to the threshold once more is told once more.
    let later = |number: u64| reached(&policy, &state, 120_000 + number).0;
    assert!((1..50).all(|number| later(number).is_empty()));
    assert_eq!(later(50), [60]);
}

#[test]
fn a_threshold_that_is_reached_again_when_its_flag_is_over_is_told_with_the_flag() {
    let alert = json!({"tagName": "SQLI", "longName": "many", "interval": 10, "threshold": 2, "enabled": true,
        "action": "flagged", "blockDurationSeconds": 60});
    let policy = policy(&json!({"site": {"agentLevel": "block"}, "alerts": [alert]}));
    let state = state();
    assert_eq!(reached(&policy, &state, 0), (vec![], false));
    assert_eq!(reached(&policy, &state, 1_000), (vec![600], true));
    assert_eq!(reached(&policy, &state, 2_000), (vec![], false));
    // The count never fell, so nothing came to the threshold; the flag says by what.
    assert_eq!(reached(&policy, &state, 90_000), (vec![600], true));
}

#[test]
fn flags_are_set_while_the_mode_is_to_log_and_block_nothing() {
    let (policy, state) = (site("log"), state());
    for second in 0..60 {
        assert_eq!(attack(&policy, &state, second), 200);
    }
    assert_eq!(state.flags(START + 60_000).len(), 1);
    let decision = request(IP, "/", &["SQLI"]).decide(&policy, &state, START + 60_000);
    assert!(decision.would.is_some());
}

#[test]
fn several_kinds_of_attack_in_a_request_count_each() {
    let (policy, state) = (site("block"), state());
    for number in 0..25 {
        request(IP, "/", &["SQLI", "XSS"]).decide(&policy, &state, START + number);
    }
    assert_eq!(state.flags(START + 100).len(), 1);
}

#[test]
fn an_ipv6_customer_is_one_client() {
    let (policy, state) = (site("block"), state());
    for number in 0..50 {
        request(&format!("2001:db8:0:1::{number:x}"), "/", &["SQLI"]).decide(&policy, &state, START);
    }
    assert_eq!(request("2001:db8:0:1:ffff::1", "/", &["SQLI"]).decide(&policy, &state, START).code(), 406);
    assert_eq!(request("2001:db8:0:2::1", "/", &["SQLI"]).decide(&policy, &state, START).code(), 200);
    let wide = self::policy(&json!({"site": {"agentLevel": "block", "ipv6Prefix": 128}}));
    let state = self::state();
    for number in 0..50 {
        request(&format!("2001:db8:0:1::{number:x}"), "/", &["SQLI"]).decide(&wide, &state, START);
    }
    assert!(state.flags(START).is_empty());
}

#[test]
fn block_alerts_and_log_alerts_do_not_compete() {
    let alert = |tag: &str, threshold: u32, action: &str| json!({"tagName": tag, "longName": tag, "interval": 1, "threshold": threshold, "enabled": true, "action": action, "blockDurationSeconds": 100});
    let policy = policy(&json!({"site": {"agentLevel": "block"}, "alerts": [
        alert("SQLI", 3, "flagged"), alert("SQLI", 2, "info"), alert("XSS", 2, "flagged"), alert("XSS", 1, "info")]}));
    let state = state();
    let flagged = |tag: &str, second: u64| -> Vec<(FlagKind, String)> {
        let decision = request(IP, "/", &[tag]).decide(&policy, &state, START + second * 1000);
        let flags = decision.events.iter().filter_map(|event| match event {
            Event::Flagged { flag, .. } => Some((flag.kind, flag.cause.to_string())),
            Event::Reached { .. } | Event::RateLimited { .. } => None,
        });
        flags.collect()
    };
    assert_eq!(flagged("SQLI", 0), []);
    assert_eq!(flagged("SQLI", 1), [(FlagKind::Log, "SQLI".to_owned())]);
    // A log flag is live: no other log alert has a say.
    assert_eq!(flagged("XSS", 2), []);
    assert_eq!(flagged("SQLI", 3), [(FlagKind::Block, "SQLI".to_owned())]);
    assert_eq!(flagged("XSS", 4), []);
    // Both are over.
    assert_eq!(flagged("XSS", 110), [(FlagKind::Log, "XSS".to_owned())]);
}

#[test]
fn a_restart_forgets_neither_flags_nor_counts() {
    let (policy, before) = (site("block"), state());
    for second in 0..49 {
        attack(&policy, &before, second);
    }
    let snapshot = before.export(START + 49_000);
    let after = state();
    after.import(&snapshot, START + 50_000).unwrap();
    // The fiftieth of the minute, thirty of them on the other side of the restart.
    let decision = request(IP, "/", &["SQLI"]).decide(&policy, &after, START + 50_000);
    assert_eq!(decision.events.iter().filter(|event| event.blocks()).count(), 1);
    assert_eq!(attack(&policy, &after, 51), 406);
    // A crash before the next snapshot: the journal has the flag.
    let journal: Vec<u8> =
        decision.events.iter().filter_map(Event::change).flat_map(|change| change.to_entry()).collect();
    let again = state();
    again.import(&snapshot, START + 52_000).unwrap();
    assert_eq!(again.replay(&Journal::read(&journal), START + 52_000), 1);
    assert_eq!(attack(&policy, &again, 53), 406);
}

fn limit(identifiers: Value, action: Value) -> Policy {
    policy(&json!({"site": {"agentLevel": "block"}, "rules": [{
        "id": "limit", "type": "rateLimit", "enabled": true, "reason": "logins", "signal": "site.login", "groupOperator": "all",
        "conditions": [{"type": "single", "field": "path", "operator": "equals", "value": "/login"}],
        "actions": [action],
        "rateLimit": {"threshold": 3, "interval": 1, "duration": 300, "clientIdentifiers": identifiers}}]}))
}

#[test]
fn a_rate_limit_answers_429_from_the_first_request_over_it_until_it_ends() {
    let policy = limit(json!([{"type": "ip"}]), json!({"type": "blockSignal", "signal": "site.login"}));
    let state = state();
    let code = |ip: &str, target: &str, second: u64| {
        request(ip, target, &[]).decide(&policy, &state, START + second * 1000).code()
    };
    let codes: Vec<_> = (0..5).map(|second| code(IP, "/login", second)).collect();
    assert_eq!(codes, [200, 200, 200, 429, 429]);
    assert_eq!((code(IP, "/other", 5), code("192.0.2.2", "/login", 5)), (200, 200));
    assert_eq!((code(IP, "/login", 302), code(IP, "/login", 303)), (429, 200));
    let decision = request(IP, "/login", &[]).decide(&policy, &state, START + 304_000);
    assert_eq!(decision.names().collect::<Vec<_>>(), ["site.login"]);
}

#[test]
fn a_slow_client_is_never_limited() {
    let policy = limit(json!([{"type": "ip"}]), json!({"type": "blockSignal"}));
    let state = state();
    for number in 0..200_u64 {
        let decision = request(IP, "/login", &[]).decide(&policy, &state, START + number * 24_000);
        assert_eq!(decision.code(), 200, "{number}");
    }
}

#[test]
fn a_limit_may_concern_other_requests_than_it_counts() {
    let all = limit(
        json!([{"type": "ip"}]),
        json!({"type": "blockSignal", "signal": "ALL-REQUESTS", "responseCode": 403}),
    );
    let attacks = limit(json!([{"type": "ip"}]), json!({"type": "blockSignal", "signal": "SQLI"}));
    for (policy, other, attack) in [(all, 403, 403), (attacks, 200, 429)] {
        let state = state();
        for second in 0..4 {
            request(IP, "/login", &[]).decide(&policy, &state, START + second);
        }
        assert_eq!(request(IP, "/other", &[]).decide(&policy, &state, START + 10).code(), other);
        assert_eq!(request(IP, "/other", &["SQLI"]).decide(&policy, &state, START + 10).code(), attack);
    }
}

#[test]
fn clients_are_told_apart_by_whatever_identifies_them() {
    let action = json!({"type": "blockSignal"});
    let form = json!({"Content-Type": "application/x-www-form-urlencoded"});
    for (identifier, one, other) in [
        (
            json!({"type": "requestHeader", "name": "X-Key"}),
            json!({"headers": {"x-key": "a"}}),
            json!({"headers": {"X-Key": "b"}}),
        ),
        (
            json!({"type": "requestCookie", "name": "sid"}),
            json!({"headers": {"Cookie": "x=1; sid=a"}}),
            json!({"headers": {"Cookie": "sid=b"}}),
        ),
        (
            json!({"type": "postParameter", "key": "user"}),
            json!({"headers": form, "body": "user=a"}),
            json!({"headers": form, "body": "user=b"}),
        ),
        (
            json!({"type": "signalPayload", "key": "SQLI"}),
            json!({"signals": [{"tag": "SQLI", "name": "q", "value": "a"}]}),
            json!({"signals": [{"tag": "SQLI", "name": "q", "value": "b"}]}),
        ),
    ] {
        let (policy, state) = (limit(json!([identifier]), action.clone()), state());
        let send = |given: &Value, ip: &str| {
            let mut given = given.clone();
            given["target"] = "/login".into();
            given["ip"] = ip.into();
            Given::new(&given).decide(&policy, &state, START).code()
        };
        // From four addresses: one client all the same.
        let codes: Vec<_> = (1..5).map(|host| send(&one, &format!("192.0.2.{host}"))).collect();
        assert_eq!(codes, [200, 200, 200, 429], "{identifier}");
        assert_eq!(send(&other, "192.0.2.1"), 200, "{identifier}");
        // Who is nobody is not counted.
        assert!((0..9).all(|_| send(&json!({}), "192.0.2.1") == 200), "{identifier}");
    }
    let (policy, state) =
        (limit(json!([{"type": "ip"}, {"type": "requestHeader", "name": "X-Key"}]), action), state());
    let send = |ip: &str, key: &str| {
        Given::new(&json!({"ip": ip, "target": "/login", "headers": {"X-Key": key}}))
            .decide(&policy, &state, START)
            .code()
    };
    assert_eq!([send(IP, "a"), send(IP, "a"), send(IP, "a"), send(IP, "a")], [200, 200, 200, 429]);
    assert_eq!((send(IP, "b"), send("192.0.2.2", "a")), (200, 200));
}

#[test]
fn failed_logins_are_limited_by_their_responses() {
    let policy = policy(&json!({"site": {"agentLevel": "block"}, "rules": [{
        "id": "limit", "type": "rateLimit", "signal": "site.failed", "groupOperator": "all",
        "conditions": [
            {"type": "single", "field": "path", "operator": "equals", "value": "/login"},
            {"type": "single", "field": "responseCode", "operator": "equals", "value": "401"}],
        "actions": [{"type": "blockSignal"}],
        "rateLimit": {"threshold": 3, "interval": 10, "duration": 300, "clientIdentifiers": [{"type": "ip"}]}}]}));
    let state = state();
    let login = |code: u16, target: &str| {
        Given::new(&json!({"ip": IP, "target": target, "response": {"code": code}}))
    };
    for second in 0..20 {
        login(200, "/login").respond(&policy, &state, START + second);
        login(401, "/other").respond(&policy, &state, START + second);
    }
    assert_eq!(login(0, "/login").decide(&policy, &state, START + 100).code(), 200);
    for second in 0..4 {
        login(401, "/login").respond(&policy, &state, START + 1000 * second);
    }
    assert_eq!(login(0, "/login").decide(&policy, &state, START + 5000).code(), 429);
    assert_eq!(login(0, "/other").decide(&policy, &state, START + 5000).code(), 200);
    assert_eq!(login(0, "/login").decide(&policy, &state, START + 303_000).code(), 200);
}

#[test]
fn an_explanation_names_what_decided_in_order() {
    let policy = limit(json!([{"type": "ip"}]), json!({"type": "blockSignal"}));
    let state = state();
    for _ in 0..3 {
        request(IP, "/login", &[]).decide(&policy, &state, START);
    }
    let decision = request(IP, "/login", &["SQLI"]).explain(&policy, &state, START);
    assert_eq!(
        decision.trail,
        [
            "signal SQLI (TEST)",
            "rule limit (logins): holds",
            "rule limit (logins): its rate limit is reached",
            "rule limit (logins): the client is over its rate limit",
            "threshold attacks: 1 of 50 within 60 s",
            "threshold attacks: 1 of 350 within 600 s",
            "threshold attacks: 1 of 1800 within 3600 s",
            "stopped: over the rate limit of rule limit",
        ]
    );
}
