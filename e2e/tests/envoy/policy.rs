//! What policies do to requests through the real filter, in a real Envoy, with the real agent.

use portcullis_e2e::client::Ask;
use portcullis_e2e::samples;

use crate::setup::{PATIENT, Path};
use crate::verdicts::values;

#[tokio::test]
async fn the_attacks_of_a_flagged_address_are_stopped_and_nothing_else() {
    let policy =
        r#"{"site": {"agentLevel": "block", "attackThresholds": [{"interval": 1, "threshold": 3}]}}"#;
    let path = Path::with_policy(policy, &[PATIENT]).await;
    for attack in ["first", "second", "third"] {
        assert_eq!(path.send(samples::attack(attack).ask).await.status, 200);
        assert_eq!(path.app.seen(attack), 1);
    }
    assert_eq!(path.send(samples::attack("fourth").ask).await.status, 406);
    assert_eq!(path.app.seen("fourth"), 0);
    let report = path.send(browsing("/hello")).await.report().unwrap();
    assert_eq!(values(&report, "x-sigsci-tags"), ["SITE-FLAGGED-IP"]);
}

#[tokio::test]
async fn a_rate_limit_answers_429_and_tags_what_it_counts() {
    let policy = r#"{"site": {"agentLevel": "block"}, "rules": [{
        "type": "rateLimit", "reason": "logins", "signal": "site.login", "enabled": true, "groupOperator": "all",
        "conditions": [{"type": "single", "field": "path", "operator": "equals", "value": "/login"}],
        "rateLimit": {"threshold": 2, "interval": 1, "duration": 300, "clientIdentifiers": [{"type": "ip"}]},
        "actions": [{"type": "blockSignal", "signal": "site.login"}]}]}"#;
    let path = Path::with_policy(policy, &[PATIENT]).await;
    let report = path.send(browsing("/login")).await.report().unwrap();
    assert_eq!(values(&report, "x-sigsci-tags"), ["SITE.LOGIN"]);
    assert_eq!(path.send(Ask::get("/login")).await.status, 200);
    assert_eq!(path.send(Ask::get("/login")).await.status, 429);
    assert_eq!(path.send(Ask::get("/elsewhere")).await.status, 200);
}

#[tokio::test]
async fn a_rule_tags_requests_and_stops_with_its_own_status() {
    let policy = r#"{"site": {"agentLevel": "block"}, "rules": [
        {"type": "request", "reason": "scrapers", "enabled": true, "groupOperator": "all",
         "conditions": [{"type": "single", "field": "path", "operator": "like", "value": "/catalogue*"}],
         "actions": [{"type": "addSignal", "signal": "site.scraper"}]},
        {"type": "request", "reason": "closed", "enabled": true, "groupOperator": "all",
         "conditions": [{"type": "single", "field": "path", "operator": "equals", "value": "/closed"}],
         "actions": [{"type": "block", "responseCode": 451}]}]}"#;
    let path = Path::with_policy(policy, &[PATIENT]).await;
    let report = path.send(browsing("/catalogue/1")).await.report().unwrap();
    assert_eq!(values(&report, "x-sigsci-tags"), ["SITE.SCRAPER"]);
    assert_eq!(path.send(Ask::get("/closed")).await.status, 451);
}

#[tokio::test]
async fn a_rule_stops_a_response_before_the_client_sees_it() {
    let policy = r#"{"site": {"agentLevel": "block"}, "rules": [
        {"type": "request", "reason": "leaks", "enabled": true, "groupOperator": "all",
         "conditions": [{"type": "single", "field": "path", "operator": "like", "value": "/status/*"},
                        {"type": "single", "field": "responseCode", "operator": "equals", "value": "500"}],
         "actions": [{"type": "block", "responseCode": 451}]}]}"#;
    for mode in ["ask-always", "local-first"] {
        let mode = format!("\"mode\": \"{mode}\"");
        let path = Path::with_policy(policy, &[PATIENT, (r#""mode": "ask-always""#, &mode)]).await;
        let stopped = path.send(Ask::get("/status/500").header("x-demo-id", "stopped")).await;
        assert_eq!(stopped.status, 451, "{mode}");
        assert!(!String::from_utf8_lossy(&stopped.body).contains("target"), "{mode}: the application's body");
        assert_eq!(path.app.seen("stopped"), 1);
        assert_eq!(path.send(Ask::get("/status/503")).await.status, 503);
        assert_eq!(path.send(Ask::get("/elsewhere")).await.status, 200);
        path.counts("portcullis_responses_block_total", &[], 1.0).await;
    }
}

/// Without a user agent a request has a signal of its own.
fn browsing(path: &str) -> Ask {
    Ask::get(path).header("user-agent", "a browser of some kind")
}
