//! Starting, watching and stopping.

use std::net::Ipv4Addr;

use portcullis_e2e::client::{Ask, Protocol};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::setup::{ATTACK, Agent, PATIENCE, Setup, Upstream, command, exchange, open, read_until, status};

#[tokio::test]
async fn access_logs_have_the_wafs_fields_in_every_format() {
    let upstream = Upstream::ok().await;
    for (format, wanted) in [
        ("common", r#"] "GET /x?a=b HTTP/1.1" 200 2 waf=200 signals="#),
        ("combined", r#"] "GET /x?a=b HTTP/1.1" 200 2 "-" "test \"quoted\"" waf=200 signals="#),
        ("json", r#""uri":"/x?a=b""#),
    ] {
        let keys = format!("access-log='DIR/access.log',access-log-format={format}");
        let agent = Agent::with(&upstream.url(), &keys).await;
        let request =
            b"GET /x?a=b HTTP/1.1\r\nHost: a\r\nUser-Agent: test \"quoted\"\r\nConnection: close\r\n\r\n";
        agent.exchange(request).await;
        assert_eq!(status(agent.get(ATTACK).await), 406);
        let log = agent.await_file("access.log", "406").await;
        assert!(log.starts_with("127.0.0.1 - - [") || format == "json", "{log}");
        assert!(log.contains(wanted) && log.contains("SQLI"), "{format}: {log}");
        if format == "json" {
            for line in log.lines() {
                let line: serde_json::Value = serde_json::from_str(line).unwrap();
                for field in
                    ["waf", "signals", "decision_us", "request_id", "took_ms", "status", "upstream", "client"]
                {
                    assert!(line.get(field).is_some(), "{field} in {line}");
                }
            }
        }
    }
}

#[tokio::test]
async fn access_logs_are_opened_again_on_sighup() {
    let upstream = Upstream::ok().await;
    let agent = Agent::with(&upstream.url(), "access-log='DIR/access.log'").await;
    agent.get("/first").await;
    agent.await_file("access.log", "/first").await;
    let (log, moved) = (agent.dir.path().join("access.log"), agent.dir.path().join("moved.log"));
    std::fs::rename(&log, &moved).unwrap();
    agent.signal("-HUP").await;
    agent.await_file("agent.log", "reloaded").await;
    agent.get("/second").await;
    let log = agent.await_file("access.log", "/second").await;
    assert!(!log.contains("/first") && !agent.file("moved.log").contains("/second"), "{log}");
}

#[tokio::test]
async fn a_log_that_nobody_reads_does_not_hold_up_traffic() {
    let upstream = Upstream::ok().await;
    let dir = TempDir::new().unwrap();
    let fifo = dir.path().join("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    // Opened for both, so that the agent's opening does not wait; never read.
    let _reader = std::fs::File::options().read(true).write(true).open(&fifo).unwrap();
    let mut agent = Agent::with(&upstream.url(), &format!("access-log='{}'", fifo.display())).await;
    let mut client = TcpStream::connect(agent.at).await.unwrap();
    let long = "a".repeat(3000);
    for _ in 0..300 {
        let request = format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n");
        client.write_all(request.as_bytes()).await.unwrap();
        read_until(&mut client, b"ok").await;
    }
    drop(client);
    agent.signal("-TERM").await;
    assert!(agent.ended().await.success());
}

#[tokio::test]
async fn a_request_under_way_is_finished_on_sigterm() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let mut agent = Agent::plain(&format!("http://{}", listener.local_addr().unwrap())).await;
    let mut client = open(agent.at, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let idle = open(agent.at, b"").await;
    let (mut stream, _) = listener.accept().await.unwrap();
    read_until(&mut stream, b"\r\n\r\n").await;
    let ready = String::from_utf8(exchange(agent.admin, b"GET /readyz HTTP/1.0\r\n\r\n").await).unwrap();
    assert_eq!(status(&ready), 200, "{ready}");
    agent.signal("-TERM").await;
    agent.await_file("agent.log", "draining").await;
    let ready = exchange(agent.admin, b"GET /readyz HTTP/1.0\r\n\r\n").await;
    assert_eq!(status(&ready), 503);
    stream.write_all(crate::setup::OK).await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(PATIENCE, client.read_to_end(&mut answer)).await.unwrap().unwrap();
    assert!(answer.ends_with(b"ok"), "{}", answer.escape_ascii());
    drop(idle);
    assert!(agent.ended().await.success());
    assert!(!agent.log().contains("cut off"), "{}", agent.log());
}

#[tokio::test]
async fn nobody_who_has_not_begun_is_waited_for_on_sigterm() {
    let upstream = Upstream::ok().await;
    for keys in ["remote-addr=proxy-protocol", "http2=true", "http2=false"] {
        let mut agent = Agent::with(&upstream.url(), keys).await;
        let _silent = open(agent.at, b"").await;
        agent.await_metric("waf_proxy_connections_open", "", 1.0).await;
        agent.signal("-TERM").await;
        assert!(agent.ended().await.success(), "{keys}");
    }
}

#[tokio::test]
async fn a_request_that_never_ends_is_cut_off_at_its_time() {
    let upstream = Upstream::doing(|_, _| crate::setup::Deed::Hang).await;
    let mut agent = Agent::with(&upstream.url(), "shutdown-timeout=200ms").await;
    let _client = open(agent.at, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    agent.await_metric("waf_proxy_upstream_connections_total", "", 1.0).await;
    agent.signal("-TERM").await;
    assert!(agent.ended().await.success());
    assert!(agent.log().contains("cut off"), "{}", agent.log());
}

#[tokio::test]
async fn what_is_not_inspected_passes_or_is_refused_as_the_listener_says() {
    let upstream = Upstream::ok().await;
    let environment = &[("SIGSCI_DEBUG_DISABLE_PROCESSING", "true")];
    let keys = "access-log='DIR/access.log',access-log-format=json";
    let open = Agent::start(&upstream.url(), Setup { keys, environment, ..Setup::default() }).await;
    assert_eq!(status(open.get(ATTACK).await), 200);
    let line = open.await_file("access.log", "/?id").await;
    assert!(line.contains("\"waf\":0"), "not inspected is shown as clean: {line}");
    let keys = "fail-open=false";
    let closed = Agent::start(&upstream.url(), Setup { keys, environment, ..Setup::default() }).await;
    assert_eq!(status(closed.get("/").await), 503);
    assert_eq!(upstream.requests().len(), 1);
    closed.await_metric("waf_proxy_failures_total", "fault=\"internal\",reason=\"not_inspected\"", 1.0).await;
}

#[tokio::test]
async fn the_module_listener_is_off_unless_it_is_asked_for() {
    let upstream = Upstream::ok().await;
    let agent = Agent::plain(&upstream.url()).await;
    assert!(agent.await_file("agent.log", "proxying").await.contains("proxying mode=Block"));
    let dir = TempDir::new().unwrap();
    let mut both = command(&dir);
    let socket = dir.path().join("agent.sock");
    both.env(
        "SIGSCI_REVPROXY_LISTENER",
        format!("a:{{listener=http://127.0.0.1:0,upstreams={}}}", upstream.url()),
    )
    .env("SIGSCI_RPC_ADDRESS", &socket);
    let agent = Agent::run(dir, both).await;
    agent.await_file("agent.log", "listening address=").await;
    assert!(tokio::net::UnixStream::connect(&socket).await.is_ok());
    assert_eq!(status(agent.get("/").await), 200);
}

#[tokio::test]
async fn the_legacy_variables_start_one_listener() {
    let upstream = Upstream::ok().await;
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap().local_addr().unwrap();
    let dir = TempDir::new().unwrap();
    let mut command = command(&dir);
    command
        .env("SIGSCI_REVERSE_PROXY", "true")
        .env("SIGSCI_REVERSE_PROXY_LISTENER", free.to_string())
        .env("SIGSCI_REVERSE_PROXY_UPSTREAM", upstream.address.to_string())
        .env("SIGSCI_REVERSE_PROXY_ACCESSLOG", dir.path().join("access.log"));
    let agent = Agent::run(dir, command).await;
    assert_eq!(agent.at, free);
    let answer = agent.get("/legacy").await;
    assert_eq!(status(&answer), 200);
    assert!(upstream.requests()[0].contains("host: shop.example"), "{}", upstream.requests()[0]);
    agent.await_file("access.log", "/legacy").await;
}

#[tokio::test]
async fn blocks_in_the_file_are_listeners_too() {
    let (one, other) = (Upstream::ok().await, Upstream::ok().await);
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("agent.conf");
    let text = format!(
        "[revproxy-listener.one]\nlistener = \"http://127.0.0.1:0\"\nupstreams = \"{}/\"\n\n[revproxy-listener.two]\nlistener = \"http://127.0.0.1:0\"\nupstreams = \"{}\"\nenabled = false\n",
        one.url(),
        other.url()
    );
    std::fs::write(&file, text).unwrap();
    let mut command = command(&dir);
    command.env("SIGSCI_CONFIG", &file);
    let agent = Agent::run(dir, command).await;
    assert_eq!(status(agent.get("/").await), 200);
    assert_eq!((one.requests().len(), other.requests().len()), (1, 0));
    assert_eq!(agent.log().matches("reverse proxy listening").count(), 1);
}

#[tokio::test]
async fn faults_are_told_with_their_place() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let used = format!("a:{{listener=http://{},upstreams=http://b}}", taken.local_addr().unwrap());
    for (listener, wanted) in [
        (
            "a:{listener='http://0.0.0.0:1',upstreams='http://b',upstream=c}",
            "unknown key upstream, did you mean upstreams? at character 53",
        ),
        (
            "a:{listener=http://0.0.0.0:1,upstreams=http://b,pass-host-header=perhaps}",
            "pass-host-header: expected true or false at character 66",
        ),
        ("a:{listener='http://0.0.0.0:1}", "quote is never closed at character 13"),
        ("a:{listener=http://0.0.0.0:1}", "revproxy-listener.a.upstreams"),
        (
            "a:{listener=http://0.0.0.0,upstreams=http://b}",
            "revproxy-listener.a.listener: the port is missing",
        ),
        ("a:{listener=https://0.0.0.0:1,upstreams=http://b}", "revproxy-listener.a.tls-cert"),
        ("a:{listener=http://0.0.0.0:1,upstreams='http://b,http://c',grpc=true}", "exactly one upstream"),
        (
            "a:{listener=http://127.0.0.1:0,upstreams=http://b,access-log=/none/such}",
            "access-log: cannot open /none/such",
        ),
        (&used, "cannot listen on 127.0.0.1"),
    ] {
        let dir = TempDir::new().unwrap();
        let mut command = command(&dir);
        command.env("SIGSCI_REVPROXY_LISTENER", listener);
        let status = tokio::time::timeout(PATIENCE, command.status()).await.expect("it starts").unwrap();
        let said = std::fs::read_to_string(dir.path().join("agent.log")).unwrap();
        assert!(!status.success() && said.contains(wanted), "{listener}: {said}");
    }
}

#[tokio::test]
async fn smuggling_over_http2_closes_the_connection_where_asked() {
    let upstream = Upstream::ok().await;
    let agent = Agent::with(&upstream.url(), "close-conn-on-request-smuggling=true").await;
    let answer = Ask::get("/").over(Protocol::Http2).header("host", "other").send(agent.at).await.unwrap();
    assert_eq!(answer.status, 400);
    let waiting = portcullis_e2e::wait::until("the connection is closed", PATIENCE, || async {
        Ok((agent.metric("waf_proxy_connections_open", "").await < 1.0).then_some(()))
    });
    waiting.await.unwrap();
}

#[tokio::test]
async fn cleartext_needs_no_roots() {
    let upstream = Upstream::ok().await;
    // As in a container without certificates.
    let environment = [("SSL_CERT_FILE", "/dev/null"), ("SSL_CERT_DIR", "/nonexistent")];
    let agent = Agent::start(&upstream.url(), Setup { environment: &environment, ..Setup::default() }).await;
    assert_eq!(status(agent.get("/").await), 200);
}
