//! Mode `local-first`.

use portcullis_protocol::{LocalFacts, http};

use super::*;

const LOCAL: &str = r#"{"mode": "local-first", "breaker": {"failures": 0}}"#;
const ATTACK: &str = "/?id=1'+OR+'1'='1";

fn facts() -> LocalFacts<'static> {
    LocalFacts { version: 7, engine: crate::local::ENGINE.into(), ..LocalFacts::default() }
}

fn blocking() -> LocalFacts<'static> {
    LocalFacts { blocks: true, block_code: 451, ..facts() }
}

/// A plugin that the agent has told these facts.
fn informed(mock: &Mock, config: &str, facts: &LocalFacts<'_>) -> Rc<Plugin> {
    *mock.configuration.borrow_mut() = config.as_bytes().to_vec();
    let plugin = Plugin::configure(mock, &Plugin::default());
    plugin.on_tick(mock);
    let deeds = mock.deeds();
    assert!(matches!(deeds.as_slice(), [Deed::Call(path, _)] if path == http::LOCAL), "{deeds:?}");
    mock.replies_with(&facts.encode());
    let body = mock.reply.borrow().1.len();
    plugin.on_reply(mock, Token(1), ReplyShape { headers: 4, body });
    plugin.on_tick(mock);
    assert_eq!(mock.deeds(), []);
    Rc::new(plugin)
}

/// A request like a browser's.
fn browser(path: &str) -> Mock {
    let mock = Mock::get(path);
    mock.request(&[
        (":method", "GET"),
        (":path", path),
        (":authority", "shop.example"),
        (":scheme", "http"),
        ("user-agent", "Mozilla/5.0"),
    ]);
    mock.property("request.protocol", b"HTTP/1.1");
    mock
}

fn told(mock: &Mock, name: &str) -> String {
    mock.told.borrow().get(&format!("portcullis_{name}")).cloned().unwrap_or_default()
}

#[test]
fn an_ordinary_request_goes_on_unasked_and_is_counted() {
    let mock = browser("/?a=1");
    let mut stream = Stream::new(informed(&mock, LOCAL, &facts()));
    assert_eq!(stream.on_request_headers(&mock, End::Reached), Flow::Continue);
    assert_eq!(mock.deeds(), []);
    assert_eq!(metric(&stream, &mock, "decisions.local.total"), 1);
    assert_eq!(told(&mock, "verdict"), "local");
}

#[test]
fn a_request_in_which_something_is_found_is_asked_about() {
    for path in [ATTACK, "/?q=%00"] {
        let mock = browser(path);
        let mut stream = Stream::new(informed(&mock, LOCAL, &blocking()));
        assert_eq!(stream.on_request_headers(&mock, End::Reached), Flow::Hold);
        call(&mock);
        reply(&mut stream, &mock, &verdict(406));
        assert_eq!(mock.deeds(), [Deed::Respond(406, None)]);
    }
}

fn form() -> Mock {
    let mock = browser("/form");
    mock.request(&[
        (":method", "POST"),
        (":path", "/form"),
        (":authority", "shop.example"),
        ("user-agent", "Mozilla/5.0"),
        ("content-type", "application/x-www-form-urlencoded"),
    ]);
    mock
}

#[test]
fn a_body_is_looked_at_as_well() {
    for (body, asked) in [(&b"name=bob"[..], false), (b"name=1'+OR+'1'='1", true)] {
        let mock = form();
        let mut stream = Stream::new(informed(&mock, LOCAL, &facts()));
        assert_eq!(stream.on_request_headers(&mock, End::Open), Flow::Hold);
        shows(&mock, body);
        let flow = stream.on_request_body(&mock, body.len(), End::Reached);
        assert_eq!(flow, if asked { Flow::Hold } else { Flow::Continue });
        assert_eq!(mock.deeds().len(), usize::from(asked));
    }
}

#[test]
fn asks_where_it_knows_nothing_or_nothing_fresh() {
    let mock = browser("/");
    *mock.configuration.borrow_mut() = LOCAL.as_bytes().to_vec();
    let mut ignorant = Stream::new(Rc::new(Plugin::configure(&mock, &Plugin::default())));
    assert_eq!(ignorant.on_request_headers(&mock, End::Reached), Flow::Hold);

    let mock = browser("/");
    let plugin = informed(&mock, LOCAL, &facts());
    mock.now.set(mock.now.get() + Duration::from_secs(4));
    plugin.on_tick(&mock);
    let mut stale = Stream::new(plugin);
    assert_eq!(stale.on_request_headers(&mock, End::Reached), Flow::Hold);
}

#[test]
fn notices_that_facts_grow_old_where_the_timer_has_stopped() {
    let mock = browser("/");
    let plugin = informed(&mock, LOCAL, &facts());
    mock.now.set(mock.now.get() + Duration::from_secs(4));
    let asked = (0..300)
        .filter(|_| Stream::new(Rc::clone(&plugin)).on_request_headers(&mock, End::Reached) == Flow::Hold);
    assert!(asked.count() >= 40);
}

#[test]
fn asks_about_whom_the_agent_has_flagged() {
    let flagged = LocalFacts { flagged: vec!["192.0.2.7".into()], ..facts() };
    for (peer, flow) in [("192.0.2.7:1", Flow::Hold), ("192.0.2.8:1", Flow::Continue)] {
        let mock = browser("/");
        mock.property("source.address", peer.as_bytes());
        let mut stream = Stream::new(informed(&mock, LOCAL, &flagged));
        assert_eq!(stream.on_request_headers(&mock, End::Reached), flow);
    }
}

