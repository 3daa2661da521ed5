//! What follows where a rule holds: every action, and which one of several has its way.

use portcullis_policy::{Action, Cause, Decision, HeaderEdit, Logging};
use serde_json::{Value, json};

use crate::common::{Given, START, policy, refusal, request, state};

const IP: &str = "192.0.2.1";

fn on_path(id: &str, path: &str, action: Value) -> Value {
    json!({
        "id": id, "type": "request", "enabled": true, "reason": "", "groupOperator": "all",
        "conditions": [{"type": "single", "field": "path", "operator": "equals", "value": path}],
        "actions": [action],
    })
}

fn with_rules(mode: &str, rules: Value) -> Value {
    json!({"site": {"agentLevel": mode}, "rules": rules})
}

fn decide(document: &Value, target: &str, tags: &[&str]) -> Decision {
    request(IP, target, tags).decide(&policy(document), &state(), START)
}

fn one(mode: &str, action: Value) -> Decision {
    decide(&with_rules(mode, json!([on_path("r", "/x", action)])), "/x", &[])
}

#[test]
fn block_answers_with_the_rules_code_or_the_sites() {
    assert_eq!(one("block", json!({"type": "block"})).code(), 406);
    assert_eq!(one("block", json!({"type": "block", "responseCode": 451})).code(), 451);
    let redirect = one("block", json!({"type": "block", "responseCode": 302, "redirectURL": "/no"}));
    assert_eq!((redirect.code(), redirect.location()), (302, Some("/no")));
    assert_eq!(redirect.cause, Some(Cause::Rule { rule: "r".into() }));
    let site = json!({"site": {"agentLevel": "block", "blockHTTPCode": 403}, "rules": [on_path("r", "/x", json!({"type": "block"}))]});
    assert_eq!(decide(&site, "/x", &[]).code(), 403);
    assert_eq!(decide(&site, "/y", &[]).code(), 200);
}

#[test]
fn nothing_is_blocked_while_the_mode_is_to_log() {
    for action in ["block", "deception", "browserChallenge", "verifyToken"] {
        let decision = one("log", json!({"type": action}));
        assert_eq!((decision.code(), &decision.page), (200, &None), "{action}");
        assert!(decision.would.is_some() && decision.cause.is_some(), "{action}");
    }
    assert_eq!(one("off", json!({"type": "block"})), Decision::unwatched());
}

#[test]
fn a_signal_that_lets_pass_is_not_had_by_writing_the_path_in_another_way() {
    let like = |id: &str, path: &str, action: Value| {
        json!({
            "id": id, "type": "request", "actions": [action],
            "conditions": [{"type": "single", "field": "path", "operator": "like", "value": path}],
        })
    };
    let asks = |id: &str, signal: &str, action: Value| {
        json!({
            "id": id, "type": "request", "actions": [action],
            "conditions": [{"type": "multival", "field": "signal", "operator": "exists", "conditions": [
                {"type": "single", "field": "signalType", "operator": "equals", "value": signal}]}],
        })
    };
    let add = |signal: &str| json!({"type": "addSignal", "signal": signal});
    let document = with_rules(
        "block",
        json!([
            like("a", "/health/*", add("site.probe")),
            asks("b", "site.probe", add("site.known")),
            asks("c", "site.known", json!({"type": "allow"})),
            like("d", "/admin/*", add("site.inner")),
            asks("e", "site.inner", json!({"type": "block"})),
        ]),
    );
    let code = |target: &str| decide(&document, target, &[]).cause.map(|cause| cause.to_string());
    assert_eq!(code("/health/x").as_deref(), Some("rule c allows it"));
    assert_eq!(code("/health/../admin/x").as_deref(), Some("rule e stops it"));
    assert_eq!(code("/%61dmin/x").as_deref(), Some("rule e stops it"));
}

#[test]
fn a_list_of_signals_has_them_by_whichever_name() {
    for name in ["site.mark", "workspace.mark", "Site.mark"] {
        let document = json!({
            "site": {"agentLevel": "block"},
            "lists": [{"name": "marks", "type": "signal", "entries": [name]}],
            "rules": [
                on_path("a", "/x", json!({"type": "addSignal", "signal": "site.mark"})),
                {"id": "b", "type": "request", "actions": [{"type": "block"}],
                    "conditions": [{"type": "multival", "field": "signal", "operator": "exists", "conditions": [
                        {"type": "single", "field": "signalType", "operator": "inList", "value": "site.marks"}]}]},
            ],
        });
        assert_eq!(decide(&document, "/x", &[]).code(), 406, "{name}");
    }
}

