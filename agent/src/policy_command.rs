//! `policy check` and `policy explain`: what a policy is, and what it does to a request, without an agent.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use jiff::Timestamp;
use portcullis_detect::{Budgets, Engine, Header, Response};
use portcullis_policy::{
    Action, Decision, Facts, Policy, Secret, Source, State, StateLimits, post_parameters,
};

use crate::inspect::raw::{self, ResponseHead};
use crate::inspect::read;
use crate::policy_files::PolicyFiles;

/// Runs what stands behind `policy` on the command line, and says what it found.
///
/// # Errors
///
/// When a file can not be read or is no policy, or the words are no command.
pub fn run(words: &[String]) -> anyhow::Result<String> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["check", files @ ..] if !files.is_empty() => check(files),
        ["explain", policy, request, options @ ..] => explain(policy, request, &Options::read(options)?),
        _ => bail!("expected: {USAGE}"),
    }
}

/// What can be written behind `policy`.
pub const USAGE: &str = "policy check FILE... | policy explain FILE REQUEST [--from IP] [--country CC] [--times N] \
                         [--response CODE|FILE]";

fn check(files: &[&str]) -> anyhow::Result<String> {
    let policy = compile(files)?;
    let mut out = String::new();
    for warning in policy.warnings() {
        writeln!(out, "warning: {warning}")?;
    }
    let has = policy.summary();
    writeln!(
        out,
        "ok; mode {:?}, {} rules ({} rate limits), {} thresholds, {} addresses allowed and {} blocked, {} virtual patches",
        policy.site.mode, has.rules, has.rate_limits, has.thresholds, has.allowed, has.blocked, has.patches
    )?;
    Ok(out)
}

fn compile(files: &[&str]) -> anyhow::Result<Policy> {
    let read: Vec<_> =
        files.iter().map(|file| PolicyFiles::read(Path::new(file))).collect::<Result<_, _>>()?;
    let sources: Vec<Source<'_>> = read.iter().flat_map(PolicyFiles::sources).collect();
    Ok(Policy::compile(&sources)?)
}

#[derive(Debug)]
struct Options {
    from: IpAddr,
    country: String,
    times: u32,
    response: Option<Answer>,
}

/// The response to a request.
#[derive(Debug)]
enum Answer {
    /// Its status; it has no headers.
    Code(u16),
    /// A file that holds it, as on the wire.
    File(PathBuf),
}

impl Options {
    fn read(words: &[&str]) -> anyhow::Result<Self> {
        let mut options =
            Self { from: IpAddr::from([192, 0, 2, 1]), country: String::new(), times: 1, response: None };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let value = words.next().with_context(|| format!("{word} needs a value"))?;
            let bad = || format!("{word}: {value:?}");
            match *word {
                "--from" => options.from = value.parse().with_context(bad)?,
                "--country" => options.country = (*value).to_owned(),
                "--times" => options.times = value.parse().with_context(bad)?,
                "--response" => options.response = Some(Answer::read(value).with_context(bad)?),
                other => bail!("{other} is no option of policy explain: {USAGE}"),
            }
        }
        if options.times == 0 || options.times > MOST_TIMES {
            bail!("--times: not within 1 and {MOST_TIMES}");
        }
        Ok(options)
    }
}

impl Answer {
    /// A number is a status, anything else a file.
    fn read(word: &str) -> anyhow::Result<Self> {
        if !word.bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok(Self::File(word.into()));
        }
        let code = word.parse().ok().filter(|code| (100..=999).contains(code));
        Ok(Self::Code(code.context("no status of a response")?))
    }
}

/// A response that has been read.
struct Answered {
    code: u16,
    head: Option<ResponseHead>,
}

impl Answered {
    fn new(answer: &Answer) -> anyhow::Result<Self> {
        match answer {
            Answer::Code(code) => Ok(Self { code: *code, head: None }),
            Answer::File(path) => {
                let message =
                    raw::response(&read(Some(path))?).with_context(|| path.display().to_string())?;
                Ok(Self { code: message.head.code, head: Some(message.head) })
            }
        }
    }

    fn headers(&self) -> Vec<Header<'_>> {
        self.head.as_ref().map(ResponseHead::headers).unwrap_or_default()
    }
}

