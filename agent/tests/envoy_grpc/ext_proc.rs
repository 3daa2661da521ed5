use tokio::sync::mpsc;
use tonic::{Code, Streaming};

use crate::client::{Connection, Started, agent};
use crate::wire::{
    HttpBody, HttpHeaders, ImmediateResponse, ProcessingRequest, ProcessingResponse, ProtocolConfiguration,
    StepResponse, edits as edits_of, raw_headers, set,
};
use crate::{ATTACK, BLOCK, EDITS, LOG, PROCESS, SCRIPT, edited};

/// `request_body_mode`.
const NONE: i32 = 0;
const STREAMED: i32 = 1;
const BUFFERED_PARTIAL: i32 = 3;
const FULL_DUPLEX_STREAMED: i32 = 4;

/// One request that Envoy shows.
struct Exchange {
    sender: mpsc::Sender<ProcessingRequest>,
    responses: Streaming<ProcessingResponse>,
}

impl Exchange {
    async fn begin(connection: &Connection, first: ProcessingRequest) -> (Self, ProcessingResponse) {
        let (sender, messages) = mpsc::channel(1);
        sender.send(first).await.unwrap();
        let responses = connection.stream(PROCESS, messages).await.unwrap();
        let mut exchange = Self { sender, responses };
        let response = exchange.responses.message().await.unwrap().unwrap();
        (exchange, response)
    }

    async fn step(&mut self, step: ProcessingRequest) -> ProcessingResponse {
        self.sender.send(step).await.unwrap();
        self.responses.message().await.unwrap().unwrap()
    }

    async fn is_over(&mut self) -> bool {
        self.responses.message().await.unwrap().is_none()
    }
}

fn serving(policy: &str) -> Started {
    agent(policy, |command, dir| {
        command
            .env("SIGSCI_ENVOY_EXTPROC_ENABLED", "true")
            .env("SIGSCI_WAF_DATA_LOG", dir.join("data.log"))
            .env("SIGSCI_INSPECTION_MAX_CONTENT_LENGTH", "1000");
    })
}

fn head(path: &str, mode: Option<i32>, end_of_stream: bool, more: &[(&str, &str)]) -> ProcessingRequest {
    let mut pairs = vec![
        (":method", if end_of_stream { "GET" } else { "POST" }),
        (":path", path),
        (":authority", "shop.example"),
        (":scheme", "http"),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
        ("accept", "*/*"),
    ];
    pairs.extend(more);
    ProcessingRequest {
        request_headers: Some(HttpHeaders { headers: Some(raw_headers(&pairs)), end_of_stream }),
        protocol_config: mode.map(|request_body_mode| ProtocolConfiguration { request_body_mode }),
        ..ProcessingRequest::default()
    }
}

fn piece(body: &str, end_of_stream: bool) -> ProcessingRequest {
    let request_body = Some(HttpBody { body: body.as_bytes().to_vec(), end_of_stream });
    ProcessingRequest { request_body, ..ProcessingRequest::default() }
}

fn response(status: &str) -> ProcessingRequest {
    let headers = Some(raw_headers(&[(":status", status), ("content-length", "17")]));
    let response_headers = Some(HttpHeaders { headers, end_of_stream: false });
    ProcessingRequest { response_headers, ..ProcessingRequest::default() }
}

fn blocked(response: &ProcessingResponse) -> &ImmediateResponse {
    let immediate = response.immediate_response.as_ref().unwrap();
    assert_eq!(
        (immediate.status.as_ref().unwrap().code, immediate.details.as_str()),
        (406, "portcullis_blocked")
    );
    immediate
}

/// The header edits of a verdict.
fn edits(step: Option<&StepResponse>) -> (Vec<(String, String)>, Vec<String>) {
    let mutation = step.unwrap().response.clone().unwrap_or_default().header_mutation.unwrap_or_default();
    (set(&mutation.set_headers), mutation.remove_headers)
}

