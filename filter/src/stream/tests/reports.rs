//! What is reported of responses.

use portcullis_protocol::{ReportBatch, RpcMsgIn2};

use super::*;
use crate::host::mock::headers;

#[test]
fn says_nothing_of_a_stream_without_request() {
    let mock = Mock::default();
    let mut stream = stream(&mock, "{}");
    stream.on_log(&mock);
    assert_eq!(reports(&stream, &mock), []);
    assert_eq!(metric(&stream, &mock, "requests.total"), 0);
}

/// A request with this verdict and response, seen to its end.
fn ended(mock: &Mock, config: &str, message: &RpcMsgOut<'_>, status: u64) -> Stream {
    let mut stream = stream(mock, config);
    stream.on_request_headers(mock, End::Reached);
    reply(&mut stream, mock, message);
    mock.property("response.code", &status.to_le_bytes());
    mock.property("response.size", &7_u64.to_le_bytes());
    *mock.response.borrow_mut() = headers(&[(":status", &status.to_string()), ("server", "x")]);
    stream.on_log(mock);
    stream
}

#[test]
fn reports_the_response_that_the_agent_asked_for() {
    let mock = Mock::get("/");
    let message = RpcMsgOut { request_id: "abc".into(), ..verdict(200) };
    let stream = ended(&mock, "{}", &message, 200);
    let sent = reports(&stream, &mock);
    let [(kind, report)] = sent.as_slice() else { panic!("{sent:?}") };
    assert_eq!(kind, ReportBatch::UPDATE);
    let report = RpcMsgIn2::decode(report).unwrap();
    assert_eq!((&*report.request_id, report.response_code), (&b"abc"[..], 200));
    assert_eq!((report.response_size, report.waf_response), (7, Some(200)));
    assert_eq!(report.headers_out, [("server".into(), "x".into())]);
    assert_eq!(metric(&stream, &mock, "reports.sent.total"), 1);
}

#[test]
fn reports_anomalies_that_the_agent_did_not_ask_for() {
    let mock = Mock::get("/gone");
    let stream = ended(&mock, "{}", &verdict(200), 404);
    let sent = reports(&stream, &mock);
    let [(kind, report)] = sent.as_slice() else { panic!("{sent:?}") };
    assert_eq!(kind, ReportBatch::POST);
    let report = RpcMsgIn::decode(report).unwrap();
    assert_eq!((&*report.uri, report.response_code), (&b"/gone"[..], Some(404)));
    assert_eq!((report.response_size, report.waf_response), (Some(7), Some(200)));
}

#[test]
fn reports_nothing_ordinary_and_nothing_when_told_so() {
    let mock = Mock::get("/");
    let ordinary = ended(&mock, "{}", &verdict(200), 200);
    assert_eq!(reports(&ordinary, &mock), []);
    let off = ended(&mock, r#"{"report": {"enabled": false}}"#, &verdict(200), 500);
    assert_eq!(reports(&off, &mock), []);
    let raised = ended(&mock, r#"{"report": {"min_status": 500}}"#, &verdict(200), 404);
    assert_eq!(reports(&raised, &mock), []);
}

#[test]
fn reports_slow_and_large_responses() {
    for config in [r#"{"report": {"large_bytes": 7}}"#, r#"{"report": {"slow_ms": 10}}"#] {
        let mock = Mock::get("/");
        let mut stream = stream(&mock, config);
        stream.on_request_headers(&mock, End::Reached);
        reply(&mut stream, &mock, &verdict(200));
        mock.now.set(mock.now.get() + Duration::from_millis(10));
        mock.property("response.code", &200_u64.to_le_bytes());
        mock.property("response.size", &7_u64.to_le_bytes());
        stream.on_log(&mock);
        assert_eq!(reports(&stream, &mock).len(), 1, "{config}");
    }
}

/// Reports that a tick sends.
fn reports(stream: &Stream, mock: &Mock) -> Vec<(String, Vec<u8>)> {
    mock.deeds();
    stream.plugin.on_tick(mock);
    let mut sent = Vec::new();
    for deed in mock.deeds() {
        let Deed::Call(path, message) = deed else { panic!("{deed:?}") };
        assert_eq!(path, "/v1/reports");
        let batch = ReportBatch::decode(&message).unwrap();
        let text = |kind: &[u8]| String::from_utf8_lossy(kind).into_owned();
        sent.extend(batch.reports.iter().map(|(kind, report)| (text(kind), report.to_vec())));
    }
    sent
}

#[test]
fn reports_flags_and_only_headers_of_interest() {
    let mock = Mock::get("/");
    mock.property("response.flags", &4_u64.to_le_bytes());
    let message = RpcMsgOut { request_id: "abc".into(), ..verdict(200) };
    let mut stream = stream(&mock, r#"{"report": {"headers": ["X-Cache"]}}"#);
    stream.on_request_headers(&mock, End::Reached);
    reply(&mut stream, &mock, &message);
    *mock.response.borrow_mut() =
        headers(&[(":status", "200"), ("set-cookie", "secret"), ("x-cache", "hit")]);
    stream.on_log(&mock);
    let sent = reports(&stream, &mock);
    let report = RpcMsgIn2::decode(&sent[0].1).unwrap();
    assert_eq!(report.response_flags, 4);
    assert_eq!(report.headers_out, [("x-cache".into(), "hit".into())]);
}

#[test]
fn asks_for_no_attribute_of_an_ordinary_response() {
    let mock = Mock::get("/");
    let mut stream = stream(&mock, "{}");
    stream.on_request_headers(&mock, End::Reached);
    reply(&mut stream, &mock, &verdict(200));
    mock.asked.borrow_mut().clear();
    *mock.response.borrow_mut() = headers(&[(":status", "200"), ("content-length", "7")]);
    stream.on_log(&mock);
    assert_eq!(*mock.asked.borrow(), Vec::<String>::new());
}

#[test]
fn what_is_announced_and_not_sent_is_not_large() {
    let head = |sent: u64| {
        let mock = Mock::get("/");
        let mut stream = stream(&mock, r#"{"report": {"large_bytes": 1000}}"#);
        stream.on_request_headers(&mock, End::Reached);
        reply(&mut stream, &mock, &verdict(200));
        *mock.response.borrow_mut() = headers(&[(":status", "200"), ("content-length", "1000")]);
        mock.property("response.size", &sent.to_le_bytes());
        stream.on_log(&mock);
        reports(&stream, &mock).len()
    };
    assert_eq!(head(0), 0);
    assert_eq!(head(1000), 1);
}
