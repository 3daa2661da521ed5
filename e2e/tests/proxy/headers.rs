//! What becomes of headers and targets on their way.

use http::{HeaderValue, Method};
use portcullis_e2e::client::{Ask, Protocol};

use crate::setup::{ATTACK, Agent, Upstream, status};

async fn forwarded(keys: &str, request: &[u8]) -> String {
    let upstream = Upstream::ok().await;
    let agent = Agent::with(&upstream.url(), keys).await;
    let answer = agent.exchange(request).await;
    assert_eq!(status(&answer), 200, "{}", answer.escape_ascii());
    String::from_utf8(upstream.last()).unwrap()
}

fn lacks(request: &str, name: &str) {
    assert!(!request.lines().any(|line| line.to_lowercase().starts_with(name)), "{name} in {request}");
}

fn has(request: &str, line: &str) {
    assert!(request.lines().any(|have| have == line), "no {line:?} in {request}");
}

const REQUEST: &[u8] =
    b"GET /a?b=c HTTP/1.1\r\nHost: shop.example\r\nConnection: close, X-Mine\r\nKeep-Alive: 5\r\n\
    Proxy-Connection: close\r\nProxy-Authorization: Basic eA==\r\nTE: gzip\r\nX-Mine: 1\r\nX-Other: 2\r\n\
    X-Empty:\r\nX-SigSci-Tags: SQLI\r\nX-SigSci-RequestID: mine\r\nX-Forwarded-For: 198.51.100.9\r\n\
    X-Forwarded-Proto: https\r\nX-Forwarded-Host: other.example\r\n\r\n";

#[tokio::test]
async fn hop_by_hop_headers_and_those_of_the_agent_are_taken_off() {
    let request = forwarded("", REQUEST).await;
    assert!(request.starts_with("GET /a?b=c HTTP/1.1\r\n"), "{request}");
    for name in ["connection", "keep-alive", "proxy-connection", "proxy-authorization", "te:", "x-mine"] {
        lacks(&request, name);
    }
    assert!(!request.contains("SQLI") && !request.contains("requestid: mine"), "{request}");
    has(&request, "x-other: 2");
    has(&request, "x-empty: ");
    has(&request, "x-sigsci-agentresponse: 200");
}

#[tokio::test]
async fn where_it_came_from_is_extended_replaced_or_left_alone() {
    let trusted = forwarded("", REQUEST).await;
    has(&trusted, "x-forwarded-for: 198.51.100.9, 127.0.0.1");
    has(&trusted, "x-forwarded-proto: https");
    has(&trusted, "x-forwarded-host: other.example");
    let replaced = forwarded("trust-proxy-headers=false", REQUEST).await;
    has(&replaced, "x-forwarded-for: 127.0.0.1");
    has(&replaced, "x-forwarded-proto: http");
    has(&replaced, "x-forwarded-host: shop.example");
    let minimal = forwarded("minimal-header-rewriting=true", REQUEST).await;
    has(&minimal, "x-forwarded-for: 198.51.100.9");
}

#[tokio::test]
async fn the_host_is_the_upstreams_or_the_clients() {
    let upstream = Upstream::ok().await;
    let own = Agent::plain(&upstream.url()).await;
    own.exchange(REQUEST).await;
    has(&String::from_utf8(upstream.last()).unwrap(), &format!("host: {}", upstream.address));
    let request = forwarded("pass-host-header=true", REQUEST).await;
    has(&request, "host: shop.example");
    // RFC 9112 section 3.2.2: the target's own host outranks the header.
    let absolute =
        b"GET http://real.example/x?y HTTP/1.1\r\nHost: pretended.example\r\nConnection: close\r\n\r\n";
    let request = forwarded("pass-host-header=true", absolute).await;
    assert!(request.starts_with("GET /x?y HTTP/1.1\r\n"), "{request}");
    has(&request, "host: real.example");
}