#[tokio::test]
async fn judges_a_request_without_body_by_its_headers() {
    let started = serving(BLOCK);
    let connection = started.connect().await;
    let forged = [("x-sigsci-tags", "SQLI")];
    let (mut benign, said) =
        Exchange::begin(&connection, head("/", Some(BUFFERED_PARTIAL), true, &forged)).await;
    let (set, removed) = edits(said.request_headers.as_ref());
    assert!(set.contains(&("x-sigsci-agentresponse".into(), "200".into())), "{set:?}");
    assert_eq!(removed, ["x-sigsci-tags"]);
    assert!(benign.step(response("200")).await.response_headers.is_some());
    assert!(benign.is_over().await);

    let (mut attack, said) =
        Exchange::begin(&connection, head(ATTACK, Some(BUFFERED_PARTIAL), true, &[])).await;
    blocked(&said);
    let metadata =
        said.dynamic_metadata.as_ref().unwrap().fields["portcullis"].struct_value.as_ref().unwrap();
    assert_eq!(metadata.text("verdict"), Some("block"));
    assert!(attack.is_over().await);
    let records = started.records().await;
    assert_eq!(records.len(), 1);
    assert_eq!((&records[0]["ResponseCode"], &records[0]["WAFResponse"]), (&406.into(), &406.into()));
}

