use std::collections::HashMap;

use tonic::Code;

use crate::client::{Connection, agent};
use crate::wire::{
    Address, AttributeContext, AttributeRequest, CheckRequest, CheckResponse, HttpRequest, Peer,
    SocketAddress, Struct, edits, raw_headers, set,
};
use crate::{ATTACK, BLOCK, CHECK, EDITS, LOG, SCRIPT, edited};

/// A benign question.
pub(crate) fn http(path: &str) -> HttpRequest {
    let headers = [
        (":method", "GET"),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
        ("accept", "*/*"),
    ];
    HttpRequest {
        method: "GET".into(),
        path: path.into(),
        host: "shop.example".into(),
        scheme: "http".into(),
        protocol: "HTTP/1.1".into(),
        size: -1,
        headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        ..HttpRequest::default()
    }
}

pub(crate) fn question(http: HttpRequest) -> CheckRequest {
    let address = SocketAddress { address: "192.0.2.1".into(), port_value: 4711 };
    let source = Peer { address: Some(Address { socket_address: Some(address) }) };
    let attributes =
        AttributeContext { source: Some(source), request: Some(AttributeRequest { http: Some(http) }) };
    CheckRequest { attributes: Some(attributes) }
}

pub(crate) async fn ask(connection: &Connection, http: HttpRequest) -> CheckResponse {
    connection.unary(CHECK, question(http)).await.unwrap()
}

/// The status that the client is answered, and none where the request goes on.
fn denied(response: &CheckResponse) -> Option<i32> {
    let code = response.status.as_ref().unwrap().code;
    match &response.denied_response {
        Some(denied) => {
            assert_eq!((code, response.ok_response.is_some()), (7, false));
            Some(denied.status.as_ref().unwrap().code)
        }
        None => {
            assert_eq!((code, response.ok_response.is_some()), (0, true));
            None
        }
    }
}

fn metadata(response: &CheckResponse) -> &Struct {
    response.dynamic_metadata.as_ref().unwrap()
}

fn post(content_type: &str) -> HttpRequest {
    let mut http = http("/form");
    http.method = "POST".into();
    http.headers.insert("content-type".into(), content_type.into());
    http
}

