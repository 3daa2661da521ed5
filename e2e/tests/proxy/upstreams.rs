//! Upstreams that refuse, hang, lie or leave, and what the client and the log are told.

use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::setup::{Agent, Deed, OK, PATIENCE, Upstream, open, read_until, status};

/// An address on which nobody listens.
async fn nobody() -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[tokio::test]
async fn requests_go_in_turn_and_past_one_that_refuses() {
    let (one, other) = (Upstream::ok().await, Upstream::ok().await);
    let agent = Agent::plain(&format!("{},{}", one.url(), other.url())).await;
    for _ in 0..4 {
        assert_eq!(status(agent.get("/").await), 200);
    }
    assert_eq!((one.requests().len(), other.requests().len()), (2, 2));
    let agent = Agent::plain(&format!("{},{}", nobody().await, one.url())).await;
    for _ in 0..6 {
        assert_eq!(status(agent.get("/").await), 200);
    }
    assert_eq!(one.requests().len(), 8);
}

#[tokio::test]
async fn one_that_is_waited_for_in_vain_is_skipped_from_then_on() {
    // Nobody answers its handshake, for longer than the first pause is.
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let (url, one) = (format!("https://{}", silent.local_addr().unwrap()), Upstream::ok().await);
    let keys = "tls-handshake-timeout=700ms,tls-insecure-skip-verify=true";
    let agent = Agent::with(&format!("{url},{}", one.url()), keys).await;
    for _ in 0..4 {
        assert_eq!(status(agent.get("/").await), 200);
    }
    let tried = async {
        let mut tried = Vec::new();
        while let Ok(accepted) = tokio::time::timeout(Duration::ZERO, silent.accept()).await {
            tried.push(accepted.unwrap());
        }
        tried.len()
    };
    assert_eq!(tried.await, 1);
}

#[tokio::test]
async fn an_upstream_that_is_not_there_is_named() {
    let agent = Agent::plain(&nobody().await).await;
    let answer = agent.get("/").await;
    assert_eq!(status(&answer), 502, "{answer}");
    assert!(answer.contains("content-type: text/plain") && answer.ends_with("Bad Gateway"), "{answer}");
    let log = agent.await_file("agent.log", "reason=\"connect\"").await;
    assert!(log.contains("fault=\"upstream\"") && log.contains("onnection refused"), "{log}");
    agent.await_metric("waf_proxy_failures_total", "fault=\"upstream\",reason=\"connect\"", 1.0).await;
}

