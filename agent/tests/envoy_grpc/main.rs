//! Envoy's side of `envoy-grpc-address`: tonic's client and the real agent.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod access_log;
mod client;
#[path = "../common/mod.rs"]
mod common;
mod ext_authz;
mod ext_proc;
mod hostile;
mod server;
mod wire;

const BLOCK: &str = r#"{"site": {"agentLevel": "block", "immediateBlock": true}}"#;
const LOG: &str = r#"{"site": {"agentLevel": "log"}}"#;
const ATTACK: &str = "/?q=%3Cscript%3Ealert(document.cookie)%3C/script%3E";
const SCRIPT: &str = "<script>alert(document.cookie)</script>";

const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";
const LOGS: &str = "/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs";
const PROCESS: &str = "/envoy.service.ext_proc.v3.ExternalProcessor/Process";
const HEALTH: &str = "/grpc.health.v1.Health/Check";
const WATCH: &str = "/grpc.health.v1.Health/Watch";