#[tokio::test]
async fn lets_a_benign_request_pass_with_the_verdict_on_it() {
    let started = agent(BLOCK, |_, _| {});
    let connection = started.connect().await;
    let response = ask(&connection, http("/hello?name=bob")).await;
    assert_eq!(denied(&response), None);
    let ok = response.ok_response.as_ref().unwrap();
    let expected = [("x-sigsci-agentresponse", "200"), ("x-sigsci-waf-response", "200")];
    assert_eq!(set(&ok.headers), expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert!(ok.headers_to_remove.is_empty());
    assert_eq!(metadata(&response).text("verdict"), Some("allow"));
    assert_eq!(metadata(&response).fields["code"].number_value, Some(200.0));
    assert_eq!(started.metric("waf_requests_total{outcome=\"allowed\"}"), "1");
}

#[tokio::test]
async fn blocks_an_attack_wherever_it_is() {
    let started = agent(BLOCK, |_, _| {});
    let connection = started.connect().await;
    let in_header = {
        let mut http = http("/");
        http.headers.insert("referer".into(), format!("http://a.example/{SCRIPT}"));
        http
    };
    let in_form = HttpRequest {
        body: "comment=%3Cscript%3Ealert(document.cookie)%3C%2Fscript%3E".into(),
        ..post("application/x-www-form-urlencoded")
    };
    let in_json = HttpRequest {
        raw_body: format!(r#"{{"comment": "{SCRIPT}"}}"#).into_bytes(),
        ..post("application/json")
    };
    let in_raw_header = HttpRequest {
        headers: HashMap::new(),
        header_map: Some(raw_headers(&[("user-agent", "test"), ("cookie", "a=1"), ("referer", SCRIPT)])),
        ..http("/")
    };
    let in_large_body = HttpRequest {
        raw_body: format!(r#"{{"padding": "{}", "comment": "{SCRIPT}"}}"#, "x".repeat(100_000)).into_bytes(),
        ..post("application/json")
    };
    for http in [http(ATTACK), in_header, in_form, in_json, in_raw_header, in_large_body] {
        let response = ask(&connection, http.clone()).await;
        assert_eq!(denied(&response), Some(406), "{http:?}");
        assert_eq!(metadata(&response).text("verdict"), Some("block"));
        assert_eq!(metadata(&response).text("request_id").unwrap().len(), 24);
        let signals = metadata(&response).fields["signals"].list_value.as_ref().unwrap();
        assert_eq!(signals.values[0].string_value.as_deref(), Some("XSS"));
    }
    assert_eq!(started.metric("waf_requests_total{outcome=\"blocked\"}"), "6");
}

#[tokio::test]
async fn redirects_where_the_policy_says_so() {
    let policy = r#"{"site": {"agentLevel": "block", "immediateBlock": true,
        "blockHTTPCode": 302, "blockRedirectURL": "/no"}}"#;
    let started = agent(policy, |_, _| {});
    let response = ask(&started.connect().await, http(ATTACK)).await;
    assert_eq!(denied(&response), Some(302));
    let headers = &response.denied_response.as_ref().unwrap().headers;
    assert_eq!(set(headers), [("location".to_owned(), "/no".to_owned())]);
    assert_eq!(metadata(&response).text("verdict"), Some("redirect"));
}

#[tokio::test]
async fn answers_with_a_page_where_the_policy_has_one() {
    let started = agent(EDITS, |_, _| {});
    let response = ask(&started.connect().await, http("/login")).await;
    assert_eq!(denied(&response), Some(401));
    let answer = response.denied_response.as_ref().unwrap();
    let page = [("content-type", "text/html; charset=utf-8"), ("cache-control", "no-store")];
    assert_eq!(set(&answer.headers), page.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert!(
        answer.body.starts_with("<!doctype html>") && answer.body.contains("incorrect"),
        "{}",
        answer.body
    );
    // A plain denial has none.
    let plain = agent(BLOCK, |_, _| {});
    let response = ask(&plain.connect().await, http(ATTACK)).await;
    assert_eq!(response.denied_response.as_ref().unwrap().body, "");
}

#[tokio::test]
async fn has_the_response_edited_as_far_as_envoy_can() {
    let started = agent(EDITS, |_, _| {});
    let connection = started.connect().await;
    let response = ask(&connection, http("/shop")).await;
    assert_eq!(denied(&response), None);
    assert_eq!(edits(&response.ok_response.as_ref().unwrap().response_headers_to_add), edited());
    let other = ask(&connection, http("/")).await;
    assert!(other.ok_response.as_ref().unwrap().response_headers_to_add.is_empty());
}

#[tokio::test]
async fn tells_the_application_what_was_found_and_not_what_a_client_says() {
    let started = agent(LOG, |_, _| {});
    let mut http = http(ATTACK);
    for name in ["x-sigsci-agentresponse", "x-sigsci-requestid", "x_sigsci_tags", "x-sigsci-other"] {
        http.headers.insert(name.into(), "forged".into());
    }
    let response = ask(&started.connect().await, http).await;
    let ok = response.ok_response.as_ref().unwrap();
    let headers: HashMap<_, _> = set(&ok.headers).into_iter().collect();
    let id = metadata(&response).text("request_id").unwrap();
    assert_eq!(headers["x-sigsci-tags"], "XSS");
    assert_eq!((headers["x-sigsci-requestid"].as_str(), headers["x-sigsci-request-id"].as_str()), (id, id));
    assert!(headers.values().all(|value| value != "forged"));
    let mut removed = ok.headers_to_remove.clone();
    removed.sort();
    assert_eq!(removed, ["x-sigsci-other", "x_sigsci_tags"]);
}

#[tokio::test]
async fn never_calls_a_request_clean_that_was_not_inspected() {
    let started = agent(BLOCK, |command, _| {
        command.env("SIGSCI_DEBUG_DISABLE_PROCESSING", "true");
    });
    let response = ask(&started.connect().await, http(ATTACK)).await;
    assert_eq!(denied(&response), None);
    let headers = set(&response.ok_response.as_ref().unwrap().headers);
    assert_eq!(headers, [("x-sigsci-waf-response".to_owned(), "0".to_owned())]);
    let metadata = metadata(&response);
    assert_eq!(
        (metadata.text("verdict"), metadata.text("reason")),
        (Some("not_inspected"), Some("disabled"))
    );
    assert_eq!(started.metric("waf_requests_total{outcome=\"disabled\"}"), "1");
}

#[tokio::test]
async fn refuses_a_question_about_nothing() {
    let started = agent(BLOCK, |_, _| {});
    let connection = started.connect().await;
    let refused = connection.unary::<_, CheckResponse>(CHECK, CheckRequest { attributes: None }).await;
    assert_eq!(refused.unwrap_err().code(), Code::InvalidArgument);
    assert_eq!(started.metric("waf_connections_failed_total{reason=\"refused\"}"), "1");
    assert_eq!(denied(&ask(&connection, http("/")).await), None);
}
