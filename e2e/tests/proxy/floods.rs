//! Abuse that is to cost little: slow senders, and the floods that HTTP/2 makes possible.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::setup::{Agent, PATIENCE, Upstream, open, read_until, status};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// `GET /` of `http://a`, in HPACK's static table.
const GET: &[u8] = b"\x82\x84\x86\x41\x01a";

/// Sends frames until `most` or until the agent closes; `true` if it did.
async fn flood(agent: &Agent, most: u32, mut next: impl FnMut(u32) -> Vec<u8>) -> bool {
    let mut stream = TcpStream::connect(agent.at).await.unwrap();
    stream.write_all(PREFACE).await.unwrap();
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
    let (mut reading, mut writing) = stream.split();
    let drain = async {
        let mut buffer = [0; 65536];
        while reading.read(&mut buffer).await.is_ok_and(|n| n > 0) {}
    };
    let send = async {
        for number in 0..most {
            if writing.write_all(&next(number)).await.is_err() {
                return;
            }
        }
        std::future::pending().await
    };
    let both = async {
        tokio::select! {
            () = drain => {}
            () = send => {}
        }
    };
    tokio::time::timeout(PATIENCE, both).await.is_ok()
}

async fn still_serves(agent: &Agent) {
    assert_eq!(status(agent.get("/").await), 200);
    assert!(agent.resident() < 150 << 20, "{} bytes", agent.resident());
}

/// Waits until a connection is counted and written down as ended for a breach of the protocol.
async fn recorded(agent: &Agent) {
    agent.await_metric("waf_proxy_rejections_total", "reason=\"http2\"", 1.0).await;
    let records = agent.await_file("data.log", "a breach of the HTTP/2 protocol").await;
    assert!(records.contains("\"BHH\"") && records.contains("127.0.0.1"), "{records}");
}

#[tokio::test]
async fn a_connection_that_ends_within_a_frame_is_no_breach() {
    let upstream = Upstream::ok().await;
    let agent = Agent::plain(&upstream.url()).await;
    drop(open(agent.at, &[PREFACE, &frame(SETTINGS, 0, 0, &[]), b"\0\0\x10"].concat()).await);
    let malformed = [PREFACE, &frame(SETTINGS, 0, 0, &[]), &frame(DATA, 0, 0, b"x")].concat();
    agent.exchange(&malformed).await;
    recorded(&agent).await;
    assert!(agent.metric("waf_proxy_rejections_total", "").await < 2.0);
}

#[tokio::test]
async fn rapid_reset_ends_the_connection() {
    let upstream = Upstream::ok().await;
    let agent = Agent::plain(&upstream.url()).await;
    let closed = flood(&agent, 100_000, |number| {
        let stream = 2 * number + 1;
        [frame(HEADERS, END_STREAM | END_HEADERS, stream, GET), frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])]
            .concat()
    })
    .await;
    assert!(closed);
    // Bounded: far from one exchange a reset.
    assert!(upstream.requests().len() < 5_000, "{}", upstream.requests().len());
    recorded(&agent).await;
    still_serves(&agent).await;
}

#[tokio::test]
async fn endless_continuations_end_the_connection() {
    let upstream = Upstream::ok().await;
    let agent = Agent::plain(&upstream.url()).await;
    let closed = flood(&agent, 100_000, |number| match number {
        0 => frame(HEADERS, END_STREAM, 1, GET),
        // A literal header each, never the end.
        _ => frame(CONTINUATION, 0, 1, &[b"\0\x01x\x7f\x01".as_slice(), &[b'v'; 128]].concat()),
    })
    .await;
    assert!(closed);
    assert_eq!(upstream.connections(), 0);
    recorded(&agent).await;
    still_serves(&agent).await;
}

