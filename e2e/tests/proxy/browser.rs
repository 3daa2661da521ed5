//! The challenge for browsers, in a browser.

use portcullis_e2e::app::App;
use portcullis_e2e::browser::{CHALLENGE, passes_a_challenge};

use crate::setup::{Agent, command};

#[tokio::test]
async fn a_real_browser_passes_the_challenge_and_nobody_else_does() {
    let app = App::start().await.unwrap();
    let dir = tempfile::TempDir::new().unwrap();
    let mut command = command(&dir);
    std::fs::write(dir.path().join("policy.json"), CHALLENGE).unwrap();
    let listener = format!("app:{{listener='http://127.0.0.1:0',upstreams='http://{}'}}", app.address());
    command.env("SIGSCI_REVPROXY_LISTENER", listener);
    let agent = Agent::run(dir, command).await;
    let challenged = || async { Ok(agent.metric("waf_policy_signals_total", "signal=\"CHALLENGED\"").await) };
    passes_a_challenge(agent.at, challenged).await.unwrap();
}
