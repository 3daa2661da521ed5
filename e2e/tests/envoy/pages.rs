//! Pages for clients that are stopped, through the real filter: a challenge with its answer, and a deception.

use std::time::Duration;

use portcullis_e2e::browser::{CHALLENGE, passes_a_challenge};
use portcullis_e2e::challenge::solve;
use portcullis_e2e::client::{self, Answer, Ask, Protocol};
use portcullis_e2e::config::Edit;
use portcullis_e2e::samples::Sample;
use portcullis_e2e::wait::until;

use crate::setup::{PATIENT, Path};

const POLICY: &str = r#"{"site": {"agentLevel": "block"}, "rules": [
    {"type": "request", "reason": "browsers only", "enabled": true, "groupOperator": "all",
     "conditions": [{"type": "single", "field": "path", "operator": "like", "value": "/shop*"}],
     "actions": [{"type": "browserChallenge"}]},
    {"type": "request", "reason": "let them guess", "enabled": true, "groupOperator": "all",
     "conditions": [{"type": "single", "field": "path", "operator": "equals", "value": "/login"}],
     "actions": [{"type": "deception", "deceptionType": "invalid_login_response"}]}]}"#;

const HTML: &str = "text/html; charset=utf-8";

fn browser(target: &str) -> Ask {
    Ask::get(target).header("user-agent", "Mozilla/5.0")
}

fn is_challenge(answer: &Answer) -> String {
    assert_eq!(answer.status, 403);
    assert_eq!(answer.headers["content-type"], HTML);
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert!(answer.headers["content-security-policy"].to_str().unwrap().starts_with("default-src 'none';"));
    String::from_utf8(answer.body.to_vec()).unwrap()
}

#[tokio::test]
async fn a_challenge_is_shown_and_whoever_answers_it_passes() {
    challenges(&Path::with_policy(POLICY, &[PATIENT]).await).await;
}

#[tokio::test]
async fn a_challenge_works_where_the_filter_judges_by_itself() {
    const LOCAL: Edit<'_> = (r#""mode": "ask-always""#, r#""mode": "local-first""#);
    let path = Path::with_policy(POLICY, &[PATIENT, LOCAL]).await;
    until("the filter has the agent's facts", Duration::from_secs(20), || async {
        let stats = path.stack.stats().await?;
        Ok((stats.sum("portcullis_local_facts_version", &[]) > 0.0).then_some(()))
    })
    .await
    .unwrap();
    challenges(&path).await;
}

async fn challenges(path: &Path) {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let page = is_challenge(&path.send(browser("/shop/1").over(protocol)).await);
        let cookie = solve(&page).unwrap();
        let with = |ask: Ask, cookie: &str| ask.header("cookie", &format!("a=b; {cookie}")).over(protocol);
        // The page reloads itself; after that every request carries the cookie.
        for target in ["/shop/1", "/shop/2"] {
            assert_eq!(path.send(with(browser(target), &cookie)).await.status, 200);
        }
        let post = Ask::post("/shop/cart", "application/x-www-form-urlencoded", "item=1");
        let post = post.header("user-agent", "Mozilla/5.0");
        is_challenge(&path.send(post.clone().over(protocol)).await);
        assert_eq!(path.send(with(post, &cookie)).await.status, 200);
        // Another client's answer, and one that is none.
        is_challenge(&path.send(with(Ask::get("/shop/1").header("user-agent", "curl"), &cookie)).await);
        is_challenge(&path.send(with(browser("/shop/1"), &cookie.replace('=', "=1"))).await);
    }
    assert_eq!(path.send(browser("/elsewhere")).await.status, 200);
}

#[tokio::test]
async fn a_deception_looks_like_the_applications_own_answer() {
    let path = Path::with_policy(POLICY, &[PATIENT]).await;
    let login = Ask::post("/login", "application/x-www-form-urlencoded", "user=bob&password=secret");
    let login = Sample::new("deceived", login.header("user-agent", "Mozilla/5.0"));
    let answer = path.send(login.ask).await;
    assert_eq!((answer.status.as_u16(), &answer.headers["content-type"]), (401, &HTML.parse().unwrap()));
    assert!(String::from_utf8_lossy(&answer.body).contains("The user name or password is incorrect"));
    assert_eq!(path.app.seen("deceived"), 0);
}

#[tokio::test]
async fn a_caller_of_grpc_gets_no_page() {
    let path = Path::with_policy(POLICY, &[PATIENT]).await;
    let error = client::grpc_echo(path.ingress, "/shop.Cart/Add", &http::HeaderMap::new(), &["a"]).await;
    // Envoy would put the page into a header.
    let error = format!("{:#}", error.unwrap_err());
    assert!(!error.contains("html"), "{error}");
}

#[tokio::test]
async fn a_real_browser_passes_the_challenge_and_nobody_else_does() {
    let path = Path::with_policy(CHALLENGE, &[PATIENT]).await;
    let stopped = || async {
        let stats = path.stack.stats().await?;
        Ok(stats.sum("portcullis_decisions_total", &[("decision", "block")]))
    };
    passes_a_challenge(path.ingress, stopped).await.unwrap();
}
