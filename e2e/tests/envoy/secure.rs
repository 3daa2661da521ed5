//! TLS and HTTP/3: judged like anything else, and what the agent learns of the connection.

use std::path::Path as Folder;
use std::process::Stdio;
use std::time::Duration;

use portcullis_e2e::certificate;
use portcullis_e2e::client::Ask;
use portcullis_e2e::smoke::{BLOCK, FAILURES};
use portcullis_e2e::wait::until;
use portcullis_protocol::{RpcMsgIn, RpcMsgOut};
use tokio::process::Command;

use crate::scripted::Script;
use crate::setup::{PATIENT, Path};

#[tokio::test]
async fn the_agent_learns_of_tls_and_of_its_fingerprints() {
    let allow = RpcMsgOut { waf_response: 200, ..RpcMsgOut::default() };
    let named = (
        r#""metrics_prefix""#,
        r#""fingerprints": {"ja3": "waf.ja3", "ja4": "waf.ja4", "cipher": "waf.cipher"}, "metrics_prefix""#,
    );
    let mut path = Path::rewritten(Some(Script::answer(&allow)), &[PATIENT, named], over_tls).await;
    let (folder, port) = (path.stack.folder().to_owned(), path.ingress.port());
    let file = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let (certificate, key) = (file("cert.pem"), file("key.pem"));
    let (url, resolve) = (format!("https://localhost:{port}/demo"), format!("localhost:{port}:127.0.0.1"));
    let trust = ["-sS", "--noproxy", "*", "--resolve", &resolve, "--cacert", &certificate];
    run("curl", &[&trust[..], &["--cert", &certificate, "--key", &key, &url]].concat()).await;
    let (_, body) = path.agent.as_mut().unwrap().next().await;
    let message = RpcMsgIn::decode(&body).unwrap();
    assert_eq!((&*message.scheme, &*message.protocol), (&b"https"[..], &b"HTTP/2"[..]));
    assert_eq!((&*message.tls_protocol, &*message.sni), (&b"TLSv1.3"[..], &b"localhost"[..]));
    assert!(message.mtls, "the client showed a certificate");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let [ja3, ja4, cipher] = [&message.ja3, &message.ja4, &message.tls_cipher].map(|it| text(it));
    assert_eq!(ja3.len(), 32, "{ja3}");
    assert!(ja4.starts_with("t13") && cipher.starts_with("TLS_"), "{ja4} {cipher}");
}

#[tokio::test]
async fn http3_is_judged_like_any_other() {
    let path = Path::rewritten(None, &[PATIENT], beside_http3).await;
    let admin = path.stack.admin().unwrap();
    let port = until("Envoy serves HTTP/3", Duration::from_secs(20), || async move {
        let listeners = Ask::get("/listeners?format=json").send(admin).await?.report()?;
        let port = listeners.pointer("/listener_statuses/1/local_address/socket_address/port_value");
        Ok(port.and_then(serde_json::Value::as_u64).filter(|port| *port != 0))
    });
    let port = port.await.unwrap().to_string();
    let client = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/envoy/peers/http3_client.py");
    const FORM: &str = "application/x-www-form-urlencoded";
    let blocked = BLOCK.to_string();
    for (status, request) in [
        ("200", &["GET", "/shop?page=2"][..]),
        ("200", &["POST", "/form", FORM, "name=bob&comment=two+words"]),
        (&blocked, &["GET", "/shop?id=1%27%20OR%20%271%27%3D%271"]),
        (&blocked, &["POST", "/form", FORM, "id=1%27+OR+%271%27%3D%271"]),
    ] {
        let said = run("python3", &[&[client, &port], request].concat()).await;
        assert_eq!(said.lines().next(), Some(status), "{request:?}: {said}");
    }
    assert_eq!(path.app.seen("other"), 2);
    assert_eq!(path.counter(FAILURES, &[]).await, 0.0);
}