#[tokio::test]
async fn waits_for_a_body_that_envoy_holds_and_judges_the_whole_once() {
    let started = serving(BLOCK);
    let connection = started.connect().await;
    let json = [("content-type", "application/json")];
    for (body, passes) in [(r#"{"a": 1}"#.to_owned(), true), (format!(r#"{{"a": "{SCRIPT}"}}"#), false)] {
        let (mut exchange, said) =
            Exchange::begin(&connection, head("/", Some(BUFFERED_PARTIAL), false, &json)).await;
        assert_eq!(edits(said.request_headers.as_ref()), (vec![], vec![]));
        let said = exchange.step(piece(&body, true)).await;
        if passes {
            assert_eq!(
                edits(said.request_body.as_ref()).0[0],
                ("x-sigsci-agentresponse".into(), "200".into())
            );
        } else {
            blocked(&said);
        }
    }
    assert_eq!(started.metric("waf_requests_total{outcome=\"allowed\"}"), "1");
    assert_eq!(started.metric("waf_requests_total{outcome=\"blocked\"}"), "1");
}

#[tokio::test]
async fn holds_the_last_piece_of_a_streamed_body_until_the_whole_is_judged() {
    let started = serving(BLOCK);
    let connection = started.connect().await;
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let (mut exchange, said) = Exchange::begin(&connection, head("/", Some(STREAMED), false, &form)).await;
    assert!(said.request_headers.is_some());
    let (first, last) = SCRIPT.split_at(12);
    assert!(exchange.step(piece(&format!("a={first}"), false)).await.request_body.is_some());
    blocked(&exchange.step(piece(last, true)).await);

    // Beyond the limit nothing is looked at, and nothing held.
    let (mut long, _) = Exchange::begin(&connection, head("/", Some(STREAMED), false, &form)).await;
    for _ in 0..3 {
        assert!(long.step(piece(&"a=b&".repeat(200), false)).await.request_body.is_some());
    }
    assert!(long.step(piece(&format!("a={SCRIPT}"), true)).await.request_body.is_some());
    assert_eq!(started.metric("waf_memory_held_bytes"), "0");
}

#[tokio::test]
async fn judges_the_head_first_where_it_is_not_told_that_a_body_comes() {
    let started = serving(BLOCK);
    let connection = started.connect().await;
    for mode in [None, Some(NONE), Some(STREAMED)] {
        let (_, said) = Exchange::begin(&connection, head(ATTACK, mode, false, &[])).await;
        blocked(&said);
    }
    let json = [("content-type", "application/json")];
    let (mut older, said) = Exchange::begin(&connection, head("/", None, false, &json)).await;
    assert_eq!(edits(said.request_headers.as_ref()).0[0], ("x-sigsci-agentresponse".into(), "200".into()));
    blocked(&older.step(piece(&format!(r#"{{"a": "{SCRIPT}"}}"#), true)).await);
}

#[tokio::test]
async fn asks_for_no_body_of_a_stream() {
    let started = serving(BLOCK);
    let connection = started.connect().await;
    let grpc = [("content-type", "application/grpc")];
    let (_, said) = Exchange::begin(&connection, head("/", Some(BUFFERED_PARTIAL), false, &grpc)).await;
    assert_eq!(edits(said.request_headers.as_ref()).0[0], ("x-sigsci-agentresponse".into(), "200".into()));
    assert_eq!(said.mode_override.unwrap().request_body_mode, NONE);
}

#[tokio::test]
async fn joins_the_response_to_its_request() {
    let started = serving(LOG);
    let connection = started.connect().await;
    let (mut exchange, said) = Exchange::begin(&connection, head(ATTACK, Some(NONE), true, &[])).await;
    assert!(edits(said.request_headers.as_ref()).0.contains(&("x-sigsci-tags".into(), "XSS".into())));
    exchange.step(response("503")).await;
    // An anomaly of a request without id, and one whose response never comes.
    let (mut missing, _) = Exchange::begin(&connection, head("/missing", Some(NONE), true, &[])).await;
    missing.step(response("404")).await;
    let (gone, _) = Exchange::begin(&connection, head(ATTACK, Some(NONE), true, &[])).await;
    assert_eq!(started.metric("waf_contexts_waiting"), "1");
    drop(gone);
    while started.metric("waf_contexts_waiting") != "0" {
        tokio::task::yield_now().await;
    }
    let records = started.records().await;
    let codes: Vec<_> = records.iter().map(|record| record["ResponseCode"].as_i64().unwrap()).collect();
    assert_eq!(codes, [503, 404, -1]);
    assert_eq!((&records[0]["ResponseSize"], &records[1]["Path"]), (&17.into(), &"/missing".into()));
}

#[tokio::test]
async fn answers_with_a_page_where_the_policy_has_one() {
    let started = serving(EDITS);
    let connection = started.connect().await;
    let (mut login, said) = Exchange::begin(&connection, head("/login", Some(NONE), true, &[])).await;
    let answer = said.immediate_response.as_ref().unwrap();
    assert_eq!(answer.status.as_ref().unwrap().code, 401);
    let headers = set(&answer.headers.as_ref().unwrap().set_headers);
    let page = [("content-type", "text/html; charset=utf-8"), ("cache-control", "no-store")];
    assert_eq!(headers, page.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let body = String::from_utf8(answer.body.clone()).unwrap();
    assert!(body.starts_with("<!doctype html>") && body.contains("incorrect"), "{body}");
    assert!(login.is_over().await);
}

#[tokio::test]
async fn edits_the_response() {
    let started = serving(EDITS);
    let connection = started.connect().await;
    for (path, set, removed) in [("/shop", edited(), vec!["Server".to_owned()]), ("/", vec![], vec![])] {
        let (mut exchange, _) = Exchange::begin(&connection, head(path, Some(NONE), true, &[])).await;
        let said = exchange.step(response("200")).await;
        let step = said.response_headers.unwrap().response.unwrap_or_default();
        let mutation = step.header_mutation.unwrap_or_default();
        assert_eq!((edits_of(&mutation.set_headers), mutation.remove_headers), (set, removed), "{path}");
    }
}

#[tokio::test]
async fn says_which_configuration_it_can_not_serve() {
    let started = serving(BLOCK);
    let connection = started.connect().await;
    let duplex = head("/", Some(FULL_DUPLEX_STREAMED), false, &[]);
    for first in [duplex, piece("x", true)] {
        let (sender, messages) = mpsc::channel(1);
        sender.send(first).await.unwrap();
        let mut responses = connection.stream::<_, ProcessingResponse>(PROCESS, messages).await.unwrap();
        assert_eq!(responses.message().await.unwrap_err().code(), Code::FailedPrecondition);
    }
    assert_eq!(started.metric("waf_connections_failed_total{reason=\"refused\"}"), "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn stops_though_a_response_never_comes() {
    let started = serving(BLOCK);
    let connection = started.connect().await;
    let (mut waiting, _) = Exchange::begin(&connection, head("/", Some(NONE), true, &[])).await;
    started.agent.signal("-TERM");
    assert!(waiting.is_over().await);
    started.agent.await_log("SIGTERM: draining");
    started.agent.drained();
}
