//! Requests that two parsers could delimit differently: answered 400, signalled, never forwarded.

use crate::setup::{Agent, Setup, Upstream, exchange, status};

struct Vector {
    name: String,
    raw: Vec<u8>,
    refused: Option<String>,
}

fn vectors() -> Vec<Vector> {
    let lines = include_str!("../../../vectors/framing/requests.jsonl").lines();
    lines
        .map(|line| {
            let vector: serde_json::Value = serde_json::from_str(line).unwrap();
            let raw = vector["raw"].as_str().unwrap();
            Vector {
                name: vector["name"].as_str().unwrap().to_owned(),
                // One character a byte, as in Latin-1.
                raw: raw.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect(),
                refused: vector["reject"].as_str().map(str::to_owned),
            }
        })
        .collect()
}

#[tokio::test]
async fn doubtful_requests_are_answered_400_and_never_forwarded() {
    let upstream = Upstream::ok().await;
    let agent = Agent::with(&upstream.url(), "access-log='DIR/access.log',access-log-format=json").await;
    let mut refused = 0;
    for Vector { name, raw, refused: reason } in vectors() {
        let Some(reason) = reason else { continue };
        let before = upstream.requests().len();
        let answer = agent.exchange(&raw).await;
        let text = String::from_utf8_lossy(&answer);
        // Of pipelined requests those before the faulty one are sound.
        let sound = upstream.requests().len() - before;
        let statuses: Vec<&str> = text.split("HTTP/1.1 ").skip(1).filter_map(|part| part.get(..3)).collect();
        assert_eq!(statuses.last(), Some(&"400"), "{name}: {text}");
        assert_eq!(statuses.len(), sound + 1, "{name}: {text}");
        let faulty = upstream.requests().into_iter().skip(before).any(|request| request.contains("smuggled"));
        assert!(!faulty, "{name}: the refused part reached the application");
        agent.await_file("access.log", &format!("\"rejection\":\"{reason}\"")).await;
        refused += 1;
    }
    println!("{refused} refused");
    assert!(refused >= 24, "{refused}");
    assert!(agent.metric("waf_proxy_rejections_total", "").await >= 24.0);
    assert!(agent.metric("waf_signals_total", "tag=\"BHH\"").await >= 24.0);
    let records = agent.await_file("data.log", "FRAMING").await;
    let record: serde_json::Value = serde_json::from_str(records.lines().next().unwrap()).unwrap();
    let signals = record["Signals"].as_array().unwrap();
    assert!(signals.iter().any(|signal| signal["Type"] == "BHH"), "{record}");
    assert_eq!(record["ResponseCode"], 400);
    assert_eq!(record["WAFResponse"], 400);
}

#[tokio::test]
async fn sound_requests_of_odd_form_pass() {
    let upstream = Upstream::ok().await;
    let agent = Agent::start(
        &upstream.url(),
        Setup { environment: &[("SIGSCI_DEBUG_DISABLE_PROCESSING", "true")], ..Setup::default() },
    )
    .await;
    for Vector { name, raw, refused } in vectors() {
        // Some of the vectors begin a body that they do not end.
        if refused.is_some() || raw.windows(8).any(|eight| eight.eq_ignore_ascii_case(b"upgrade:")) {
            continue;
        }
        let before = upstream.requests().len();
        let mut last = raw.clone();
        // The connection's end is asked for, or the answer's end could not be told from a wait.
        last.extend_from_slice(b"GET /end HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let answer = exchange(agent.at, &last).await;
        assert_eq!(status(&answer), 200, "{name}: {}", answer.escape_ascii());
        assert!(upstream.requests().len() > before, "{name}");
    }
}

#[tokio::test]
async fn a_target_that_passes_the_guard_and_not_the_parser_is_recorded_too() {
    let upstream = Upstream::ok().await;
    let agent = Agent::with(&upstream.url(), "access-log='DIR/access.log',access-log-format=json").await;
    assert_eq!(status(agent.exchange(b"GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n").await), 400);
    assert_eq!(upstream.connections(), 0);
    agent.await_metric("waf_proxy_rejections_total", "reason=\"request-line\"", 1.0).await;
    agent.await_file("access.log", "\"rejection\":\"request-line\"").await;
}

#[tokio::test]
async fn a_refused_request_is_told_with_its_first_line() {
    let upstream = Upstream::ok().await;
    let agent = Agent::plain(&upstream.url()).await;
    let raw = b"POST /transfer HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    assert_eq!(status(agent.exchange(raw).await), 400);
    let record = agent.await_file("data.log", "FRAMING").await;
    let record: serde_json::Value = serde_json::from_str(record.lines().next().unwrap()).unwrap();
    assert_eq!((&record["Method"], &record["Path"]), (&"POST".into(), &"/transfer".into()));
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn a_body_that_goes_wrong_behind_what_is_held_breaks_the_request_off() {
    let upstream = Upstream::ok().await;
    let agent = Agent::with(&upstream.url(), "inspection-max-content-length=16").await;
    let raw = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n20\r\n0123456789abcdef0123456789abcdef\r\nX\r\nsmuggled";
    assert_eq!(status(agent.exchange(raw).await), 400);
    assert!(upstream.requests().is_empty(), "the application got a whole request");
    agent.await_metric("waf_proxy_rejections_total", "chunk-size", 1.0).await;
}
