//! What must hold on every Envoy that is supported, with and without the flag that lets a filter hold headers.
//! `cargo xtask test matrix` runs these on one version after the other.

use portcullis_e2e::client::{Ask, Payload};
use portcullis_e2e::config::Edit;
use portcullis_e2e::samples::{self, Sample};
use portcullis_e2e::smoke::{BLOCK, FAILURES};

use crate::setup::{PATIENT, Path};

/// A host that cannot hold headers while it shows a body.
const NO_FLAG: [Edit<'_>; 2] = [
    ("                        allow_on_headers_stop_iteration: true\n", ""),
    (r#""mode": "hold""#, r#""mode": "after""#),
];

const FORM: &str = "application/x-www-form-urlencoded";

#[tokio::test]
async fn with_the_flag_nothing_of_an_attack_reaches_the_app() {
    let path = Path::real(&[PATIENT]).await;
    for sample in samples::attacks() {
        path.stops(sample).await;
    }
    for sample in samples::benign() {
        path.passes(sample).await;
    }
    assert_eq!(path.counter(FAILURES, &[]).await, 0.0);
}

#[tokio::test]
async fn without_the_flag_no_body_of_an_attack_reaches_the_app() {
    let path = Path::real(&[&[PATIENT][..], &NO_FLAG].concat()).await;
    path.stops(samples::attack("in the query")).await;
    let attack = Ask::post("/demo", FORM, "id=1%27+OR+%271%27%3D%271&action=show");
    assert_eq!(path.send(attack).await.status, BLOCK);
    for sample in samples::benign() {
        path.passes(sample).await;
    }
    let mut chunked = Ask::post("/demo", FORM, "");
    chunked.payload = Payload::Pieces(vec!["name=".into(), "bob".into()]);
    path.passes(Sample::new("chunked", chunked)).await;
    assert_eq!(path.counter(FAILURES, &[]).await, 0.0);
}

#[tokio::test]
async fn with_the_agent_gone_requests_go_on() {
    let path = Path::alone(&[PATIENT]).await;
    path.passes(samples::attack("nobody to judge")).await;
    path.counts(FAILURES, &[("reason", "connect")], 1.0).await;
}

#[tokio::test]
async fn the_filter_judges_by_itself() {
    crate::local::attacks_and_ordinary_requests_are_told_apart().await;
}
