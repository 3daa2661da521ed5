//! The two configurations without the filter: ext_authz with access logs, and ext_proc.

use std::time::Duration;

use http::HeaderMap;
use portcullis_e2e::client::{self, Ask, Protocol};
use portcullis_e2e::config::{Edit, Shipped};
use portcullis_e2e::samples;
use portcullis_e2e::stack::BLOCKING;
use portcullis_e2e::wait::until;
use serde_json::Value;

use crate::setup::Path;

const LOG: &str = r#"{"site":{"agentLevel":"log"}}"#;

const ATTACK: &str = "/echo?id=1%27%20OR%20%271%27%3D%271";

/// A verdict may take its time on a busy machine. Tests of what happens without one leave this out.
const PATIENT_AUTHZ: Edit<'_> = ("timeout: 0.2s", "timeout: 2s");
const PATIENT_PROC: Edit<'_> = ("message_timeout: 0.2s", "message_timeout: 2s");

async fn patient(shipped: Shipped, policy: &str) -> Path {
    Path::of(shipped, policy, &[patience(shipped)]).await
}

fn patience(shipped: Shipped) -> Edit<'static> {
    if shipped == Shipped::ExtProc { PATIENT_PROC } else { PATIENT_AUTHZ }
}

/// The counter of requests that went on without an answer.
async fn failures(path: &Path, shipped: Shipped) -> f64 {
    let name = match shipped {
        Shipped::ExtProc => "envoy_http_ext_proc_portcullis_failure_mode_allowed",
        _ => "envoy_cluster_ext_authz_failure_mode_allowed",
    };
    path.counter(name, &[]).await
}

#[tokio::test]
async fn ext_authz_lets_through_and_stops_as_the_filter_does() {
    lets_through_and_stops(Shipped::ExtAuthz).await;
}

#[tokio::test]
async fn ext_proc_lets_through_and_stops_as_the_filter_does() {
    lets_through_and_stops(Shipped::ExtProc).await;
}

async fn lets_through_and_stops(shipped: Shipped) {
    let path = patient(shipped, BLOCKING).await;
    for sample in samples::benign() {
        path.passes(sample).await;
    }
    for sample in samples::attacks() {
        path.stops(sample).await;
    }
    let mut over_http2 = samples::attack("over HTTP/2");
    over_http2.ask = over_http2.ask.over(Protocol::Http2);
    path.stops(over_http2).await;
    assert_eq!(failures(&path, shipped).await, 0.0);
}

#[tokio::test]
async fn ext_authz_stops_again_when_the_agent_returns() {
    stops_again(Shipped::ExtAuthz).await;
}

#[tokio::test]
async fn ext_proc_stops_again_when_the_agent_returns() {
    stops_again(Shipped::ExtProc).await;
}

async fn stops_again(shipped: Shipped) {
    let mut path = patient(shipped, BLOCKING).await;
    path.stops(samples::attack("before")).await;
    path.stack.kill_agent().await.unwrap();
    let ask = samples::attack("without an agent").ask.header("x-sigsci-agentresponse", "200");
    let report = path.send(ask).await.report().unwrap();
    assert!(values(&report, "x-sigsci-agentresponse").is_empty(), "{report}");
    assert!(failures(&path, shipped).await >= 1.0);
    if shipped == Shipped::ExtAuthz {
        assert_eq!(values(&report, "x-envoy-auth-failure-mode-allowed"), ["true"]);
    }
    path.agent_is_back().await;
}

#[tokio::test]
async fn the_access_log_joins_responses_to_requests() {
    let path = patient(Shipped::ExtAuthz, LOG).await;
    joins_responses(&path).await;
}

#[tokio::test]
async fn ext_proc_joins_responses_to_requests() {
    let path = patient(Shipped::ExtProc, LOG).await;
    joins_responses(&path).await;
}

async fn joins_responses(path: &Path) {
    let attack = Ask::get("/status/418?id=1%27%20OR%20%271%27%3D%271").header("user-agent", "a browser");
    assert_eq!(path.send(attack).await.status, 418);
    assert_eq!(path.send(Ask::get("/status/404").header("user-agent", "a browser")).await.status, 404);
    let records = records(path, 2).await;
    let of = |target: &str| records.iter().find(|record| record["Path"] == target).unwrap();
    let joined = of("/status/418");
    assert_eq!((&joined["ResponseCode"], &joined["WAFResponse"]), (&418.into(), &200.into()));
    assert_eq!(joined["Signals"][0]["Type"], "SQLI");
    assert_eq!(joined["RequestIDStr"].as_str().unwrap().len(), 24);
    assert_eq!((&joined["Method"], &joined["ServerFlavor"]), (&"GET".into(), &"envoy".into()));
    assert_eq!(joined["Protocol"], "HTTP/1.1");
    let anomalous = of("/status/404");
    assert_eq!((&anomalous["ResponseCode"], &anomalous["WAFResponse"]), (&404.into(), &200.into()));
}

