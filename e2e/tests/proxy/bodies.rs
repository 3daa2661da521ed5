//! Bodies, both ways: held, streamed, cut short.

use std::net::Ipv4Addr;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method};
use portcullis_e2e::app::App;
use portcullis_e2e::client::{Ask, Payload, Protocol, grpc_echo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::setup::{ATTACK, Agent, Deed, OK, PATIENCE, Upstream, open, read_until, status};

#[tokio::test]
async fn nothing_reaches_the_upstream_before_the_body_is_judged() {
    let upstream = Upstream::ok().await;
    let agent = Agent::plain(&upstream.url()).await;
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 40\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n";
    let mut client = open(agent.at, head).await;
    // The proxy asks for the body itself.
    let answer = read_until(&mut client, b"\r\n\r\n").await;
    assert_eq!(status(&answer), 100);
    client.write_all(b"id=1%27+OR+%271%27%3D%271").await.unwrap();
    assert_eq!(upstream.connections(), 0);
    client.write_all(b"&action=showit!").await.unwrap();
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).await.unwrap();
    assert_eq!(status(&rest), 406);
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn lengths_chunks_and_trailers_arrive_as_sent() {
    let upstream = Upstream::ok().await;
    let agent = Agent::plain(&upstream.url()).await;
    let chunked = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\nConnection: close\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n";
    assert_eq!(status(agent.exchange(chunked).await), 200);
    let request = upstream.requests().remove(0);
    assert!(request.contains("hello") && request.to_lowercase().contains("x-sum: 1"), "{request}");
    let empty = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    assert_eq!(status(agent.exchange(empty).await), 200);
    assert!(upstream.requests()[1].contains("content-length: 0"), "{}", upstream.requests()[1]);
    let get = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    assert_eq!(status(agent.exchange(get).await), 200);
    assert!(!upstream.requests()[2].contains("content-length"), "{}", upstream.requests()[2]);
}

#[tokio::test]
async fn trailers_are_inspected_and_say_nothing_for_the_agent() {
    let upstream = Upstream::ok().await;
    let agent = Agent::plain(&upstream.url()).await;
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum, X-SigSci-Tags\r\n\
        Connection: close\r\n\r\n5\r\nhello\r\n0\r\n";
    let attack = format!("{head}X-Sum: 1' UNION SELECT password FROM users--\r\n\r\n");
    assert_eq!(status(agent.exchange(attack.as_bytes()).await), 406);
    assert_eq!(upstream.connections(), 0);
    let forged = format!("{head}X-Sum: 1\r\nX-SigSci-Tags: forged\r\n\r\n");
    assert_eq!(status(agent.exchange(forged.as_bytes()).await), 200);
    let request = upstream.requests().remove(0);
    assert!(request.contains("1\r\n\r\n") && !request.contains("forged"), "{request}");
}

#[tokio::test]
async fn answers_without_a_body_are_read_as_such() {
    let upstream = Upstream::doing(|_, request| match request {
        0 => Deed::Answer(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"),
        1 => Deed::Answer(b"HTTP/1.1 204 No Content\r\n\r\n"),
        2 => Deed::Answer(b"HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nContent-Length: 77\r\n\r\n"),
        3 => Deed::Answer(
            b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        ),
        _ => Deed::Answer(OK),
    })
    .await;
    let agent = Agent::plain(&upstream.url()).await;
    let requests = b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\nGET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\nGET /3 HTTP/1.1\r\nHost: a\r\n\r\nGET /4 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let text = String::from_utf8(agent.exchange(requests).await).unwrap();
    let statuses: Vec<&str> = text.split("HTTP/1.1 ").skip(1).map(|part| &part[..3]).collect();
    assert_eq!(statuses, ["200", "204", "304", "200", "200"], "{text}");
    assert!(text.contains("content-length: 1000"), "{text}");
    assert_eq!(upstream.connections(), 1, "one connection serves them all");
}

#[tokio::test]
async fn an_upload_and_a_download_keep_memory_flat() {
    const CHUNK: usize = 1 << 20;
    let size: usize = std::env::var("PORTCULLIS_TRANSFER").map_or(1 << 30, |size| size.parse().unwrap());
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let head = read_until(&mut stream, b"\r\n\r\n").await;
                if head.starts_with(b"POST") {
                    let end = head.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
                    let mut left = size - (head.len() - end);
                    let mut buffer = vec![0; CHUNK];
                    while left > 0 {
                        left -= stream.read(&mut buffer).await.unwrap();
                    }
                    stream.write_all(OK).await.unwrap();
                } else {
                    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n");
                    stream.write_all(head.as_bytes()).await.unwrap();
                    let chunk = vec![b'x'; CHUNK];
                    for _ in 0..size / CHUNK {
                        stream.write_all(&chunk).await.unwrap();
                    }
                }
            });
        }
    });
    let agent = Agent::plain(&format!("http://{address}")).await;
    agent.get("/warm").await;
    let before = agent.resident();
    let head = format!("POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\nConnection: close\r\n\r\n");
    let mut client = open(agent.at, head.as_bytes()).await;
    let chunk = vec![b'y'; CHUNK];
    let mut most = before;
    for _ in 0..size / CHUNK {
        client.write_all(&chunk).await.unwrap();
        most = most.max(agent.resident());
    }
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.unwrap();
    assert_eq!(status(&answer), 200);
    let mut client = open(agent.at, b"GET /down HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    let (mut got, mut buffer) = (0, vec![0; CHUNK]);
    loop {
        let n = client.read(&mut buffer).await.unwrap();
        if n == 0 {
            break;
        }
        got += n;
        most = most.max(agent.resident());
    }
    assert!(got > size, "{got} of {size}");
    println!("resident: {} KiB before, {} KiB at most", before / 1024, most / 1024);
    assert!(most < before + (16 << 20), "{before} grew to {most}");
}

