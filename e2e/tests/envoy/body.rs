//! How much of a body is judged, and when the application sees it.

use portcullis_e2e::client::Ask;
use portcullis_e2e::config::Edit;
use portcullis_e2e::samples::{self, Sample};
use portcullis_e2e::smoke::BLOCK;

use crate::setup::{PATIENT, Path};

const FORM: &str = "application/x-www-form-urlencoded";
const ATTACK: &str = "id=1%27+OR+%271%27%3D%271";

/// What a host without `allow_on_headers_stop_iteration` is: the flag off, and the mode made for that.
const AFTER: [Edit<'_>; 2] = [
    ("allow_on_headers_stop_iteration: true", "allow_on_headers_stop_iteration: false"),
    (r#""mode": "hold""#, r#""mode": "after""#),
];

#[tokio::test]
async fn an_attack_at_the_start_of_a_large_body_is_stopped() {
    let path = Path::real(&[PATIENT]).await;
    let body = format!("{ATTACK}&filler={}", "x".repeat(4_000_000));
    path.stops(Sample::new("attack, then 4 MB", Ask::post("/demo", FORM, body))).await;
}

#[tokio::test]
async fn what_follows_the_inspected_part_passes_and_is_counted() {
    let path = Path::real(&[PATIENT]).await;
    let body = format!("filler={}&{ATTACK}", "x".repeat(20_000));
    path.passes(Sample::new("20 kB, then an attack", Ask::post("/demo", FORM, body))).await;
    path.counts("portcullis_body_truncated_total", &[], 1.0).await;
}

#[tokio::test]
async fn a_small_buffer_limit_does_not_stop_a_large_upload() {
    let limit = ("per_connection_buffer_limit_bytes: 1048576", "per_connection_buffer_limit_bytes: 32768");
    let path = Path::real(&[PATIENT, limit]).await;
    let upload = Ask::post("/demo", "application/octet-stream", samples::noise(10_000_000));
    path.passes(Sample::new("10 MB by a 32 KiB buffer", upload)).await;
}

#[tokio::test]
async fn mode_after_still_stops_attacks_and_passes_uploads() {
    let [flag, mode] = AFTER;
    let path = Path::real(&[PATIENT, flag, mode]).await;
    for sample in samples::benign() {
        path.passes(sample).await;
    }
    // What is in the headers is stopped unseen; a body's attack is stopped after the headers went on.
    path.stops(samples::attack("attack in query")).await;
    let answer = path.send(Ask::post("/demo", FORM, ATTACK)).await;
    assert_eq!(answer.status, BLOCK);
}

#[tokio::test]
async fn mode_none_judges_headers_only() {
    let path = Path::real(&[PATIENT, (r#""mode": "hold""#, r#""mode": "none""#)]).await;
    path.stops(samples::attack("attack in query")).await;
    path.passes(Sample::new("attack in form", Ask::post("/demo", FORM, ATTACK))).await;
}
