//! Mode `local-first` in a real Envoy.

use std::time::Duration;

use portcullis_detect::{Engine, Header, Request as Seen};
use portcullis_e2e::client::{self, Ask, Protocol};
use portcullis_e2e::config::Edit;
use portcullis_e2e::samples::{self, Sample};
use portcullis_e2e::smoke::FAILURES;
use portcullis_e2e::wait::until;

use crate::setup::{PATIENT, Path};

const LOCAL: Edit<'_> = (r#""mode": "ask-always""#, r#""mode": "local-first""#);
const DECISIONS: &str = "portcullis_decisions_total";

/// A path whose filter knows the agent's facts.
async fn informed(edits: &[Edit<'_>]) -> Path {
    let path = Path::real(&[&[PATIENT, LOCAL], edits].concat()).await;
    let ingress = path.ingress;
    until("the filter judges by itself", Duration::from_secs(20), || async {
        // Each worker has to learn; a worker takes each new connection.
        browser("/ready").send(ingress).await?;
        let stats = path.stack.stats().await?;
        Ok((stats.sum(DECISIONS, &[("decision", "local")]) >= 20.0).then_some(()))
    })
    .await
    .unwrap();
    path
}

fn browser(target: &str) -> Ask {
    Ask::get(target).header("user-agent", "Mozilla/5.0")
}

#[tokio::test]
async fn ordinary_requests_pass_without_a_question_and_the_agent_hears_their_number() {
    let path = informed(&[]).await;
    let before = path.counter("portcullis_callout_us_count", &[]).await;
    for protocol in [Protocol::Http1, Protocol::Http2] {
        for _ in 0..10 {
            let answer = path.send(browser("/shop?page=2").over(protocol)).await;
            assert_eq!(answer.status, 200);
        }
    }
    assert_eq!(path.counter("portcullis_callout_us_count", &[]).await, before);
    assert_eq!(path.counter(FAILURES, &[]).await, 0.0);
}

#[tokio::test]
async fn attacks_never_reach_the_app() {
    attacks_and_ordinary_requests_are_told_apart().await;
}

pub(crate) async fn attacks_and_ordinary_requests_are_told_apart() {
    let path = informed(&[]).await;
    assert_eq!(path.send(browser("/shop?page=2")).await.status, 200);
    for protocol in [Protocol::Http1, Protocol::Http2] {
        for sample in samples::attacks() {
            path.stops(Sample { ask: sample.ask.over(protocol), ..sample }).await;
        }
    }
}

#[tokio::test]
async fn ordinary_bodies_and_streams_reach_the_app_whole() {
    let path = informed(&[]).await;
    for sample in samples::benign() {
        path.passes(sample).await;
    }
    let nothing = http::HeaderMap::new();
    assert_eq!(client::websocket(path.ingress, "/echo", &nothing, "hello").await.unwrap(), "hello");
    let status = client::grpc_echo(path.ingress, "/demo.Echo/Stream", &nothing, &["a", "b"]).await.unwrap();
    assert_eq!(status, "0");
}

#[tokio::test]
async fn with_the_agent_gone_attacks_are_stopped_and_the_rest_goes_on() {
    let mut path = informed(&[]).await;
    path.stack.kill_agent().await.unwrap();
    for _ in 0..10 {
        path.stops(samples::attack("agent gone")).await;
        assert_eq!(path.send(browser("/shop")).await.status, 200);
    }
    path.counts(DECISIONS, &[("decision", "local_block")], 10.0).await;
}

/// The engine in the module in Envoy's VM says of every vector what the native engine says: where that finds nothing the
/// agent is not asked, where it finds an attack the request is stopped though the agent is gone.
#[tokio::test]
async fn the_engine_in_envoy_agrees_with_the_native_one_on_every_vector() {
    let mut path =
        informed(&[(r#""metrics_prefix""#, r#""local": {"max_age_ms": 600000}, "metrics_prefix""#)]).await;
    path.stack.kill_agent().await.unwrap();
    let engine = Engine::default();
    let (mut seen, mut wrong) = (0, Vec::new());
    let targets = targets();
    for chunk in targets.chunks(16) {
        let asks = chunk.iter().map(|target| browser(target).send(path.ingress));
        for (target, answer) in chunk.iter().zip(futures_util::future::join_all(asks).await) {
            seen += 1;
            let answer = answer.unwrap();
            let native = native(&engine, target);
            let blocked = answer.status == portcullis_e2e::smoke::BLOCK;
            if blocked != native {
                wrong.push(format!("{target}: native {native}, Envoy {}", answer.status));
            }
        }
    }
    assert!(seen > 1000, "only {seen} vectors");
    assert!(wrong.is_empty(), "{} of {seen}:\n{}", wrong.len(), wrong.join("\n"));
}

/// Whether the native engine finds an attack.
fn native(engine: &Engine, target: &str) -> bool {
    let headers =
        [Header { name: b"Host", value: b"demo" }, Header { name: b"user-agent", value: b"Mozilla/5.0" }];
    let seen = Seen { target: target.as_bytes(), authority: b"demo", headers: &headers, ..Seen::default() };
    engine.inspect(&seen).has_attack()
}

/// Every line of every `vectors/*/*.txt` as a query parameter.
fn targets() -> Vec<String> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors");
    let folders = std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = folders
        .flat_map(|folder| {
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>()
        })
        .filter(|file| file.extension().is_some_and(|end| end == "txt"))
        .collect();
    files.sort();
    let mut targets = Vec::new();
    for file in files {
        let text = std::fs::read(file).unwrap();
        let lines = text.split(|byte| *byte == b'\n');
        for line in lines.filter(|line| !line.is_empty() && !line.starts_with(b"#") && line.len() < 8000) {
            let value: String = line.iter().map(|byte| format!("%{byte:02X}")).collect();
            targets.push(format!("/search?value={value}"));
        }
    }
    targets
}