#[test]
fn signals_are_added_for_later_rules_to_see() {
    let sees = json!({
        "id": "b", "type": "request", "conditions": [{"type": "multival", "field": "signal", "operator": "exists",
            "conditions": [{"type": "single", "field": "signalType", "operator": "equals", "value": "site.mark"}]}],
        "actions": [{"type": "block"}],
    });
    // The rule that adds may stand behind the one that asks.
    let document = with_rules(
        "block",
        json!([sees, on_path("a", "/x", json!({"type": "addSignal", "signal": "site.mark"}))]),
    );
    let decision = decide(&document, "/x", &["SQLI"]);
    assert_eq!(decision.names().collect::<Vec<_>>(), ["SQLI", "site.mark", "BLOCKED"]);
    assert_eq!(&*decision.added[0].detector, "a");
    assert_eq!(decide(&document, "/y", &[]).code(), 200);
}

#[test]
fn an_excluded_signal_is_as_if_it_were_not_found() {
    let exclusion = |conditions: Value| {
        json!({"site": {"agentLevel": "block", "immediateBlock": true}, "rules": [{
            "id": "e", "type": "signal", "signal": "SQLI", "groupOperator": "all", "conditions": conditions,
            "actions": [{"type": "excludeSignal"}]}]})
    };
    let by_name = exclusion(json!([
        {"type": "single", "field": "path", "operator": "equals", "value": "/x"},
        {"type": "single", "field": "paramname", "operator": "equals", "value": "q"},
    ]));
    let decision = decide(&by_name, "/x", &["SQLI", "NOUA"]);
    assert_eq!((decision.code(), &decision.excluded[..]), (200, &[0][..]));
    assert_eq!(decision.names().collect::<Vec<_>>(), ["NOUA"]);
    assert_eq!(decide(&by_name, "/y", &["SQLI"]).code(), 406);
    assert_eq!(decide(&by_name, "/x", &["XSS"]).code(), 406);
    let other =
        exclusion(json!([{"type": "single", "field": "paramname", "operator": "equals", "value": "p"}]));
    assert_eq!(decide(&other, "/x", &["SQLI"]).code(), 406);
    let by_value =
        exclusion(json!([{"type": "single", "field": "paramvalue", "operator": "like", "value": "v*"}]));
    assert_eq!(decide(&by_value, "/x", &["SQLI"]).code(), 200);
}

#[test]
fn allow_beats_block_and_the_corporation_beats_the_site() {
    let allow = on_path("a", "/x", json!({"type": "allow"}));
    let block = on_path("b", "/x", json!({"type": "block", "responseCode": 451}));
    let both = with_rules("block", json!([block, allow]));
    let decision = decide(&both, "/x", &["SQLI"]);
    assert_eq!((decision.code(), decision.cause), (200, Some(Cause::AllowRule { rule: "a".into() })));
    let corp = json!({"site": {"agentLevel": "block"}, "rules": [block],
        "corpRules": [on_path("c", "/x", json!({"type": "block", "responseCode": 403}))]});
    assert_eq!(decide(&corp, "/x", &[]).code(), 403);
    let outvoted = json!({"site": {"agentLevel": "block"}, "rules": [allow],
        "corpRules": [on_path("c", "/x", json!({"type": "block"}))]});
    assert_eq!(decide(&outvoted, "/x", &[]).code(), 200);
}

#[test]
fn a_rule_of_the_corporation_is_for_the_sites_it_names() {
    let document = |scope: &str, sites: Value| {
        let mut rule = on_path("c", "/x", json!({"type": "block"}));
        rule["corpScope"] = scope.into();
        rule["siteNames"] = sites;
        json!({"site": {"name": "shop", "agentLevel": "block"}, "corpRules": [rule]})
    };
    assert_eq!(decide(&document("global", json!([])), "/x", &[]).code(), 406);
    assert_eq!(decide(&document("specificSites", json!(["shop"])), "/x", &[]).code(), 406);
    assert_eq!(decide(&document("specificSites", json!(["blog"])), "/x", &[]).code(), 200);
}

#[test]
fn lists_of_addresses_come_before_everything_but_allowance() {
    let document = json!({
        "site": {"agentLevel": "block", "immediateBlock": true},
        "whitelist": [{"source": "192.0.2.0/24", "note": "office"}],
        "blacklist": [{"source": "203.0.113.0/24", "note": "", "expires": "2026-09-21T14:14:20Z"}],
    });
    let policy = policy(&document);
    let code = |ip: &str, tags: &[&str], at: u64| request(ip, "/", tags).decide(&policy, &state(), at).code();
    assert_eq!(code("192.0.2.7", &["SQLI"], START), 200);
    assert_eq!(code("203.0.113.1", &[], START), 406);
    assert_eq!(code("203.0.113.1", &[], START + 59_999), 406);
    assert_eq!(code("203.0.113.1", &[], START + 60_000), 200);
    assert_eq!(code("198.51.100.1", &[], START), 200);
}

