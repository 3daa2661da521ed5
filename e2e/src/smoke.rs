//! The smoke run: ordinary requests and ordinary attacks through the real path, and an agent that dies and returns.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::app::{App, ID_HEADER};
use crate::client::{self, Payload};
use crate::samples::{self, Sample};
use crate::stack::{DEMO, Stack};
use crate::wait::until;

/// The filter's counter of requests that passed because no verdict came.
pub const FAILURES: &str = "portcullis_failures_total";

/// The status of a block unless a policy says otherwise.
pub const BLOCK: u16 = 406;

/// How long Envoy and the filter may take to find a restarted agent.
const RETURN: Duration = Duration::from_secs(30);

/// A started stack, the application behind it, and what was seen of them.
pub struct Smoke<'a> {
    stack: &'a mut Stack,
    app: &'a App,
    table: Table,
}

/// How many rows are as wanted, and how many are not.
#[derive(Default)]
pub struct Table {
    /// As wanted.
    pub passed: usize,
    /// Not as wanted.
    pub failed: usize,
}

impl<'a> Smoke<'a> {
    /// Runs every row, printing it as it comes.
    ///
    /// # Errors
    /// When the stack itself breaks: a row that is not as wanted is counted in the table.
    pub async fn run(stack: &'a mut Stack, app: &'a App) -> Result<Table> {
        let mut smoke = Self { stack, app, table: Table::begin() };
        for sample in samples::benign() {
            smoke.passes(sample).await?;
        }
        smoke.websocket().await?;
        smoke.grpc().await?;
        let attacks = samples::attacks();
        for sample in attacks.clone() {
            smoke.is_blocked(sample).await?;
        }
        smoke.app_saw_none_of(&attacks);
        smoke.agent_dies_and_returns().await?;
        smoke.stack.ensure_running()?;
        Ok(smoke.table)
    }

    async fn passes(&mut self, sample: Sample) -> Result<()> {
        let ingress = self.stack.ingress()?;
        let started = Instant::now();
        let got = answered_by_app(ingress, sample.clone(), self.app).await;
        self.row(sample.name, "200", started, got);
        Ok(())
    }

    async fn is_blocked(&mut self, sample: Sample) -> Result<()> {
        let ingress = self.stack.ingress()?;
        let started = Instant::now();
        let got = stopped(ingress, sample.clone(), self.app).await;
        self.row(sample.name, "406", started, got);
        Ok(())
    }

    async fn websocket(&mut self) -> Result<()> {
        const NAME: &str = "WebSocket";
        let started = Instant::now();
        let sent = "over the drawbridge";
        let got = client::websocket(self.stack.ingress()?, "/echo", &id(NAME), sent).await;
        let got = got.and_then(|echo| {
            ensure!(echo == sent, "the echo was {echo:?}");
            ensure!(self.app.seen(NAME) == 1, "the echo, but not from the app");
            Ok("101 and the echo".to_owned())
        });
        self.row(NAME, "101 and an echo", started, got);
        Ok(())
    }

    async fn grpc(&mut self) -> Result<()> {
        const NAME: &str = "gRPC-like stream";
        let started = Instant::now();
        let messages = ["one", "two", "three"];
        let got = client::grpc_echo(self.stack.ingress()?, "/demo.Echo/Stream", &id(NAME), &messages).await;
        let got = got.and_then(|status| {
            ensure!(status == "0", "grpc-status {status:?}");
            ensure!(self.app.seen(NAME) == 1, "the echoes, but not from the app");
            Ok(format!("{} echoes, grpc-status 0", messages.len()))
        });
        self.row(NAME, "echoes and grpc-status 0", started, got);
        Ok(())
    }

    fn app_saw_none_of(&mut self, attacks: &[Sample]) {
        let started = Instant::now();
        let names = attacks.iter().map(|sample| sample.name);
        let seen: Vec<&str> = names.filter(|name| self.app.seen(name) > 0).collect();
        let got = match seen.as_slice() {
            [] => Ok(format!("0 of {}", attacks.len())),
            seen => Err(anyhow::anyhow!("{}", seen.join(", "))),
        };
        self.row("attacks in the app's own counter", "0", started, got);
    }

