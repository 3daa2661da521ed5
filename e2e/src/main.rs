//! The demo: Envoy, the filter and the agent before an application, on this machine. Started by `cargo xtask run`.

use std::net::{Ipv4Addr, TcpListener};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use tokio::signal::unix::{SignalKind, signal};

use portcullis_e2e::app::App;
use portcullis_e2e::config::Upstream;
use portcullis_e2e::proxied::Proxied;
use portcullis_e2e::smoke::Smoke;
use portcullis_e2e::stack::{Binaries, DEMO, Stack};

struct Options {
    port: Option<u16>,
    mode: Mode,
    upstream: Option<Upstream>,
    task: Task,
}

/// What stands before the application.
#[derive(PartialEq)]
enum Mode {
    /// Envoy with the filter, and the agent beside it.
    Envoy,
    /// The agent as a reverse proxy.
    Proxy,
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
    let mut options = Options { port: None, mode: Mode::Envoy, upstream: None, task: Task::Serve };
    let mut check = false;
    while let Some(arg) = args.next() {
        let mut value = || args.next().with_context(|| format!("{arg} needs a value"));
        match arg.as_str() {
            // What `cargo xtask run` asks before it builds the rest: whether it would be understood.
            "--check" => check = true,
            "--smoke" => options.task = Task::Smoke,
            "--proxy" => options.mode = Mode::Proxy,
            "--port" => {
                options.port = Some(value()?.parse().context("--port takes a number up to 65535")?);
            }
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
    if options.mode == Mode::Proxy {
        let outcome = tokio::select! {
            outcome = proxied(&options) => outcome,
            _ = terminate.recv() => Ok(ExitCode::SUCCESS),
            _ = interrupt.recv() => Ok(ExitCode::SUCCESS),
        };
        println!("\n==> stopped");
        return outcome;
    }
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

/// The second mode, served or asked by itself. The agent ends with it.
async fn proxied(options: &Options) -> Result<ExitCode> {
    if options.task == Task::Smoke {
        let app = App::start().await?;
        let mut proxied = Proxied::start(0, &app.address().into()).await?;
        println!("==> agent at http://{}\n", proxied.at());
        let table = proxied.smoke(&app).await?;
        println!("\n{} as wanted, {} not", table.passed, table.failed);
        proxied.stop().await?;
        return Ok(if table.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    let port = options.port.unwrap_or(8001);
    is_free(port)?;
    let (app, upstream) = application(options).await?;
    println!("==> application at {upstream}");
    let mut proxied = Proxied::start(port, &upstream).await?;
    println!("==> agent at http://{} (policy: block at once)", proxied.at());
    let log = proxied.folder().join("access.log");
    show(&proxied.at().to_string(), app.is_some(), (format!("tail -f {}", log.display()), "its access log"));
    println!("Logs: {}\nCtrl-C stops everything.", proxied.folder().display());
    proxied.ended().await?;
    Ok(ExitCode::FAILURE)
}

/// Others may share a port with whoever lets them: look first whether somebody is there.
fn is_free(port: u16) -> Result<()> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .with_context(|| format!("127.0.0.1:{port} is in use; choose another with --port N"))?;
    Ok(())
}

/// The application to protect; the sample where no other is named.
async fn application(options: &Options) -> Result<(Option<App>, Upstream)> {
    match &options.upstream {
        Some(upstream) => Ok((None, upstream.clone())),
        None => {
            let app = App::start().await?;
            let upstream = app.address().into();
            Ok((Some(app), upstream))
        }
    }
}

async fn serve(stack: &mut Stack, options: &Options) -> Result<ExitCode> {
    let port = options.port.unwrap_or(10000);
    is_free(port)?;
    let (app, upstream) = application(options).await?;
    start(stack, &upstream, port).await?;
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
    let at = stack.ingress()?.to_string();
    let admin = stack.admin()?;
    let counters = format!("curl -s http://{admin}/stats/prometheus | grep ^portcullis_");
    show(&at, sample, (counters, "the filter's counters"));
    println!("Logs: {}\nCtrl-C stops everything.", stack.folder().display());
    Ok(())
}

fn show(at: &str, sample: bool, last: (String, &'static str)) {
    let mut lines = vec![
        (format!("curl -i 'http://{at}/?name=bob'"), "200 from the application"),
        (format!("curl -i 'http://{at}/?id=1%27+OR+%271%27=%271'"), "406 from Portcullis"),
        (format!("curl -i 'http://{at}/' -d 'q=<script>alert(1)</script>'"), "406"),
        (format!("curl -i 'http://{at}/?file=../../../../etc/passwd'"), "406"),
        last,
    ];
    if sample {
        lines.insert(4, (format!("curl -s http://{at}/seen"), "what the sample app saw"));
    }
    println!("\nTry, in another terminal:");
    for (command, expected) in lines {
        println!("  {command:<70} # {expected}");
    }
}