fn explain(policy: &str, request: &str, options: &Options) -> anyhow::Result<String> {
    let policy = compile(&[policy])?;
    let bytes = read(Some(Path::new(request)))?;
    let answered = options.response.as_ref().map(Answered::new).transpose()?;
    let message = raw::request(&bytes).with_context(|| request.to_owned())?;
    let mut out = String::new();
    for remark in &message.remarks {
        writeln!(out, "warning: {request}: {remark}")?;
    }
    let headers = message.head.headers();
    let request = message.request(&headers);
    let engine = Engine::new(Budgets::default()).with_patches(policy.patches())?;
    let state =
        State::new(StateLimits { counters: 1024, flags: 1024, rates: 1024 }, &Secret::new(b"explain"));
    let signals = engine.inspect(&request);
    let post = post_parameters(&engine, &request);
    let mut facts = Facts::new(&request, Some(options.from));
    facts.post = &post;
    facts.country = &options.country;
    let now = u64::try_from(Timestamp::now().as_millisecond()).unwrap_or_default();
    for _ in 1..options.times {
        policy.decide(&facts, &signals, state.at(now));
    }
    let decision = policy.explain(&facts, &signals, state.at(now));
    tell(&mut out, "request", &decision)?;
    if let Some(answered) = &answered {
        match &decision.remembered {
            Some(remembered) => {
                let headers = answered.headers();
                let response = Response { code: answered.code, target: request.target, headers: &headers };
                let signals = engine.inspect_response(&response);
                let answer = policy.explain_response(remembered, &response, &signals, state.at(now));
                tell(&mut out, "response", &answer)?;
            }
            None => writeln!(out, "response: no rule asks about it")?,
        }
    }
    Ok(out)
}

fn tell(out: &mut String, what: &str, decision: &Decision) -> std::fmt::Result {
    for (number, step) in decision.trail.iter().enumerate() {
        writeln!(out, "{:>3}. {step}", number + 1)?;
    }
    let names: Vec<&str> = decision.names().collect();
    writeln!(out, "{what}: {}", describe(&decision.action))?;
    if let Some(would) = &decision.would {
        writeln!(out, "in mode block: {}", describe(would))?;
    }
    if !names.is_empty() {
        writeln!(out, "signals: {}", names.join(", "))?;
    }
    for event in &decision.events {
        writeln!(out, "event: {event:?}")?;
    }
    Ok(())
}

fn describe(action: &Action) -> String {
    match action {
        Action::Allow => "passes".to_owned(),
        Action::Block { code } => format!("blocked with {}", code.get()),
        Action::Redirect { redirect } => format!("sent to {} with {}", redirect.location(), redirect.code()),
    }
}

const MOST_TIMES: u32 = 100_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn told(policy: &str, request: &str, options: &[&str]) -> anyhow::Result<String> {
        let folder = tempfile::tempdir().unwrap();
        let (rules, asked) = (folder.path().join("policy.yaml"), folder.path().join("request.txt"));
        std::fs::write(&rules, policy).unwrap();
        std::fs::write(&asked, request).unwrap();
        let words = ["explain", rules.to_str().unwrap(), asked.to_str().unwrap()];
        run(&words.iter().chain(options).map(|&word| word.to_owned()).collect::<Vec<_>>())
    }

    const POLICY: &str = "site: { agentLevel: block }\nrules:\n  - type: request\n    id: r1\n    reason: admin\n    conditions:\n      - { type: single, field: path, operator: equals, value: /admin }\n    actions: [{ type: block, responseCode: 403 }]\n";

    #[test]
    fn explains_which_rule_decided() {
        let told =
            told(POLICY, "GET /admin HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: curl/8\r\n\r\n", &[])
                .unwrap();
        assert!(told.contains("rule r1 (admin): holds"), "{told}");
        assert!(
            told.contains("stopped: rule r1 stops it") && told.contains("request: blocked with 403"),
            "{told}"
        );
    }

    #[test]
    fn reads_a_request_as_the_agent_does() {
        let policy = r#"
site: { agentLevel: block }
rules:
  - type: request
    id: r2
    reason: admins
    conditions:
      - { type: multival, field: postParameter, operator: exists, groupOperator: all, conditions: [
          { type: single, field: name, operator: equals, value: role } ] }
    actions: [{ type: block, responseCode: 403 }]
"#;
        let json = "POST /users HTTP/1.1\nHost: a\nContent-Type: application/json\nTransfer-Encoding: chunked\n\nC\n{\"role\": \"x\"\n1\n}\n0\n\n";
        let told = told(policy, json, &[]).unwrap();
        assert!(told.contains("rule r2 (admins): holds") && told.contains("blocked with 403"), "{told}");
    }

    #[test]
    fn repeats_a_request_until_a_threshold_is_reached() {
        let attack = "GET /?q=%3Cscript%3Ealert(1)%3C/script%3E HTTP/1.1\nHost: a\nUser-Agent: x\n\n";
        let once = told(POLICY, attack, &["--from", "2001:db8::1"]).unwrap();
        assert!(once.contains("request: passes"), "{once}");
        let often = told(POLICY, attack, &["--times", "51"]).unwrap();
        assert!(often.contains("request: blocked with 406"), "{often}");
    }

    const RESPONSES: &str = r#"
