use std::collections::HashMap;

use crate::client::{Connection, Started, agent};
use crate::ext_authz::{ask, http};
use crate::wire::{
    Common, Duration, HttpLogEntry, HttpLogs, Identifier, Metadata, RequestProperties, ResponseProperties,
    StreamAccessLogsMessage, StreamAccessLogsResponse, Struct, UInt32Value, Value,
};
use crate::{ATTACK, BLOCK, LOG, LOGS};

fn recording(policy: &str, expect: &str) -> Started {
    agent(policy, |command, dir| {
        command
            .env("SIGSCI_WAF_DATA_LOG", dir.join("data.log"))
            .env("SIGSCI_ENVOY_EXPECT_RESPONSE_DATA", expect);
    })
}

fn entry(code: u32, request_headers: &[(&str, &str)], verdict: Option<(&str, &str)>) -> HttpLogEntry {
    let owned = |pairs: &[(&str, &str)]| -> HashMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let text = |text: &str| Value { string_value: Some(text.to_owned()), ..Value::default() };
    let filter_metadata = verdict.map(|(verdict, id)| {
        let mut fields = HashMap::from([("verdict".to_owned(), text(verdict))]);
        if !id.is_empty() {
            fields.insert("request_id".to_owned(), text(id));
        }
        ("envoy.filters.http.ext_authz".to_owned(), Struct { fields })
    });
    HttpLogEntry {
        common_properties: Some(Common {
            time_to_last_downstream_tx_byte: Some(Duration { seconds: 0, nanos: 12_000_000 }),
            metadata: Some(Metadata { filter_metadata: filter_metadata.into_iter().collect() }),
        }),
        protocol_version: 2,
        request: Some(RequestProperties {
            request_method: 3,
            authority: "shop.example".into(),
            path: "/missing".into(),
            user_agent: "test".into(),
            request_headers: owned(request_headers),
        }),
        response: Some(ResponseProperties {
            response_code: Some(UInt32Value { value: code }),
            response_body_bytes: 345,
            response_headers: owned(&[("content-type", "text/html")]),
            response_code_details: "via_upstream".into(),
        }),
    }
}

async fn send(connection: &Connection, entries: Vec<HttpLogEntry>) {
    let (sender, call) = connection.client_streaming(LOGS);
    let identifier = Some(Identifier { log_name: "sigsci-agent-grpc".into() });
    let message = StreamAccessLogsMessage { identifier, http_logs: Some(HttpLogs { log_entry: entries }) };
    sender.send(message).await.unwrap();
    drop(sender);
    let _answer: StreamAccessLogsResponse = call.await.unwrap();
}

/// Has an attack let pass, and returns its id.
async fn passed(connection: &Connection) -> String {
    let response = ask(connection, http(ATTACK)).await;
    assert!(response.ok_response.is_some());
    response.dynamic_metadata.unwrap().text("request_id").unwrap().to_owned()
}

#[tokio::test]
async fn joins_a_response_to_its_request_by_header_or_metadata() {
    let started = recording(LOG, "1");
    let connection = started.connect().await;
    let (one, two) = (passed(&connection).await, passed(&connection).await);
    let by_header = entry(201, &[("x-sigsci-request-id", &one)], None);
    let by_metadata = entry(503, &[], Some(("allow", &two)));
    send(&connection, vec![by_header, by_metadata]).await;
    assert_eq!(started.metric("waf_reports_total{kind=\"update\"}"), "2");
    let records = started.records().await;
    let told: Vec<_> =
        records.iter().map(|record| (&record["RequestIDStr"], &record["ResponseCode"])).collect();
    assert_eq!(told, [(&one.into(), &201.into()), (&two.into(), &503.into())]);
    assert_eq!((&records[0]["ResponseMillis"], &records[0]["ResponseSize"]), (&12.into(), &345.into()));
    assert_eq!(records[0]["ServerFlavor"], "envoy");
    assert_eq!(records[0]["RemoteAddr"], "192.0.2.1");
}

#[tokio::test]
async fn does_not_let_a_record_wait_where_no_access_log_is_expected() {
    let started = recording(LOG, "0");
    let connection = started.connect().await;
    let id = passed(&connection).await;
    assert_eq!(started.metric("waf_contexts_waiting"), "0");
    send(&connection, vec![entry(200, &[("x-sigsci-request-id", &id)], None)]).await;
    assert_eq!(started.metric("waf_contexts_lost_total{reason=\"no_request\"}"), "0");
    let records = started.records().await;
    assert_eq!(records.len(), 1);
    assert_eq!((&records[0]["RequestIDStr"], &records[0]["ResponseCode"]), (&id.into(), &(-1).into()));
}

#[tokio::test]
async fn knows_the_response_of_a_blocked_request_without_being_told() {
    let started = recording(BLOCK, "1");
    let connection = started.connect().await;
    let response = ask(&connection, http(ATTACK)).await;
    let id = response.dynamic_metadata.unwrap().text("request_id").unwrap().to_owned();
    assert_eq!(started.metric("waf_contexts_waiting"), "0");
    send(&connection, vec![entry(406, &[], Some(("block", &id)))]).await;
    assert_eq!(started.metric("waf_contexts_lost_total{reason=\"no_request\"}"), "0");
    let records = started.records().await;
    assert_eq!(records.len(), 1);
    assert_eq!((&records[0]["ResponseCode"], &records[0]["WAFResponse"]), (&406.into(), &406.into()));
}

#[tokio::test]
async fn writes_down_an_anomalous_response_of_a_request_without_id() {
    let started = recording(BLOCK, "1");
    let connection = started.connect().await;
    let judged = ("allow", "");
    let forged = [("x-sigsci-waf-response", "200")];
    send(
        &connection,
        vec![
            entry(404, &[("x-sigsci-waf-response", "200")], Some(judged)),
            entry(200, &[("x-sigsci-waf-response", "200")], Some(judged)),
            // The agent was not asked about this one.
            entry(404, &forged, None),
        ],
    )
    .await;
    assert_eq!(started.metric("waf_reports_total{kind=\"post\"}"), "2");
    let records = started.records().await;
    let told: Vec<_> =
        records.iter().map(|record| (&record["ResponseCode"], &record["WAFResponse"])).collect();
    assert_eq!(told, [(&404.into(), &200.into()), (&404.into(), &0.into())]);
    assert_eq!((&records[0]["Method"], &records[0]["Path"]), (&"POST".into(), &"/missing".into()));
    assert_eq!(records[0]["Signals"][0]["Type"], "HTTP404");
}

#[tokio::test]
async fn counts_a_response_that_nobody_waits_for() {
    let started = recording(LOG, "1");
    let connection = started.connect().await;
    let stranger = entry(200, &[("x-sigsci-request-id", "0123456789abcdef01234567")], None);
    let garbled = entry(200, &[("x-sigsci-request-id", "no id")], None);
    send(&connection, vec![stranger, garbled]).await;
    assert_eq!(started.metric("waf_contexts_lost_total{reason=\"no_request\"}"), "2");
}