#[test]
fn stops_an_attack_by_itself_where_the_agent_does_not_answer_and_had_said_so() {
    let mock = browser(ATTACK);
    let plugin = informed(&mock, LOCAL, &blocking());
    mock.refusal.set(Some(HostError::InternalFailure));
    let mut stream = Stream::new(plugin);
    assert_eq!(stream.on_request_headers(&mock, End::Reached), Flow::Hold);
    assert_eq!(mock.deeds(), [Deed::Respond(451, None)]);
    assert_eq!(metric(&stream, &mock, "decisions.local_block.total"), 1);
    assert_eq!(metric(&stream, &mock, "failures.unavailable.total"), 0);
    assert_eq!((told(&mock, "verdict"), told(&mock, "reason")), ("local-block".into(), "unavailable".into()));
    assert_eq!(told(&mock, "signals"), "SQLI");
}

#[test]
fn leaves_a_long_body_to_the_agent_and_looks_at_it_where_that_does_not_answer() {
    let config = r#"{"mode": "local-first", "local": {"max_body_bytes": 10}}"#;
    let long_attack = &b"name=1'+OR+'1'='1"[..];
    // A long body; whether the agent can be asked, whether it answers; what comes of it.
    for (body, reachable, answer, deed) in [
        (&b"name=bob"[..], true, None, None),
        (b"name=robert", true, Some(200), None),
        (b"name=robert", true, Some(503), None),
        (long_attack, true, Some(406), Some(406)),
        (long_attack, true, Some(200), None),
        (long_attack, true, Some(503), Some(451)),
        (long_attack, false, None, Some(451)),
    ] {
        let mock = form();
        let plugin = informed(&mock, config, &blocking());
        mock.refusal.set((!reachable).then_some(HostError::InternalFailure));
        let mut stream = Stream::new(plugin);
        stream.on_request_headers(&mock, End::Open);
        shows(&mock, body);
        stream.on_request_body(&mock, body.len(), End::Reached);
        match answer {
            Some(503) => {
                let token = stream.pending().unwrap();
                stream.on_reply(&mock, token, ReplyShape { headers: 0, body: 0 });
            }
            Some(code) => reply(&mut stream, &mock, &verdict(code)),
            None => {}
        }
        let answered = mock.deeds().iter().find_map(|deed| match deed {
            Deed::Respond(status, _) => Some(*status),
            _ => None,
        });
        assert_eq!(answered, deed, "{body:?} {reachable} {answer:?}");
    }
}

#[test]
fn sends_whom_it_stops_where_the_agent_would() {
    let mock = browser(ATTACK);
    let redirecting = LocalFacts { block_code: 302, location: "/sorry".into(), ..blocking() };
    let plugin = informed(&mock, LOCAL, &redirecting);
    mock.refusal.set(Some(HostError::InternalFailure));
    Stream::new(plugin).on_request_headers(&mock, End::Reached);
    assert_eq!(mock.deeds(), [Deed::Respond(302, Some("/sorry".to_owned()))]);
}

#[test]
fn lets_an_attack_pass_where_attacks_are_not_stopped_at_once() {
    let mock = browser(ATTACK);
    let plugin = informed(&mock, LOCAL, &facts());
    mock.refusal.set(Some(HostError::InternalFailure));
    let mut stream = Stream::new(plugin);
    assert_eq!(stream.on_request_headers(&mock, End::Reached), Flow::Continue);
    assert_eq!(metric(&stream, &mock, "failures.unavailable.total"), 1);
    assert_eq!(told(&mock, "verdict"), "none");
}

#[test]
fn a_new_configuration_goes_on_with_what_is_known() {
    let mock = browser("/");
    let before = informed(&mock, LOCAL, &facts());
    let after = Plugin::configure(&mock, &before);
    let mut stream = Stream::new(Rc::new(after));
    assert_eq!(stream.on_request_headers(&mock, End::Reached), Flow::Continue);
}

#[test]
fn another_worker_learns_from_the_first() {
    let mock = browser("/");
    informed(&mock, LOCAL, &facts());
    let other = Plugin::configure(&mock, &Plugin::default());
    other.on_tick(&mock);
    assert_eq!(mock.deeds(), [], "the agent need not be asked twice");
    let mut stream = Stream::new(Rc::new(other));
    assert_eq!(stream.on_request_headers(&mock, End::Reached), Flow::Continue);
}

#[test]
fn facts_that_are_confirmed_stay_fresh() {
    let mock = browser("/");
    let plugin = informed(&mock, LOCAL, &facts());
    for token in 2..12 {
        mock.now.set(mock.now.get() + Duration::from_secs(1));
        plugin.on_tick(&mock);
        mock.deeds();
        mock.replies_with(&LocalFacts { unchanged: true, ..facts() }.encode());
        plugin.on_reply(&mock, Token(token), ReplyShape { headers: 4, body: 20 });
    }
    plugin.on_tick(&mock);
    let mut stream = Stream::new(plugin);
    assert_eq!(stream.on_request_headers(&mock, End::Reached), Flow::Continue);
}

#[test]
fn says_nothing_to_access_logs_where_told_so() {
    let mock = browser("/");
    let config = r#"{"mode": "local-first", "filter_state": false}"#;
    Stream::new(informed(&mock, config, &facts())).on_request_headers(&mock, End::Reached);
    assert!(mock.told.borrow().is_empty());
}
