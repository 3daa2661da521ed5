use std::sync::Arc;

use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring, version};
use tonic::Code;

use crate::client::{Connection, agent};
use crate::common::{command, refusal};
use crate::ext_authz::{ask, http};
use crate::wire::{
    HealthCheckRequest, HealthCheckResponse, StreamAccessLogsMessage, StreamAccessLogsResponse,
};
use crate::{ATTACK, BLOCK, HEALTH, LOGS, WATCH};

fn service(name: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: name.to_owned() }
}

#[tokio::test]
async fn tells_probes_that_it_serves() {
    let started = agent(BLOCK, |_, _| {});
    let connection = started.connect().await;
    for name in ["", "envoy.service.auth.v3.Authorization", "envoy.service.accesslog.v3.AccessLogService"] {
        let health: HealthCheckResponse = connection.unary(HEALTH, service(name)).await.unwrap();
        assert_eq!(health.status, 1, "{name}");
    }
    let unknown = connection.unary::<_, HealthCheckResponse>(HEALTH, service("other")).await;
    assert_eq!(unknown.unwrap_err().code(), Code::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn tells_watchers_that_it_stops_and_waits_for_no_silent_stream() {
    let started = agent(BLOCK, |_, _| {});
    let connection = started.connect().await;
    let mut health = connection.server_streaming::<_, HealthCheckResponse>(WATCH, service("")).await.unwrap();
    assert_eq!(health.message().await.unwrap().unwrap().status, 1);
    let (_open, logs) =
        connection.client_streaming::<StreamAccessLogsMessage, StreamAccessLogsResponse>(LOGS);
    let logs = tokio::spawn(logs);
    started.agent.signal("-TERM");
    assert_eq!(health.message().await.unwrap().unwrap().status, 2);
    assert!(health.message().await.unwrap().is_none());
    logs.await.unwrap().unwrap();
    started.agent.await_log("SIGTERM: draining");
    started.agent.drained();
}

#[tokio::test]
async fn serves_at_a_unix_socket() {
    let started = agent(BLOCK, |command, dir| {
        command.env("SIGSCI_ENVOY_GRPC_ADDRESS", format!("unix:{}", dir.join("envoy.sock").display()));
    });
    let connection = Connection::unix(&started.agent.dir.path().join("envoy.sock")).await;
    assert!(ask(&connection, http(ATTACK)).await.denied_response.is_some());
}

#[tokio::test]
async fn speaks_tls_where_it_has_a_certificate() {
    let made = rcgen::generate_simple_self_signed(["agent.example".to_owned()]).unwrap();
    let started = agent(BLOCK, |command, dir| {
        std::fs::write(dir.join("cert.pem"), made.cert.pem()).unwrap();
        std::fs::write(dir.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        command
            .env("SIGSCI_ENVOY_GRPC_CERT", dir.join("cert.pem"))
            .env("SIGSCI_ENVOY_GRPC_KEY", dir.join("key.pem"));
    });
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let stream = tokio::net::TcpStream::connect(&started.address).await.unwrap();
    let name = ServerName::try_from("agent.example").unwrap();
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
    let connection = Connection::over(stream).await;
    assert!(ask(&connection, http(ATTACK)).await.denied_response.is_some());
}

#[test]
fn refuses_to_start_with_half_a_key_pair_or_an_address_in_use() {
    let dir = tempfile::TempDir::new().unwrap();
    let grpc = |option: &str, value: &str| {
        refusal(command(&dir).env("SIGSCI_ENVOY_GRPC_ADDRESS", "127.0.0.1:0").env(option, value))
    };
    let said = grpc("SIGSCI_ENVOY_GRPC_CERT", "/nonexistent.pem");
    assert!(said.contains("envoy-grpc-key: must be set where envoy-grpc-cert is"), "{said}");
    let said = refusal(
        command(&dir)
            .env("SIGSCI_ENVOY_GRPC_ADDRESS", "127.0.0.1:0")
            .env("SIGSCI_ENVOY_GRPC_CERT", "/nonexistent.pem")
            .env("SIGSCI_ENVOY_GRPC_KEY", "/nonexistent.pem"),
    );
    assert!(said.contains("/nonexistent.pem"), "{said}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let said = grpc("SIGSCI_ENVOY_GRPC_ADDRESS", &address);
    assert!(said.contains(&format!("envoy-grpc-address: cannot bind {address}")), "{said}");
}
