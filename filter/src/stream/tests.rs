//! Requests, callback by callback.

mod local;
mod reports;
mod response;

use std::rc::Rc;

use portcullis_protocol::{RpcMsgIn, RpcMsgOut};

use super::*;
use crate::host::HostError;
use crate::host::mock::{Deed, Mock};

const REPLIED: ReplyShape = ReplyShape { headers: 5, body: 64 };

/// The value of a metric, once the plugin has handed it over.
fn metric(stream: &Stream, mock: &Mock, name: &str) -> i64 {
    stream.plugin.metrics.flush(mock);
    mock.metric(name)
}

fn stream(mock: &Mock, config: &str) -> Stream {
    *mock.configuration.borrow_mut() = config.as_bytes().to_vec();
    Stream::new(Rc::new(Plugin::configure(mock, &Plugin::default())))
}

fn verdict(code: i32) -> RpcMsgOut<'static> {
    RpcMsgOut { waf_response: code, ..RpcMsgOut::default() }
}

fn reply(stream: &mut Stream, mock: &Mock, message: &RpcMsgOut<'_>) {
    mock.replies(message);
    let token = stream.pending().expect("a call under way");
    stream.on_reply(mock, token, REPLIED);
}

/// The one call among what was done.
fn call(mock: &Mock) -> Vec<u8> {
    let deeds = mock.deeds();
    match deeds.as_slice() {
        [Deed::Call(path, message)] => {
            assert_eq!(path, "/v1/pre-request");
            message.clone()
        }
        other => panic!("not one call but {other:?}"),
    }
}

fn edit(name: &str, value: &str) -> Deed {
    Deed::Replace(name.to_owned(), value.to_owned())
}

#[test]
fn lets_an_allowed_request_go_on_once_asked() {
    let mock = Mock::get("/a");
    let mut stream = stream(&mock, "{}");
    assert_eq!(stream.on_request_headers(&mock, End::Reached), Flow::Hold);
    assert_eq!(&*RpcMsgIn::decode(&call(&mock)).unwrap().uri, b"/a");
    assert_eq!(metric(&stream, &mock, "inflight"), 1);
    reply(&mut stream, &mock, &verdict(200));
    assert_eq!(mock.deeds(), [edit("x-sigsci-agentresponse", "200"), Deed::Resume]);
    assert_eq!((metric(&stream, &mock, "inflight"), metric(&stream, &mock, "decisions.allow.total")), (0, 1));
}

#[test]
fn blocks_once_and_lets_nothing_go_on_after() {
    let mock = Mock::get("/a");
    let mut stream = stream(&mock, "{}");
    stream.on_request_headers(&mock, End::Reached);
    let token = stream.pending().unwrap();
    call(&mock);
    reply(&mut stream, &mock, &verdict(406));
    assert_eq!(mock.deeds(), [Deed::Respond(406, None)]);
    stream.on_reply(&mock, token, REPLIED);
    assert_eq!(stream.on_request_body(&mock, 5, End::Reached), Flow::Hold);
    assert_eq!(stream.on_request_trailers(&mock), Flow::Hold);
    assert_eq!(mock.deeds(), []);
    assert_eq!((metric(&stream, &mock, "decisions.block.total"), metric(&stream, &mock, "inflight")), (1, 0));
}

#[test]
fn redirects_to_the_agents_location() {
    let mock = Mock::get("/a");
    let mut stream = stream(&mock, "{}");
    stream.on_request_headers(&mock, End::Reached);
    call(&mock);
    let pair = ("X-Sigsci-Redirect".into(), "https://sorry.example/".into());
    reply(&mut stream, &mock, &RpcMsgOut { request_headers: vec![pair], ..verdict(302) });
    assert_eq!(mock.deeds(), [Deed::Respond(302, Some("https://sorry.example/".to_owned()))]);
    assert_eq!(metric(&stream, &mock, "decisions.redirect.total"), 1);
}

