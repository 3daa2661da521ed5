//! An agent that does not answer costs little.

use std::time::{Duration, Instant};

use portcullis_e2e::client::Ask;
use portcullis_e2e::smoke::FAILURES;
use portcullis_protocol::RpcMsgOut;

use crate::scripted::{Script, ScriptedAgent};
use crate::setup::{PATIENT, Path};

#[tokio::test]
async fn a_hung_agent_is_left_alone_and_found_again() {
    let mut path = Path::scripted(Script::Hang, &[]).await;
    // Two workers, each with its own five failures before it leaves the agent alone.
    for _ in 0..40 {
        assert_eq!(path.send(Ask::get("/demo")).await.status, 200);
    }
    path.settled(40.0).await;
    let timeouts = path.counter(FAILURES, &[("reason", "timeout")]).await;
    let paused = path.counter(FAILURES, &[("reason", "paused")]).await;
    assert_eq!(timeouts + paused, 40.0);
    assert!(timeouts <= 16.0, "{timeouts} requests waited for a hung agent");
    let started = Instant::now();
    for _ in 0..20 {
        path.send(Ask::get("/demo")).await;
    }
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    // The agent comes back, and is asked again without anybody's doing.
    drop(path.agent.take());
    let socket = path.stack.socket();
    std::fs::remove_file(&socket).unwrap();
    let answer = RpcMsgOut { waf_response: 406, ..RpcMsgOut::default() };
    path.agent = Some(ScriptedAgent::start(&socket, Script::answer(&answer)));
    let ingress = path.ingress;
    portcullis_e2e::wait::until("the agent is asked again", Duration::from_secs(40), || async {
        Ok((Ask::get("/demo").send(ingress).await?.status == 406).then_some(()))
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_missing_agent_is_shown_as_such_in_the_access_log() {
    let path = Path::alone(&[PATIENT]).await;
    path.send(Ask::get("/unjudged")).await;
    let log = path.stack.folder().join("envoy.log");
    let line = portcullis_e2e::wait::until("the request is in the log", Duration::from_secs(20), || async {
        let text = std::fs::read_to_string(&log)?;
        let lines = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        Ok(lines.into_iter().find(|line| line["path"] == "/unjudged"))
    })
    .await
    .unwrap();
    assert_eq!(line["verdict"], "none");
    assert_eq!(line["reason"], "connect");
}
