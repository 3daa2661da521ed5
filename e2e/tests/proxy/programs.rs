//! Programs that others wrote, on either side. `cargo xtask test proxy` provides them.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use portcullis_e2e::app::App;
use portcullis_e2e::certificate;
use portcullis_e2e::wait::until;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::setup::{ATTACK, Agent, PATIENCE, Setup, Upstream, status};

async fn run(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).stdin(Stdio::null()).output();
    let output = tokio::time::timeout(PATIENCE, output).await.unwrap_or_else(|_| panic!("{program} hangs"));
    let output =
        output.unwrap_or_else(|error| panic!("{program}: {error} (`cargo xtask test proxy` provides it)"));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{program} {args:?}: {said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

/// A certificate for `localhost`, its key, and the same key under the passphrase `moat`.
async fn certify(dir: &Path) {
    let path = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    certificate::make(dir, &["-addext", "basicConstraints=critical,CA:FALSE"]).unwrap();
    run(
        "openssl",
        &[
            "pkcs8",
            "-topk8",
            "-in",
            &path("key.pem"),
            "-out",
            &path("locked.pem"),
            "-v2",
            "aes-256-cbc",
            "-passout",
            "pass:moat",
        ],
    )
    .await;
}

/// nginx with this `server` block's content; killed when dropped.
struct Nginx {
    _child: Child,
    _dir: TempDir,
    port: u16,
}

impl Nginx {
    async fn start(listen: &str, body: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let root = dir.path().display();
        certify(dir.path()).await;
        let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let body = body.replace("DIR", dir.path().to_str().unwrap());
        let text = format!(
            "daemon off; master_process off; pid {root}/pid; error_log {root}/error.log;\nevents {{}}\nhttp {{ access_log off; client_body_temp_path {root}/b; proxy_temp_path {root}/p; fastcgi_temp_path {root}/f; uwsgi_temp_path {root}/u; scgi_temp_path {root}/s; client_max_body_size 100m;\nserver {{ listen 127.0.0.1:{port} {listen}; {body} }} }}"
        );
        let config = dir.path().join("nginx.conf");
        std::fs::write(&config, text).unwrap();
        let mut child = Command::new("nginx")
            .arg("-c")
            .arg(&config)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("nginx (`cargo xtask test proxy` provides it)");
        until("nginx serves", PATIENCE, || {
            let ended = child.try_wait().unwrap();
            let log = std::fs::read_to_string(dir.path().join("error.log")).unwrap_or_default();
            async move {
                assert!(ended.is_none(), "nginx ended: {log}");
                Ok(TcpStream::connect(("127.0.0.1", port)).await.ok())
            }
        })
        .await
        .unwrap();
        Self { _child: child, _dir: dir, port }
    }
}

#[tokio::test]
async fn curl_speaks_both_protocols_over_tls_and_without() {
    let upstream = Upstream::ok().await;
    let dir = TempDir::new().unwrap();
    certify(dir.path()).await;
    let files = format!(
        "tls-cert='{0}/cert.pem',tls-key='{0}/key.pem',access-log='DIR/access.log',access-log-format=json",
        dir.path().display()
    );
    let secure =
        Agent::start(&upstream.url(), Setup { scheme: "https", keys: &files, ..Setup::default() }).await;
    let plain = Agent::plain(&upstream.url()).await;
    let form = ["-s", "-o", "/dev/null", "-w", "%{http_version} %{http_code}"];
    let ca = dir.path().join("cert.pem");
    let local = format!("https://localhost:{}", secure.at.port());
    for (flag, version) in [("--http1.1", "1.1"), ("--http2", "2")] {
        let base = ["--cacert", ca.to_str().unwrap(), flag];
        for (path, code) in [("/", "200"), (ATTACK, "406")] {
            let url = format!("{local}{path}");
            let args = [&form[..], &base, &[&url]].concat();
            assert_eq!(run("curl", &args).await, format!("{version} {code}"), "{args:?}");
        }
    }
    let url = format!("http://{}/", plain.at);
    assert_eq!(run("curl", &[&form[..], &["--http2-prior-knowledge", &url]].concat()).await, "2 200");
    let upload = dir.path().join("upload");
    std::fs::write(&upload, vec![b'u'; 3_000_000]).unwrap();
    let data = format!("@{}", upload.display());
    let args = [&form[..], &["--http2-prior-knowledge", "--data-binary", &data, &url]].concat();
    assert_eq!(run("curl", &args).await, "2 200");
    assert!(upstream.last().len() > 3_000_000);
    let log = secure.await_file("access.log", "HTTP/2.0").await;
    assert!(log.contains("\"protocol\":\"HTTP/1.1\""), "{log}");
    assert!(upstream.requests().iter().any(|request| request.contains("x-forwarded-proto: https")));
}

#[tokio::test]
async fn a_locked_key_is_opened_and_an_old_version_refused() {
    let upstream = Upstream::ok().await;
    let dir = TempDir::new().unwrap();
    certify(dir.path()).await;
    let keys = format!(
        "tls-cert='{0}/cert.pem',tls-key='{0}/locked.pem',tls-key-passphrase='env:MOAT',tls-min-version=1.3",
        dir.path().display()
    );
    let setup = Setup { scheme: "https", keys: &keys, environment: &[("MOAT", "moat")] };
    let agent = Agent::start(&upstream.url(), setup).await;
    let url = format!("https://localhost:{}/", agent.at.port());
    let ca = dir.path().join("cert.pem");
    let base = ["-s", "-o", "/dev/null", "-w", "%{http_code}", "--cacert", ca.to_str().unwrap()];
    assert_eq!(run("curl", &[&base[..], &["--tlsv1.3", &url]].concat()).await, "200");
    let old = Command::new("curl").args(base).args(["--tls-max", "1.2", &url]).status().await.unwrap();
    assert!(!old.success());
    agent.await_metric("waf_proxy_connections_failed_total", "reason=\"tls\"", 1.0).await;
}

#[tokio::test]
async fn nghttp_and_h2load_are_served() {
    let upstream = Upstream::ok().await;
    let agent = Agent::plain(&upstream.url()).await;
    let url = format!("http://{}/?name=bob", agent.at);
    let said = run("nghttp", &["-v", "--no-dep", &url]).await;
    assert!(said.contains(":status: 200"), "{said}");
    let said = run("h2load", &["-n", "2000", "-c", "4", "-m", "20", &url]).await;
    assert!(said.contains("2000 succeeded, 0 failed, 0 errored"), "{said}");
}

#[tokio::test]
async fn nginx_is_a_good_upstream_over_http_and_https() {
    let body =
        "location / { return 200 \"$http_host $request_method $request_uri\"; } location /big { root DIR; }";
    let plain = Nginx::start("", body).await;
    let agent = Agent::plain(&format!("http://127.0.0.1:{}", plain.port)).await;
    let answer = agent.get("/x?y=z").await;
    assert!(answer.ends_with(&format!("127.0.0.1:{} GET /x?y=z", plain.port)), "{answer}");
    assert!(answer.contains("server: nginx") && answer.contains("date: "), "{answer}");
    let tls = "ssl_certificate DIR/cert.pem; ssl_certificate_key DIR/key.pem; location / { return 200 \"$server_protocol $ssl_server_name $http_host\"; }";
    for (listen, keys, protocol) in [
        ("ssl http2", "", "HTTP/2.0"),
        ("ssl http2", "http2-upstreams=false,", "HTTP/1.1"),
        ("ssl", "", "HTTP/1.1"),
    ] {
        let nginx = Nginx::start(listen, tls).await;
        let ca =
            format!("{keys}tls-ca-roots='{}/cert.pem',pass-host-header=true", nginx._dir.path().display());
        let agent = Agent::with(&format!("https://localhost:{}", nginx.port), &ca).await;
        let answer = agent.get("/").await;
        assert!(answer.ends_with(&format!("{protocol} localhost shop.example")), "{listen} {keys}: {answer}");
        // Another name is asked for, and the certificate is checked for it, or for the one that is told.
        let url = format!("https://127.0.0.1:{}", nginx.port);
        assert_eq!(status(Agent::with(&url, &ca).await.get("/").await), 502);
        let named = Agent::with(&url, &format!("{ca},tls-host-override=localhost")).await;
        assert!(named.get("/").await.ends_with(&format!("{protocol} localhost shop.example")));
        let verified = Agent::with(&url, &format!("{ca},tls-verify-servername=localhost")).await;
        assert_eq!(status(verified.get("/").await), 200);
        let careless = Agent::with(&url, &format!("{keys}tls-insecure-skip-verify=true")).await;
        assert_eq!(status(careless.get("/").await), 200);
        // Nobody vouches for it.
        let strict = Agent::with(&format!("https://localhost:{}", nginx.port), keys).await;
        assert_eq!(status(strict.get("/").await), 502);
        strict.await_metric("waf_proxy_failures_total", "reason=\"tls\"", 1.0).await;
    }
}

#[tokio::test]
async fn nginx_is_a_good_front() {
    let upstream = Upstream::ok().await;
    let agent = Agent::with(&upstream.url(), "pass-host-header=true").await;
    let body = format!(
        "location / {{ proxy_pass http://{}; proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_set_header X-Forwarded-For 192.0.2.77; proxy_set_header Host $host; }}",
        agent.at
    );
    let nginx = Nginx::start("", &body).await;
    let url = |path: &str| format!("http://127.0.0.1:{}{path}", nginx.port);
    let form = ["-s", "-o", "/dev/null", "-w", "%{http_code}"];
    assert_eq!(run("curl", &[&form[..], &[&url("/")]].concat()).await, "200");
    assert_eq!(run("curl", &[&form[..], &[&url(ATTACK)]].concat()).await, "406");
    assert_eq!(run("curl", &[&form[..], &["-d", "a=b", &url("/post")]].concat()).await, "200");
    let request = upstream.requests().remove(0);
    assert!(request.contains("x-forwarded-for: 192.0.2.77, 127.0.0.1"), "{request}");
    let record = agent.await_file("data.log", "SQLI").await;
    assert!(record.contains("\"RemoteAddr\":\"192.0.2.77\""), "{record}");
}

/// Where the peers in Python are.
fn peers() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/proxy/peers")
}

