use portcullis_detect::{Location, Request, Signal, Signals, Tag};

use super::*;
use crate::{Action, Blocking, Cause, Decision, Facts, FollowUp, Secret, State, StateLimits};

fn policy(text: &str) -> Policy {
    Policy::from_json("policy.json", text).unwrap()
}

fn refusal(text: &str) -> String {
    Policy::from_json("policy.json", text).unwrap_err().to_string()
}

fn signals(tags: &[Tag]) -> Signals {
    let signal = |(index, tag): (usize, &Tag)| Signal {
        tag: *tag,
        location: Location::QueryString,
        name: vec![u8::try_from(index).unwrap()],
        value: Vec::new(),
        span: 0..0,
        detector: "TEST",
    };
    tags.iter().enumerate().map(signal).collect()
}

fn state() -> State {
    State::new(StateLimits::default(), &Secret::new(b"test"))
}

fn decide(policy: &Policy, tags: &[Tag]) -> Decision {
    let request = Request::default();
    let (facts, signals, state) = (Facts::new(&request, Some([192, 0, 2, 1].into())), signals(tags), state());
    policy.decide(&facts, &signals, state.at(NOW))
}

const NOW: u64 = 1_790_000_000_000;
const BLOCK: &str = r#"{"site": {"agentLevel": "block", "immediateBlock": true}}"#;

#[test]
fn an_empty_policy_watches_only() {
    for text in ["{}", r#"{"site": {}}"#, r#"{"site": {"agentLevel": "log", "immediateBlock": true}}"#] {
        let policy = policy(text);
        assert!(policy.inspects());
        assert_eq!(policy.site.mode, AgentMode::Log);
    }
    assert_eq!(policy("{}").site, Policy::default().site);
}

#[test]
fn blocks_an_attack_at_once_where_told_to() {
    let decision = decide(&policy(BLOCK), &[Tag::Sqli]);
    assert_eq!(decision.action, Action::Block { code: Default::default() });
    assert_eq!((decision.code(), decision.location(), decision.follow_up), (406, None, FollowUp::Always));
    assert_eq!(decision.names().collect::<Vec<_>>(), ["SQLI", "BLOCKED"]);
    assert_eq!(decision.cause, Some(Cause::Immediate { signal: "SQLI".into() }));
}

#[test]
fn lets_an_attack_pass_in_log_mode_and_without_immediate_blocking() {
    for text in
        [r#"{"site": {"agentLevel": "log", "immediateBlock": true}}"#, r#"{"site": {"agentLevel": "block"}}"#]
    {
        let decision = decide(&policy(text), &[Tag::Sqli]);
        assert_eq!((&decision.action, decision.follow_up), (&Action::Allow, FollowUp::Always));
        assert_eq!(decision.tags, [Tag::Sqli]);
    }
}

#[test]
fn says_nothing_about_anything_when_off() {
    let policy = policy(r#"{"site": {"agentLevel": "off", "immediateBlock": true}}"#);
    assert!(!policy.inspects());
    assert_eq!(decide(&policy, &[Tag::Sqli]), Decision::unwatched());
}

#[test]
fn an_anomaly_alone_never_blocks() {
    let decision = decide(&policy(BLOCK), &[Tag::NoUa, Tag::Http404]);
    assert_eq!((decision.code(), decision.follow_up), (200, FollowUp::Always));
}

#[test]
fn the_answer_to_a_block_is_a_status_or_a_redirect() {
    let with = |keys: &str| {
        policy(&format!(r#"{{"site": {{"agentLevel": "block", "immediateBlock": true{keys}}}}}"#))
    };
    let answer = |keys: &str| {
        let decision = decide(&with(keys), &[Tag::Sqli]);
        (decision.code(), decision.location().map(str::to_owned))
    };
    assert_eq!(answer(""), (406, None));
    assert_eq!(answer(r#", "blockHTTPCode": 403"#), (403, None));
    assert_eq!(answer(r#", "blockHTTPCode": 302, "blockRedirectURL": "/no""#), (302, Some("/no".into())));
    assert_eq!(answer(r#", "blockHTTPCode": 403, "blockRedirectURL": """#), (403, None));
}

#[test]
fn reads_the_workspace_of_the_newer_interface() {
    let policy = policy(
        r#"{"workspace": {"name": "shop", "mode": "block", "ip_anonymization": "hashed",
            "attack_signal_thresholds": {"immediate": false, "one_minute": 1, "ten_minutes": 60, "one_hour": 100},
            "client_ip_headers": ["X-Real-IP"], "default_blocking_response_code": 403, "default_redirect_url": ""}}"#,
    );
    assert_eq!((policy.site.mode, policy.site.blocking), (AgentMode::Block, Blocking::OnceFlagged));
    assert_eq!(policy.site.attack_thresholds.map(|threshold| threshold.threshold), [1, 60, 100]);
    assert!(policy.site.anonymize);
    assert_eq!(policy.site.client_headers, ["X-Real-IP"]);
}

#[test]
fn names_everything_that_is_wrong_and_where() {
    let text = "{\n  \"site\": {\"agentLevel\": \"maybe\",\n    \"blockHTTPCode\": 200,\n    \"colour\": 1},\n  \"sight\": {}\n}";
    assert_eq!(
        refusal(text),
        "policy.json:2:26: site.agentLevel: \"maybe\" is no mode; known are block, log, off\n\
         policy.json:3:22: site.blockHTTPCode: 200 is not 301, 302 or 400 to 599\n\
         policy.json:4:5: site.colour: this key does not exist\n\
         policy.json:5:3: sight: this key does not exist"
    );
}

#[test]
fn files_may_not_say_the_same_thing_twice() {
    let sources = [
        Source { name: "a.json", text: r#"{"site": {}}"# },
        Source { name: "b.yaml", text: "workspace:\n  mode: log\n" },
    ];
    let refusal = Policy::compile(&sources).unwrap_err().to_string();
    assert_eq!(refusal, "b.yaml:2:3: workspace: the site is described twice");
}

#[test]
fn a_reply_of_the_console_is_a_section_by_its_files_name() {
    let sources = [Source {
        name: "policy/blacklist.json",
        text: r#"{"totalCount": 1, "data": [{"id": "1", "source": "192.0.2.0/24", "note": "", "expires": "",
            "createdBy": "a", "created": "2026-01-01T00:00:00Z"}]}"#,
    }];
    let policy = Policy::compile(&sources).unwrap();
    assert_eq!(policy.block.len(), 1);
}
