use portcullis_protocol::envelope::write_call;
use tokio::net::UnixStream;
use tokio::task::JoinHandle;

use super::*;
use crate::drain;

/// A peer of a connection that is served; `drain` is done when nothing is owed to the peer.
struct Served {
    peer: UnixStream,
    service: Arc<Service>,
    drain: drain::Drain,
    task: JoinHandle<()>,
}

fn served() -> Served {
    let service = Service::testing(1, Duration::from_secs(60));
    let (peer, stream) = UnixStream::pair().unwrap();
    let (drain, watch) = drain::channel();
    let serving = Arc::clone(&service);
    let task = tokio::spawn(async move {
        serve(Stream::Unix(stream), Vec::new(), &serving, Limits::default(), watch).await;
    });
    Served { peer, service, drain, task }
}

async fn heard(peer: &mut UnixStream) -> Vec<u8> {
    let mut all = Vec::new();
    peer.read_to_end(&mut all).await.unwrap();
    all
}

#[tokio::test(start_paused = true)]
async fn answers_a_dawdler_under_its_id_when_time_is_up() {
    let mut served = served();
    let wire = write_call(7, "RPC.PreRequest", &[0x80]);
    served.peer.write_all(&wire[..20]).await.unwrap();
    let reply = heard(&mut served.peer).await;
    assert!(reply.starts_with(&[0x94, 1, 0xce, 0, 0, 0, 7]), "{reply:02x?}");
    assert!(String::from_utf8_lossy(&reply).contains("took too long to arrive"));
    assert_eq!(served.service.counters.cut_off.value(), 1);
}

#[tokio::test(start_paused = true)]
async fn waits_for_the_peer_to_close_but_not_for_ever() {
    let mut served = served();
    served.peer.write_all(&write_call(7, "RPC.PreRequest", &[0x80])).await.unwrap();
    assert!(heard(&mut served.peer).await.starts_with(&[0x94, 1, 0xce, 0, 0, 0, 7, 0xc0, 0x83]));
    // The peer never closes.
    served.task.await.unwrap();
}

#[tokio::test]
async fn owes_nothing_after_the_reply() {
    let mut served = served();
    served.peer.write_all(&write_call(7, "RPC.UpdateRequest", &[0x80])).await.unwrap();
    assert_eq!(heard(&mut served.peer).await, [0x94, 1, 0xce, 0, 0, 0, 7, 0xc0, 0]);
    served.drain.done().await;
    assert_eq!(served.service.counters.updates.value(), 1);
}

#[tokio::test]
async fn counts_a_report_that_is_not_usable_though_it_was_acknowledged() {
    let mut served = served();
    served.peer.write_all(&write_call(7, "RPC.PostRequest", &[0x05])).await.unwrap();
    assert_eq!(heard(&mut served.peer).await, [0x94, 1, 0xce, 0, 0, 0, 7, 0xc0, 0]);
    served.drain.done().await;
    assert_eq!((served.service.counters.posts.value(), served.service.counters.refused.value()), (0, 1));
}

#[tokio::test]
async fn refuses_a_slow_message_when_others_hold_all_memory() {
    let mut served = served();
    let mut others = served.service.memory.hold();
    while others.grow_to(served.service.memory.held() + 4096).is_ok() {}
    let wire = write_call(7, "RPC.PreRequest", &[0xc6, 0, 0, 0x40, 0]);
    served.peer.write_all(&wire).await.unwrap();
    let reply = heard(&mut served.peer).await;
    assert!(reply.starts_with(&[0x94, 1, 0xce, 0, 0, 0, 7]), "{reply:02x?}");
    assert!(String::from_utf8_lossy(&reply).contains("arriving slowly"));
    assert_eq!(served.service.counters.crowded_out.value(), 1);
}