/// A peer in Python that tells its port first; killed when dropped.
async fn peer(script: &str, args: &[&str]) -> (Child, u16) {
    let mut child = Command::new("python3")
        .arg(peers().join(script))
        .args(args)
        .stdout(Stdio::piped())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    tokio::time::timeout(PATIENCE, out.read_line(&mut line)).await.expect("the peer does not start").unwrap();
    (child, line.trim().parse().unwrap_or_else(|_| panic!("{script} said {line:?}")))
}

#[tokio::test]
async fn grpc_calls_of_every_kind_pass_and_attacks_do_not() {
    let (_server, port) = peer("grpc_server.py", &[]).await;
    let agent = Agent::with(&format!("http://127.0.0.1:{port}"), "grpc=true").await;
    let client = peers().join("grpc_client.py");
    let said = run("python3", &[client.to_str().unwrap(), &agent.at.to_string()]).await;
    assert!(said.contains("unary ok\nstream ok\nbidi ok\nerror ok\nattack blocked"), "{said}");
}

#[tokio::test]
async fn websockets_pass_and_their_text_is_inspected_where_asked() {
    let (_server, port) = peer("ws_server.py", &[]).await;
    let url = format!("http://127.0.0.1:{port}");
    let client = peers().join("ws_client.py");
    for (keys, wanted) in [
        ("", "echo ok\nattack passed"),
        ("inspect-websocket=true", "echo ok\nattack closed 1008\nreply closed 1008"),
    ] {
        let agent = Agent::with(&url, keys).await;
        let said = run("python3", &[client.to_str().unwrap(), &agent.at.to_string()]).await;
        assert!(said.contains(wanted), "{keys}: {said}");
        agent.await_metric("waf_proxy_switches_total", "", 1.0).await;
    }
}

