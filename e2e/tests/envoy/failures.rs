//! A request without a verdict: it goes on, or is refused where that is asked for, and is always counted.

use std::time::{Duration, Instant};

use portcullis_e2e::config::Edit;
use portcullis_e2e::samples;
use portcullis_e2e::smoke::FAILURES;
use portcullis_e2e::stack::BLOCKING;
use portcullis_e2e::wait::until;
use portcullis_protocol::RpcMsgOut;

use crate::scripted::Script;
use crate::setup::{PATIENT, Path, patient_agent};

const CLOSED: Edit<'_> = (r#""fail_open": true"#, r#""fail_open": false"#);

#[tokio::test]
async fn a_missing_agent_fails_open() {
    goes_on(Path::alone(&[PATIENT]).await, "connect").await;
}

#[tokio::test]
async fn an_agent_that_closes_fails_open() {
    goes_on(Path::scripted(Script::Close, &[PATIENT]).await, "connect").await;
}

#[tokio::test]
async fn a_status_other_than_200_fails_open() {
    goes_on(Path::scripted(Script::Status(500), &[PATIENT]).await, "status").await;
}

#[tokio::test]
async fn a_stranger_on_the_socket_fails_open() {
    goes_on(Path::scripted(Script::Foreign, &[PATIENT]).await, "foreign").await;
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_fails_open() {
    goes_on(Path::scripted(Script::Body(b"\xff\xff\xff"), &[PATIENT]).await, "decode").await;
}

#[tokio::test]
async fn an_agent_that_did_not_inspect_fails_open() {
    let not_inspected = RpcMsgOut { waf_response: -2, ..RpcMsgOut::default() };
    goes_on(Path::scripted(Script::answer(&not_inspected), &[PATIENT]).await, "not_inspected").await;
}

#[tokio::test]
async fn a_hung_agent_costs_the_timeout_and_no_more() {
    let path = Path::scripted(Script::Hang, &[]).await;
    let started = Instant::now();
    goes_on(path, "timeout").await;
    // The timeout is 100 ms; a machine that is busy with other tests may add its own delay.
    let took = started.elapsed();
    assert!(took >= Duration::from_millis(100) && took < Duration::from_secs(5), "{took:?}");
}

#[tokio::test]
async fn fail_closed_refuses_what_nobody_judged() {
    let mut path = Path::alone(&[PATIENT, CLOSED]).await;
    let answer = path.send(samples::attack("refused").ask).await;
    assert_eq!(answer.status, 503);
    assert_eq!(path.app.seen("refused"), 0);
    path.stack.start_agent(patient_agent(BLOCKING)).await.unwrap();
    let ingress = path.ingress;
    until("the agent is asked again", Duration::from_secs(30), || async {
        let answer = samples::benign().remove(0).ask.send(ingress).await?;
        Ok((answer.status == 200).then_some(()))
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn an_agent_that_returns_is_asked_again() {
    let mut path = Path::real(&[PATIENT]).await;
    path.stops(samples::attack("before")).await;
    path.stack.kill_agent().await.unwrap();
    path.passes(samples::attack("without an agent")).await;
    path.agent_is_back().await;
}

#[tokio::test]
async fn a_wrong_configuration_leaves_the_filter_working() {
    let wrong = (r#""fail_status": 503,"#, r#""fail_status": "no number", "unknown_key": 1,"#);
    let path = Path::real(&[PATIENT, wrong]).await;
    path.stops(samples::attack("attack")).await;
    assert_eq!(path.counter("portcullis_config_errors", &[]).await, 2.0);
}

/// An attack reaches the application, counted under its reason alone.
async fn goes_on(path: Path, reason: &str) {
    path.passes(samples::attack("without a verdict")).await;
    path.counts(FAILURES, &[("reason", reason)], 1.0).await;
    assert_eq!(path.counter(FAILURES, &[]).await, 1.0, "no other reason");
}
