//! The demo: Envoy, the filter and the agent before an application, on this machine. Started by `cargo xtask run`.

use std::net::{Ipv4Addr, TcpListener};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use tokio::signal::unix::{SignalKind, signal};

use portcullis_e2e::app::App;
use portcullis_e2e::config::Upstream;
use portcullis_e2e::smoke::Smoke;
use portcullis_e2e::stack::{Binaries, DEMO, Stack};

struct Options {
    port: u16,
    upstream: Option<Upstream>,
    task: Task,
}

#[derive(PartialEq)]
enum Task {
    Serve,
    Smoke,
    Check,
}

// One thread: the kernel ends a child when the thread that started it ends.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let outcome = match options(std::env::args().skip(1)) {
        Ok(options) => demo(options).await,
        Err(error) => Err(error),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

fn options(mut args: impl Iterator<Item = String>) -> Result<Options> {
    let mut options = Options { port: 10000, upstream: None, task: Task::Serve };
    let mut check = false;
    while let Some(arg) = args.next() {
        let mut value = || args.next().with_context(|| format!("{arg} needs a value"));
        match arg.as_str() {
            // What `cargo xtask run` asks before it builds the rest: whether it would be understood.
            "--check" => check = true,
            "--smoke" => options.task = Task::Smoke,
            "--port" => options.port = value()?.parse().context("--port takes a number up to 65535")?,
            "--upstream" => options.upstream = Some(Upstream::parse(&value()?)?),
            _ => bail!("unknown option {arg}"),
        }
    }
    if options.task == Task::Smoke && options.upstream.is_some() {
        bail!("--smoke asks the sample app's own counter, so it takes no --upstream");
    }
    if check {
        options.task = Task::Check;
    }
    Ok(options)
}

async fn demo(options: Options) -> Result<ExitCode> {
    if options.task == Task::Check {
        return Ok(ExitCode::SUCCESS);
    }
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut stack = Stack::new(Binaries::from_env()?)?;
    let work = async {
        match options.task {
            Task::Smoke => run_smoke(&mut stack).await,
            Task::Serve | Task::Check => serve(&mut stack, &options).await,
        }
    };
    let outcome = tokio::select! {
        outcome = work => outcome,
        _ = terminate.recv() => Ok(ExitCode::SUCCESS),
        _ = interrupt.recv() => Ok(ExitCode::SUCCESS),
    };
    println!("\n==> stopping");
    let stopped = stack.stop().await;
    outcome.and_then(|code| stopped.map(|()| code))
}

async fn serve(stack: &mut Stack, options: &Options) -> Result<ExitCode> {
    // Envoy shares a port with any other process that lets it: look first whether somebody is there.
    TcpListener::bind((Ipv4Addr::LOCALHOST, options.port))
        .with_context(|| format!("127.0.0.1:{} is in use; choose another with --port N", options.port))?;
    let (app, upstream) = match &options.upstream {
        Some(upstream) => (None, upstream.clone()),
        None => {
            let app = App::start().await?;
            let upstream = app.address().into();
            (Some(app), upstream)
        }
    };
    start(stack, &upstream, options.port).await?;
    explain(stack, app.is_some())?;
    stack.ended().await?;
    Ok(ExitCode::FAILURE)
}

async fn run_smoke(stack: &mut Stack) -> Result<ExitCode> {
    let app = App::start().await?;
    start(stack, &app.address().into(), 0).await?;
    println!();
    let table = Smoke::run(stack, &app).await?;
    println!("\n{} as wanted, {} not", table.passed, table.failed);
    Ok(if table.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn start(stack: &mut Stack, upstream: &Upstream, port: u16) -> Result<()> {
    println!("==> application at {upstream}");
    stack.start_agent(DEMO).await?;
    println!("==> agent at {} (policy: block at once)", stack.socket().display());
    stack.start_envoy(port, upstream, &[]).await?;
    println!("==> Envoy at http://{}", stack.ingress()?);
    Ok(())
}

fn explain(stack: &Stack, sample: bool) -> Result<()> {
    let at = stack.ingress()?;
    let admin = stack.admin()?;
    let mut lines = vec![
        (format!("curl -i 'http://{at}/?name=bob'"), "200 from the application"),
        (format!("curl -i 'http://{at}/?id=1%27+OR+%271%27=%271'"), "406 from Portcullis"),
        (format!("curl -i 'http://{at}/' -d 'q=<script>alert(1)</script>'"), "406"),
        (format!("curl -i 'http://{at}/?file=../../../../etc/passwd'"), "406"),
        (format!("curl -s http://{admin}/stats/prometheus | grep ^portcullis_"), "the filter's counters"),
    ];
    if sample {
        lines.insert(4, (format!("curl -s http://{at}/seen"), "what the sample app saw"));
    }
    println!("\nTry, in another terminal:");
    for (command, expected) in lines {
        println!("  {command:<70} # {expected}");
    }
    println!("Logs: {}\nCtrl-C stops everything.", stack.folder().display());
    Ok(())
}
