//! The filter's side of the socket: HTTP/1.1 and HTTP/2 with prior knowledge.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::io::Write;

use bytes::Bytes;
use common::{Agent, HalfClose, everything, message};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use portcullis_protocol::http as wire;
use portcullis_protocol::{LocalFacts, LocalQuery, ReportBatch, RpcMsgIn2, RpcMsgOut};
use tokio::net::UnixStream;

const ATTACK: &str = "/?q=%3Cscript%3Ealert(document.cookie)%3C/script%3E";

enum Client {
    One(http1::SendRequest<Full<Bytes>>),
    Two(http2::SendRequest<Full<Bytes>>),
}

impl Client {
    async fn both(agent: &Agent) -> [Self; 2] {
        let stream = || async { TokioIo::new(UnixStream::connect(&agent.socket).await.unwrap()) };
        let (one, connection) = http1::handshake(stream().await).await.unwrap();
        tokio::spawn(connection);
        let (two, connection) = http2::handshake(TokioExecutor::new(), stream().await).await.unwrap();
        tokio::spawn(connection);
        [Self::One(one), Self::Two(two)]
    }

    async fn send(&mut self, request: Request<Full<Bytes>>) -> Response<Bytes> {
        let response = match self {
            Self::One(client) => {
                client.ready().await.unwrap();
                client.send_request(request).await.unwrap()
            }
            Self::Two(client) => client.send_request(request).await.unwrap(),
        };
        let (parts, body) = response.into_parts();
        Response::from_parts(parts, body.collect().await.unwrap().to_bytes())
    }

    async fn post(&mut self, path: &str, message: Vec<u8>) -> Response<Bytes> {
        self.send(post(path).body(Full::new(message.into())).unwrap()).await
    }
}

fn post(path: &str) -> http::request::Builder {
    Request::post(format!("http://agent{path}"))
        .header("host", "agent")
        .header("content-type", wire::CONTENT_TYPE)
        .header(wire::VERSION_HEADER, wire::VERSION)
}

fn assert_is_ours(response: &Response<Bytes>) {
    assert_eq!(response.status(), StatusCode::OK, "{response:?}");
    assert_eq!(response.headers()["content-type"], wire::CONTENT_TYPE);
    assert_eq!(response.headers()[wire::VERSION_HEADER], wire::VERSION);
}

fn names(answer: &RpcMsgOut<'_>) -> Vec<String> {
    answer.request_headers.iter().map(|(name, _)| String::from_utf8_lossy(name).into_owned()).collect()
}

#[tokio::test]
async fn gives_verdicts_in_both_versions_many_on_a_connection() {
    let agent = Agent::blocking();
    for mut client in Client::both(&agent).await {
        for _ in 0..3 {
            let clean = client.post(wire::PRE_REQUEST, message("/hello?name=bob").encode()).await;
            assert_is_ours(&clean);
            let answer = RpcMsgOut::decode(clean.body()).unwrap();
            assert_eq!((answer.waf_response, answer.request_id.len()), (200, 0));
            assert_eq!(answer.request_headers, [("X-SigSci-AgentResponse".into(), "200".into())]);

            let attack = client.post(wire::PRE_REQUEST, message(ATTACK).encode()).await;
            assert_is_ours(&attack);
            let answer = RpcMsgOut::decode(attack.body()).unwrap();
            assert_eq!((answer.waf_response, answer.request_id.len()), (406, 24));
            assert_eq!(names(&answer), ["X-SigSci-AgentResponse", "X-SigSci-RequestID", "X-SigSci-Tags"]);
        }
    }
}

#[tokio::test]
async fn inspects_large_bodies_and_refuses_endless_ones() {
    let agent = Agent::blocking();
    for mut client in Client::both(&agent).await {
        let mut request = message("/");
        request.method = "POST".into();
        request.headers_in.push(("content-type".into(), "application/x-www-form-urlencoded".into()));
        let body = format!("a={}&b=<script>alert(document.cookie)</script>", "x".repeat(100_000));
        request.post_body = body.into();
        let response = client.post(wire::PRE_REQUEST, request.encode()).await;
        assert_eq!(RpcMsgOut::decode(response.body()).unwrap().waf_response, 406);

        request.post_body = vec![b'x'; 8 << 20].into();
        if let Client::Two(_) = client {
            let response = client.post(wire::PRE_REQUEST, request.encode()).await;
            assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
        }
    }
    assert!(agent.is_alive());
}

