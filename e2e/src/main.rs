//! The demo: Envoy, the filter and the agent before an application, on this machine. Started by `cargo xtask run`.

use std::net::{Ipv4Addr, TcpListener};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use tokio::signal::unix::{SignalKind, signal};

use portcullis_e2e::app::App;
use portcullis_e2e::config::Upstream;
use portcullis_e2e::smoke::Smoke;
use portcullis_e2e::stack::{BLOCKING, Binaries, Stack};

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
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let work = async {
        match options.task {
            Task::Serve => serve(&options).await,
            Task::Smoke => run_smoke().await,
            Task::Check => Ok(ExitCode::SUCCESS),
        }
    };
    // Dropping the work ends what it started.
    tokio::select! {
        outcome = work => outcome,
        _ = terminate.recv() => Ok(stopped()),
        _ = interrupt.recv() => Ok(stopped()),
    }
}

fn stopped() -> ExitCode {
    println!("\nstopped: Envoy, the agent and the sample app are gone, the temporary folder too");
    ExitCode::SUCCESS
}

async fn serve(options: &Options) -> Result<ExitCode> {
    // Envoy shares a port with any other process that lets it: look first whether somebody is there.
    TcpListener::bind((Ipv4Addr::LOCALHOST, options.port))
        .with_context(|| format!("127.0.0.1:{} is in use; choose another with --port N", options.port))?;
    let mut stack = Stack::new(Binaries::from_env()?)?;
    let app = if options.upstream.is_none() { Some(App::start().await?) } else { None };
    let upstream = match (&options.upstream, &app) {
        (Some(upstream), _) => upstream.clone(),
        (None, Some(app)) => app.address().into(),
        (None, None) => bail!("no application to protect"),
    };
    start(&mut stack, &upstream, options.port).await?;
    explain(&stack, app.is_some())?;
    stack.ended().await?;
    Ok(ExitCode::FAILURE)
}

async fn run_smoke() -> Result<ExitCode> {
    let mut stack = Stack::new(Binaries::from_env()?)?;
    let app = App::start().await?;
    start(&mut stack, &app.address().into(), 0).await?;
    println!();
    let table = Smoke::run(&mut stack, &app).await?;
    stack.stop().await?;
    println!("\n{} as wanted, {} not", table.passed, table.failed);
    Ok(if table.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn start(stack: &mut Stack, upstream: &Upstream, port: u16) -> Result<()> {
    println!("==> application at {upstream}");
    stack.start_agent(BLOCKING).await?;
    println!("==> agent at {} (policy: block at once)", stack.socket().display());
    stack.start_envoy(port, upstream, &[]).await?;
    println!("==> Envoy at http://{}", stack.ingress()?);
    Ok(())
}

fn explain(stack: &Stack, sample: bool) -> Result<()> {
    let at = stack.ingress()?;
    let seen = if sample {
        format!(
            "  curl -i 'http://{at}/seen'                        what the sample app saw: never an attack\n"
        )
    } else {
        String::new()
    };
    println!(
        "
Try, in another terminal:
  curl -i 'http://{at}/?name=bob'                   200 from the application
  curl -i 'http://{at}/?id=1%27+OR+%271%27=%271'    406 from Portcullis
  curl -i 'http://{at}/' -d 'q=<script>alert(1)</script>'   406
  curl -i 'http://{at}/?file=../../../../etc/passwd'  406
{seen}  curl -s '{admin}/stats/prometheus' | grep ^portcullis_    the filter's counters
Logs: {folder}
Ctrl-C stops everything.",
        admin = stack.admin()?,
        folder = stack.folder().display(),
    );
    Ok(())
}
