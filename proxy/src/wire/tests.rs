use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// A connection, and what is at its other end.
async fn pair() -> (Wire, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (upstream, _) = listener.accept().await.unwrap();
    (Wire::new(Stream::Plain(stream)), upstream)
}

fn get(head: &mut BytesMut) {
    head.extend_from_slice(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n");
}

async fn read(upstream: &mut TcpStream, n: usize) -> Vec<u8> {
    let mut read = vec![0; n];
    upstream.read_exact(&mut read).await.unwrap();
    read
}

async fn body(wire: &mut Wire) -> Result<Vec<u8>, WireError> {
    let mut body = Vec::new();
    while let Some(frame) = poll_fn(|cx| wire.poll_frame(cx)).await {
        if let Ok(data) = frame?.into_data() {
            body.extend_from_slice(&data);
        }
    }
    Ok(body)
}

#[tokio::test]
async fn one_connection_serves_one_exchange_after_the_other() {
    let (mut wire, mut upstream) = pair().await;
    let answer = async {
        for _ in 0..3 {
            assert!(read(&mut upstream, 31).await.ends_with(b"\r\n\r\nbody"));
            let interim = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n";
            let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
            upstream.write_all(format!("{interim}{answer}").as_bytes()).await.unwrap();
        }
        upstream
    };
    let ask = async {
        for _ in 0..3 {
            let response = wire.exchange(&Method::GET, get, Bytes::from_static(b"body")).await.unwrap();
            assert_eq!(response.status(), StatusCode::OK);
            assert!(!wire.rest());
            assert_eq!(wire.size_hint().exact(), Some(2));
            assert_eq!(body(&mut wire).await.unwrap(), b"ok");
            assert!(wire.rest());
        }
    };
    let (_upstream, ()) = tokio::join!(answer, ask);
}

#[tokio::test]
async fn a_connection_that_was_closed_or_said_more_is_not_used_again() {
    let (mut wire, upstream) = pair().await;
    assert!(wire.rest());
    drop(upstream);
    let Wire { stream, .. } = &mut wire;
    let Stream::Plain(stream) = stream else { return };
    stream.readable().await.unwrap();
    assert!(!wire.rest());

    let (mut wire, mut upstream) = pair().await;
    upstream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nmore").await.unwrap();
    wire.exchange(&Method::GET, get, Bytes::new()).await.unwrap();
    assert!(wire.is_end_stream());
    assert!(!wire.rest());
}

#[tokio::test]
async fn tells_how_far_a_failed_exchange_came() {
    let (mut wire, mut upstream) = pair().await;
    let close = async {
        read(&mut upstream, 27).await;
        drop(upstream);
    };
    let (broken, ()) = tokio::join!(wire.exchange(&Method::GET, get, Bytes::new()), close);
    assert_eq!(broken.unwrap_err().progress, Progress::Written);

    let (mut wire, mut upstream) = pair().await;
    upstream.write_all(b"HTTP/1.1 200 OK\r\nContent-").await.unwrap();
    drop(upstream);
    let broken = wire.exchange(&Method::GET, get, Bytes::new()).await.unwrap_err();
    assert_eq!(broken.progress, Progress::Answered);
    assert!(!broken.error.is_parse());

    let (mut wire, mut upstream) = pair().await;
    upstream.write_all(b"SSH-2.0-OpenSSH\r\n").await.unwrap();
    let broken = wire.exchange(&Method::GET, get, Bytes::new()).await.unwrap_err();
    assert!(broken.error.is_parse());
    assert!(!wire.rest());
}

#[tokio::test]
async fn a_body_is_sent_on_while_its_answer_comes() {
    // More than sockets hold: the upstream reads on only once its answer is read.
    let (mut wire, mut upstream) = pair().await;
    let sent = Bytes::from(vec![b'x'; 16 << 20]);
    let echo = async {
        upstream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 16777216\r\n\r\n").await.unwrap();
        read(&mut upstream, 27).await;
        let mut part = vec![0; 64 * 1024];
        let mut left = 16 << 20;
        while left > 0 {
            let n = upstream.read(&mut part).await.unwrap();
            upstream.write_all(&part[..n]).await.unwrap();
            left -= n;
        }
        upstream
    };
    let ask = async {
        wire.exchange(&Method::POST, get, sent.clone()).await.unwrap();
        body(&mut wire).await.unwrap()
    };
    let (_upstream, back) = tokio::join!(echo, ask);
    assert_eq!(back.len(), sent.len());
    assert!(wire.rest());
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_an_error_unless_its_end_is_that_of_the_connection() {
    let (mut wire, mut upstream) = pair().await;
    upstream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok").await.unwrap();
    drop(upstream);
    wire.exchange(&Method::GET, get, Bytes::new()).await.unwrap();
    assert!(body(&mut wire).await.is_err());

    let (mut wire, mut upstream) = pair().await;
    let close = async {
        upstream.write_all(b"HTTP/1.1 200 OK\r\n\r\nok").await.unwrap();
        read(&mut upstream, 27).await;
        drop(upstream);
    };
    let ask = async {
        wire.exchange(&Method::GET, get, Bytes::new()).await.unwrap();
        body(&mut wire).await.unwrap()
    };
    let (back, ()) = tokio::join!(ask, close);
    assert_eq!(back, b"ok");
    assert!(!wire.rest());
}