#[tokio::test]
async fn the_asterisk_and_http_1_0_reach_the_upstream() {
    let request = forwarded("", b"OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    assert!(request.starts_with("OPTIONS * HTTP/1.1\r\n"), "{request}");
    let request = forwarded("", b"GET /old HTTP/1.0\r\n\r\n").await;
    assert!(request.starts_with("GET /old HTTP/1.1\r\n"), "{request}");
    let bare = b"GET http://shop.example?a=b HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n";
    let request = forwarded("", bare).await;
    assert!(request.starts_with("GET /?a=b HTTP/1.1\r\n"), "{request}");
}

#[tokio::test]
async fn values_beyond_ascii_repeated_headers_and_case_survive() {
    let upstream = Upstream::ok().await;
    let agent = Agent::with(&upstream.url(), "expose-raw-headers=true").await;
    let request = b"GET /\xc3\xa9?q=\xff HTTP/1.1\r\nHost: a\r\nX-Latin: caf\xe9\r\nX-MANY: 1\r\nX-Many: 2\r\nConnection: close\r\n\r\n";
    let answer = agent.exchange(request).await;
    let last = upstream.last();
    // What is no text is encoded, so that no parser stumbles over it.
    assert_eq!(status(&answer), 200);
    assert!(last.starts_with(b"GET /%C3%A9?q=%FF HTTP/1.1\r\n"), "{}", last.escape_ascii());
    let request = b"GET / HTTP/1.1\r\nHost: a\r\nX-Latin: caf\xe9\r\nX-MANY: 1\r\nX-Many: 2\r\nConnection: close\r\n\r\n";
    assert_eq!(status(agent.exchange(request).await), 200);
    let last = upstream.last();
    let has = |wanted: &[u8]| last.windows(wanted.len()).any(|window| window == wanted);
    assert!(
        has(b"X-Latin: caf\xe9\r\n") && has(b"X-MANY: 1\r\n") && has(b"X-Many: 2\r\n"),
        "{}",
        last.escape_ascii()
    );
}

#[tokio::test]
async fn an_answer_keeps_what_is_its_own() {
    let upstream = Upstream::doing(|_, _| {
        crate::setup::Deed::Answer(
            b"HTTP/1.1 299 Quite Fine\r\nDate: then\r\nServer: mine\r\nX-A: 1\r\nX-A: 2\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 9\r\nContent-Length: 0\r\n\r\n",
        )
    })
    .await;
    let agent = Agent::plain(&upstream.url()).await;
    let answer = agent.get("/").await;
    assert!(answer.starts_with("HTTP/1.1 299 Quite Fine\r\n"), "{answer}");
    for line in ["date: then", "server: mine", "x-a: 1", "x-a: 2", "content-length: 0"] {
        has(&answer, line);
    }
    lacks(&answer, "x-hop");
    lacks(&answer, "keep-alive");
}

#[tokio::test]
async fn http2_cookies_are_joined_and_two_hosts_are_refused() {
    let upstream = Upstream::ok().await;
    let agent = Agent::with(&upstream.url(), "pass-host-header=true").await;
    let ask = Ask::get("/c").over(Protocol::Http2).header("cookie", "a=1").header("cookie", "b=2");
    assert_eq!(ask.send(agent.at).await.unwrap().status, 200);
    let request = String::from_utf8(upstream.last()).unwrap();
    has(&request, "cookie: a=1; b=2");
    has(&request, &format!("host: {}", agent.at));
    let before = upstream.requests().len();
    let answer = Ask::get("/c").over(Protocol::Http2).header("host", "other.example").send(agent.at).await;
    assert_eq!(answer.unwrap().status, 400);
    assert_eq!(upstream.requests().len(), before);
    agent.await_metric("waf_signals_total", "tag=\"BHH\"", 1.0).await;
}

#[tokio::test]
async fn framing_headers_in_disguise_are_refused_over_every_protocol() {
    let upstream = Upstream::ok().await;
    let agent = Agent::plain(&upstream.url()).await;
    for protocol in [Protocol::Http1, Protocol::Http2] {
        for (name, value) in [("content_length", "7"), ("transfer_encoding", "chunked")] {
            let ask = Ask::get("/").header(name, value).over(protocol);
            assert_eq!(ask.send(agent.at).await.unwrap().status, 400, "{protocol:?} {name}");
        }
    }
    assert_eq!(upstream.connections(), 0);
    agent.await_metric("waf_proxy_rejections_total", "reason=\"disguised-framing-header\"", 4.0).await;
}

#[tokio::test]
async fn connect_is_not_served() {
    let upstream = Upstream::ok().await;
    let agent = Agent::plain(&upstream.url()).await;
    let answer = agent
        .exchange(b"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\nConnection: close\r\n\r\n")
        .await;
    assert_eq!(status(&answer), 405);
    // Nor where it asks for a switch as well.
    let answer = agent
        .exchange(
            b"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\nConnection: upgrade\r\nUpgrade: mine\r\n\r\n\
            GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        )
        .await;
    assert_eq!(status(&answer), 405);
    assert!(
        upstream.requests().iter().all(|request| request.starts_with("GET ")),
        "{:?}",
        upstream.requests()
    );
}

#[tokio::test]
async fn attacks_are_blocked_over_every_protocol_and_in_every_place() {
    let upstream = Upstream::ok().await;
    let agent = Agent::plain(&upstream.url()).await;
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let mut blocked = vec![Ask::get(ATTACK), Ask::get("/").header("x-account", "1' OR '1'='1")];
        let mut upgrade = Ask::post("/", "application/x-www-form-urlencoded", "id=1%27+OR+%271%27%3D%271");
        blocked.push(upgrade.clone());
        if protocol == Protocol::Http1 {
            // Neither a switch of protocols nor a gRPC label hides a body.
            upgrade = upgrade.header("connection", "upgrade").header("upgrade", "mine");
            blocked.push(upgrade);
        }
        let mut grpc = Ask::post("/", "application/grpc", "id=1' OR '1'='1");
        grpc.headers.insert("te", HeaderValue::from_static("trailers"));
        grpc.method = Method::POST;
        blocked.push(grpc);
        for ask in blocked {
            let what = format!("{protocol:?} {ask:?}");
            assert_eq!(ask.over(protocol).send(agent.at).await.unwrap().status, 406, "{what}");
        }
    }
    assert_eq!(upstream.connections(), 0);
}