    /// The agent is an addition to the path, not a new way for it to break.
    async fn agent_dies_and_returns(&mut self) -> Result<()> {
        let before = self.stack.stats().await?.sum(FAILURES, &[]);
        self.stack.kill_agent().await?;
        self.passes(samples::attack("agent killed: an attack passes")).await?;

        let started = Instant::now();
        let stack = &*self.stack;
        let grown = until("the fail counter grows", RETURN, || async {
            let now = stack.stats().await?.sum(FAILURES, &[]);
            Ok((now > before).then(|| format!("{before} -> {now}")))
        })
        .await;
        self.row("agent killed: failures counted", "more", started, grown);

        self.stack.start_agent(DEMO).await?;
        let started = Instant::now();
        let ingress = self.stack.ingress()?;
        let again = until("406 after the agent's return", RETURN, || async {
            let answer = samples::attack("agent returned").ask.send(ingress).await?;
            Ok((answer.status == BLOCK).then(|| format!("{BLOCK}, Envoy not restarted")))
        })
        .await;
        self.row("agent restarted: an attack", "406", started, again);
        Ok(())
    }

    fn row(&mut self, name: &str, wanted: &str, started: Instant, got: Result<String>) {
        self.table.row(name, wanted, started, got);
    }
}

impl Table {
    /// Prints the head of a table without rows.
    #[must_use]
    pub fn begin() -> Self {
        println!("{:<7} {:<32} {:<24} {:<34} {:>11}", "", "request", "wanted", "got", "took");
        Self::default()
    }

    /// Prints a row and counts it.
    pub fn row(&mut self, name: &str, wanted: &str, started: Instant, got: Result<String>) {
        let millis = started.elapsed().as_secs_f64() * 1000.0;
        let (mark, got) = match got {
            Ok(got) => ("ok", got),
            Err(error) => ("FAILED", format!("{error:#}")),
        };
        println!("{mark:<7} {name:<32} {wanted:<24} {got:<34} {millis:>8.1} ms");
        match mark {
            "ok" => self.passed += 1,
            _ => self.failed += 1,
        }
    }
}

/// The sample reaches the application whole, and its answer comes back.
///
/// # Errors
/// Says what was otherwise.
pub async fn answered_by_app(ingress: std::net::SocketAddr, sample: Sample, app: &App) -> Result<String> {
    let sent = match &sample.ask.payload {
        Payload::None => 0,
        Payload::Whole(bytes) | Payload::WithTrailers(bytes, _) => bytes.len(),
        Payload::Pieces(pieces) => pieces.iter().map(bytes::Bytes::len).sum(),
    };
    let head = sample.ask.method == http::Method::HEAD;
    let before = app.seen(sample.name);
    let answer = sample.ask.send(ingress).await?;
    ensure!(answer.status == 200, "{}", answer.status);
    let seen = app.seen(sample.name) - before;
    ensure!(seen == 1, "200, but the app saw it {seen} times");
    if head {
        ensure!(answer.body.is_empty(), "HEAD was answered with a body");
        return Ok("200 from the app".to_owned());
    }
    let Some(arrived) = answer.report()?["body_bytes"].as_u64() else { bail!("not the sample app's answer") };
    ensure!(arrived == sent as u64, "sent {sent} bytes of body, {arrived} arrived");
    Ok("200 from the app".to_owned())
}

/// The sample is answered with the block status, and the application sees nothing of it.
///
/// # Errors
/// Says what was otherwise.
pub async fn stopped(ingress: std::net::SocketAddr, sample: Sample, app: &App) -> Result<String> {
    let answer = sample.ask.send(ingress).await?;
    ensure!(answer.status == BLOCK, "{}", answer.status);
    ensure!(app.seen(sample.name) == 0, "{BLOCK}, but the app saw it");
    Ok(format!("{BLOCK}, the app saw nothing"))
}

fn id(name: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(HeaderName::from_static(ID_HEADER), HeaderValue::from_static(name))])
}
