//! What becomes of an agent's answer, whatever it says.

use std::time::Duration;

use portcullis_e2e::client::Ask;
use portcullis_e2e::samples::{self, Sample};
use portcullis_e2e::smoke::BLOCK;
use portcullis_e2e::wait::until;
use portcullis_protocol::{ReportBatch, RespAction, RpcMsgIn, RpcMsgIn2, RpcMsgOut, http as wire};
use serde_json::Value;

use crate::scripted::Script;
use crate::setup::{PATIENT, Path};

#[tokio::test]
async fn a_redirect_goes_to_the_client() {
    let redirect = RpcMsgOut {
        waf_response: 302,
        request_headers: vec![("X-Sigsci-Redirect".into(), "https://example.com/blocked".into())],
        ..RpcMsgOut::default()
    };
    let path = Path::scripted(Script::answer(&redirect), &[PATIENT]).await;
    let answer = path.send(samples::attack("redirected").ask).await;
    assert_eq!(answer.status, 302);
    assert_eq!(answer.headers["location"], "https://example.com/blocked");
    assert_eq!(path.app.seen("redirected"), 0);
}

#[tokio::test]
async fn a_site_may_redirect_what_it_blocks() {
    let policy = r#"{"site":{"agentLevel":"block","immediateBlock":true,
        "blockHTTPCode":302,"blockRedirectURL":"https://example.com/blocked"}}"#;
    let path = Path::with_policy(policy, &[PATIENT]).await;
    let answer = path.send(samples::attack("redirected by policy").ask).await;
    assert_eq!(answer.status, 302);
    assert_eq!(answer.headers["location"], "https://example.com/blocked");
    assert_eq!(path.app.seen("redirected by policy"), 0);
}

#[tokio::test]
async fn the_access_log_tells_of_verdicts() {
    let path = Path::real(&[PATIENT]).await;
    path.send(Ask::get("/let-through")).await;
    let attack = Ask::get("/stopped?id=1%27%20OR%20%271%27%3D%271");
    path.send(attack.header("user-agent", "a browser of some kind")).await;
    let log = path.stack.folder().join("envoy.log");
    let lines = until("both requests are in the access log", Duration::from_secs(20), || async {
        let text = std::fs::read_to_string(&log)?;
        let lines: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        Ok((lines.len() >= 2).then_some(lines))
    })
    .await
    .unwrap();
    let of = |path: &str| lines.iter().find(|line| line["path"] == path).unwrap();
    assert_eq!(of("/let-through")["verdict"], "allow");
    assert_eq!(of("/stopped")["verdict"], "block");
    assert_eq!(of("/stopped")["signals"], "SQLI,BLOCKED");
    assert_eq!(of("/stopped")["status"], BLOCK);
    assert_eq!(of("/stopped")["details"], "portcullis_blocked");
}