#[test]
fn a_disabled_or_expired_rule_does_nothing() {
    let mut rule = on_path("r", "/x", json!({"type": "block"}));
    rule["expiration"] = "2026-09-21T14:14:20Z".into();
    let document = policy(&with_rules("block", json!([rule])));
    let code = |at| request(IP, "/x", &[]).decide(&document, &state(), at).code();
    assert_eq!((code(START + 59_999), code(START + 60_000)), (406, 200));
    let mut rule = on_path("r", "/x", json!({"type": "block"}));
    rule["enabled"] = false.into();
    assert_eq!(decide(&with_rules("block", json!([rule])), "/x", &[]).code(), 200);
}

#[test]
fn rules_choose_what_is_written_down_and_sent_along() {
    assert_eq!(one("log", json!({"type": "logRequest"})).logging, Logging::Always);
    let mut rule = on_path("r", "/x", json!({"type": "addSignal", "signal": "site.quiet"}));
    rule["requestlogging"] = "none".into();
    assert_eq!(decide(&with_rules("log", json!([rule])), "/x", &[]).logging, Logging::Never);
    let set = one("log", json!({"type": "setResponseHeader", "header": "X-Frame-Options", "value": "DENY"}));
    assert_eq!(set.headers, [HeaderEdit::Set("X-Frame-Options".into(), "DENY".into())]);
    let add = one("log", json!({"type": "addResponseHeader", "header": "Vary", "value": "Origin"}));
    assert_eq!(add.headers, [HeaderEdit::Add("Vary".into(), "Origin".into())]);
    let delete = one("log", json!({"type": "deleteResponseHeader", "header": "Server"}));
    assert_eq!(delete.headers, [HeaderEdit::Delete("Server".into())]);
}

#[test]
fn deception_looks_like_a_failed_login() {
    let decision = one("block", json!({"type": "deception", "deceptionType": "invalid_login_response"}));
    assert_eq!(decision.code(), 401);
    let page = decision.page.clone().unwrap();
    assert!(String::from_utf8(page.body).unwrap().contains("incorrect"));
    assert!(decision.names().any(|name| name == "DECEPTION"));
}

#[test]
fn a_challenge_is_a_page_and_a_token_is_verified() {
    for kind in ["browserChallenge", "dynamicChallenge"] {
        let decision = one("block", json!({"type": kind, "allowInteractive": true}));
        let page = decision.page.clone().unwrap();
        assert_eq!((decision.code(), page.content_type), (403, "text/html; charset=utf-8"));
        assert!(decision.names().any(|name| name == "CHALLENGED"));
    }
    let verify = with_rules("block", json!([on_path("r", "/x", json!({"type": "verifyToken"}))]));
    let given = |cookie: &str| Given::new(&json!({"ip": IP, "target": "/x", "headers": {"Cookie": cookie}}));
    let decide = |cookie: &str| given(cookie).decide(&policy(&verify), &state(), START);
    assert_eq!(decide("a=b").code(), 406);
    let forged = decide("portcullis_challenge=1.2.3.4");
    assert_eq!(forged.code(), 406);
    assert!(forged.names().any(|name| name == "CHALLENGE-TOKEN-INVALID"));
}

#[test]
fn a_signal_can_be_blocked_whenever_it_comes() {
    let alert = json!({"tagName": "XXE", "longName": "no XXE", "action": "blockImmediate", "enabled": true, "interval": 1, "threshold": 0});
    let document = json!({"site": {"agentLevel": "block"}, "alerts": [alert]});
    assert_eq!(decide(&document, "/", &["XXE"]).code(), 406);
    assert_eq!(decide(&document, "/", &["SQLI"]).code(), 200);
}

#[test]
fn a_virtual_patch_marks_or_blocks() {
    let document = |mode: &str| json!({"site": {"agentLevel": "block"}, "virtual_patches": [{"id": "CVE-2021-44228", "enabled": true, "mode": mode}]});
    assert_eq!(policy(&document("log")).patches().collect::<Vec<_>>(), ["CVE-2021-44228"]);
    let marked = decide(&document("log"), "/", &["CVE-2021-44228"]);
    assert_eq!(
        (marked.code(), marked.names().collect::<Vec<_>>()),
        (200, vec!["VIRTUAL-PATCH", "CVE-2021-44228"])
    );
    assert_eq!(decide(&document("block"), "/", &["CVE-2021-44228"]).code(), 406);
    let template = json!({"site": {"agentLevel": "block"}, "configuredTemplates": {"totalCount": 1, "data": [{
        "name": "CVE-2017-5638", "detections": [{"id": "1", "name": "CVE-2017-5638", "enabled": true, "fields": []}],
        "alerts": [{"id": "2", "longName": "patch", "interval": 1, "threshold": 1, "enabled": true, "action": "blockImmediate"}]}]}});
    assert_eq!(policy(&template).patches().collect::<Vec<_>>(), ["CVE-2017-5638"]);
    assert_eq!(decide(&template, "/", &["CVE-2017-5638"]).code(), 406);
}