#[tokio::test]
async fn websockets_over_http2_reach_an_http1_upstream() {
    let app = App::start().await.unwrap();
    for keys in ["", "inspect-websocket=true"] {
        let agent = Agent::with(&format!("http://{}", app.address()), keys).await;
        let stream = TcpStream::connect(agent.at).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http2::handshake(
            hyper_util::rt::TokioExecutor::new(),
            hyper_util::rt::TokioIo::new(stream),
        )
        .await
        .unwrap();
        tokio::spawn(connection);
        let mut request = http::Request::connect(format!("http://{}/echo", agent.at))
            .header("sec-websocket-version", "13")
            .body(http_body_util::Empty::<bytes::Bytes>::new())
            .unwrap();
        request.extensions_mut().insert(hyper::ext::Protocol::from_static("websocket"));
        // Extended CONNECT may be used once the server's settings have come.
        let mut response = until("the agent's settings", PATIENCE, || {
            let (mut sender, request) = (sender.clone(), request.clone());
            async move { Ok(sender.send_request(request).await.ok()) }
        })
        .await
        .unwrap();
        assert_eq!(response.status(), 200);
        let upgraded = hyper::upgrade::on(&mut response).await.unwrap();
        let mut socket = hyper_util::rt::TokioIo::new(upgraded);
        // One masked text frame, "hi"; the echo is not masked.
        socket.write_all(&[0x81, 0x82, 0, 0, 0, 0, b'h', b'i']).await.unwrap();
        let mut echo = [0; 4];
        tokio::time::timeout(PATIENCE, socket.read_exact(&mut echo)).await.expect("no echo").unwrap();
        assert_eq!(&echo, &[0x81, 2, b'h', b'i']);
        let _ended = sender.ready().await;
    }
}