#[tokio::test]
async fn in_log_mode_the_app_is_told_of_an_attack() {
    let path = Path::with_policy(r#"{"site":{"agentLevel":"log"}}"#, &[PATIENT]).await;
    let ask = samples::attack("logged").ask.header("user-agent", "a browser of some kind");
    let report = path.send(ask).await.report().unwrap();
    assert_eq!(values(&report, "x-sigsci-tags"), ["SQLI"]);
    assert_eq!(values(&report, "x-sigsci-agentresponse"), ["200"]);
    assert_eq!(values(&report, "x-sigsci-requestid").len(), 1);
}

#[tokio::test]
async fn the_agent_chooses_the_status_of_a_block() {
    let path = Path::scripted(Script::answer(&verdict(451)), &[PATIENT]).await;
    assert_eq!(path.send(Ask::get("/demo")).await.status, 451);
    path.counts("portcullis_decisions_total", &[("decision", "block")], 1.0).await;
}

#[tokio::test]
async fn the_agents_request_headers_replace_forged_ones() {
    let tagged = RpcMsgOut {
        request_headers: vec![
            ("X-SigSci-Tags".into(), "SQLI".into()),
            ("X-SigSci-RequestID".into(), "55c24b96ca84c02201000001".into()),
        ],
        ..verdict(200)
    };
    let path = Path::scripted(Script::answer(&tagged), &[PATIENT]).await;
    let ask = Ask::get("/demo")
        .header("x-sigsci-tags", "FORGED")
        .header("x-sigsci-redirect", "FORGED")
        .header("x-sigsci-agentresponse", "FORGED");
    let report = path.send(ask).await.report().unwrap();
    assert_eq!(values(&report, "x-sigsci-tags"), ["SQLI"]);
    assert_eq!(values(&report, "x-sigsci-requestid"), ["55c24b96ca84c02201000001"]);
    assert!(!report.to_string().contains("FORGED"), "{report}");
}

#[tokio::test]
async fn forged_headers_do_not_pass_the_real_agent_either() {
    let path = Path::real(&[PATIENT]).await;
    let ask = Ask::get("/demo").header("x-sigsci-tags", "FORGED").header("x-sigsci-anything", "FORGED");
    let report = path.send(ask).await.report().unwrap();
    assert!(!report.to_string().contains("FORGED"), "{report}");
}

#[tokio::test]
async fn the_agent_is_shown_the_request_as_it_came() {
    let mut path = Path::scripted(Script::answer(&verdict(200)), &[PATIENT]).await;
    let ask = Ask::post("/a/../b?x=%27&y=+", "text/plain", "the body")
        .header("x-twice", "1")
        .header("x-twice", "2");
    path.send(ask).await;
    let (asked, body) = path.agent.as_mut().unwrap().next().await;
    assert_eq!(asked, wire::PRE_REQUEST);
    let message = RpcMsgIn::decode(&body).unwrap();
    assert_eq!(&*message.method, b"POST");
    assert_eq!(&*message.uri, b"/a/../b?x=%27&y=+");
    assert_eq!(&*message.post_body, b"the body");
    assert_eq!(&*message.remote_addr, b"127.0.0.1");
    let twice: Vec<_> = message.headers_in.iter().filter(|(name, _)| **name == *b"x-twice").collect();
    assert_eq!(twice.len(), 2, "duplicates stay apart");
}

#[tokio::test]
async fn a_response_is_reported_where_the_agent_asked_for_it() {
    let asking = RpcMsgOut { request_id: "55c24b96ca84c02201000001".into(), ..verdict(200) };
    let mut path = Path::scripted(Script::answer(&asking), &[PATIENT]).await;
    path.send(Ask::get("/demo")).await;
    let agent = path.agent.as_mut().unwrap();
    assert_eq!(agent.next().await.0, wire::PRE_REQUEST);
    let (asked, body) = agent.next().await;
    assert_eq!(asked, wire::REPORTS);
    let report = only_report(&body, ReportBatch::UPDATE);
    let update = RpcMsgIn2::decode(&report).unwrap();
    assert_eq!(&*update.request_id, b"55c24b96ca84c02201000001");
    assert_eq!(update.response_code, 200);
}

#[tokio::test]
async fn a_request_that_envoy_redirects_to_itself_is_judged_once() {
    let redirecting = (
        "route: { cluster: application, timeout: 0s }",
        "route: { cluster: application, timeout: 0s, internal_redirect_policy: { max_internal_redirects: 1 } }",
    );
    let mut path = Path::scripted(Script::answer(&verdict(200)), &[PATIENT, redirecting]).await;
    let answer = path.send(Ask::get("/moved/there")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.report().unwrap()["target"], "/there");
    path.send(Ask::get("/last")).await;
    let agent = path.agent.as_mut().unwrap();
    for asked in ["/moved/there", "/last"] {
        let (_, body) = agent.next().await;
        assert_eq!(*RpcMsgIn::decode(&body).unwrap().uri, *asked.as_bytes());
    }
    path.settled(2.0).await;
}

#[tokio::test]
async fn the_agent_edits_the_responses_headers() {
    let resp_actions = vec![
        RespAction { code: 2, args: vec!["content-type".into(), "text/x-edited".into()] },
        RespAction { code: 1, args: vec!["x-added".into(), "1".into()] },
    ];
    let path = Path::scripted(Script::answer(&RpcMsgOut { resp_actions, ..verdict(200) }), &[PATIENT]).await;
    let answer = path.send(Ask::get("/demo")).await;
    assert_eq!(answer.headers["content-type"], "text/x-edited");
    assert_eq!(answer.headers["x-added"], "1");
}

#[tokio::test]
async fn a_response_waits_for_the_agent_where_it_asks_to_see_it() {
    let asking =
        RpcMsgOut { ask_response: true, request_id: "55c24b96ca84c02201000001".into(), ..verdict(200) };
    let script = Script::TwoAnswers(asking.encode().into(), verdict(451).encode().into());
    let path = Path::scripted(script, &[PATIENT]).await;
    let answer = path.send(Sample::new("seen", Ask::get("/demo")).ask).await;
    assert_eq!(answer.status, 451);
    assert_eq!(path.app.seen("seen"), 1);
    path.counts("portcullis_responses_block_total", &[], 1.0).await;
}

#[tokio::test]
async fn an_anomalous_response_is_reported_unasked() {
    let mut path = Path::scripted(Script::answer(&verdict(200)), &[PATIENT]).await;
    path.send(Ask::get("/demo")).await;
    path.send(Ask::get("/status/500")).await;
    let agent = path.agent.as_mut().unwrap();
    assert_eq!(agent.next().await.0, wire::PRE_REQUEST);
    assert_eq!(agent.next().await.0, wire::PRE_REQUEST);
    let (asked, body) = agent.next().await;
    assert_eq!(asked, wire::REPORTS);
    let report = only_report(&body, ReportBatch::POST);
    let post = RpcMsgIn::decode(&report).unwrap();
    assert_eq!(post.response_code, Some(500));
    assert_eq!(&*post.uri, b"/status/500");
}

/// The one report of a batch.
fn only_report(batch: &[u8], kind: &str) -> Vec<u8> {
    let batch = ReportBatch::decode(batch).unwrap();
    assert_eq!(batch.reports.len(), 1);
    assert_eq!(*batch.reports[0].0, *kind.as_bytes());
    batch.reports[0].1.to_vec()
}

/// The values of a header among those that the application saw.
pub(crate) fn values(report: &Value, wanted: &str) -> Vec<String> {
    let headers = report["headers"].as_array().unwrap().iter();
    headers.filter(|pair| pair[0] == wanted).map(|pair| pair[1].as_str().unwrap().to_owned()).collect()
}

fn verdict(status: i32) -> RpcMsgOut<'static> {
    RpcMsgOut { waf_response: status, ..RpcMsgOut::default() }
}
