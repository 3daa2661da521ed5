//! `inspect`: what the engine finds in a request that stands in a file, as JSON: the tool for tuning.

pub(crate) mod raw;
mod report;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use jiff::Timestamp;
use portcullis_detect::{Engine, Response};
use portcullis_policy::redact::Redactions;
use portcullis_policy::{Facts, Policy, Secret, State, StateLimits, post_parameters};

use self::report::Report;
use crate::policy_files::PolicyFiles;

/// What the command line asks for.
#[derive(Debug, Default)]
struct Asked {
    request: Option<PathBuf>,
    response: Option<PathBuf>,
    policy: Option<PathBuf>,
    secrets: Secrets,
}

/// Whether what the agent would not write down is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Secrets {
    #[default]
    Redacted,
    Shown,
}

/// What is shown of what was found.
#[derive(Clone, Copy, Debug)]
enum Shown<'a> {
    /// What the agent would write down with these redactions.
    Redacted(&'a Redactions),
    Everything,
}

/// Reads a raw HTTP request and says what the engine and the policy make of it, as JSON.
///
/// # Errors
///
/// When the command line is wrong, a file cannot be read, or one is no HTTP message or no policy. The error names the
/// file, and the line where there is one.
pub fn run(args: &[String]) -> Result<String> {
    let Some(asked) = asked(args)? else { return Ok(HELP.to_owned()) };
    let report = inspect(&asked)?;
    Ok(serde_json::to_string_pretty(&report)? + "\n")
}

fn asked(args: &[String]) -> Result<Option<Asked>> {
    let mut asked = Asked::default();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let (name, inline) = match arg.split_once('=') {
            Some((name, value)) if name.starts_with("--") => (name, Some(value)),
            _ => (arg.as_str(), None),
        };
        let mut value = || {
            inline
                .or_else(|| args.next().map(String::as_str))
                .map(PathBuf::from)
                .with_context(|| format!("{name} needs a file"))
        };
        match name {
            "-h" | "--help" => return Ok(None),
            "--response" => asked.response = Some(value()?),
            "--policy" => asked.policy = Some(value()?),
            "--unredacted" => asked.secrets = Secrets::Shown,
            "-" => {}
            _ if name.starts_with('-') => bail!("inspect: unknown option {name}; try inspect --help"),
            _ if asked.request.is_some() => bail!("inspect: one request at a time, and {arg} is the second"),
            _ => asked.request = Some(arg.into()),
        }
    }
    Ok(Some(asked))
}

fn inspect(asked: &Asked) -> Result<Report> {
    let bytes = read(asked.request.as_deref())?;
    let name = asked.request.as_deref().map_or("standard input".into(), |path| path.display().to_string());
    let message = raw::request(&bytes).with_context(|| name.clone())?;
    let policy = policy(asked.policy.as_deref())?;
    let headers = message.head.headers();
    let request = message.request(&headers);
    let engine = Engine::default().with_patches(policy.patches())?;
    let signals = engine.inspect(&request);
    let now = u64::try_from(Timestamp::now().as_millisecond()).unwrap_or_default();
    let state = State::new(StateLimits::default(), &Secret::new(b"inspect"));
    let post = post_parameters(&engine, &request);
    let mut facts = Facts::new(&request, None);
    facts.post = &post;
    let decision = policy.decide(&facts, &signals, state.at(now));
    let shown = match asked.secrets {
        Secrets::Redacted => Shown::Redacted(policy.redactions()),
        Secrets::Shown => Shown::Everything,
    };
    let mut report = Report::new(&engine, &request, &signals, &decision, shown);
    report.warn(&name, &message.remarks);
    if let Some(path) = &asked.response {
        let bytes = read(Some(path))?;
        let name = path.display().to_string();
        let message = raw::response(&bytes).with_context(|| name.clone())?;
        let headers = message.head.headers();
        let response = Response { code: message.head.code, target: request.target, headers: &headers };
        report.answer(message.head.code, message.body.len(), &engine.inspect_response(&response), shown);
        report.warn(&name, &message.remarks);
    }
    Ok(report)
}

fn policy(path: Option<&Path>) -> Result<Policy> {
    let Some(path) = path else { return Ok(Policy::default()) };
    Ok(Policy::compile(&PolicyFiles::read(path)?.sources())?)
}

/// Bytes of a file that are read: more than any body that is inspected.
const MOST_BYTES: u64 = 16 * 1024 * 1024;

/// What stands in a file, or comes from standard input.
pub(crate) fn read(path: Option<&Path>) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let name = match path {
        Some(path) => {
            let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
            file.take(MOST_BYTES + 1)
                .read_to_end(&mut bytes)
                .with_context(|| format!("cannot read {}", path.display()))?;
            path.display().to_string()
        }
        None => {
            std::io::stdin()
                .take(MOST_BYTES + 1)
                .read_to_end(&mut bytes)
                .context("cannot read standard input")?;
            "standard input".to_owned()
        }
    };
    ensure!(bytes.len() as u64 <= MOST_BYTES, "{name} is larger than {MOST_BYTES} bytes");
    Ok(bytes)
}

const HELP: &str = "\
usage: portcullis-agent inspect [FILE] [--response FILE] [--policy PATH] [--unredacted]

Reads a raw HTTP/1 request from FILE, or from standard input, and prints as JSON what the engine finds in it and what
the policy decides. Lines may end in LF alone. Nothing is asked of a running agent, and no option or variable of one
is read.

  --response FILE   also reads the response to it
  --policy PATH     decides by this policy, a file or a folder; without one, nothing is blocked
  --unredacted      shows evidence that the agent would not write down
";