#[test]
fn gives_the_application_the_agents_headers() {
    let mock = Mock::get("/a");
    let mut stream = stream(&mock, "{}");
    stream.on_request_headers(&mock, End::Reached);
    call(&mock);
    let request_headers = vec![("X-SigSci-Tags".into(), "SQLI".into()), ("X-Score".into(), "5".into())];
    let message = RpcMsgOut { request_id: "id1".into(), request_headers, ..verdict(200) };
    reply(&mut stream, &mock, &message);
    let expected = [
        edit("x-sigsci-agentresponse", "200"),
        edit("x-sigsci-requestid", "id1"),
        edit("x-sigsci-tags", "SQLI"),
        Deed::Add("x-score".to_owned(), "5".to_owned()),
        Deed::Resume,
    ];
    assert_eq!(mock.deeds(), expected);
}

#[test]
fn takes_forged_headers_away_but_shows_them_to_the_agent() {
    let mock = Mock::get("/a");
    mock.request(&[(":path", "/a"), ("x-sigsci-tags", "1"), ("x_sigsci_b", "2"), ("x-sigsci-tags", "3")]);
    mock.refusal.set(Some(HostError::InternalFailure));
    let mut bypassed = stream(&mock, "{}");
    assert_eq!(bypassed.on_request_headers(&mock, End::Reached), Flow::Continue);
    let removals = ["x-sigsci-tags", "x_sigsci_b"].map(|name| Deed::Remove(name.to_owned()));
    assert_eq!(mock.deeds(), removals);
    assert_eq!(metric(&bypassed, &mock, "forged_headers.total"), 1);
    assert_eq!(bypassed.facts.message(Body::default()).headers_in.len(), 3);
}

fn shows(mock: &Mock, bytes: &[u8]) {
    *mock.body.borrow_mut() = Some(bytes.to_vec());
}

