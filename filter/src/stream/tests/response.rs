//! The response on its way out, and requests that are not looked at.

use portcullis_protocol::{RespAction, RpcMsgIn2};

use super::*;
use crate::host::mock::headers;

fn action(code: i8, args: &[&'static str]) -> RespAction<'static> {
    RespAction { code, args: args.iter().map(|arg| (*arg).into()).collect() }
}

/// A request that has passed with this verdict, and a response that is there.
fn responding(mock: &Mock, config: &str, message: &RpcMsgOut<'_>) -> Stream {
    let mut stream = stream(mock, config);
    stream.on_request_headers(mock, End::Reached);
    reply(&mut stream, mock, message);
    *mock.response.borrow_mut() = headers(&[(":status", "200"), ("server", "x")]);
    mock.deeds();
    stream
}

#[test]
fn an_ordinary_response_costs_no_call() {
    let mock = Mock::get("/");
    let mut stream = responding(&mock, "{}", &verdict(200));
    assert_eq!(stream.on_response_headers(&mock), Flow::Continue);
    assert_eq!(mock.deeds(), []);
}

#[test]
fn headers_are_edited_as_the_agent_says() {
    let mock = Mock::get("/");
    let resp_actions = vec![
        action(1, &["X-Add", "1"]),
        action(2, &["Server", "y"]),
        action(3, &["server", "never"]),
        action(3, &["x-default", "z"]),
        action(4, &["X-Powered-By"]),
        // None of these is an edit that may be made.
        action(2, &["content-length", "0"]),
        action(2, &["x", "a\r\nb"]),
        action(2, &["x"]),
        action(9, &["x", "y"]),
        action(4, &[]),
    ];
    let mut stream = responding(&mock, "{}", &RpcMsgOut { resp_actions, ..verdict(200) });
    assert_eq!(stream.on_response_headers(&mock), Flow::Continue);
    let text = |text: &str| text.to_owned();
    let expected = [
        Deed::AddResponse(text("x-add"), text("1")),
        Deed::ReplaceResponse(text("server"), text("y")),
        Deed::AddResponse(text("x-default"), text("z")),
        Deed::RemoveResponse(text("x-powered-by")),
    ];
    assert_eq!(mock.deeds(), expected);
    assert_eq!(stream.on_response_headers(&mock), Flow::Continue);
    assert_eq!(mock.deeds(), [], "once");
}

fn asking() -> RpcMsgOut<'static> {
    RpcMsgOut { ask_response: true, request_id: "abc".into(), ..verdict(200) }
}

fn question(mock: &Mock) -> (String, Vec<u8>) {
    let deeds = mock.deeds();
    match deeds.as_slice() {
        [Deed::Call(path, message)] => (path.clone(), message.clone()),
        other => panic!("not one call but {other:?}"),
    }
}

#[test]
fn the_agent_is_asked_about_a_response_where_it_wants_to_be() {
    let mock = Mock::get("/");
    let mut stream = responding(&mock, "{}", &asking());
    assert_eq!(stream.on_response_headers(&mock), Flow::Hold);
    let (path, message) = question(&mock);
    assert_eq!(path, "/v1/response");
    let message = RpcMsgIn2::decode(&message).unwrap();
    assert_eq!((&*message.request_id, message.response_code), (&b"abc"[..], 200));
    assert_eq!(message.headers_out, [("server".into(), "x".into())]);
    reply(&mut stream, &mock, &RpcMsgOut { resp_actions: vec![action(4, &["server"])], ..verdict(200) });
    assert_eq!(mock.deeds(), [Deed::RemoveResponse("server".to_owned()), Deed::ResumeResponse]);
    assert_eq!(metric(&stream, &mock, "inflight"), 0);
}

#[test]
fn a_response_is_blocked_where_the_agent_says_so() {
    let mock = Mock::get("/");
    let mut stream = responding(&mock, "{}", &asking());
    stream.on_response_headers(&mock);
    question(&mock);
    reply(&mut stream, &mock, &verdict(406));
    assert_eq!(mock.deeds(), [Deed::Respond(406, None)]);
    assert_eq!(metric(&stream, &mock, "responses.block.total"), 1);
    assert_eq!(metric(&stream, &mock, "decisions.allow.total"), 1);
}

#[test]
fn a_response_about_which_the_agent_is_silent_follows_the_failure_policy() {
    for (config, deed) in
        [("{}", Deed::ResumeResponse), (r#"{"fail_open": false}"#, Deed::Respond(503, None))]
    {
        let mock = Mock::get("/");
        let mut stream = responding(&mock, config, &asking());
        stream.on_response_headers(&mock);
        question(&mock);
        let token = stream.pending().unwrap();
        stream.on_reply(&mock, token, ReplyShape { headers: 0, body: 0 });
        assert_eq!(mock.deeds(), [deed]);
        assert_eq!(metric(&stream, &mock, "responses.failed.total"), 1);
        assert_eq!(metric(&stream, &mock, "failures.reset.total"), 0, "the request had its verdict");
    }
}

#[test]
fn a_client_that_goes_while_its_response_waits_leaves_nothing() {
    let mock = Mock::get("/");
    let mut stream = responding(&mock, "{}", &asking());
    stream.on_response_headers(&mock);
    stream.on_log(&mock);
    assert_eq!(stream.pending(), None);
    assert_eq!((metric(&stream, &mock, "inflight"), metric(&stream, &mock, "abandoned.total")), (0, 0));
}

#[test]
fn what_was_answered_in_the_applications_place_goes_out_as_it_is() {
    let mock = Mock::get("/");
    let mut stream = stream(&mock, "{}");
    stream.on_request_headers(&mock, End::Reached);
    reply(&mut stream, &mock, &RpcMsgOut { resp_actions: vec![action(1, &["a", "b"])], ..verdict(406) });
    mock.deeds();
    assert_eq!(stream.on_response_headers(&mock), Flow::Continue);
    assert_eq!(mock.deeds(), []);
}

#[test]
fn a_request_out_of_scope_goes_on_without_its_forged_headers() {
    let mock = Mock::get("/static/a.css");
    mock.request(&[(":path", "/static/a.css"), (":authority", "a"), ("x-sigsci-tags", "1")]);
    let mut stream = stream(&mock, r#"{"scope": [{"path": "/static/", "profile": "off"}]}"#);
    assert_eq!(stream.on_request_headers(&mock, End::Open), Flow::Continue);
    assert_eq!(mock.deeds(), [Deed::Remove("x-sigsci-tags".to_owned())]);
    assert_eq!(stream.on_request_body(&mock, 9, End::Reached), Flow::Continue);
    assert_eq!(stream.on_request_trailers(&mock), Flow::Continue);
    stream.on_log(&mock);
    assert_eq!(metric(&stream, &mock, "decisions.unwatched.total"), 1);
    assert_eq!(mock.told.borrow()["portcullis_verdict"], "unwatched");
}

#[test]
fn a_route_may_name_the_profile() {
    for (name, flow) in [("off", Flow::Continue), ("other", Flow::Hold), ("", Flow::Hold)] {
        let mock = Mock::get("/");
        mock.property("xds.route_metadata.filter_metadata.portcullis.profile", name.as_bytes());
        let mut stream = stream(&mock, r#"{"route_metadata": true}"#);
        assert_eq!(stream.on_request_headers(&mock, End::Reached), flow, "{name}");
    }
}

#[test]
fn asks_no_more_once_the_agent_is_left_alone() {
    let mock = Mock::get("/");
    mock.refusal.set(Some(HostError::InternalFailure));
    let mut first = stream(&mock, r#"{"breaker": {"failures": 1}}"#);
    assert_eq!(first.on_request_headers(&mock, End::Reached), Flow::Continue);
    mock.refusal.set(None);
    let mut second = Stream::new(Rc::clone(&first.plugin));
    assert_eq!(second.on_request_headers(&mock, End::Reached), Flow::Continue);
    assert_eq!(mock.deeds(), []);
    assert_eq!(metric(&second, &mock, "failures.paused.total"), 1);
    assert_eq!(mock.told.borrow()["portcullis_reason"], "paused");
}

#[test]
fn a_request_that_the_proxy_redirects_to_itself_is_judged_once() {
    for (verdict, flow) in
        [("allow", Flow::Continue), ("local", Flow::Continue), ("none", Flow::Hold), ("", Flow::Hold)]
    {
        let mock = Mock::get("/");
        mock.request(&[(":path", "/b"), (":authority", "a"), ("x-envoy-original-url", "http://a/")]);
        mock.property("portcullis_verdict", verdict.as_bytes());
        let mut stream = stream(&mock, "{}");
        assert_eq!(stream.on_request_headers(&mock, End::Reached), flow, "{verdict}");
        assert_eq!(metric(&stream, &mock, "requests.total"), i64::from(flow == Flow::Hold));
    }
}