#[tokio::test]
async fn takes_many_reports_in_one_call() {
    let agent = Agent::blocking();
    for mut client in Client::both(&agent).await {
        let update = RpcMsgIn2 { request_id: "0123456789abcdef01234567".into(), ..RpcMsgIn2::default() };
        let mut post = message("/missing");
        post.response_code = Some(404);
        let reports = vec![
            (ReportBatch::UPDATE.into(), update.encode().into()),
            (ReportBatch::POST.into(), post.encode().into()),
            ("of a kind to come".into(), "x".into()),
        ];
        let batch = ReportBatch { passed: 7, blocked: 0, reports };
        let response = client.post(wire::REPORTS, batch.encode()).await;
        assert_is_ours(&response);
        assert_eq!(response.body(), wire::ACK);
        assert_eq!(client.post(wire::REPORTS, vec![0x90, 0x90]).await.status(), StatusCode::BAD_REQUEST);
    }
}

#[tokio::test]
async fn tells_a_filter_what_it_needs_to_judge_by_itself_and_only_news() {
    let agent = Agent::blocking();
    for mut client in Client::both(&agent).await {
        let ask = |version| LocalQuery { version, ..LocalQuery::default() }.encode();
        let response = client.post(wire::LOCAL, ask(0)).await;
        assert_is_ours(&response);
        let facts = LocalFacts::decode(response.body()).unwrap();
        assert!(facts.blocks && !facts.ask_always && !facts.unchanged && facts.version != 0);
        assert_eq!(facts.block_code, 406);
        let again = client.post(wire::LOCAL, ask(facts.version)).await;
        let again = LocalFacts::decode(again.body()).unwrap();
        assert_eq!((again.unchanged, again.version), (true, facts.version));
    }
}

#[tokio::test]
async fn acknowledges_reports() {
    let agent = Agent::blocking();
    for mut client in Client::both(&agent).await {
        let update = RpcMsgIn2 { request_id: "0123456789abcdef01234567".into(), ..RpcMsgIn2::default() };
        let mut post = message("/missing");
        post.response_code = Some(404);
        for (path, message) in [(wire::UPDATE_REQUEST, update.encode()), (wire::POST_REQUEST, post.encode())]
        {
            let response = client.post(path, message).await;
            assert_is_ours(&response);
            assert_eq!(response.body(), wire::ACK);
        }
    }
}

#[tokio::test]
async fn refuses_what_is_not_the_protocol() {
    let agent = Agent::blocking();
    for mut client in Client::both(&agent).await {
        let empty = || Full::new(Bytes::from_static(&[0x80]));
        let cases = [
            (post("/metrics").body(empty()), StatusCode::NOT_FOUND),
            (post("/v1/pre-request/").body(empty()), StatusCode::NOT_FOUND),
            (post(wire::PRE_REQUEST).method("GET").body(empty()), StatusCode::METHOD_NOT_ALLOWED),
            (
                Request::post(format!("http://agent{}", wire::PRE_REQUEST)).body(empty()),
                StatusCode::BAD_REQUEST,
            ),
            (post(wire::PRE_REQUEST).body(Full::new("hello".into())), StatusCode::BAD_REQUEST),
            (post(wire::PRE_REQUEST).body(Full::default()), StatusCode::BAD_REQUEST),
            (post(wire::UPDATE_REQUEST).body(Full::new("hello".into())), StatusCode::BAD_REQUEST),
        ];
        for (request, status) in cases {
            let request = request.unwrap();
            let asked = format!("{request:?}");
            let response = client.send(request).await;
            assert_eq!(response.status(), status, "{asked}");
            assert!(!response.headers().contains_key(wire::VERSION_HEADER));
            assert_ne!(response.headers()["content-type"], wire::CONTENT_TYPE);
        }
    }
}

// The HTTP/2 client has a say in its connection's end, while this thread waits for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn finishes_a_request_that_was_begun_before_the_signal() {
    let agent = Agent::blocking();
    let body = message("/").encode();
    let head = format!(
        "POST {} HTTP/1.1\r\nhost: agent\r\n{}: {}\r\ncontent-length: {}\r\n\r\n",
        wire::PRE_REQUEST,
        wire::VERSION_HEADER,
        wire::VERSION,
        body.len()
    );
    let [_idle_one, mut two] = Client::both(&agent).await;
    assert_is_ours(&two.post(wire::PRE_REQUEST, body.clone()).await);
    let mut begun = agent.connect();
    begun.write_all(head.as_bytes()).unwrap();
    begun.write_all(&body[..20]).unwrap();
    assert!(agent.is_alive());
    agent.signal("-TERM");
    agent.await_log("SIGTERM: draining");
    begun.write_all(&body[20..]).unwrap();
    let response = everything(&begun);
    assert!(response.starts_with(b"HTTP/1.1 200 OK\r\n"), "{}", response.escape_ascii());
    agent.drained();
}

#[test]
fn answers_noise_and_goes_on() {
    let agent = Agent::blocking();
    for noise in [
        &b"\x16\x03\x01\x02\x00"[..],
        b"GET / HTTP/1.0\r\n\r\n",
        b"\0\0\0\0",
        b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
    ] {
        let mut stream = agent.connect();
        stream.write_all(noise).unwrap();
        stream.half_close();
        everything(stream);
    }
    assert!(agent.is_alive());
}
