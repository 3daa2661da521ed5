//! What operators do with a running agent: reload, rotate, probe, measure, read its records.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use common::{Agent, BLOCK, MSGID, PATIENCE, command, get, message, operated, pre_request, verdict};
use portcullis_protocol::RpcMsgIn2;
use portcullis_protocol::envelope::write_call;
use tempfile::TempDir;

const ATTACK: &str = "/?q=%3Cscript%3Ealert(document.cookie)%3C/script%3E&password=hunter2";

/// An agent that blocks, with an admin listener and whatever `more` sets.
fn agent(more: impl FnOnce(&mut Command, &Path)) -> (Agent, String) {
    let (agent, admin, _) = operated(TempDir::new().unwrap(), BLOCK, more);
    (agent, admin)
}

fn code(agent: &Agent) -> i32 {
    verdict(&agent.exchange(&pre_request(ATTACK))).waf_response
}

#[test]
fn reloads_the_policy_and_keeps_the_old_one_where_the_new_is_bad() {
    let (agent, admin) = agent(|_, _| {});
    let policy = agent.dir.path().join("policy.json");
    assert_eq!(code(&agent), 406);
    std::fs::write(&policy, r#"{"site": {"agentLevel": "log"}}"#).unwrap();
    agent.signal("-HUP");
    agent.await_log("reloaded mode=Log");
    assert_eq!(code(&agent), 200);

    std::fs::write(&policy, r#"{"site": {"agentLevel": "lock"}}"#).unwrap();
    agent.signal("-HUP");
    assert!(agent.await_log("the old policy stays in force").contains("policy.json:1"));
    assert_eq!(code(&agent), 200);
    let (status, text) = get(&admin, "/readyz");
    assert!(status == 200 && text.contains("degraded") && text.contains("policy.json:1"), "{text}");
    let (_, metrics) = get(&admin, "/metrics");
    assert!(metrics.contains("waf_degraded 1\n"), "{metrics}");
    // The signal's reload, and another where the file's change was seen before it.
    let failed = metrics.lines().find_map(|line| line.strip_prefix("waf_reloads_total{outcome=\"failed\"} "));
    assert!(failed.is_some_and(|count| ["1", "2"].contains(&count)), "{metrics}");

    std::fs::write(&policy, BLOCK).unwrap();
    agent.signal("-HUP");
    agent.await_log("reloaded mode=Block");
    assert_eq!((code(&agent), get(&admin, "/readyz").1.as_str()), (406, "ready\n"));
}

#[test]
fn keeps_answering_while_it_reloads() {
    let (agent, _) = agent(|_, _| {});
    for _ in 0..20 {
        agent.signal("-HUP");
        assert_eq!(code(&agent), 406);
    }
}

#[test]
fn tells_operators_what_they_ask() {
    let (agent, admin) = agent(|_, _| {});
    assert_eq!(code(&agent), 406);
    assert_eq!(get(&admin, "/healthz"), (200, "ok\n".to_owned()));
    assert_eq!(get(&admin, "/version").0, 200);
    let (_, metrics) = get(&admin, "/metrics");
    assert!(metrics.contains("waf_requests_total{outcome=\"blocked\"} 1\n"), "{metrics}");
    assert!(metrics.contains("waf_signals_total{tag=\"XSS\"} 1\n"), "{metrics}");
    let (_, configuration) = get(&admin, "/config");
    assert!(
        configuration.contains("environment SIGSCI_POLICY_FILE") && !configuration.contains("key-secret")
    );
}

#[test]
fn writes_requests_down_with_their_response_and_without_secrets() {
    let (agent, _) = agent(|command, dir| {
        command.env("SIGSCI_WAF_DATA_LOG", dir.join("data.log")).env("SIGSCI_SERVER_HOSTNAME", "agent-1");
    });
    let mut request = message(ATTACK);
    request.headers_in.push(("Cookie".into(), "session=hunter2".into()));
    request.headers_in.push(("X-Forwarded-For".into(), "203.0.113.9".into()));
    let reply = agent.exchange(&write_call(MSGID, "RPC.PreRequest", &request.encode()));
    let id = String::from_utf8(verdict(&reply).request_id.to_vec()).unwrap();
    let update = RpcMsgIn2 { request_id: id.clone().into(), response_code: 406, ..RpcMsgIn2::default() };
    agent.exchange(&write_call(MSGID, "RPC.UpdateRequest", &update.encode()));
    // A file that was moved away gets what was said before; the new one what is said after.
    let log = agent.dir.path().join("data.log");
    std::fs::rename(&log, agent.dir.path().join("data.log.1")).unwrap();
    agent.signal("-HUP");
    agent.await_log("waf-data-log opened again");
    assert_eq!(code(&agent), 406);
    agent.signal("-TERM");
    agent.await_log("SIGTERM");
    let dir = agent.drained_leaving();
    let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
    let (first, second) = (read("data.log.1"), read("data.log"));
    assert!(!first.contains("hunter2") && !second.contains("hunter2"), "{first}{second}");
    let line: serde_json::Value = serde_json::from_str(&first).unwrap();
    assert_eq!((&line["RequestIDStr"], &line["ResponseCode"]), (&id.into(), &406.into()));
    assert_eq!((&line["RemoteAddr"], &line["ServerHostname"]), (&"203.0.113.9".into(), &"agent-1".into()));
    assert_eq!(second.lines().count(), 1);
}

#[test]
fn tells_probes_when_it_has_started() {
    let dir = TempDir::new().unwrap();
    let probe = dir.path().join("started");
    let mut command = command(&dir);
    command.env("SIGSCI_STARTUP_PROBE_FILEPATH", &probe).env("SIGSCI_STARTUP_PROBE_LISTENER", "127.0.0.1:0");
    let mut said = Vec::new();
    let agent = Agent::start_and_hear(dir, &mut command, &mut said);
    let line = said.iter().find(|line| line.contains("startup-probe-listener")).unwrap();
    assert_eq!(get(line.split("address=").nth(1).unwrap().trim(), "/startup").0, 200);
    assert!(probe.exists());
    assert!(agent.is_alive());
}

#[test]
fn sends_metrics_to_a_sink() {
    let sink = UdpSocket::bind("127.0.0.1:0").unwrap();
    sink.set_read_timeout(Some(PATIENCE)).unwrap();
    let address = sink.local_addr().unwrap().to_string();
    let (agent, _) = agent(|command, _| {
        command
            .env("SIGSCI_STATSD_ADDRESS", &address)
            .env("SIGSCI_STATSD_INTERVAL", "100ms")
            .env("SIGSCI_STATSD_METRICS", "sigsci.agent.waf.*,sigsci.agent.signal.*");
    });
    assert_eq!(code(&agent), 406);
    let mut said = String::new();
    let deadline = Instant::now() + PATIENCE;
    while !(said.contains("sigsci.agent.waf.block:1|c") && said.contains("sigsci.agent.signal.XSS:1|c")) {
        assert!(Instant::now() < deadline, "{said}");
        let mut datagram = [0; 2048];
        let len = sink.recv(&mut datagram).unwrap();
        said += std::str::from_utf8(&datagram[..len]).unwrap();
    }
    assert!(said.contains("decision_time.99pct:") && !said.contains("runtime."), "{said}");
}

#[test]
fn checks_a_configuration_without_serving() {
    let dir = TempDir::new().unwrap();
    std::fs::write(dir.path().join("secret"), "key-of-file\n").unwrap();
    let mut check = command(&dir);
    check
        .args(["--max-procs", "50%", "check-config"])
        .env_remove("SIGSCI_SECRETACCESSKEY")
        .env("SIGSCI_SECRETACCESSKEY_FILE", dir.path().join("secret"))
        .stdout(std::process::Stdio::piped());
    let output = check.output().unwrap();
    assert!(output.status.success());
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("max-procs = \"50%\"  # command line"), "{said}");
    assert!(said.contains("secretaccesskey = \"********\"") && !said.contains("key-of-file"), "{said}");
    let refused = check.env("SIGSCI_POLICY_FILE", dir.path().join("none.json")).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let refused = check.env("SIGSCI_MAX_CONNECTIONS", "many").output().unwrap();
    assert!(String::from_utf8(refused.stderr).unwrap().contains("max-connections (environment"));
}

#[test]
fn adds_the_operators_headers_and_logs_what_it_is_told_to() {
    let (agent, _) = agent(|command, _| {
        command
            .env("SIGSCI_CUSTOM_REQUEST_HEADERS", "X-Waf:$AgentResponse/$TagList")
            .env("SIGSCI_DEBUG_LOG_BLOCKED_REQUESTS", "true")
            .env("SIGSCI_DEBUG_LOG_WEB_OUTPUTS", "1")
            .env("SIGSCI_LOG_LEVEL", "info");
    });
    let reply = agent.exchange(&pre_request(ATTACK));
    assert!(verdict(&reply).request_headers.contains(&("X-Waf".into(), "406/XSS,BLOCKED".into())));
    let line = agent.await_log("request blocked");
    assert!(line.contains("code=406") && !line.contains("hunter2"), "{line}");
    assert!(agent.await_log("web output").contains("WAFResponse"));
}

#[test]
fn degrades_loudly_when_a_disk_is_full() {
    let (agent, admin) = agent(|command, _| {
        command.env("SIGSCI_WAF_DATA_LOG", "/dev/full").env("SIGSCI_WAF_DATA_LOG_ALL", "1");
    });
    assert_eq!(code(&agent), 406);
    agent.signal("-HUP");
    agent.await_log("reloaded");
    let reply = agent.exchange(&pre_request("/"));
    let id = verdict(&reply).request_id.to_vec();
    let update = RpcMsgIn2 { request_id: id.into(), ..RpcMsgIn2::default() };
    agent.exchange(&write_call(MSGID, "RPC.UpdateRequest", &update.encode()));
    agent.await_log("cannot write a record");
    assert_eq!(code(&agent), 406);
    let (_, metrics) = get(&admin, "/metrics");
    assert!(metrics.contains("waf_records_total{outcome=\"failed\"} 1\n"), "{metrics}");
}

#[test]
fn refuses_to_start_without_what_it_was_told_to_use() {
    let dir = TempDir::new().unwrap();
    for (option, value, text) in [
        ("SIGSCI_WAF_DATA_LOG", "/nonexistent/data.log", "waf-data-log: cannot open /nonexistent/data.log"),
        ("SIGSCI_LOG_OUT", "/nonexistent/agent.log", "log-out: cannot open /nonexistent/agent.log"),
        ("SIGSCI_STARTUP_PROBE_FILEPATH", "/nonexistent/started", "startup-probe-filepath: cannot write"),
        ("SIGSCI_ADMIN_LISTENER", "192.0.2.1:1", "admin-listener: cannot listen on 192.0.2.1:1"),
        ("SIGSCI_CUSTOM_REQUEST_HEADERS", "no-colon", "is not NAME:VALUE"),
    ] {
        let said = common::refusal(command(&dir).env(option, value));
        assert!(said.contains(text), "{said}");
    }
}

#[test]
fn tells_its_numbers_to_a_file() {
    let (agent, _) = agent(|command, dir| {
        command.env("SIGSCI_UPLOAD_LOG", dir.join("uploads.log")).env("SIGSCI_UPLOAD_INTERVAL", "100ms");
    });
    assert_eq!(code(&agent), 406);
    let log = agent.dir.path().join("uploads.log");
    let deadline = Instant::now() + PATIENCE;
    let told: serde_json::Value = loop {
        let text = std::fs::read_to_string(&log).unwrap();
        if let Some(line) = text.lines().find(|line| line.contains("\"blocked\":1")) {
            break serde_json::from_str(line).unwrap();
        }
        assert!(Instant::now() < deadline, "{text}");
        std::thread::yield_now();
    };
    assert_eq!((&told["signals"]["XSS"], &told["agent"]["rpc_prerequest"]), (&1.into(), &1.into()));
}

#[test]
fn works_by_the_built_in_rules_alone_where_it_is_told_to() {
    let (agent, _) = agent(|command, dir| {
        command.env("SIGSCI_DEBUG_STANDALONE", "7").env("SIGSCI_UPLOAD_LOG", dir.join("uploads.log"));
    });
    assert_eq!(code(&agent), 200);
    assert!(!agent.dir.path().join("uploads.log").exists());
}

#[test]
fn sends_records_to_a_collector_and_tries_again_when_it_is_busy() {
    let collector = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1/logs", collector.local_addr().unwrap());
    let (agent, admin) = agent(|command, _| {
        command.env("SIGSCI_OTLP_LOGS_URL", &url).env("SIGSCI_CONTEXT_EXPIRATION", "10ms");
        command.env("SIGSCI_CLEANER_INTERVAL", "10ms");
    });
    assert_eq!(code(&agent), 406);
    let mut bodies = ["503 Busy", "200 OK"].map(|answer| {
        let (stream, _) = collector.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        collect(stream, answer)
    });
    assert_eq!(bodies[0], bodies[1]);
    let told: serde_json::Value = serde_json::from_str(&std::mem::take(&mut bodies[1])).unwrap();
    let record = &told["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0];
    assert_eq!(record["severityText"], "WARN");
    let signals = record["attributes"].as_array().unwrap().iter().find(|of| of["key"] == "waf.signals");
    assert!(signals.unwrap().to_string().contains("XSS"), "{record}");
    assert!(!told.to_string().contains("hunter2"), "{told}");
    let deadline = Instant::now() + PATIENCE;
    while !get(&admin, "/metrics").1.contains("waf_otlp_records_total{outcome=\"sent\"} 1\n") {
        assert!(Instant::now() < deadline);
    }
}

/// Takes one request off a connection, answers it, and returns its body.
fn collect(stream: impl Read + Write, answer: &str) -> String {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let answer = format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\n\r\n");
    reader.get_mut().write_all(answer.as_bytes()).unwrap();
    reader.get_mut().flush().unwrap();
    String::from_utf8(body).unwrap()
}

#[test]
fn sends_records_by_tls_to_a_collector_that_the_roots_vouch_for_and_to_no_other() {
    use tokio_rustls::rustls::pki_types::PrivateKeyDer;
    use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned, crypto::ring};
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(std::sync::Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let config = std::sync::Arc::new(config);
    for (roots, is_trusted) in [(&made, true), (&other, false)] {
        let collector = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://localhost:{}", collector.local_addr().unwrap().port());
        let (agent, _) = agent(|command, dir| {
            std::fs::write(dir.join("roots.pem"), roots.cert.pem()).unwrap();
            command.env("SIGSCI_OTLP_LOGS_URL", &url).env("SIGSCI_OTLP_CA_ROOTS", dir.join("roots.pem"));
            command.env("SIGSCI_CONTEXT_EXPIRATION", "10ms").env("SIGSCI_CLEANER_INTERVAL", "10ms");
        });
        assert_eq!(code(&agent), 406);
        let (mut stream, _) = collector.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut connection = ServerConnection::new(std::sync::Arc::clone(&config)).unwrap();
        let shaken = loop {
            match connection.complete_io(&mut stream) {
                Ok(_) if connection.is_handshaking() => {}
                shaken => break shaken,
            }
        };
        if is_trusted {
            shaken.unwrap();
            let told = collect(StreamOwned::new(connection, stream), "200 OK");
            assert!(told.contains("XSS") && !told.contains("hunter2"), "{told}");
        } else {
            let refusal = shaken.and_then(|_| StreamOwned::new(connection, stream).read(&mut [0; 1]));
            assert!(refusal.unwrap_err().to_string().contains("alert"));
        }
    }
}
