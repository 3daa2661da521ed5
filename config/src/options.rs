//! The agent's options. Names, defaults and meanings are those of the agent that users replace, and our own.

use std::path::PathBuf;

use crate::listener::Listeners;
use crate::table::Effect::{Accepted, Active, Deprecated, Experimental};
use crate::table::table;
use crate::values::{
    ByteSize, Csv, HostPort, LogFormat, LogLevel, Mode, Networks, Optional, Percent, Procs, RpcAddress,
    Secret, Span, StatsdType,
};

const NO_CLOUD: &str = "the agent works without a vendor's cloud: policy comes from policy-file";
const NO_CONSOLE: &str = "there is no console to tell: upload-log, /metrics and statsd-address have the numbers, waf-data-log and otlp-logs-url the requests";
const NO_SPOE: &str = "what the vendor's HAProxy files call their messages and variables is not public; HAProxy is served by its Lua module over rpc-address, or by revproxy-listener behind it";
const OWN_PROTOCOL: &str = "every module protocol version is answered without being told";

table! {
    /// Every option of the agent with its value and origin.
    pub struct Settings {
        "accesskeyid" accesskeyid: Secret = "", Active, "Public half of the key pair that names this agent's site. Required.";
        "secretaccesskey" secretaccesskey: Secret = "", Active, "Secret half of the key pair. Required.";
        "accesskeyid-file" accesskeyid_file: Optional<PathBuf> = "", Active, "File that holds accesskeyid; read again when it changes.";
        "secretaccesskey-file" secretaccesskey_file: Optional<PathBuf> = "", Active, "File that holds secretaccesskey; read again when it changes.";
        "config" config: PathBuf = "/etc/sigsci/agent.conf", Active, "Configuration file. A missing file is an error only where this option names it.";

        "rpc-address" rpc_address: RpcAddress = "unix:/var/run/sigsci.sock", Active, "Where modules and the filter reach the agent.";
        "rpc-socket-mode" rpc_socket_mode: Mode = "0666", Active, "Permission bits of the unix socket: the module usually runs as another user.";
        "max-connections" max_connections: u64 = "0", Active, "Open RPC connections; beyond it new ones wait in the backlog. 0 is 10000.";
        "max-backlog" max_backlog: u64 = "0", Active, "Connections that may wait to be accepted. 0 is 1024.";
        "max-inspecting" max_inspecting: u64 = "0", Active, "Requests of 4 KiB and more inspected at once; beyond it they are answered as not inspected. 0 is 64 per thread.";
        "max-procs" max_procs: Procs = "auto", Active, "CPUs the agent may use. auto: 1 on one CPU, 2 on two or three, half of more.";
        "rpc-workers" rpc_workers: u64 = "0", Accepted("max-procs sets the number of threads"), "Number of RPC workers.";
        "rpc-version" rpc_version: u64 = "0", Accepted(OWN_PROTOCOL), "Version of the module RPC.";
        "shutdown-grace" shutdown_grace: Span = "25s", Active, "How long requests under way may take after SIGTERM.";

        "policy-file" policy_file: Optional<PathBuf> = "", Active, "Policy: a JSON or YAML file, or a folder of them. Loaded again when it changes, on SIGHUP and on POST /reload. None: log mode.";
        "geo-database" geo_database: Optional<PathBuf> = "", Active, "MaxMind database that tells the country of an address; read again on reload.";
        "inspection-timeout" inspection_timeout: Span = "100ms", Active, "Longest time to a verdict on a request of 4 KiB and more; after it the request passes, marked not inspected. Smaller ones are never that slow.";
        "inspection-max-content-length" inspection_max_content_length: ByteSize = "307200", Active, "Most bytes of a body that are inspected.";
        "inspection-anomaly-size" inspection_anomaly_size: ByteSize = "524288", Active, "Reported responses larger than this are recorded though nothing was found.";
        "inspection-anomaly-duration" inspection_anomaly_duration: Span = "10s", Active, "Reported responses slower than this are recorded though nothing was found.";
        "inspection-alt-response-codes" inspection_alt_response_codes: Csv = "", Accepted("blockHTTPCode in the policy sets the code"), "Former alternative block codes.";
        "inspection-debug" inspection_debug: bool = "false", Active, "Log what was found in each request.";
        "inspect-websocket" inspect_websocket: bool = "false", Active, "Inspect WebSocket text frames in reverse proxy mode.";
        "sample-percent" sample_percent: Percent = "100", Active, "Share of requests that are inspected.";
        "context-expiration" context_expiration: Span = "10s", Active, "How long a request waits for its response to be reported.";
        "cleaner-interval" cleaner_interval: Span = "10s", Active, "How often expired requests are removed.";
        "client-ip-header" client_ip_header: Csv = "X-Forwarded-For", Active, "Headers that hold the client's address, first match wins.";
        "local-networks" local_networks: Networks = "all", Active, "Peers whose client-ip-header is believed.";
        "custom-request-headers" custom_request_headers: Csv = "", Experimental, "Headers added for the application, name:value; $AgentResponse, $RequestID and $TagList stand for their values.";
        "anonymous-ip-secret-key" anonymous_ip_secret_key: Secret = "", Active, "Key of the hash that stands for addresses in records where the site asks for that. Default: secretaccesskey.";
        "open-api-spec-file" open_api_spec_file: Optional<PathBuf> = "", Accepted("requests are not held to an API description: rules on path, method and parameters can say the same"), "OpenAPI 3.0 document.";

        "revproxy-listener" revproxy_listener: Listeners = "", Active, "Reverse proxy listeners: name:{listener=http://0.0.0.0:8001,upstreams=http://127.0.0.1:8000};...";
        "reverse-proxy" reverse_proxy: bool = "false", Deprecated("revproxy-listener"), "Turns on the one reverse proxy listener of the three options below.";
        "revproxy" revproxy: bool = "false", Deprecated("revproxy-listener"), "Same as reverse-proxy.";
        "reverse-proxy-listener" reverse_proxy_listener: Optional<HostPort> = "", Deprecated("revproxy-listener"), "Address of that listener.";
        "reverse-proxy-upstream" reverse_proxy_upstream: Csv = "", Deprecated("revproxy-listener"), "Its upstreams, host:port.";
        "reverse-proxy-pass-host-header" reverse_proxy_pass_host_header: bool = "true", Deprecated("revproxy-listener"), "Whether it passes the Host header on.";
        "reverse-proxy-accesslog" reverse_proxy_accesslog: Optional<PathBuf> = "", Deprecated("revproxy-listener"), "Its access log.";
        "bypass-egress-proxy-for-upstreams" bypass_egress_proxy_for_upstreams: bool = "false", Accepted("HTTP_PROXY and HTTPS_PROXY are not read: upstreams are always reached directly"), "Ignore HTTP_PROXY for upstreams.";

        "server-hostname" server_hostname: String = "", Active, "Name of this agent in records. Default: the host's name.";
        "server-flavor" server_flavor: String = "", Active, "Server type shown in records instead of the module's.";
        "shared-cache-dir" shared_cache_dir: PathBuf = "/tmp/sigsci-agent.cache", Active, "Folder in which flags and counts survive a restart. One agent a folder.";
        "snapshot-interval" snapshot_interval: Span = "10s", Active, "How often counts are written there. Flags are there before anybody sees them work.";
        "state-addresses" state_addresses: u64 = "0", Active, "Counts that are remembered, about one an attacking address; beyond it the least telling are forgotten. 0 is 1000000.";
        "startup-probe-listener" startup_probe_listener: Optional<HostPort> = "", Active, "Answers GET /startup: 503 until the policy is loaded, then 200.";
        "startup-probe-filepath" startup_probe_filepath: Optional<PathBuf> = "", Active, "File created once the policy is loaded.";
        "admin-listener" admin_listener: Optional<HostPort> = "", Active, "Serves /healthz /readyz /metrics /config /version /flags, takes POST /reload and /unflag. Give a loopback address: it has no authentication.";

        "log-out" log_out: Optional<PathBuf> = "", Active, "Agent log. Default: standard error. Opened again on SIGHUP.";
        "log-level" log_level: LogLevel = "info", Active, "Least severity that is logged.";
        "log-format" log_format: LogFormat = "text", Active, "What a log line looks like.";
        "waf-data-log" waf_data_log: Optional<PathBuf> = "", Active, "One JSON line a request with signals, secrets redacted. Opened again on SIGHUP.";
        "waf-data-log-all" waf_data_log_all: bool = "false", Active, "One JSON line for every request, to waf-data-log; the response of every request is then asked for.";
        "events-log" events_log: Optional<PathBuf> = "", Active, "One JSON line an event: threshold reached, flagged, expired, rate limited, policy loaded. Opened again on SIGHUP.";
        "otlp-logs-url" otlp_logs_url: String = "", Active, "OpenTelemetry collector that gets the records of waf-data-log, OTLP over HTTP: http://HOST:4318/v1/logs or https://.";
        "otlp-ca-roots" otlp_ca_roots: Optional<PathBuf> = "", Active, "Roots that an https otlp-logs-url is checked against, PEM. Default: the system's. Read at start.";
        "debug-log-all-the-things" debug_log_all_the_things: bool = "false", Active, "Turns every debug log on.";
        "debug-log-blocked-requests" debug_log_blocked_requests: bool = "false", Active, "A line a blocked request.";
        "debug-log-config-updates" debug_log_config_updates: u8 = "0", Active, "1: a line a policy update; 2: with details.";
        "debug-log-connection-errors" debug_log_connection_errors: u8 = "0", Active, "1: connection errors; 2: with details.";
        "debug-log-engine-errors" debug_log_engine_errors: u8 = "0", Active, "1: budgets that inspection spent.";
        "debug-log-proxy-requests" debug_log_proxy_requests: bool = "false", Active, "A line a proxied request.";
        "debug-log-rpc-data" debug_log_rpc_data: u8 = "0", Active, "1: sizes and methods of RPC messages; 2: redacted messages.";
        "debug-log-uploads" debug_log_uploads: u8 = "0", Active, "The same to the agent's log: 1 JSON on a line, 2 indented.";
        "debug-log-web-inputs" debug_log_web_inputs: u8 = "0", Active, "What modules say, redacted: 1 JSON on a line, 2 indented.";
        "debug-log-web-outputs" debug_log_web_outputs: u8 = "0", Active, "What modules are told: 1 JSON on a line, 2 indented.";
        "debug-disable-processing" debug_disable_processing: bool = "false", Active, "Answer every request as not inspected.";
        "debug-standalone" debug_standalone: u8 = "0", Active, "Bits: 1 no telemetry, 4 no policy-file: the built-in rules only, in log mode. 2, no download, always holds.";
        "debug-rpc-test-harness" debug_rpc_test_harness: bool = "false", Accepted("the vendor's module test suite speaks to its own agent; a module is tested against rpc-address"), "Opens the vendor's test port.";

        "statsd-address" statsd_address: Optional<HostPort> = "", Active, "Metrics sink, UDP.";
        "statsd-metrics" statsd_metrics: Csv = "*", Active, "Globs of the metrics that are sent.";
        "statsd-type" statsd_type: StatsdType = "statsd", Active, "Dialect of the sink.";
        "statsd-interval" statsd_interval: Span = "10s", Active, "How often metrics are sent.";

        "envoy-grpc-address" envoy_grpc_address: Optional<RpcAddress> = "", Active, "Serves Envoy by gRPC: ext_authz, access logs, health and, where it is enabled, ext_proc. A TCP address or a unix socket.";
        "envoy-grpc-cert" envoy_grpc_cert: Optional<PathBuf> = "", Active, "Certificate chain of that server, PEM: it then speaks TLS only. Read at start.";
        "envoy-grpc-key" envoy_grpc_key: Optional<PathBuf> = "", Active, "Its key, PEM.";
        "envoy-expect-response-data" envoy_expect_response_data: u8 = "0", Active, "1: the record of a request that ext_authz asked about waits for Envoy's access log; 0: it is written without its response.";
        "envoy-extproc-enabled" envoy_extproc_enabled: bool = "false", Active, "Serve ext_proc at envoy-grpc-address.";
        "haproxy-spoa-enabled" haproxy_spoa_enabled: bool = "false", Accepted(NO_SPOE), "SPOE agent.";
        "haproxy-spoa-address" haproxy_spoa_address: String = "unix:/var/run/sigsci-ha.sock", Accepted(NO_SPOE), "SPOE listener.";

        "max-records" max_records: u64 = "0", Active, "Records that may wait to be written or sent, of 8 KiB each on average; more are counted and dropped. 0 is 10000.";
        "download-url" download_url: String = "", Accepted(NO_CLOUD), "Source of rules.";
        "download-failover-url" download_failover_url: String = "", Accepted(NO_CLOUD), "Second source of rules.";
        "download-cdn-url" download_cdn_url: String = "", Accepted(NO_CLOUD), "Third source of rules.";
        "download-cdn-timeout" download_cdn_timeout: Span = "10s", Accepted(NO_CLOUD), "Its time-out.";
        "download-interval" download_interval: Span = "30s", Accepted(NO_CLOUD), "How often rules are polled.";
        "download-config-cache" download_config_cache: Optional<PathBuf> = "", Accepted(NO_CLOUD), "Last good rules.";
        "download-config-version" download_config_version: String = "0", Accepted(NO_CLOUD), "Pinned version of rules.";
        "upload-url" upload_url: String = "", Accepted(NO_CONSOLE), "Sink of telemetry.";
        "upload-interval" upload_interval: Span = "30s", Active, "How often that is.";
        "upload-log" upload_log: Optional<PathBuf> = "", Active, "Telemetry as a line of JSON each upload-interval: numbers of the agent and of signals. Opened again on SIGHUP.";
        "upload-syslog" upload_syslog: bool = "false", Active, "The same to the system's log (/dev/log).";
        "windows-eventlog-level" windows_eventlog_level: String = "", Accepted("this agent runs on Linux"), "Severity of the Windows event log.";
        "jaeger-tracing" jaeger_tracing: bool = "false", Accepted("traces are not exported: what a request met with is in its record (waf-data-log, otlp-logs-url) under the id that the application sees"), "Jaeger spans.";
    }
}
