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
/// A page for a login that is to fail, and edits of the response of another path.
const EDITS: &str = r#"{"site": {"agentLevel": "block"}, "rules": [
    {"id": "page", "type": "request", "enabled": true, "groupOperator": "all",
        "conditions": [{"type": "single", "field": "path", "operator": "equals", "value": "/login"}],
        "actions": [{"type": "deception", "deceptionType": "invalid_login_response"}]},
    {"id": "edits", "type": "request", "enabled": true, "groupOperator": "all",
        "conditions": [{"type": "single", "field": "path", "operator": "equals", "value": "/shop"}],
        "actions": [{"type": "setResponseHeader", "header": "X-Frame-Options", "value": "DENY"},
            {"type": "addResponseHeader", "header": "Vary", "value": "Origin"},
            {"type": "deleteResponseHeader", "header": "Server"}]}]}"#;

/// What [`EDITS`] has set and added.
fn edited() -> Vec<(bool, String, String)> {
    [(false, "X-Frame-Options", "DENY"), (true, "Vary", "Origin")]
        .map(|(adds, name, value)| (adds, name.to_owned(), value.to_owned()))
        .to_vec()
}

const ATTACK: &str = "/?q=%3Cscript%3Ealert(document.cookie)%3C/script%3E";
const SCRIPT: &str = "<script>alert(document.cookie)</script>";

const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";
const LOGS: &str = "/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs";
const PROCESS: &str = "/envoy.service.ext_proc.v3.ExternalProcessor/Process";
const HEALTH: &str = "/grpc.health.v1.Health/Check";
const WATCH: &str = "/grpc.health.v1.Health/Watch";