/// The listener over TLS, with clients that must show a certificate, and what its inspector finds in filter state.
fn over_tls(text: &str, folder: &Folder) -> String {
    certificate::make(folder, &[]).unwrap();
    let listener = listener(text);
    let tls = format!(
        "            name: envoy.transport_sockets.tls
            typed_config:
              \"@type\": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
              require_client_certificate: true
              common_tls_context:
                alpn_protocols: [h2, http/1.1]
                validation_context: {{ trusted_ca: {{ filename: \"{}\" }} }}
{}",
        folder.join("cert.pem").display(),
        certificates(folder, "                ")
    );
    let secured = with_socket(listener, &tls);
    let inspected = secured.replacen("      filter_chains:\n", INSPECTOR, 1);
    let filters = "                http_filters:\n";
    text.replacen(listener, &inspected.replacen(filters, &format!("{filters}{FINGERPRINTS}"), 1), 1)
}

/// A second listener, for HTTP/3.
fn beside_http3(text: &str, folder: &Folder) -> String {
    certificate::make(folder, &[]).unwrap();
    let listener = listener(text);
    let quic = format!(
        "            name: envoy.transport_sockets.quic
            typed_config:
              \"@type\": type.googleapis.com/envoy.extensions.transport_sockets.quic.v3.QuicDownstreamTransport
              downstream_tls_context:
                common_tls_context:
{}",
        certificates(folder, "                  ")
    );
    let address = "socket_address: { address: 127.0.0.1, port_value: 0 }\n";
    let udp = "socket_address: { protocol: UDP, address: 127.0.0.1, port_value: 0 }
      udp_listener_config: { quic_options: {} }\n";
    let codec = "codec_type: HTTP3\n                http3_protocol_options: {}\n";
    let mut second = with_socket(listener, &quic);
    for (from, to) in [(address, udp), ("codec_type: AUTO\n", codec), ("name: ingress\n", "name: quic\n")] {
        assert!(second.contains(from), "{from}");
        second = second.replacen(from, to, 1);
    }
    text.replacen(listener, &format!("{listener}{second}"), 1)
}

/// The part of the configuration that is the listener.
fn listener(text: &str) -> &str {
    let start = text.find("    - name: ingress\n").unwrap();
    let end = start + text[start..].find("\n  clusters:").unwrap() + 1;
    &text[start..end]
}

fn with_socket(listener: &str, socket: &str) -> String {
    let chain = "        - filters:\n";
    assert!(listener.contains(chain));
    listener.replacen(chain, &format!("        - transport_socket:\n{socket}          filters:\n"), 1)
}

fn certificates(folder: &Folder, indent: &str) -> String {
    let file = |name: &str| format!("{{ filename: \"{}\" }}", folder.join(name).display());
    format!(
        "{indent}tls_certificates:\n{indent}  - certificate_chain: {}\n{indent}    private_key: {}\n",
        file("cert.pem"),
        file("key.pem")
    )
}

async fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).kill_on_drop(true).output();
    let output = tokio::time::timeout(Duration::from_secs(60), output).await;
    let output = output.unwrap_or_else(|_| panic!("{program} hangs"));
    let output =
        output.unwrap_or_else(|error| panic!("{program}: {error} (`cargo xtask test envoy` provides it)"));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{program}: {said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

const INSPECTOR: &str = "      listener_filters:
        - name: envoy.filters.listener.tls_inspector
          typed_config:
            \"@type\": type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector
            enable_ja3_fingerprinting: true
            enable_ja4_fingerprinting: true
      filter_chains:
";

const FINGERPRINTS: &str = "                  - name: fingerprints
                    typed_config:
                      \"@type\": type.googleapis.com/envoy.extensions.filters.http.set_filter_state.v3.Config
                      on_request_headers:
                        - object_key: waf.ja3
                          factory_key: envoy.string
                          format_string: { text_format_source: { inline_string: \"%TLS_JA3_FINGERPRINT%\" } }
                        - object_key: waf.ja4
                          factory_key: envoy.string
                          format_string: { text_format_source: { inline_string: \"%TLS_JA4_FINGERPRINT%\" } }
                        - object_key: waf.cipher
                          factory_key: envoy.string
                          format_string: { text_format_source: { inline_string: \"%DOWNSTREAM_TLS_CIPHER%\" } }
";