#[tokio::test]
async fn a_blocked_request_is_written_down_once_with_its_answer() {
    for shipped in [Shipped::ExtAuthz, Shipped::ExtProc] {
        let path = patient(shipped, BLOCKING).await;
        path.stops(samples::attack("blocked")).await;
        // The access log of the first has come when that of the second has.
        path.send(Ask::get("/status/404").header("user-agent", "a browser")).await;
        let records = records(&path, 2).await;
        let codes: Vec<_> =
            records.iter().map(|record| (&record["ResponseCode"], &record["WAFResponse"])).collect();
        assert_eq!(codes, [(&406.into(), &406.into()), (&404.into(), &200.into())], "{shipped:?}");
    }
}

#[tokio::test]
async fn envoys_own_access_log_tells_of_verdicts() {
    for (shipped, details) in
        [(Shipped::ExtAuthz, "ext_authz_denied"), (Shipped::ExtProc, "portcullis_blocked")]
    {
        let path = patient(shipped, BLOCKING).await;
        path.send(Ask::get("/let-through")).await;
        path.send(Ask::get("/stopped?id=1%27%20OR%20%271%27%3D%271")).await;
        let log = path.stack.folder().join("envoy.log");
        let lines = until("both requests are in the access log", Duration::from_secs(20), || async {
            let lines = json_lines(&std::fs::read_to_string(&log)?);
            Ok((lines.len() >= 2).then_some(lines))
        })
        .await
        .unwrap();
        let of = |path: &str| lines.iter().find(|line| line["path"] == path).unwrap();
        assert_eq!(of("/let-through")["verdict"], "allow", "{shipped:?}");
        assert_eq!(of("/stopped")["verdict"], "block", "{shipped:?}");
        assert!(of("/stopped")["details"].as_str().unwrap().contains(details), "{}", of("/stopped"));
    }
}

#[tokio::test]
async fn forged_headers_do_not_pass() {
    for shipped in [Shipped::ExtAuthz, Shipped::ExtProc] {
        // Without what Envoy itself takes away.
        let edits = [
            patience(shipped),
            ("prefix: x-sigsci-,", "prefix: x-unused-,"),
            ("prefix: x_sigsci_,", "prefix: x_unused_,"),
        ];
        let path = Path::of(shipped, BLOCKING, &edits).await;
        let ask = Ask::get("/demo").header("x-sigsci-tags", "FORGED").header("x-sigsci-anything", "FORGED");
        let report = path.send(ask).await.report().unwrap();
        assert!(!report.to_string().contains("FORGED"), "{report}");
        assert_eq!(values(&report, "x-sigsci-agentresponse"), ["200"]);
    }
}

#[tokio::test]
async fn websockets_and_grpc_streams_flow() {
    for shipped in [Shipped::ExtAuthz, Shipped::ExtProc] {
        let path = patient(shipped, BLOCKING).await;
        let echo = client::websocket(path.ingress, "/echo", &HeaderMap::new(), "hello").await.unwrap();
        assert_eq!(echo, "hello", "{shipped:?}");
        let none = HeaderMap::new();
        let status = client::grpc_echo(path.ingress, "/demo.Echo/Stream", &none, &["a", "b"]).await;
        assert_eq!(status.unwrap(), "0", "{shipped:?}");
        let refused = client::websocket(path.ingress, ATTACK, &none, "hello").await.unwrap_err();
        assert!(format!("{refused:#}").contains("406"), "{refused:#}");
    }
}

/// Waits for this many records.
async fn records(path: &Path, wanted: usize) -> Vec<Value> {
    let file = path.stack.records();
    until("the records are written", Duration::from_secs(20), || async {
        let records = json_lines(&std::fs::read_to_string(&file)?);
        Ok((records.len() >= wanted).then_some(records))
    })
    .await
    .unwrap()
}

fn json_lines(text: &str) -> Vec<Value> {
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// The values of a header among those that the application saw.
fn values(report: &Value, wanted: &str) -> Vec<String> {
    let headers = report["headers"].as_array().unwrap().iter();
    headers.filter(|pair| pair[0] == wanted).map(|pair| pair[1].as_str().unwrap().to_owned()).collect()
}