#[tokio::test]
async fn an_upstream_that_hangs_or_lies_is_told_apart() {
    let upstream = Upstream::doing(|connection, _| match connection {
        0 => Deed::Hang,
        1 => Deed::AnswerAndClose(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"),
        2 => Deed::AnswerAndClose(b""),
        3 => Deed::AnswerAndClose(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: mine\r\n\r\n",
        ),
        _ => Deed::Answer(OK),
    })
    .await;
    let agent = Agent::with(&upstream.url(), "response-header-timeout=300ms").await;
    for (wanted, reason) in
        [(504, "response_timeout"), (502, "bad_response"), (502, "broke_off"), (502, "unasked_switch")]
    {
        assert_eq!(status(agent.get("/").await), wanted, "{reason}");
        agent.await_metric("waf_proxy_failures_total", &format!("reason=\"{reason}\""), 1.0).await;
    }
    assert_eq!(status(agent.get("/").await), 200);
}

#[tokio::test]
async fn the_whole_exchange_has_a_time() {
    let upstream = Upstream::doing(|_, _| Deed::Hang).await;
    let agent = Agent::with(&upstream.url(), "request-timeout=300ms").await;
    assert_eq!(status(agent.get("/").await), 504);
    agent.await_metric("waf_proxy_failures_total", "reason=\"exchange_timeout\"", 1.0).await;
}

#[tokio::test]
async fn a_connection_closed_while_idle_costs_a_safe_request_nothing() {
    // The upstream reads a second request on its connection, and closes instead of answering.
    let upstream = Upstream::doing(|connection, request| match (connection, request) {
        (_, 0) => Deed::Answer(OK),
        _ => Deed::AnswerAndClose(b""),
    })
    .await;
    let agent = Agent::plain(&upstream.url()).await;
    for _ in 0..3 {
        assert_eq!(status(agent.get("/").await), 200);
    }
    assert!(agent.metric("waf_proxy_retries_total", "").await >= 1.0);
    // A POST may have had its effect: it is not sent again.
    let upstream = Upstream::doing(|connection, request| match (connection, request) {
        (_, 0) => Deed::Answer(OK),
        _ => Deed::AnswerAndClose(b""),
    })
    .await;
    let agent = Agent::plain(&upstream.url()).await;
    let post = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nConnection: close\r\n\r\na=b";
    assert_eq!(status(agent.exchange(post).await), 200);
    assert_eq!(status(agent.exchange(post).await), 502);
    assert_eq!(upstream.requests().len(), 2);
}

#[tokio::test]
async fn connections_are_kept_and_bounded() {
    let upstream = Upstream::ok().await;
    let agent = Agent::plain(&upstream.url()).await;
    for _ in 0..5 {
        assert_eq!(status(agent.get("/").await), 200);
    }
    assert_eq!(upstream.connections(), 1);
    let upstream = Upstream::doing(|_, _| Deed::Hang).await;
    let agent = Agent::with(&upstream.url(), "conn-max-per-host=1,conn-timeout=300ms").await;
    let _held = open(agent.at, b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    agent.await_metric("waf_proxy_upstream_connections_total", "", 1.0).await;
    assert_eq!(status(agent.get("/2").await), 503);
    agent.await_metric("waf_proxy_failures_total", "fault=\"internal\",reason=\"no_place\"", 1.0).await;
    assert_eq!(upstream.connections(), 1);
    let upstream = Upstream::ok().await;
    let agent = Agent::with(&upstream.url(), "conn-idle-max=0").await;
    for _ in 0..3 {
        assert_eq!(status(agent.get("/").await), 200);
    }
    assert_eq!(upstream.connections(), 3);
}

#[tokio::test]
async fn proxy_protocol_names_the_client() {
    let upstream = Upstream::ok().await;
    let agent = Agent::with(&upstream.url(), "remote-addr=proxy-protocol").await;
    let request = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let one = [&b"PROXY TCP4 192.0.2.33 192.0.2.1 4711 80\r\n"[..], request].concat();
    assert_eq!(status(agent.exchange(&one).await), 200);
    let mut two = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    two.extend([192, 0, 2, 44, 192, 0, 2, 1, 0x12, 0x34, 0, 80]);
    two.extend_from_slice(request);
    assert_eq!(status(agent.exchange(&two).await), 200);
    let requests = upstream.requests();
    assert!(requests[0].contains("x-forwarded-for: 192.0.2.33"), "{}", requests[0]);
    assert!(requests[1].contains("x-forwarded-for: 192.0.2.44"), "{}", requests[1]);
    // Without a header, and with a malformed one, nobody is believed.
    assert!(agent.exchange(request).await.is_empty());
    assert!(agent.exchange(b"PROXY TCP4 nonsense\r\n").await.is_empty());
    agent.await_metric("waf_proxy_connections_failed_total", "reason=\"proxy_protocol\"", 2.0).await;
}

#[tokio::test]
async fn a_switch_of_protocols_is_a_tunnel_both_ways() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let agent = Agent::plain(&format!("http://{}", listener.local_addr().unwrap())).await;
    let head = b"GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: mine/1\r\n\r\n";
    let mut client = open(agent.at, head).await;
    let (mut stream, _) = listener.accept().await.unwrap();
    let asked = String::from_utf8(read_until(&mut stream, b"\r\n\r\n").await).unwrap();
    assert!(asked.contains("upgrade: mine/1") && asked.contains("connection: upgrade"), "{asked}");
    stream
        .write_all(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: mine/1\r\n\r\nhi")
        .await
        .unwrap();
    let answer = read_until(&mut client, b"\r\n\r\nhi").await;
    assert_eq!(status(answer), 101);
    client.write_all(b"\n\0 not HTTP ").await.unwrap();
    read_until(&mut stream, b"\n\0 not HTTP ").await;
    stream.write_all(b"nor this").await.unwrap();
    read_until(&mut client, b"nor this").await;
    // h2c would hide requests from inspection: it is not asked for.
    let upstream = Upstream::ok().await;
    let agent = Agent::plain(&upstream.url()).await;
    let h2c = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n";
    let mut client = open(agent.at, h2c).await;
    assert_eq!(status(read_until(&mut client, b"ok").await), 200);
    assert!(!upstream.requests()[0].contains("upgrade"), "{}", upstream.requests()[0]);
}

#[tokio::test]
async fn what_is_sent_ahead_of_a_switch_becomes_no_request() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let agent = Agent::plain(&format!("http://{}", listener.local_addr().unwrap())).await;
    let head = b"GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: mine\r\n\r\n";
    let switch = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: mine\r\n\r\n";
    // What could be the beginning of a request waits for the switch; what could not is refused with it.
    let second = "GET / HTTP/1.1\r\nHost: a\r\n\r\nlate\n";
    for (ahead, wanted) in [("early", 101), ("early\nand more", 400), (second, 400)] {
        let mut client = open(agent.at, &[head, ahead.as_bytes()].concat()).await;
        let (mut stream, _) = listener.accept().await.unwrap();
        read_until(&mut stream, b"\r\n\r\n").await;
        stream.write_all(switch).await.unwrap();
        assert_eq!(status(read_until(&mut client, b"\r\n\r\n").await), wanted, "{ahead}");
        client.shutdown().await.unwrap();
        let mut rest = Vec::new();
        let ended = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
        let _reset = ended.expect("it is held");
        assert_eq!(rest, if wanted == 101 { ahead.as_bytes() } else { b"" });
    }
}

#[tokio::test]
async fn a_websocket_is_inspected_whatever_else_was_offered() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let agent = Agent::with(&url, "inspect-websocket=true").await;
    for offered in ["websocket, mine/1", "mine/1, WebSocket", "mine/1"] {
        let head =
            format!("GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: {offered}\r\n\r\n");
        let mut client = open(agent.at, head.as_bytes()).await;
        let (mut stream, _) = listener.accept().await.unwrap();
        read_until(&mut stream, b"\r\n\r\n").await;
        let switch = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
        stream.write_all(switch).await.unwrap();
        read_until(&mut client, b"\r\n\r\n").await;
        // A text, masked with zeros.
        let attack = b"1' UNION SELECT password FROM users--";
        let length = 0x80 | u8::try_from(attack.len()).unwrap();
        client.write_all(&[&[0x81, length, 0, 0, 0, 0], &attack[..]].concat()).await.unwrap();
        // A close with status 1008.
        read_until(&mut client, b"\x03\xf0").await;
    }
    // It is written down at once: there is no response to wait for.
    agent.await_file("data.log", "WEBSOCKET").await;
    assert!(agent.metric("waf_contexts_lost_total", "").await < 1.0);
}