#[tokio::test]
async fn a_reader_that_stops_holds_the_upstream_back() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let agent = Agent::plain(&format!("http://{address}")).await;
    let mut client = open(agent.at, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    let (mut stream, _) = listener.accept().await.unwrap();
    read_until(&mut stream, b"\r\n\r\n").await;
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n").await.unwrap();
    // It takes what the sockets' buffers take, some tens of megabytes on each way, and no more.
    let chunk = vec![b'x'; 1 << 20];
    let mut taken = 0;
    let pushing = async {
        while taken < 500 {
            stream.write_all(&chunk).await.unwrap();
            taken += 1;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(4), pushing).await.is_err(), "all was taken");
    assert!(agent.resident() < 100 << 20);
    read_until(&mut client, b"\r\n\r\n").await;
}

#[tokio::test]
async fn a_slow_reader_has_no_more_time_than_the_exchange() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let agent = Agent::with(&url, "request-timeout=1s").await;
    let mut client = open(agent.at, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let (mut stream, _) = listener.accept().await.unwrap();
    read_until(&mut stream, b"\r\n\r\n").await;
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000000\r\n\r\n").await.unwrap();
    let endless = async {
        let piece = vec![b'x'; 1 << 20];
        while stream.write_all(&piece).await.is_ok() {}
        std::future::pending::<()>().await
    };
    let slow = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(5));
        let mut buffer = vec![0; 16 * 1024];
        while client.read(&mut buffer).await.is_ok_and(|n| n > 0) {
            ticks.tick().await;
        }
    };
    let both = async {
        tokio::select! {
            () = endless => {}
            () = slow => {}
        }
    };
    tokio::time::timeout(PATIENCE, both).await.expect("the exchange goes on");
    agent.await_metric("waf_proxy_failures_total", "reason=\"exchange_timeout\"", 1.0).await;
}

#[tokio::test]
async fn an_answer_that_comes_before_the_upload_ends_is_passed_on() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let agent = Agent::with(&format!("http://{address}"), "inspection-max-content-length=16").await;
    let head =
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n0123456789abcdef0123456789abcdef";
    let mut client = open(agent.at, head).await;
    let (mut stream, _) = listener.accept().await.unwrap();
    read_until(&mut stream, b"\r\n\r\n").await;
    stream
        .write_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")
        .await
        .unwrap();
    let answer = read_until(&mut client, b"big").await;
    assert_eq!(status(answer), 413);
}