#[tokio::test]
async fn header_bombs_are_refused() {
    let upstream = Upstream::ok().await;
    let agent = Agent::plain(&upstream.url()).await;
    // One entry in the dynamic table, referred to again and again: little on the wire, much once decoded.
    let mut bomb = GET.to_vec();
    bomb.extend_from_slice(b"\x40\x01x\x7f\x81\x1e");
    bomb.extend_from_slice(&[b'v'; 4000]);
    bomb.extend(std::iter::repeat_n(0xbe, 12_000));
    let closed =
        flood(&agent, 2_000, |number| frame(HEADERS, END_STREAM | END_HEADERS, 2 * number + 1, &bomb)).await;
    println!("closed: {closed}");
    assert!(upstream.requests().iter().all(|request| request.len() < 70_000));
    still_serves(&agent).await;
}

#[tokio::test]
async fn settings_and_pings_without_end_are_bounded() {
    let upstream = Upstream::ok().await;
    let agent = Agent::plain(&upstream.url()).await;
    for kind in [SETTINGS, PING] {
        let payload: &[u8] = if kind == PING { &[0; 8] } else { &[] };
        // Nothing is read of what they make the agent say.
        let mut stream = TcpStream::connect(agent.at).await.unwrap();
        stream.write_all(PREFACE).await.unwrap();
        let frames = frame(kind, 0, 0, payload).repeat(1000);
        let sending = async {
            for _ in 0..1000 {
                if stream.write_all(&frames).await.is_err() {
                    break;
                }
            }
        };
        // Whether it closes or stops reading, memory stays where it was.
        let _ended = tokio::time::timeout(Duration::from_secs(3), sending).await;
        still_serves(&agent).await;
    }
}

#[tokio::test]
async fn an_extended_connect_does_not_ask_for_h2c() {
    let upstream = Upstream::ok().await;
    let agent = Agent::plain(&upstream.url()).await;
    let mut stream = open(agent.at, PREFACE).await;
    // CONNECT with `:protocol: h2c`: whatever went through such a tunnel would be hidden from inspection.
    let connect = b"\x02\x07CONNECT\x84\x86\x41\x01a\0\x09:protocol\x03h2c";
    let head = frame(HEADERS, END_HEADERS, 1, connect);
    stream.write_all(&[frame(SETTINGS, 0, 0, &[]), head].concat()).await.unwrap();
    agent.await_metric("waf_proxy_failures_total", "reason=\"connect_method\"", 1.0).await;
    assert!(upstream.requests().is_empty(), "{:?}", upstream.requests());
    // Nor is an answer without a switch passed on as one: to the client every 2xx is.
    let connect = b"\x02\x07CONNECT\x84\x86\x41\x01a\0\x09:protocol\x09websocket";
    stream.write_all(&frame(HEADERS, END_HEADERS, 3, connect)).await.unwrap();
    agent.await_metric("waf_proxy_failures_total", "reason=\"no_switch\"", 1.0).await;
}

#[tokio::test]
async fn streams_on_a_connection_are_bounded() {
    let upstream = Upstream::ok().await;
    let agent = Agent::plain(&upstream.url()).await;
    let mut stream = open(agent.at, PREFACE).await;
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
    // Bodies that are begun and never ended.
    for number in 0..1000 {
        let head = frame(HEADERS, END_HEADERS, 2 * number + 1, b"\x83\x84\x86\x41\x01a");
        let begun = [head, frame(DATA, 0, 2 * number + 1, &[b'x'; 100])].concat();
        if stream.write_all(&begun).await.is_err() {
            break;
        }
    }
    still_serves(&agent).await;
    assert!(upstream.requests().len() == 1, "a body that did not end was forwarded");
}