#[test]
fn templates_name_what_requests_and_responses_are() {
    let document = json!({"site": {"agentLevel": "block"}, "configuredTemplates": [
        {"name": "LOGINATTEMPT", "detections": [{"enabled": true, "fields": [{"name": "path", "value": "/login/*"}, {"name": "method", "value": "POST"}]}]},
        {"name": "LOGINFAILURE", "detections": [{"enabled": true, "fields": [
            {"name": "path", "value": "/login/*"}, {"name": "responseCode", "value": "40?"}, {"name": "responseHeader", "value": "X-Login=fail*"}]}]},
    ]});
    let policy = policy(&document);
    let login = |code: u16, header: &str| {
        Given::new(
            &json!({"ip": IP, "method": "POST", "target": "/login/x", "response": {"code": code, "headers": {"x-login": header}}}),
        )
    };
    let names = |decision: Decision| decision.names().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(names(login(200, "").decide(&policy, &state(), START)), ["LOGINATTEMPT"]);
    let respond = |code, header| names(login(code, header).respond(&policy, &state(), START).unwrap());
    assert_eq!(respond(401, "failed"), ["HTTP4XX", "LOGINFAILURE"]);
    assert_eq!(respond(401, "ok"), ["HTTP4XX"]);
    assert_eq!(respond(200, "failed"), [""; 0]);
}

#[test]
fn a_response_can_be_stopped_by_whoever_still_holds_it() {
    let rule = json!({"id": "r", "type": "request", "groupOperator": "all", "actions": [{"type": "block", "responseCode": 502}], "conditions": [
        {"type": "single", "field": "path", "operator": "like", "value": "/api/*"},
        {"type": "multival", "field": "responseHeader", "operator": "exists", "conditions": [{"type": "single", "field": "name", "operator": "equals", "value": "X-Debug"}]}]});
    let policy = policy(&with_rules("block", json!([rule])));
    let given = |target: &str| {
        Given::new(
            &json!({"ip": IP, "target": target, "response": {"code": 200, "headers": {"x-debug": "1"}}}),
        )
    };
    let stopped = given("/api/x").respond(&policy, &state(), START).unwrap();
    assert!(matches!(stopped.action, Action::Block { code } if code.get() == 502));
    assert_eq!(given("/x").respond(&policy, &state(), START).unwrap().code(), 200);
}

#[test]
fn names_the_rule_and_field_of_everything_that_is_wrong() {
    let mut rule = on_path("r-1", "/x", json!({"type": "addSignal", "signal": "SQLLI"}));
    rule["reason"] = "typo".into();
    rule["conditions"][0]["operator"] = "equal".into();
    rule["colour"] = "red".into();
    let told = refusal(&with_rules("block", json!([rule])));
    for expected in [
        "rule r-1 (typo): rules[0].actions[0].signal: there is no signal called \"SQLLI\"",
        "rule r-1 (typo): rules[0].conditions[0].operator: \"equal\" is no operator; known are equals",
        "rule r-1 (typo): rules[0].colour: this key does not exist",
    ] {
        assert!(told.contains(expected), "{expected}\n{told}");
    }
    let block = || on_path("r", "/x", json!({"type": "block"}));
    assert!(refusal(&with_rules("log", json!([block(), block()]))).contains("another rule has the same id"));
    for (action, expected) in [
        (json!({"type": "block", "responseCode": 200}), "200 is not 301, 302 or 400 to 599"),
        (json!({"type": "block", "responseCode": 302}), "302 needs a redirect URL"),
        (json!({"type": "excludeSignal"}), "a rule of type Request has no such action"),
        (json!({"type": "addSignal"}), "needs a signal"),
        (
            json!({"type": "setResponseHeader", "header": "a b", "value": ""}),
            "by a name that headers can have",
        ),
        (json!({"type": "setResponseHeader", "header": "a", "value": "x\r\ny"}), "printable ASCII"),
    ] {
        let told = refusal(&with_rules("log", json!([on_path("r", "/x", action)])));
        assert!(told.contains(expected), "{expected}\n{told}");
    }
}
