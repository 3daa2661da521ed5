//! What flows both ways at once, or has no end: tunnels and events.

use std::time::Duration;

use portcullis_e2e::client::Ask;
use portcullis_e2e::config::Edit;
use portcullis_e2e::smoke::{BLOCK, FAILURES};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::setup::{PATIENT, Path};

/// Envoy connects what asks for it to the application.
const CONNECT: [Edit<'_>; 2] = [
    (
        "                  - upgrade_type: websocket\n",
        "                  - upgrade_type: websocket\n                  - upgrade_type: CONNECT\n",
    ),
    (
        "                        - match: { prefix: \"/\" }\n",
        "                        - match: { connect_matcher: {} }
                          route: { cluster: application, timeout: 0s,
                                   upgrade_configs: [{ upgrade_type: CONNECT, connect_config: {} }] }
                        - match: { prefix: \"/\" }\n",
    ),
];

const LOCAL: Edit<'_> = (r#""mode": "ask-always""#, r#""mode": "local-first""#);

#[tokio::test]
async fn a_tunnel_is_judged_by_its_headers_and_carries_bytes_both_ways() {
    for mode in [&[][..], &[LOCAL]] {
        let path = Path::real(&[&[PATIENT][..], &CONNECT, mode].concat()).await;
        let mut tunnel = TcpStream::connect(path.ingress).await.unwrap();
        let head = "CONNECT demo:80 HTTP/1.1\r\nhost: demo:80\r\nuser-agent: Mozilla/5.0\r\n\r\n";
        tunnel.write_all(head.as_bytes()).await.unwrap();
        read_until(&mut tunnel, "\r\n\r\n", "HTTP/1.1 200").await;
        for target in ["/first", "/second"] {
            let inner = format!("GET {target} HTTP/1.1\r\nhost: inner\r\n\r\n");
            tunnel.write_all(inner.as_bytes()).await.unwrap();
            read_until(&mut tunnel, "}\n", target).await;
        }
        assert_eq!(path.app.seen("other"), 2);
        assert_eq!(path.counter(FAILURES, &[]).await, 0.0);
    }
}

#[tokio::test]
async fn an_attack_in_the_head_of_a_tunnel_is_stopped() {
    let path = Path::real(&[&[PATIENT][..], &CONNECT].concat()).await;
    let mut tunnel = TcpStream::connect(path.ingress).await.unwrap();
    let head = "CONNECT demo:80 HTTP/1.1\r\nhost: demo:80\r\ncookie: id=1' OR '1'='1\r\n\r\n";
    tunnel.write_all(head.as_bytes()).await.unwrap();
    read_until(&mut tunnel, "\r\n\r\n", &format!("HTTP/1.1 {BLOCK}")).await;
    assert_eq!(path.app.seen("other"), 0);
}

#[tokio::test]
async fn events_pass_one_by_one() {
    for mode in [&[][..], &[LOCAL]] {
        let path = Path::real(&[&[PATIENT][..], mode].concat()).await;
        let mut events = TcpStream::connect(path.ingress).await.unwrap();
        let head = "GET /events HTTP/1.1\r\nhost: demo\r\naccept: text/event-stream\r\n\r\n";
        events.write_all(head.as_bytes()).await.unwrap();
        read_until(&mut events, "data: one\n\n", "text/event-stream").await;
        // Only now, with the first event seen, is the second one sent.
        assert_eq!(path.send(Ask::get("/events/go-on")).await.status, 200);
        read_until(&mut events, "data: two\n\n", "data: two").await;
    }
}

/// Reads up to `end`; what was read must hold `wanted`.
async fn read_until(stream: &mut TcpStream, end: &str, wanted: &str) {
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains(end) {
        let read = tokio::time::timeout(Duration::from_secs(20), stream.read_buf(&mut seen)).await;
        let read = read.unwrap_or_else(|_| panic!("no {end:?}: {}", String::from_utf8_lossy(&seen))).unwrap();
        assert!(read > 0, "closed before {end:?}: {}", String::from_utf8_lossy(&seen));
    }
    let seen = String::from_utf8_lossy(&seen);
    assert!(seen.contains(wanted), "no {wanted:?} in {seen}");
}
