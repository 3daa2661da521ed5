//! Secrets in every place that is redacted, in requests of every kind: none is in anything that the agent puts out.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use common::{Agent, MSGID, PATIENCE, command, everything, get, message, verdict};
use portcullis_protocol::envelope::write_call;
use portcullis_protocol::{RpcMsgIn, RpcMsgIn2, http};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use tempfile::TempDir;

const POLICY: &str = r#"{"site": {"agentLevel": "block", "immediateBlock": true,
    "attackThresholds": [{"interval": 1, "threshold": 20}]},
  "redactions": [{"field": "nickname", "redactionType": 0}, {"field": "X-Motto", "redactionType": 1},
    {"field": "X-Answer", "redactionType": 2}],
  "rules": [{"type": "request", "id": "slow", "groupOperator": "all", "conditions": [
    {"type": "single", "field": "responseCode", "operator": "equals", "value": "404"}],
    "actions": [{"type": "addSignal", "signal": "site.lost"}]}]}"#;

/// Requests that are sent, each with a secret of its own in one place.
const CASES: usize = 160;

/// A place, and what is to be redacted there.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// A header by name.
    Header(&'static str),
    /// A parameter by name, as it is written in a query.
    Query(&'static str),
    /// The same in a form.
    Form(&'static str),
    /// A member of a JSON object, by the text around it.
    Json(&'static str, &'static str),
    /// A field of a multipart form.
    Part(&'static str),
    /// A cookie by name.
    Cookie(&'static str),
    /// The query of a URL in a header of the request, or of the response.
    Referer,
    Location,
    /// A header of the response.
    Answer(&'static str),
    /// What looks like a secret, in a parameter, in the path, in a header or in a JSON text.
    LooksInQuery,
    LooksInForm,
    LooksInPath,
    LooksInHeader,
    LooksInJson,
}

const PLACES: &[Place] = &[
    Place::Header("Authorization"),
    Place::Header("Proxy-Authorization"),
    Place::Header("X-Api-Key"),
    Place::Header("X-CSRF-Token"),
    Place::Header("My-Session-Id"),
    Place::Header("X-Motto"),
    Place::Query("password"),
    Place::Query("user%5Bpin%5D"),
    Place::Query("%61ccess_token"),
    Place::Query("nickname"),
    Place::Form("passwd"),
    Place::Form("user[secret]"),
    Place::Form("nickname"),
    Place::Json(r#"{"user": {"password": ""#, r#""}}"#),
    Place::Json(r#"{"tokens": ["x", ""#, r#""]}"#),
    Place::Json(r#"{"nickname": ""#, r#""}"#),
    Place::Json(r#"[{"credit_card": ""#, r#"", "a": 1}]"#),
    Place::Part("password"),
    Place::Part("nickname"),
    Place::Cookie("theme"),
    Place::Cookie("session"),
    Place::Referer,
    Place::Location,
    Place::Answer("Set-Cookie"),
    Place::Answer("X-Answer"),
    Place::LooksInQuery,
    Place::LooksInForm,
    Place::LooksInPath,
    Place::LooksInHeader,
    Place::LooksInJson,
];

/// What is put there, and what of it must never be seen again.
#[derive(Clone, Debug)]
struct Case {
    place: Place,
    /// Goes into the place.
    text: String,
    /// What of that is secret.
    secret: String,
    way: Way,
}

/// How the agent hears of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Module,
    Filter,
    Proxy,
}

/// Attacks around a secret make the engine keep what is around them.
fn surrounded(secret: String) -> impl Strategy<Value = (String, String)> {
    let attacks = prop::sample::select(vec![
        ("", ""),
        ("", "' or '1'='1"),
        ("<script>alert(1)</script> ", ""),
        ("", " ; cat /etc/passwd"),
        ("../../../etc/passwd ", " x"),
    ]);
    (attacks, 0..3_usize, 0..400_usize).prop_map(move |((before, after), pad, length)| {
        let padding = "lorem ipsum ".repeat(length / 12 * pad / 2);
        (format!("{before}{secret}{after} {padding}"), secret.clone())
    })
}

fn named() -> impl Strategy<Value = String> {
    "zq[a-z0-9]{10}QX".prop_map(|secret| secret)
}

/// Card numbers, social security numbers, tokens.
fn looks() -> impl Strategy<Value = String> {
    let card = ("4[0-9]{14}", prop::sample::select(vec!["", " ", "-"])).prop_map(|(digits, joint)| {
        let whole = with_check_digit(&digits);
        let groups: Vec<&str> = (0..4).map(|group| &whole[group * 4..group * 4 + 4]).collect();
        groups.join(joint)
    });
    let assigned = named().prop_map(|secret| format!("password={secret}"));
    prop_oneof![
        card,
        "[1-8][0-9]{2}-[0-9]{2}-[0-9]{4}",
        "eyJ[A-Za-z0-9]{20}\\.[A-Za-z0-9]{20}\\.[A-Za-z0-9]{10}",
        "AKIA[A-Z0-9]{16}",
        named().prop_map(|secret| format!("bearer {secret}")),
        assigned,
    ]
}

fn with_check_digit(digits: &str) -> String {
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(index, byte)| match (index % 2, u32::from(byte - b'0')) {
            (0, digit) if digit > 4 => digit * 2 - 9,
            (0, digit) => digit * 2,
            (_, digit) => digit,
        })
        .sum();
    format!("{digits}{}", (10 - sum % 10) % 10)
}

fn cases() -> impl Strategy<Value = Case> {
    let way = prop::sample::select(vec![Way::Module, Way::Filter, Way::Proxy]);
    (prop::sample::select(PLACES), way).prop_flat_map(|(place, way)| {
        let secret = match place {
            Place::LooksInQuery
            | Place::LooksInForm
            | Place::LooksInPath
            | Place::LooksInHeader
            | Place::LooksInJson => looks().boxed(),
            _ => named().boxed(),
        };
        let put = secret.prop_flat_map(surrounded);
        put.prop_map(move |(text, secret)| {
            // What a secret is assigned to may be shown.
            let secret = secret
                .rsplit(['=', ' '])
                .next()
                .filter(|last| last.starts_with("zq"))
                .unwrap_or(&secret)
                .to_owned();
            Case { place, text, secret, way }
        })
    })
}

/// A request, and the headers of its response.
struct Asked {
    target: String,
    headers: Vec<(String, String)>,
    body: String,
    answer: Vec<(String, String)>,
}

impl Asked {
    fn new(Case { place, text, .. }: &Case) -> Self {
        let mut asked = Self {
            target: "/shop".to_owned(),
            headers: vec![("User-Agent".to_owned(), "Mozilla/5.0".to_owned())],
            body: String::new(),
            answer: Vec::new(),
        };
        let line = text.trim_end().to_owned();
        let escaped: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let mut form = |body: String, content_type: &str| {
            asked.headers.push(("Content-Type".to_owned(), content_type.to_owned()));
            asked.body = body;
        };
        match place {
            Place::Header(name) => asked.headers.push(((*name).to_owned(), line)),
            Place::Query(name) => asked.target = format!("/shop?a=1&{name}={escaped}"),
            Place::Form(name) => form(format!("a=1&{name}={escaped}"), URLENCODED),
            Place::Json(before, after) => form(format!("{before}{text}{after}"), "application/json"),
            Place::Part(name) => form(
                format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{text}\r\n--b--\r\n"),
                "multipart/form-data; boundary=b",
            ),
            Place::Cookie(name) => {
                asked.headers.push(("Cookie".to_owned(), format!("a=1; {name}={escaped}")));
            }
            Place::Referer => {
                asked.headers.push(("Referer".to_owned(), format!("http://a.example/p?x={escaped}")));
            }
            Place::Location => asked.answer.push(("Location".to_owned(), format!("/next?x={escaped}"))),
            Place::Answer(name) => asked.answer.push(((*name).to_owned(), line)),
            Place::LooksInQuery => asked.target = format!("/shop?q={escaped}"),
            Place::LooksInForm => form(format!("q={escaped}"), URLENCODED),
            Place::LooksInPath => asked.target = format!("/shop/{}", in_path(&line)),
            Place::LooksInHeader => asked.headers.push(("X-Note".to_owned(), line)),
            Place::LooksInJson => form(format!(r#"{{"q": "{text}"}}"#), "application/json"),
        }
        asked
    }

    fn message(&self) -> RpcMsgIn<'_> {
        let mut message = message(&self.target);
        let headers = self.headers.iter().map(|(name, value)| (name.as_str().into(), value.as_str().into()));
        message.headers_in = headers.collect();
        message.method = "POST".into();
        message.post_body = self.body.as_bytes().into();
        message
    }

    fn raw(&self) -> String {
        let mut raw = format!("POST {} HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n", self.target);
        for (name, value) in &self.headers {
            raw += &format!("{name}: {value}\r\n");
        }
        raw + &format!("Content-Length: {}\r\n\r\n{}", self.body.len(), self.body)
    }
}

/// Written as a browser writes a path.
fn in_path(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/=;'()".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

const PROXYING: &str = "reverse proxy listening";
const URLENCODED: &str = "application/x-www-form-urlencoded";

/// An agent that says all it can, and where it says it.
struct Talkative {
    agent: Agent,
    admin: String,
    proxy: String,
    said: Vec<String>,
    collected: Arc<Mutex<String>>,
    answer: Arc<Mutex<String>>,
}

fn talkative() -> Talkative {
    let (collected, answer) = (Arc::new(Mutex::new(String::new())), Arc::new(Mutex::new(String::new())));
    let collector = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", collector.local_addr().unwrap());
    let into = Arc::clone(&collected);
    serve(collector, move |body| {
        into.lock().unwrap().push_str(body);
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_owned()
    });
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let listener = format!(
        "app:{{listener='http://127.0.0.1:0',upstreams='http://{}',access-log='DIR/access.log',access-log-format='combined',inspection-debug=true}}",
        upstream.local_addr().unwrap()
    );
    let headers = Arc::clone(&answer);
    serve(upstream, move |_| {
        format!(
            "HTTP/1.1 404 Not Found\r\n{}Content-Length: 0\r\nConnection: close\r\n\r\n",
            headers.lock().unwrap()
        )
    });
    let dir = TempDir::new().unwrap();
    std::fs::write(dir.path().join("policy.json"), POLICY).unwrap();
    let mut command = command(&dir);
    let file = |name: &str| dir.path().join(name);
    command
        .env("SIGSCI_POLICY_FILE", file("policy.json"))
        .env("SIGSCI_ADMIN_LISTENER", "127.0.0.1:0")
        .env("SIGSCI_REVPROXY_LISTENER", listener.replace("DIR", dir.path().to_str().unwrap()))
        .env("SIGSCI_WAF_DATA_LOG", file("data.log"))
        .env("SIGSCI_WAF_DATA_LOG_ALL", "true")
        .env("SIGSCI_EVENTS_LOG", file("events.log"))
        .env("SIGSCI_UPLOAD_LOG", file("uploads.log"))
        .env("SIGSCI_OTLP_LOGS_URL", url)
        .env("SIGSCI_LOG_LEVEL", "debug")
        .env("SIGSCI_DEBUG_LOG_ALL_THE_THINGS", "true")
        .env("SIGSCI_INSPECTION_DEBUG", "true")
        .env("SIGSCI_INSPECTION_TIMEOUT", "5s");
    let mut said = Vec::new();
    let agent = Agent::start_and_hear(dir, &mut command, &mut said);
    if !said.iter().any(|line| line.contains(PROXYING)) {
        said.push(agent.await_log(PROXYING));
    }
    let address = |mark: &str| {
        let line =
            said.iter().find(|line| line.contains(mark)).unwrap_or_else(|| panic!("no {mark}: {said:#?}"));
        let address = line.split("address=").nth(1).unwrap().split_whitespace().next().unwrap();
        address.trim_matches('"').to_owned()
    };
    let (admin, proxy) = (address("admin-listener"), address(PROXYING));
    Talkative { agent, admin, proxy, said, collected, answer }
}

/// Answers every request at `listener` by its body, as long as the test runs.
fn serve(listener: TcpListener, answer: impl Fn(&str) -> String + Send + 'static) {
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut reader = BufReader::new(stream);
            let (mut length, mut line) = (0, String::new());
            while reader.read_line(&mut line).is_ok_and(|read| read > 0) && line != "\r\n" {
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                line.clear();
            }
            let mut body = vec![0; length];
            if reader.read_exact(&mut body).is_ok() {
                let _gone = reader.get_mut().write_all(answer(&String::from_utf8_lossy(&body)).as_bytes());
            }
        }
    });
}

impl Talkative {
    fn send(&self, case: &Case, asked: &Asked) {
        let message = asked.message().encode();
        match case.way {
            Way::Module => {
                let reply = self.agent.exchange(&write_call(MSGID, "RPC.PreRequest", &message));
                let update = RpcMsgIn2 {
                    request_id: verdict(&reply).request_id.to_vec().into(),
                    response_code: 404,
                    headers_out: asked
                        .answer
                        .iter()
                        .map(|(name, value)| (name.as_str().into(), value.as_str().into()))
                        .collect(),
                    ..RpcMsgIn2::default()
                };
                self.agent.exchange(&write_call(MSGID, "RPC.UpdateRequest", &update.encode()));
            }
            Way::Filter => {
                let mut stream = self.agent.connect();
                let head = format!(
                    "POST {} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{}: {}\r\ncontent-length: {}\r\n\r\n",
                    http::PRE_REQUEST,
                    http::VERSION_HEADER,
                    http::VERSION,
                    message.len()
                );
                stream.write_all(&[head.as_bytes(), &message].concat()).unwrap();
                assert!(everything(stream).starts_with(b"HTTP/1.1 200 OK"));
            }
            Way::Proxy => {
                let headers = asked.answer.iter().map(|(name, value)| format!("{name}: {value}\r\n"));
                *self.answer.lock().unwrap() = headers.collect();
                let mut stream = TcpStream::connect(&self.proxy).unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                stream.write_all(asked.raw().as_bytes()).unwrap();
                assert!(everything(stream).starts_with(b"HTTP/1.1 4"));
            }
        }
    }

    /// Everything it has put out, by where.
    fn outputs(self) -> Vec<(&'static str, String)> {
        let Self { agent, admin, mut said, collected, .. } = self;
        let mut outputs = Vec::new();
        for page in ["/config", "/metrics", "/flags", "/readyz"] {
            outputs.push(("admin", get(&admin, page).1));
        }
        said.extend(agent.said_until_the_end());
        outputs.push(("agent log", said.join("\n")));
        for name in ["data.log", "events.log", "uploads.log", "access.log"] {
            let text = std::fs::read_to_string(agent.dir.path().join(name)).unwrap();
            assert!(!text.is_empty() || name == "uploads.log", "{name} is empty");
            outputs.push((name, text));
        }
        let sent = collected.lock().unwrap().clone();
        assert!(sent.contains("resourceLogs"), "nothing came to the collector");
        outputs.push(("otlp", sent));
        outputs
    }
}

fn draw() -> Vec<Case> {
    let mut runner = TestRunner::default();
    let strategy = cases();
    let mut drawn: Vec<Case> =
        (0..CASES).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect();
    // Chance leaves no place out.
    for (index, place) in PLACES.iter().enumerate() {
        let of_place = cases()
            .prop_filter("another place", move |case| format!("{:?}", case.place) == format!("{place:?}"));
        let mut case = of_place.new_tree(&mut runner).unwrap().current();
        case.way = [Way::Module, Way::Filter, Way::Proxy][index % 3];
        drawn.push(case);
    }
    drawn
}

#[test]
fn no_secret_is_in_anything_that_the_agent_puts_out() {
    let cases = draw();
    let talkative = talkative();
    for case in &cases {
        talkative.send(case, &Asked::new(case));
    }
    let outputs = talkative.outputs();
    let records = outputs.iter().find(|(name, _)| *name == "data.log").unwrap().1.lines().count();
    assert!(records >= cases.len() / 2, "{records} records of {} requests", cases.len());
    let mut leaks = Vec::new();
    for case in &cases {
        let escaped: String = case.secret.bytes().map(|byte| format!("%{byte:02X}")).collect();
        for (name, text) in &outputs {
            let written = [case.secret.clone(), escaped.clone(), in_path(&case.secret)];
            let line = text.lines().find(|line| written.iter().any(|secret| line.contains(secret.as_str())));
            leaks.extend(line.map(|line| format!("{name} shows {case:?}:\n    {line}")));
        }
    }
    assert!(leaks.is_empty(), "{} leaks:\n{}", leaks.len(), leaks.join("\n"));
    assert!(outputs.iter().all(|(_, text)| !text.contains("key-secret")));
}

/// The commands print what the agent would write down.
#[test]
fn no_secret_is_in_what_inspect_and_explain_print() {
    let dir = TempDir::new().unwrap();
    let file = |name: &str, text: &str| {
        std::fs::write(dir.path().join(name), text).unwrap();
        dir.path().join(name).display().to_string()
    };
    let policy = file("policy.json", POLICY);
    for case in draw().into_iter().rev().take(PLACES.len()) {
        let asked = Asked::new(&case);
        let headers = asked.answer.iter().map(|(name, value)| format!("{name}: {value}\r\n"));
        let answer = format!("HTTP/1.1 404 Not Found\r\n{}\r\n", headers.collect::<String>());
        let (request, response) = (file("request.txt", &asked.raw()), file("response.txt", &answer));
        for words in [
            ["inspect", request.as_str(), "--policy", &policy, "--response", &response].as_slice(),
            &["policy", "explain", &policy, &request, "--response", &response],
        ] {
            let output =
                Command::new(Path::new(env!("CARGO_BIN_EXE_portcullis-agent"))).args(words).output().unwrap();
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success(), "{case:?}: {}", String::from_utf8_lossy(&output.stderr));
            assert!(!said.contains(&case.secret), "{case:?}: {said}");
        }
    }
}
