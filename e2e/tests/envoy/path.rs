//! Ordinary requests and attacks, by every protocol and in every shape.

use http::{HeaderMap, HeaderValue, Method};
use portcullis_e2e::client::{self, Ask, Payload, Protocol};
use portcullis_e2e::samples::{self, Sample};
use portcullis_e2e::smoke::{BLOCK, FAILURES};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::setup::{PATIENT, Path};

const FORM: &str = "application/x-www-form-urlencoded";
const ATTACK: &str = "id=1%27+OR+%271%27%3D%271";

#[tokio::test]
async fn ordinary_requests_reach_the_app_whole() {
    let path = Path::real(&[PATIENT]).await;
    for protocol in [Protocol::Http1, Protocol::Http2] {
        for sample in samples::benign() {
            path.passes(Sample { ask: sample.ask.over(protocol), ..sample }).await;
        }
    }
    assert_eq!(path.counter(FAILURES, &[]).await, 0.0);
}

#[tokio::test]
async fn ordinary_attacks_never_reach_the_app() {
    let path = Path::real(&[PATIENT]).await;
    for protocol in [Protocol::Http1, Protocol::Http2] {
        for sample in samples::attacks() {
            path.stops(Sample { ask: sample.ask.over(protocol), ..sample }).await;
        }
    }
    assert_eq!(path.counter(FAILURES, &[]).await, 0.0);
}

#[tokio::test]
async fn chunked_bodies_are_judged_and_passed() {
    let path = Path::real(&[PATIENT]).await;
    let pieces = |text: &str| {
        let mut ask = Ask::post("/demo", FORM, "");
        ask.payload = Payload::Pieces(text.as_bytes().chunks(7).map(|piece| piece.to_vec().into()).collect());
        ask
    };
    path.stops(Sample::new("chunked attack", pieces(ATTACK))).await;
    path.passes(Sample::new("chunked form", pieces("name=bob&comment=a+longer+comment"))).await;
    let mut upload = Ask::post("/demo", "application/octet-stream", "");
    upload.payload = Payload::Pieces(vec![samples::noise(65_536); 80]);
    path.passes(Sample::new("chunked upload of 5 MB", upload)).await;
}

#[tokio::test]
async fn trailers_end_a_body_and_are_inspected() {
    let path = Path::real(&[PATIENT]).await;
    let with_trailer = |text: &'static str, value| {
        let mut trailers = HeaderMap::new();
        trailers.insert("x-checksum", HeaderValue::from_static(value));
        trailers.insert("x-sigsci-tags", HeaderValue::from_static("forged"));
        let mut ask = Ask::post("/demo", FORM, "").over(Protocol::Http2);
        ask.payload = Payload::WithTrailers(text.into(), trailers);
        ask
    };
    path.stops(Sample::new("attack before trailers", with_trailer(ATTACK, "abc"))).await;
    path.stops(Sample::new(
        "attack in a trailer",
        with_trailer("name=bob", "1' UNION SELECT password FROM users--"),
    ))
    .await;
    path.passes(Sample::new("form before trailers", with_trailer("name=bob", "abc"))).await;
    let answer = path.send(with_trailer("name=bob", "abc")).await;
    assert_eq!(answer.report().unwrap()["trailers"], serde_json::json!([["x-checksum", "abc"]]));
}

#[tokio::test]
async fn an_expected_100_comes_before_the_body() {
    let path = Path::real(&[PATIENT]).await;
    for (body, status) in [("name=bob", "200"), (ATTACK, "406")] {
        let mut stream = TcpStream::connect(path.ingress).await.unwrap();
        let head = format!(
            "POST /demo HTTP/1.1\r\nhost: demo\r\ncontent-type: {FORM}\r\ncontent-length: {}\r\n\
             expect: 100-continue\r\nconnection: close\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut interim = [0; 25];
        stream.read_exact(&mut interim).await.unwrap();
        assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
        stream.write_all(body.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    }
}

#[tokio::test]
async fn a_blocked_head_has_no_body() {
    let path = Path::real(&[PATIENT]).await;
    let mut attack = samples::attack("HEAD attack");
    attack.ask.method = Method::HEAD;
    let answer = path.send(attack.ask).await;
    assert_eq!(answer.status, BLOCK);
    assert!(answer.body.is_empty());
    assert_eq!(path.app.seen("HEAD attack"), 0);
}

#[tokio::test]
async fn websockets_and_grpc_like_streams_flow_both_ways() {
    let path = Path::real(&[PATIENT]).await;
    let echo = client::websocket(path.ingress, "/echo", &HeaderMap::new(), "hello").await.unwrap();
    assert_eq!(echo, "hello");
    let status =
        client::grpc_echo(path.ingress, "/demo.Echo/Stream", &HeaderMap::new(), &["a", "b"]).await.unwrap();
    assert_eq!(status, "0");
}

#[tokio::test]
async fn an_attack_in_a_websocket_handshake_is_stopped() {
    let path = Path::real(&[PATIENT]).await;
    let target = "/echo?id=1%27%20OR%20%271%27%3D%271";
    let refused = client::websocket(path.ingress, target, &HeaderMap::new(), "hello").await.unwrap_err();
    assert!(format!("{refused:#}").contains("406"), "{refused:#}");
}

#[tokio::test]
async fn a_hundred_at_once_each_get_their_own_verdict() {
    let path = Path::real(&[PATIENT]).await;
    let asks = (0..100).map(|number| {
        let ask = match number % 4 {
            0 => Ask::get(&format!("/demo?page={number}")),
            1 => Ask::get(&format!("/demo?page={number}&id=1%27%20OR%20%271%27%3D%271")),
            2 => Ask::post("/demo", FORM, format!("page={number}")).over(Protocol::Http2),
            _ => Ask::post("/demo", FORM, format!("page={number}&{ATTACK}")).over(Protocol::Http2),
        };
        let wanted = if number % 2 == 0 { 200 } else { BLOCK };
        let ingress = path.ingress;
        async move { (number, wanted, ask.send(ingress).await.unwrap().status.as_u16()) }
    });
    for (number, wanted, got) in futures_util::future::join_all(asks).await {
        assert_eq!(got, wanted, "request {number}");
    }
    assert_eq!(path.counter(FAILURES, &[]).await, 0.0);
}
