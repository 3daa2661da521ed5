use portcullis_detect::{Location, Signal, Signals, Tag};

use super::*;

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

const BLOCK: &str = r#"{"site": {"agentLevel": "block", "immediateBlock": true}}"#;

#[test]
fn an_empty_policy_watches_only() {
    for text in ["{}", r#"{"site": {}}"#, r#"{"site": {"agentLevel": "log", "immediateBlock": true}}"#] {
        let policy = policy(text);
        assert!(policy.inspects());
        assert_eq!(policy.site.mode, AgentMode::Log);
    }
    assert_eq!(policy("{}"), Policy::default());
}

#[test]
fn blocks_an_attack_at_once_where_told_to() {
    let verdict = policy(BLOCK).decide(&signals(&[Tag::Sqli]));
    assert_eq!(verdict.action, Action::Block { code: Default::default() });
    assert_eq!((verdict.code(), verdict.location(), verdict.follow_up), (406, None, FollowUp::Always));
    assert_eq!(verdict.tags, [Tag::Sqli]);
}

#[test]
fn lets_an_attack_pass_in_log_mode_and_without_immediate_blocking() {
    for text in
        [r#"{"site": {"agentLevel": "log", "immediateBlock": true}}"#, r#"{"site": {"agentLevel": "block"}}"#]
    {
        let verdict = policy(text).decide(&signals(&[Tag::Sqli]));
        assert_eq!((verdict.action, verdict.follow_up), (Action::Allow, FollowUp::Always));
        assert_eq!(verdict.tags, [Tag::Sqli]);
    }
}

#[test]
fn says_nothing_about_anything_when_off() {
    let policy = policy(r#"{"site": {"agentLevel": "off", "immediateBlock": true}}"#);
    assert!(!policy.inspects());
    assert_eq!(policy.decide(&signals(&[Tag::Sqli])), Verdict::unwatched());
}

#[test]
fn does_not_block_for_anomalies() {
    let verdict = policy(BLOCK).decide(&signals(&[Tag::NoUa, Tag::InspectionLimit, Tag::Http404]));
    assert_eq!((verdict.action, verdict.follow_up), (Action::Allow, FollowUp::Always));
}

#[test]
fn wants_no_report_of_a_clean_request() {
    let verdict = policy(BLOCK).decide(&signals(&[]));
    assert_eq!(verdict, Verdict { action: Action::Allow, tags: vec![], follow_up: FollowUp::IfAnomalous });
    assert_eq!(verdict.code(), 200);
}

#[test]
fn names_each_tag_once() {
    let verdict = policy(BLOCK).decide(&signals(&[Tag::Xss, Tag::NoUa, Tag::Sqli, Tag::Xss]));
    assert_eq!(verdict.tags, [Tag::Sqli, Tag::Xss, Tag::NoUa]);
}

#[test]
fn answers_with_the_chosen_status_or_redirect() {
    let attack = signals(&[Tag::Sqli]);
    for code in [400, 406, 429, 503, 599] {
        let text =
            format!(r#"{{"site": {{"agentLevel":"block","immediateBlock":true,"blockHTTPCode":{code}}}}}"#);
        assert_eq!(policy(&text).decide(&attack).code(), code);
    }
    for code in [301, 302] {
        let text = format!(
            r#"{{"site": {{"agentLevel":"block","immediateBlock":true,"blockHTTPCode":{code},"blockRedirectURL":"/no"}}}}"#
        );
        let verdict = policy(&text).decide(&attack);
        assert_eq!((verdict.code(), verdict.location()), (code, Some("/no")));
    }
    let none = policy(r#"{"site": {"blockHTTPCode": 403, "blockRedirectURL": ""}}"#);
    assert_eq!(none.site.block_action(), Action::Block { code: crate::BlockCode::try_from(403).unwrap() });
}

#[test]
fn refuses_what_it_does_not_understand_and_says_where() {
    let cases = [
        ("", "policy.json:1:0: EOF while parsing a value"),
        (
            "{\n  \"site\": {\"agentLevel\": \"deny\"}\n}",
            "policy.json:2:31: site.agentLevel: unknown variant `deny`",
        ),
        (
            "{\n  \"site\": {\"agentlevel\": \"log\"}\n}",
            "policy.json:2:23: site.agentlevel: unknown field `agentlevel`",
        ),
        ("{\"sites\": {}}", "policy.json:1:8: sites: unknown field `sites`, expected `site`"),
        (
            "{\"site\": {\"immediateBlock\": \"yes\"}}",
            "policy.json:1:33: site.immediateBlock: invalid type: string",
        ),
        ("{\"site\": {\"blockHTTPCode\": 200}}", "site: blockHTTPCode: 200 is not 301, 302 or 400 to 599"),
        ("{\"site\": {\"blockHTTPCode\": 600}}", "site: blockHTTPCode: 600 is not"),
        ("{\"site\": {\"blockHTTPCode\": -1}}", "site: blockHTTPCode: -1 is not"),
        ("{\"site\": {\"blockHTTPCode\": 302}}", "site: blockHTTPCode: 302 needs a blockRedirectURL"),
        (
            "{\"site\": {\"blockRedirectURL\": \"/no\"}}",
            "site: blockRedirectURL: needs a blockHTTPCode of 301 or 302",
        ),
        ("{} {}", "policy.json:1:4: trailing characters"),
    ];
    for (text, expected) in cases {
        let said = refusal(text);
        assert!(said.contains(expected), "{said}");
        assert!(said.starts_with("policy.json:"), "{said}");
    }
}

#[test]
fn refuses_a_location_that_would_break_a_reply() {
    let location =
        |url: &str| refusal(&format!(r#"{{"site": {{"blockHTTPCode": 302, "blockRedirectURL": "{url}"}}}}"#));
    assert!(location("javascript:alert(1)").contains("neither an http or https URL nor a path"));
    assert!(location(r"/a\r\nSet-Cookie: x").contains("byte 0x0d can not stand in a URL"));
    assert!(location(&format!("/{}", "a".repeat(512))).contains("longer than 512 bytes"));
}