#[tokio::test]
async fn a_stream_that_is_not_read_gives_its_upstream_back() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let agent = Agent::with(&url, "read-timeout=1s,idle-timeout=1h").await;
    let mut client = open(agent.at, PREFACE).await;
    // SETTINGS_INITIAL_WINDOW_SIZE 0: no byte of an answer may be sent.
    let settings = frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
    let get = frame(HEADERS, END_STREAM | END_HEADERS, 1, GET);
    client.write_all(&[settings, get].concat()).await.unwrap();
    let (mut stream, _) = listener.accept().await.unwrap();
    read_until(&mut stream, b"\r\n\r\n").await;
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n").await.unwrap();
    let piece = vec![b'x'; 1 << 20];
    let writing = async { while stream.write_all(&piece).await.is_ok() {} };
    tokio::time::timeout(PATIENCE, writing).await.expect("it is held");
    // Only this stream is given up.
    client.write_all(&frame(HEADERS, END_STREAM | END_HEADERS, 3, GET)).await.unwrap();
    let (mut other, _) = tokio::time::timeout(PATIENCE, listener.accept()).await.unwrap().unwrap();
    read_until(&mut other, b"\r\n\r\n").await;
}

#[tokio::test]
async fn a_silent_connection_ends_before_one_that_was_used() {
    let upstream = Upstream::ok().await;
    let agent = Agent::with(&upstream.url(), "http2=false,read-timeout=1s,idle-timeout=1h").await;
    let used = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let (mut used, mut silent) = (open(agent.at, used).await, open(agent.at, b"").await);
    let end = tokio::time::timeout(PATIENCE, silent.read(&mut [0; 1])).await;
    assert_eq!(end.expect("it goes on").unwrap(), 0);
    used.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut all = Vec::new();
    used.read_to_end(&mut all).await.unwrap();
    assert_eq!(upstream.requests().len(), 2, "{}", all.escape_ascii());
}

#[tokio::test]
async fn a_head_that_has_begun_is_slow_and_not_idle() {
    let upstream = Upstream::ok().await;
    let agent = Agent::with(&upstream.url(), "read-timeout=400ms,http2=false").await;
    let mut client = open(agent.at, b"").await;
    // Some time is over before it begins.
    agent.await_metric("waf_proxy_connections_open", "", 1.0).await;
    client.write_all(b"GET / HTTP/1.1\r\nHo").await.unwrap();
    let end = tokio::time::timeout(PATIENCE, client.read_to_end(&mut Vec::new())).await;
    let _reset = end.expect("a slow head is kept");
    agent.await_metric("waf_proxy_connections_failed_total", "reason=\"slow\"", 1.0).await;
}

#[tokio::test]
async fn slow_heads_and_slow_bodies_run_out_of_time() {
    let upstream = Upstream::ok().await;
    let agent = Agent::with(&upstream.url(), "read-timeout=400ms").await;
    let started = Instant::now();
    let mut head = open(agent.at, b"GET / HTTP/1.1\r\nHo").await;
    let mut first = TcpStream::connect(agent.at).await.unwrap();
    let mut rest = Vec::new();
    let _ended =
        tokio::time::timeout(PATIENCE, head.read_to_end(&mut rest)).await.expect("a slow head is kept");
    let _ended = tokio::time::timeout(PATIENCE, first.read_to_end(&mut rest)).await.expect("silence is kept");
    assert!(rest.is_empty());
    agent.await_metric("waf_proxy_connections_failed_total", "reason=\"slow\"", 2.0).await;
    // It is not enough to send a byte now and then.
    let mut body = open(agent.at, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n").await;
    let drip = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(50));
        loop {
            ticks.tick().await;
            if body.write_all(b"x").await.is_err() {
                return;
            }
        }
    };
    assert!(tokio::time::timeout(PATIENCE, drip).await.is_ok(), "a slow body is kept");
    agent.await_metric("waf_proxy_failures_total", "reason=\"body_timeout\"", 1.0).await;
    assert!(started.elapsed() < PATIENCE);
    assert_eq!(upstream.connections(), 0);
    // A quick one has all it needs, and an idle connection ends quietly.
    let mut idle = open(agent.at, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut all = Vec::new();
    tokio::time::timeout(PATIENCE, idle.read_to_end(&mut all))
        .await
        .expect("an idle connection is kept")
        .unwrap();
    assert_eq!(status(&all), 200);
}
