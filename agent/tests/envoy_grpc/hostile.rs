//! Peers that are not Envoy, or not well.

use std::collections::HashMap;
use std::io::Read;

use tonic::Code;

use crate::client::agent;
use crate::common::PATIENCE;
use crate::ext_authz::{ask, http, question};
use crate::wire::{CheckResponse, HeaderMap, HeaderValue, HttpRequest, ProcessingResponse};
use crate::{ATTACK, BLOCK, CHECK, PROCESS};

fn with_headers(count: usize) -> HttpRequest {
    let headers = vec![HeaderValue::default(); count];
    HttpRequest { headers: HashMap::new(), header_map: Some(HeaderMap { headers }), ..http("/") }
}

#[tokio::test]
async fn refuses_what_is_too_much_and_goes_on() {
    let started = agent(BLOCK, |_, _| {});
    let connection = started.connect().await;
    let huge = HttpRequest { raw_body: vec![b'x'; 2 << 20], ..http("/") };
    for (http, code) in [(huge, Code::OutOfRange), (with_headers(20_000), Code::InvalidArgument)] {
        let refused = connection.unary::<_, CheckResponse>(CHECK, question(http)).await.unwrap_err();
        assert_eq!(refused.code(), code, "{refused}");
    }
    assert!(ask(&connection, with_headers(1000)).await.status.is_some());
    assert!(ask(&connection, http(ATTACK)).await.denied_response.is_some());
    assert_eq!(started.metric("waf_connections_failed_total{reason=\"refused\"}"), "2");
    assert_eq!(started.metric("waf_memory_held_bytes"), "0");
}

#[tokio::test]
async fn says_what_it_does_not_serve() {
    let started = agent(BLOCK, |_, _| {});
    let connection = started.connect().await;
    for path in ["/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit", "/", PROCESS] {
        let refused = connection.unary::<_, ProcessingResponse>(path, question(http("/"))).await;
        assert_eq!(refused.unwrap_err().code(), Code::Unimplemented, "{path}");
    }
}

#[tokio::test]
async fn hangs_up_on_what_is_not_http2() {
    let started = agent(BLOCK, |_, _| {});
    for bytes in [&b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"[..], b"\x94\x00\x01", &[0xff; 4096]] {
        let mut stream = std::net::TcpStream::connect(&started.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        std::io::Write::write_all(&mut stream, bytes).unwrap();
        // A reset will do as well.
        let _gone = stream.read_to_end(&mut Vec::new());
    }
    assert!(ask(&started.connect().await, http(ATTACK)).await.denied_response.is_some());
}

#[tokio::test]
async fn answers_while_many_announce_what_they_never_send() {
    let started = agent(BLOCK, |_, _| {});
    let connection = started.connect().await;
    let mut senders = Vec::new();
    for _ in 0..100 {
        // A prefix that announces a megabyte, and no more.
        let stream = tokio::net::TcpStream::connect(&started.address).await.unwrap();
        let executor = hyper_util::rt::TokioExecutor::new();
        let io = hyper_util::rt::TokioIo::new(stream);
        let (mut sender, driver) = hyper::client::conn::http2::handshake(executor, io).await.unwrap();
        tokio::spawn(driver);
        let request = http::Request::post(format!("http://agent{CHECK}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(Unfinished(Some(bytes::Bytes::from_static(&[0, 0, 0x10, 0, 0]))))
            .unwrap();
        let answer = tokio::spawn(sender.send_request(request));
        senders.push((sender, answer));
    }
    let deadline = std::time::Instant::now() + PATIENCE;
    while started.metric("waf_connections_failed_total{reason=\"no_memory\"}") == "0" {
        assert!(std::time::Instant::now() < deadline);
        tokio::task::yield_now().await;
    }
    assert!(ask(&connection, http(ATTACK)).await.denied_response.is_some());
    drop(senders);
}

/// One piece, and then silence.
struct Unfinished(Option<bytes::Bytes>);

impl hyper::body::Body for Unfinished {
    type Data = bytes::Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<bytes::Bytes>, Self::Error>>> {
        match self.0.take() {
            Some(bytes) => std::task::Poll::Ready(Some(Ok(hyper::body::Frame::data(bytes)))),
            None => std::task::Poll::Pending,
        }
    }
}
