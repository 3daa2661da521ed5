//! Starting what a test needs.

use std::net::SocketAddr;
use std::time::Duration;

use portcullis_e2e::app::App;
use portcullis_e2e::client::{Answer, Ask};
use portcullis_e2e::config::{Edit, Shipped};
use portcullis_e2e::samples::{self, Sample};
use portcullis_e2e::smoke::BLOCK;
use portcullis_e2e::stack::{AgentSetup, BLOCKING, Binaries, Stack};
use portcullis_e2e::wait::until;

use crate::scripted::{Script, ScriptedAgent};

/// A verdict may take its time on a busy machine. Tests of what happens without one leave this out.
pub(crate) const PATIENT: Edit<'_> = (r#""timeout_ms": 100"#, r#""timeout_ms": 2000"#);

/// The same for the agent.
pub(crate) const fn patient_agent(policy: &str) -> AgentSetup<'_> {
    AgentSetup { policy, inspection_timeout: Some("2s") }
}

/// A started path: an Envoy, its application, and whatever is its agent.
pub(crate) struct Path {
    pub(crate) app: App,
    pub(crate) stack: Stack,
    pub(crate) ingress: SocketAddr,
    /// Stops with the path.
    pub(crate) agent: Option<ScriptedAgent>,
}

impl Path {
    /// With the real agent in blocking mode.
    pub(crate) async fn real(edits: &[Edit<'_>]) -> Self {
        Self::with_policy(BLOCKING, edits).await
    }

    /// With the real agent and this policy.
    pub(crate) async fn with_policy(policy: &str, edits: &[Edit<'_>]) -> Self {
        let mut stack = Stack::new(Binaries::from_env().unwrap()).unwrap();
        stack.start_agent(patient_agent(policy)).await.unwrap();
        Self::finish(stack, None, edits).await
    }

    /// With an agent that always does the same.
    pub(crate) async fn scripted(script: Script, edits: &[Edit<'_>]) -> Self {
        let stack = Stack::new(Binaries::from_env().unwrap()).unwrap();
        let agent = ScriptedAgent::start(&stack.socket(), script);
        Self::finish(stack, Some(agent), edits).await
    }

    /// Without any agent.
    pub(crate) async fn alone(edits: &[Edit<'_>]) -> Self {
        Self::finish(Stack::new(Binaries::from_env().unwrap()).unwrap(), None, edits).await
    }

    /// With the real agent, asked as this configuration does.
    pub(crate) async fn of(shipped: Shipped, policy: &str, edits: &[Edit<'_>]) -> Self {
        let mut stack = Stack::of(shipped, Binaries::from_env().unwrap()).unwrap();
        stack.start_agent(patient_agent(policy)).await.unwrap();
        Self::finish(stack, None, edits).await
    }

    /// With the real agent, or one that does the same always, and a configuration that this makes of the derived one and of the
    /// stack's folder.
    pub(crate) async fn rewritten(
        script: Option<Script>,
        edits: &[Edit<'_>],
        rewrite: impl FnOnce(&str, &std::path::Path) -> String,
    ) -> Self {
        let mut stack = Stack::new(Binaries::from_env().unwrap()).unwrap();
        let agent = script.map(|script| ScriptedAgent::start(&stack.socket(), script));
        if agent.is_none() {
            stack.start_agent(patient_agent(BLOCKING)).await.unwrap();
        }
        let app = App::start().await.unwrap();
        let config = stack.configure(0, &app.address().into(), edits).unwrap();
        let text = std::fs::read_to_string(&config).unwrap();
        std::fs::write(&config, rewrite(&text, stack.folder())).unwrap();
        stack.start_envoy_with(&config).await.unwrap();
        let ingress = stack.ingress().unwrap();
        Self { app, stack, ingress, agent }
    }

    async fn finish(mut stack: Stack, agent: Option<ScriptedAgent>, edits: &[Edit<'_>]) -> Self {
        let app = App::start().await.unwrap();
        stack.start_envoy(0, &app.address().into(), edits).await.unwrap();
        let ingress = stack.ingress().unwrap();
        Self { app, stack, ingress, agent }
    }

    pub(crate) async fn send(&self, ask: Ask) -> Answer {
        ask.send(self.ingress).await.unwrap()
    }

    /// Starts the agent again, in blocking mode, and waits until attacks are stopped.
    pub(crate) async fn agent_is_back(&mut self) {
        self.stack.start_agent(patient_agent(BLOCKING)).await.unwrap();
        let ingress = self.ingress;
        until("attacks are stopped again", Duration::from_secs(30), || async {
            let answer = samples::attack("after").ask.send(ingress).await?;
            Ok((answer.status == BLOCK).then_some(()))
        })
        .await
        .unwrap();
        self.stack.ensure_running().unwrap();
    }

    /// The sample is blocked, unseen by the application.
    pub(crate) async fn stops(&self, sample: Sample) {
        let name = sample.name;
        let outcome = portcullis_e2e::smoke::stopped(self.ingress, sample, &self.app).await;
        outcome.unwrap_or_else(|error| panic!("{name}: {error:#}"));
    }

    /// The sample reaches the application, once and whole.
    pub(crate) async fn passes(&self, sample: Sample) {
        let name = sample.name;
        let outcome = portcullis_e2e::smoke::answered_by_app(self.ingress, sample, &self.app).await;
        outcome.unwrap_or_else(|error| panic!("{name}: {error:#}"));
    }

    /// The sum of a counter's series with these labels, now.
    pub(crate) async fn counter(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.stack.stats().await.unwrap().sum(name, labels)
    }

    /// The sum of a counter's series with these labels comes to this number: the filter hands counts over by a timer.
    pub(crate) async fn counts(&self, name: &str, labels: &[(&str, &str)], expected: f64) {
        let counted = until("a counter comes to its number", Duration::from_secs(20), || async {
            let seen = self.stack.stats().await?.sum(name, labels);
            Ok((seen == expected).then_some(()))
        });
        if let Err(error) = counted.await {
            panic!("{name}{labels:?} is {}, not {expected}: {error:#}", self.counter(name, labels).await);
        }
    }

    /// So many requests have been counted: then so have their decisions and failures.
    pub(crate) async fn settled(&self, requests: f64) {
        self.counts("portcullis_requests_total", &[], requests).await;
    }
}