site: { agentLevel: block }
rules:
  - type: request
    id: r2
    reason: leak
    conditions:
      - { type: single, field: path, operator: equals, value: /export }
      - { type: multival, field: responseHeader, operator: exists, groupOperator: all, conditions: [
          { type: single, field: name, operator: equals, value: X-Leak }] }
    actions: [{ type: addSignal, signal: site.leak }]
  - type: request
    id: r3
    reason: failed
    conditions:
      - { type: single, field: responseCode, operator: equals, value: "500" }
    actions: [{ type: addSignal, signal: site.failed }]
"#;

    #[test]
    fn explains_what_the_response_decides() {
        let folder = tempfile::tempdir().unwrap();
        let answer = folder.path().join("response.txt");
        std::fs::write(&answer, "HTTP/1.1 200 OK\nX-Leak: yes\n\nsecret").unwrap();
        let asked = "GET /export HTTP/1.1\nHost: a\nUser-Agent: x\n\n";
        let told_of = |response: &str| told(RESPONSES, asked, &["--response", response]).unwrap();
        let by_file = told_of(answer.to_str().unwrap());
        for step in [
            "rule r2 (leak): waits for the response",
            "rule r3 (failed): waits for the response",
            "rule r2 (leak): holds",
            "rule r3 (failed): does not hold",
            "response: passes",
            "signals: site.leak",
        ] {
            assert!(by_file.contains(step), "{step}: {by_file}");
        }
        let by_code = told_of("500");
        assert!(by_code.contains("rule r2 (leak): does not hold"), "{by_code}");
        assert!(by_code.contains("rule r3 (failed): holds"), "{by_code}");
        for odd in ["99", "70000", "/nowhere.txt"] {
            assert!(told(RESPONSES, asked, &["--response", odd]).is_err(), "{odd}");
        }
    }

    #[test]
    fn says_what_is_wrong_with_policy_request_and_words() {
        assert!(
            told("site: { colour: red }", "GET / HTTP/1.1\n\n", &[])
                .unwrap_err()
                .to_string()
                .contains("site.colour")
        );
        assert!(
            format!("{:#}", told(POLICY, "GET\n\n", &[]).unwrap_err()).contains("line 1: a request begins")
        );
        assert!(
            told(POLICY, "GET / HTTP/1.1\n\n", &["--from"])
                .unwrap_err()
                .to_string()
                .contains("needs a value")
        );
        assert!(run(&["explain".to_owned()]).unwrap_err().to_string().contains("policy check"));
    }

    #[test]
    fn checks_files_together() {
        let folder = tempfile::tempdir().unwrap();
        let (rules, lists) = (folder.path().join("a.yaml"), folder.path().join("lists.json"));
        std::fs::write(&rules, "rules:\n  - type: request\n    conditions:\n      - { type: single, field: ip, operator: inList, value: site.a }\n    actions: [{ type: allow }]\n").unwrap();
        let check = |files: &[&Path]| {
            let words = files.iter().map(|file| file.to_str().unwrap().to_owned());
            run(&["check".to_owned()].into_iter().chain(words).collect::<Vec<_>>())
        };
        assert!(check(&[&rules]).unwrap_err().to_string().contains("there is no list called \"site.a\""));
        std::fs::write(&lists, r#"[{"name": "a", "type": "ip", "entries": ["192.0.2.1"]}]"#).unwrap();
        let told = check(&[&rules, &lists]).unwrap();
        assert!(told.starts_with("ok; mode Log, 1 rules"), "{told}");
        assert_eq!(check(&[folder.path()]).unwrap(), told);
    }
}
