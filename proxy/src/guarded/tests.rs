//! What the guard lets through to the parser behind it.

use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

use super::*;
use crate::memory::Memory;

const PATIENCE: Patience = Patience { head: Duration::from_secs(30), write: Duration::from_secs(60) };

fn guard<S>(stream: S, read: &[u8]) -> (Guarded<S>, Refusal) {
    let (refusal, memory) = (Refusal::default(), Arc::new(Memory::default()));
    let told = Told { refusal: refusal.clone(), activity: Activity::new(), share: memory.share() };
    let guarded = Guarded::http1(stream, read, told, PATIENCE);
    (guarded, refusal)
}

async fn through(sent: &[u8]) -> (Vec<u8>, Refusal) {
    let (mut client, server) = duplex(64);
    let (mut guarded, refusal) = guard(server, &[]);
    let send = async {
        // The guard stops reading once it refuses.
        let _ = client.write_all(sent).await;
        let _ = client.shutdown().await;
        drop(client);
    };
    let mut read = Vec::new();
    let receive = async {
        // Behind a stand-in there is nothing, and no end either.
        let all = guarded.read_to_end(&mut read);
        let _ended = tokio::time::timeout(Duration::from_secs(1), all).await;
        drop(guarded);
    };
    tokio::join!(send, receive);
    (read, refusal)
}

fn reason(refusal: &Refusal, index: u64) -> Option<Rejection> {
    refusal.of(index).map(|(rejection, _)| rejection)
}

#[tokio::test(start_paused = true)]
async fn passes_sound_requests_unchanged() {
    let sent = [&b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200\r\n\r\n"[..], &[b'x'; 200]].concat();
    let (read, refusal) = through(&sent).await;
    assert_eq!(read, sent, "{}", sent.escape_ascii());
    assert_eq!(reason(&refusal, 0), None);
}

#[tokio::test(start_paused = true)]
async fn a_refused_head_becomes_a_stand_in_with_its_number_and_beginning() {
    let good = b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n";
    let (read, refusal) = through(&[&good[..], b"GET /2 HTTP/1.1\nHost: a\r\n\r\n"].concat()).await;
    assert_eq!(read, [&good[..], STAND_IN].concat());
    assert_eq!(reason(&refusal, 0), None);
    let (rejection, start) = refusal.of(1).unwrap();
    assert_eq!(rejection, Rejection::BareLineFeed);
    assert!(start.starts_with(b"GET /2 HTTP/1.1\n"), "{}", start.escape_ascii());
}

#[tokio::test(start_paused = true)]
async fn a_body_refused_on_its_way_ends_short() {
    let sent = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX";
    let (read, refusal) = through(sent).await;
    assert!(!read.ends_with(STAND_IN));
    assert_eq!(reason(&refusal, 0), Some(Rejection::ChunkEnd));
}

#[tokio::test]
async fn odd_bytes_of_a_target_are_encoded_wherever_it_is_cut() {
    let sent = b"GET /<a>?\xff=\"1\" HTTP/1.1\r\nHost: a\r\n\r\n";
    for cut in 1..sent.len() {
        let (mut client, server) = duplex(256);
        let (mut guarded, _) = guard(server, &sent[..cut]);
        client.write_all(&sent[cut..]).await.unwrap();
        drop(client);
        let mut read = Vec::new();
        guarded.read_to_end(&mut read).await.unwrap();
        assert_eq!(read, b"GET /%3Ca%3E?%FF=%221%22 HTTP/1.1\r\nHost: a\r\n\r\n", "{cut}");
    }
}

#[tokio::test]
async fn what_was_read_before_is_read_first() {
    let (mut client, server) = duplex(64);
    let (mut guarded, _) = guard(server, b"GET / HT");
    client.write_all(b"TP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    drop(client);
    let mut read = Vec::new();
    guarded.read_to_end(&mut read).await.unwrap();
    assert_eq!(read, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
}

#[tokio::test]
async fn bytes_sent_ahead_of_a_switch_are_not_lost() {
    let (mut client, server) = duplex(256);
    let (mut guarded, refusal) = guard(server, &[]);
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\n\r\nearly").await.unwrap();
    let mut read = vec![0; 39];
    guarded.read_exact(&mut read).await.unwrap();
    refusal.tunnel();
    client.write_all(b"\n late").await.unwrap();
    drop(client);
    let mut rest = Vec::new();
    guarded.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, b"early\n late");
}

#[tokio::test(start_paused = true)]
async fn a_head_must_be_whole_in_time() {
    let (mut client, server) = duplex(64);
    let (mut guarded, _) = guard(server, &[]);
    client.write_all(b"GET / HTTP/1.1\r\nHo").await.unwrap();
    let started = Instant::now();
    let error = guarded.read_u8().await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert_eq!(started.elapsed(), PATIENCE.head);
}

#[tokio::test(start_paused = true)]
async fn an_answer_must_be_read_in_time() {
    let (_client, server) = duplex(8);
    let (mut guarded, _) = guard(server, &[]);
    let started = Instant::now();
    let error = guarded.write_all(b"longer than it reads").await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert_eq!(started.elapsed(), PATIENCE.write);
}