#[test]
fn collects_a_body_until_there_is_enough() {
    let mock = Mock::post(&[]);
    let mut stream = stream(&mock, r#"{"body": {"max_bytes": 8}}"#);
    assert_eq!(stream.on_request_headers(&mock, End::Open), Flow::Hold);
    shows(&mock, b"012");
    assert_eq!(stream.on_request_body(&mock, 3, End::Open), Flow::Hold);
    assert_eq!(mock.deeds(), []);
    shows(&mock, b"3456789");
    assert_eq!(stream.on_request_body(&mock, 7, End::Open), Flow::Hold);
    let sent = call(&mock);
    let message = RpcMsgIn::decode(&sent).unwrap();
    assert_eq!((&*message.post_body, message.body_truncated), (&b"01234567"[..], true));
    assert_eq!(message.body_total, None);
    assert_eq!(stream.on_request_body(&mock, 90_000, End::Reached), Flow::Hold);
    reply(&mut stream, &mock, &verdict(200));
    assert_eq!(mock.deeds().last(), Some(&Deed::Resume));
    assert_eq!(stream.on_request_body(&mock, 1, End::Open), Flow::Continue);
    assert_eq!(metric(&stream, &mock, "body.truncated.total"), 1);
}

#[test]
fn has_the_host_collect_more_than_any_host_would_hold() {
    let mock = Mock::post(&[]);
    let mut stream = stream(&mock, r#"{"body": {"max_bytes": 65536}}"#);
    stream.on_request_headers(&mock, End::Open);
    let body: Vec<u8> = (0..=255).cycle().take(70_000).collect();
    shows(&mock, &body[..30_000]);
    assert_eq!(stream.on_request_body(&mock, 30_000, End::Open), Flow::Hold);
    shows(&mock, &body[30_000..40_000]);
    assert_eq!(stream.on_request_body(&mock, 10_000, End::Open), Flow::Collect);
    // Told to collect, the host shows all again.
    shows(&mock, &body[..50_000]);
    assert_eq!(stream.on_request_body(&mock, 50_000, End::Open), Flow::Collect);
    shows(&mock, &body);
    assert_eq!(stream.on_request_body(&mock, 70_000, End::Reached), Flow::Hold);
    let sent = call(&mock);
    let message = RpcMsgIn::decode(&sent).unwrap();
    assert_eq!((&*message.post_body, message.body_total), (&body[..65_536], Some(70_000)));
    assert!(message.body_truncated);
}

#[test]
fn waits_for_the_end_though_as_much_has_come_as_was_announced() {
    let mock = Mock::post(&[("content-length", "5")]);
    let mut stream = stream(&mock, "{}");
    stream.on_request_headers(&mock, End::Open);
    shows(&mock, b"a=bcd");
    assert_eq!(stream.on_request_body(&mock, 5, End::Open), Flow::Hold);
    assert_eq!(mock.deeds(), []);
    assert_eq!(stream.on_request_body(&mock, 0, End::Reached), Flow::Hold);
    let sent = call(&mock);
    let message = RpcMsgIn::decode(&sent).unwrap();
    assert_eq!((&*message.post_body, message.body_truncated), (&b"a=bcd"[..], false));
    assert_eq!(message.body_total, Some(5));
}

#[test]
fn asks_at_trailers_which_end_a_body() {
    let mock = Mock::post(&[]);
    let mut stream = stream(&mock, "{}");
    stream.on_request_headers(&mock, End::Open);
    shows(&mock, b"abc");
    assert_eq!(stream.on_request_body(&mock, 3, End::Open), Flow::Hold);
    mock.trailers(&[
        ("x-sum", "';id;'"),
        ("x_sigsci_tags", "A"),
        ("Content-Length", "1"),
        ("x-forwarded-for", "10.0.0.1"),
    ]);
    assert_eq!(stream.on_request_trailers(&mock), Flow::Hold);
    let deeds = mock.deeds();
    let removed = ["x_sigsci_tags", "Content-Length", "x-forwarded-for"]
        .map(|name| Deed::RemoveTrailer(name.to_owned()));
    assert_eq!(deeds[..3], removed);
    let Deed::Call(_, sent) = &deeds[3] else { panic!("{deeds:?}") };
    let message = RpcMsgIn::decode(sent).unwrap();
    assert_eq!((&*message.post_body, message.body_truncated), (&b"abc"[..], false));
    let names: Vec<_> =
        message.headers_in.iter().map(|(name, _)| String::from_utf8_lossy(name).into_owned()).collect();
    assert_eq!(names, ["Host", "x-sum"]);
    assert_eq!(metric(&stream, &mock, "forged_headers.total"), 1);
}

#[test]
fn does_not_take_hidden_trailers_for_none() {
    let mock = Mock::post(&[]);
    let mut stream = stream(&mock, r#"{"fail_open": false}"#);
    stream.on_request_headers(&mock, End::Open);
    assert_eq!(stream.on_request_trailers(&mock), Flow::Hold);
    assert_eq!(mock.deeds(), [Deed::Respond(503, None)]);
    assert_eq!(metric(&stream, &mock, "failures.host.total"), 1);
}

#[test]
fn strips_trailers_that_come_behind_the_verdict() {
    let mock = Mock::post(&[("content-length", "4")]);
    let mut stream = stream(&mock, r#"{"body": {"max_bytes": 3}}"#);
    stream.on_request_headers(&mock, End::Open);
    shows(&mock, b"abcd");
    stream.on_request_body(&mock, 4, End::Open);
    reply(&mut stream, &mock, &verdict(200));
    mock.trailers(&[("x-sigsci-tags", "A"), ("x-sum", "1")]);
    mock.deeds();
    assert_eq!(stream.on_request_trailers(&mock), Flow::Continue);
    assert_eq!(mock.deeds(), [Deed::RemoveTrailer("x-sigsci-tags".to_owned())]);
    assert_eq!(metric(&stream, &mock, "body.truncated.total"), 1);
}

#[test]
fn does_not_take_a_hidden_body_for_an_empty_one() {
    for shown in [None, Some(b"ab".to_vec())] {
        let mock = Mock::post(&[]);
        let mut stream = stream(&mock, r#"{"fail_open": false}"#);
        stream.on_request_headers(&mock, End::Open);
        *mock.body.borrow_mut() = shown;
        assert_eq!(stream.on_request_body(&mock, 3, End::Reached), Flow::Hold);
        assert_eq!(mock.deeds(), [Deed::Respond(503, None)]);
        assert_eq!(metric(&stream, &mock, "failures.host.total"), 1);
    }
}

#[test]
fn inspects_only_the_headers_of_streams_and_says_so() {
    let cases = [("{}", "application/grpc"), (r#"{"body": {"mode": "none"}}"#, "text/plain")];
    for (config, media) in cases {
        let mock = Mock::post(&[("content-type", media)]);
        let mut stream = stream(&mock, config);
        assert_eq!(stream.on_request_headers(&mock, End::Open), Flow::Hold);
        assert!(RpcMsgIn::decode(&call(&mock)).unwrap().body_truncated);
        assert_eq!(stream.on_request_body(&mock, 3, End::Open), Flow::Hold);
        reply(&mut stream, &mock, &verdict(200));
        assert_eq!(stream.on_request_body(&mock, 3, End::Open), Flow::Continue);
        assert_eq!(stream.on_request_trailers(&mock), Flow::Continue);
    }
}

const AFTER: &str = r#"{"body": {"mode": "after"}}"#;

#[test]
fn asks_about_the_body_after_the_headers_have_gone() {
    let mock = Mock::post(&[]);
    let mut stream = stream(&mock, AFTER);
    assert_eq!(stream.on_request_headers(&mock, End::Open), Flow::Hold);
    assert!(RpcMsgIn::decode(&call(&mock)).unwrap().body_truncated);
    reply(&mut stream, &mock, &verdict(200));
    assert_eq!(mock.deeds(), [edit("x-sigsci-agentresponse", "200"), Deed::Resume]);
    assert_eq!(metric(&stream, &mock, "decisions.allow.total"), 0);
    shows(&mock, b"x");
    assert_eq!(stream.on_request_body(&mock, 1, End::Reached), Flow::Hold);
    assert_eq!(&*RpcMsgIn::decode(&call(&mock)).unwrap().post_body, b"x");
    reply(&mut stream, &mock, &verdict(200));
    // The headers are gone, so nothing is added to them.
    assert_eq!(mock.deeds(), [Deed::Resume]);
    assert_eq!(metric(&stream, &mock, "decisions.allow.total"), 1);
}

#[test]
fn holds_a_body_that_the_host_shows_before_the_verdict_on_the_headers() {
    let mock = Mock::post(&[]);
    let mut stream = stream(&mock, AFTER);
    stream.on_request_headers(&mock, End::Open);
    call(&mock);
    shows(&mock, b"x");
    assert_eq!(stream.on_request_body(&mock, 1, End::Open), Flow::Hold);
    shows(&mock, b"y");
    assert_eq!(stream.on_request_body(&mock, 1, End::Reached), Flow::Hold);
    reply(&mut stream, &mock, &verdict(200));
    let deeds = mock.deeds();
    assert_eq!(deeds[0], edit("x-sigsci-agentresponse", "200"));
    let [_, Deed::Call(_, message)] = deeds.as_slice() else { panic!("{deeds:?}") };
    assert_eq!(&*RpcMsgIn::decode(message).unwrap().post_body, b"xy");
    reply(&mut stream, &mock, &verdict(406));
    assert_eq!(mock.deeds(), [Deed::Respond(406, None)]);
}

#[test]
fn goes_on_collecting_what_the_host_began_to_show_early() {
    let mock = Mock::post(&[]);
    let mut stream = stream(&mock, AFTER);
    stream.on_request_headers(&mock, End::Open);
    shows(&mock, b"x");
    assert_eq!(stream.on_request_body(&mock, 1, End::Open), Flow::Hold);
    mock.deeds();
    reply(&mut stream, &mock, &verdict(200));
    assert_eq!(mock.deeds(), [edit("x-sigsci-agentresponse", "200")]);
    mock.trailers(&[]);
    assert_eq!(stream.on_request_trailers(&mock), Flow::Hold);
    assert_eq!(&*RpcMsgIn::decode(&call(&mock)).unwrap().post_body, b"x");
}

#[test]
fn applies_the_failure_policy_to_a_call_that_is_refused() {
    let refusals = [
        (HostError::BadArgument, "no_cluster"),
        (HostError::ParseFailure, "no_cluster"),
        (HostError::InternalFailure, "unavailable"),
        (HostError::Other(12), "dispatch"),
    ];
    for (refusal, reason) in refusals {
        let mock = Mock::get("/");
        mock.refusal.set(Some(refusal));
        let mut open = stream(&mock, "{}");
        assert_eq!(open.on_request_headers(&mock, End::Reached), Flow::Continue);
        assert_eq!(metric(&open, &mock, &format!("failures.{reason}.total")), 1);
        assert_eq!(mock.deeds(), []);
        let mut closed = stream(&mock, r#"{"fail_open": false, "fail_status": 500}"#);
        assert_eq!(closed.on_request_headers(&mock, End::Reached), Flow::Hold);
        assert_eq!(mock.deeds(), [Deed::Respond(500, None)]);
    }
}

#[test]
fn applies_the_failure_policy_to_a_reply_that_is_none() {
    for (config, deed) in [("{}", Deed::Resume), (r#"{"fail_open": false}"#, Deed::Respond(503, None))] {
        let mock = Mock::get("/");
        let mut stream = stream(&mock, config);
        stream.on_request_headers(&mock, End::Reached);
        call(&mock);
        stream.on_reply(&mock, stream.pending().unwrap(), ReplyShape { headers: 0, body: 0 });
        assert_eq!(mock.deeds(), [deed]);
        assert_eq!(
            (metric(&stream, &mock, "failures.reset.total"), metric(&stream, &mock, "inflight")),
            (1, 0)
        );
    }
}

#[test]
fn fails_where_the_host_has_no_headers() {
    let mock = Mock::default();
    let mut stream = stream(&mock, "{}");
    assert_eq!(stream.on_request_headers(&mock, End::Reached), Flow::Continue);
    assert_eq!(metric(&stream, &mock, "failures.host.total"), 1);
}

#[test]
fn cuts_off_a_stream_that_cannot_be_answered() {
    let mock = Mock::get("/");
    let mut stream = stream(&mock, "{}");
    stream.on_request_headers(&mock, End::Reached);
    call(&mock);
    mock.broken.set(true);
    reply(&mut stream, &mock, &verdict(406));
    assert_eq!(mock.deeds(), [Deed::Respond(406, None), Deed::Reset]);
    assert_eq!(metric(&stream, &mock, "host_errors.total"), 2);
}

#[test]
fn ignores_replies_to_other_calls() {
    let mock = Mock::get("/");
    let mut stream = stream(&mock, "{}");
    stream.on_request_headers(&mock, End::Reached);
    call(&mock);
    mock.replies(&verdict(406));
    stream.on_reply(&mock, Token(77), REPLIED);
    assert_eq!(mock.deeds(), []);
    assert!(stream.pending().is_some());
}

#[test]
fn counts_streams_that_end_without_a_verdict() {
    let mock = Mock::post(&[]);
    let mut collecting = stream(&mock, "{}");
    collecting.on_request_headers(&mock, End::Open);
    collecting.on_log(&mock);
    assert_eq!(
        (metric(&collecting, &mock, "abandoned.total"), metric(&collecting, &mock, "inflight")),
        (1, 0)
    );
    let mock = Mock::get("/");
    let mut deciding = stream(&mock, "{}");
    deciding.on_request_headers(&mock, End::Reached);
    deciding.on_log(&mock);
    deciding.on_log(&mock);
    assert_eq!((metric(&deciding, &mock, "abandoned.total"), metric(&deciding, &mock, "inflight")), (1, 0));
    assert_eq!(deciding.pending(), None);
}

#[test]
fn complains_once_in_a_while() {
    let mock = Mock::get("/");
    mock.refusal.set(Some(HostError::InternalFailure));
    let plugin = Rc::new(Plugin::configure(&mock, &Plugin::default()));
    for _ in 0..3 {
        Stream::new(Rc::clone(&plugin)).on_request_headers(&mock, End::Reached);
    }
    assert_eq!(mock.log().len(), 1);
    mock.now.set(mock.now.get() + Duration::from_secs(5));
    Stream::new(plugin).on_request_headers(&mock, End::Reached);
    assert_eq!(mock.log().len(), 1);
}
