//! What holds for any input.

use portcullis_policy::redact::{self, Redactions};
use portcullis_policy::{Journal, Policy, Source, State};
use proptest::prelude::*;
use serde_json::json;

use crate::common::{START, policy, state, vectors};

/// A policy with something of everything.
fn whole() -> String {
    let file = vectors("conditions.json");
    json!({
        "site": {"name": "shop", "agentLevel": "block", "attackThresholds": [{"interval": 1, "threshold": 5}]},
        "lists": file["lists"],
        "rules": [{"id": "r", "type": "request", "groupOperator": "any", "conditions": [
            {"type": "single", "field": "path", "operator": "matches", "value": "^/a[b-d]+"},
            {"type": "group", "groupOperator": "all", "conditions": [{"type": "single", "field": "ip", "operator": "inList", "value": "site.offices"}]}],
            "actions": [{"type": "block", "responseCode": 302, "redirectURL": "/no"}], "expiration": "2026-12-31T00:00:00Z"}],
        "alerts": [{"tagName": "SQLI", "longName": "many", "interval": 10, "threshold": 5, "action": "flagged", "enabled": true}],
        "redactions": {"totalCount": 1, "data": [{"field": "mother", "redactionType": 0}]},
        "blacklist": [{"source": "192.0.2.0/24", "expires": ""}],
        "configuredTemplates": [{"name": "LOGINATTEMPT", "detections": [{"enabled": true, "fields": [{"name": "path", "value": "/l*"}]}]}],
    })
    .to_string()
}

fn compiles_or_says_why(name: &str, text: &str) {
    if let Err(error) = Policy::compile(&[Source { name, text }]) {
        assert!(!error.problems.is_empty());
        for problem in &error.problems {
            assert!(problem.file == name && !problem.reason.is_empty(), "{problem}");
        }
    }
}

#[test]
fn a_policy_cut_anywhere_is_refused_with_a_place() {
    let text = whole();
    Policy::compile(&[Source { name: "policy.json", text: &text }]).unwrap();
    for end in 0..text.len() {
        let cut = Source { name: "policy.json", text: text.get(..end).unwrap() };
        let error = Policy::compile(&[cut]).unwrap_err();
        assert!(error.problems[0].line == 1 && error.problems[0].column >= 1);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_text_makes_the_reader_fail_otherwise_than_with_a_reason(text in ".{0,400}", bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let other = String::from_utf8_lossy(&bytes);
        for text in [&text[..], &other] {
            compiles_or_says_why("policy.json", text);
            compiles_or_says_why("policy.yaml", text);
        }
    }

    #[test]
    fn no_change_to_a_policy_makes_it_fail_otherwise(at in any::<prop::sample::Index>(), with in "[\\[\\]{}\",:a-zA-Z0-9*\\\\ -]{0,3}", length in 0..12_usize) {
        let text = whole();
        let at = at.index(text.len());
        let changed = format!("{}{with}{}", &text[..at], text.get(at + length..).unwrap_or_default());
        compiles_or_says_why("policy.json", &changed);
        compiles_or_says_why("policy.yaml", &changed);
    }

    #[test]
    fn no_bytes_make_a_snapshot_or_journal_that_was_never_written(bytes in prop::collection::vec(any::<u8>(), 0..300), head in any::<bool>()) {
        let mut bytes = bytes;
        if head {
            bytes.splice(0..0, *b"PCSTATE\x01");
        }
        let state: State = state();
        prop_assert!(state.import(&bytes, START).is_err());
        let journal = Journal::read(&bytes);
        prop_assert!(journal.changes.is_empty() && journal.torn == bytes.len());
    }

    #[test]
    fn a_secret_shows_in_nothing_that_may_be_shown(
        secret in "[A-Za-z0-9]{12,24}",
        before in "[a-z]{0,5}", after in "[ ,;&]?[a-z]{0,5}",
        name in prop::sample::select(vec!["password", "user[pin]", "access_token", "mother", "account.mother", "Card-Number", "apiKey"]),
    ) {
        let own: Policy = policy(&json!({"redactions": [{"field": "mother", "redactionType": 0},
            {"field": "X-Mother", "redactionType": 1}, {"field": "X-Father", "redactionType": 2}]}));
        let redactions: &Redactions = own.redactions();
        prop_assert!(redactions.is_secret(name.as_bytes()), "{}", name);
        for header in ["Authorization", "Cookie", "Set-Cookie", "X-Auth-Token", "My-Session", "X-Api-Key", "A-Secret"] {
            let request = redactions.request_header(header.as_bytes(), secret.as_bytes());
            let response = redactions.response_header(header.as_bytes(), secret.as_bytes());
            prop_assert!(!request.contains(&secret) && !response.contains(&secret), "{}", header);
        }
        prop_assert!(!redactions.request_header(b"x-mother", secret.as_bytes()).contains(&secret));
        prop_assert!(!redactions.response_header(b"x-father", secret.as_bytes()).contains(&secret));
        for header in ["Referer", "Location"] {
            let url = format!("https://shop.example/{before}?{name}={secret}#{secret}");
            prop_assert!(!redactions.request_header(header.as_bytes(), url.as_bytes()).contains(&secret));
        }
        for text in [
            format!("{before} password={secret}{after}"),
            format!("{{\"token\":\"{secret}\"}}{after}"),
            format!("{before} Bearer {secret}{after}"),
            format!("{before} eyJ{secret}.{secret}.{secret}{after}"),
        ] {
            prop_assert!(!redact::text(text.as_bytes()).contains(&secret), "{}", text);
        }
    }

    #[test]
    fn a_card_number_shows_in_nothing(digits in prop::collection::vec(0..10_u32, 15), separator in prop::sample::select(vec!["", " ", "-"]), before in "[a-z ]{0,5}") {
        let mut digits = digits;
        digits[0] = 4;
        let sum: u32 = digits.iter().rev().enumerate().map(|(at, digit)| {
            let doubled = if at % 2 == 0 { digit * 2 } else { *digit };
            if doubled > 9 { doubled - 9 } else { doubled }
        }).sum();
        digits.push((10 - sum % 10) % 10);
        let groups: Vec<String> = digits.chunks(4).map(|group| group.iter().map(ToString::to_string).collect()).collect();
        let number = groups.join(separator);
        let text = format!("{before} {number}.");
        prop_assert!(!redact::text(text.as_bytes()).contains(&number), "{}", text);
    }
}