#[tokio::test]
async fn the_time_for_an_answer_begins_when_the_request_is_sent() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let keys = "inspection-max-content-length=16,response-header-timeout=300ms,conn-idle-max=0";
    let agent = Agent::with(&url, keys).await;
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 46\r\n\r\n0123456789abcdef";
    for answers in [true, false] {
        let mut client = open(agent.at, head).await;
        let (mut stream, _) = listener.accept().await.unwrap();
        read_until(&mut stream, b"0123456789abcdef").await;
        // A slow line, and no fault of the upstream's.
        let mut ticks = tokio::time::interval(Duration::from_millis(40));
        for _ in 0..30 {
            ticks.tick().await;
            client.write_all(b"x").await.unwrap();
        }
        read_until(&mut stream, b"x").await;
        if answers {
            stream.write_all(OK).await.unwrap();
        }
        let answer = read_until(&mut client, b"\r\n\r\n").await;
        assert_eq!(status(answer), if answers { 200 } else { 504 });
    }
}

#[tokio::test]
async fn a_client_that_leaves_within_its_body_is_the_one_at_fault() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let agent = Agent::with(
        &format!("http://{address}"),
        "inspection-max-content-length=16,access-log='DIR/access.log',access-log-format=json",
    )
    .await;
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n0123456789abcdef0123456789abcdef";
    let client = open(agent.at, head).await;
    let (mut stream, _) = listener.accept().await.unwrap();
    read_until(&mut stream, b"0123456789abcdef").await;
    drop(client);
    // The upstream's request breaks off, too, and no whole one ever arrives.
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await.unwrap();
    assert!(ended.is_err() || rest.len() < 1000);
    let line = agent.await_file("access.log", "\"fault\":\"downstream\"").await;
    assert!(line.contains("\"status\":499") || line.contains("\"status\":400"), "{line}");
    // One that leaves before it is judged costs the upstream nothing.
    let client = open(agent.at, b"POST /held HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n012").await;
    drop(client);
    agent.await_file("access.log", "/held").await;
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_cut_for_the_client_too() {
    let upstream = Upstream::doing(|_, _| {
        Deed::AnswerAndClose(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")
    })
    .await;
    let agent = Agent::plain(&upstream.url()).await;
    let answer = agent.get("/").await;
    assert!(answer.ends_with("only this"), "{answer}");
    agent.await_metric("waf_proxy_failures_total", "reason=\"response_cut\"", 1.0).await;
    let log = agent.await_file("agent.log", "response_cut").await;
    assert!(log.contains("fault=\"upstream\""), "{log}");
    let answer = Ask::get("/").over(Protocol::Http2).send(agent.at).await;
    assert!(answer.is_err(), "a cut answer seems whole");
}

#[tokio::test]
async fn streams_run_both_ways_at_once() {
    let app = App::start().await.unwrap();
    let agent = Agent::with(&format!("http://{}", app.address()), "grpc=true").await;
    let status = grpc_echo(agent.at, "/demo.Echo/Stream", &HeaderMap::new(), &["one", "two", "three"]).await;
    assert_eq!(status.unwrap(), "0");
    // A gRPC listener serves nothing else.
    assert_eq!(Ask::get("/").over(Protocol::Http2).send(agent.at).await.unwrap().status, 415);
}

#[tokio::test]
async fn http2_bodies_and_trailers_reach_an_http1_upstream() {
    let app = App::start().await.unwrap();
    let agent = Agent::plain(&format!("http://{}", app.address())).await;
    let mut ask = Ask::get("/t").over(Protocol::Http2).header("trailer", "x-sum");
    ask.method = Method::POST;
    let trailers = HeaderMap::from_iter([("x-sum".parse().unwrap(), HeaderValue::from_static("7"))]);
    ask.payload = Payload::WithTrailers("hello".into(), trailers);
    let report = ask.send(agent.at).await.unwrap().report().unwrap();
    assert_eq!(report["body_bytes"], 5);
    assert_eq!(report["trailers"][0][1], "7", "{report}");
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let pieces = (0..100).map(|_| vec![b'p'; 10_000].into()).collect();
        let mut ask = Ask::get("/p").over(protocol);
        ask.method = Method::PUT;
        ask.payload = Payload::Pieces(pieces);
        let report = ask.send(agent.at).await.unwrap().report().unwrap();
        assert_eq!(report["body_bytes"], 1_000_000, "{protocol:?}");
        assert_eq!(Ask::get(ATTACK).over(protocol).send(agent.at).await.unwrap().status, 406);
    }
}
