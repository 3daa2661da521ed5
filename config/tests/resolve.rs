//! The four layers together: who wins, what is reported, what is never shown.
#![allow(clippy::unwrap_used, reason = "a test that cannot set up must fail")]

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::time::Duration;

use portcullis_config::{
    Inputs, Origin, Problems, Procs, Resolved, RpcAddress, Settings, Warning, configuration_markdown, usage,
};

struct Case {
    inputs: Inputs,
    files: HashMap<String, String>,
}

impl Case {
    fn new() -> Self {
        Self { inputs: Inputs::default(), files: HashMap::new() }
    }

    fn keys() -> Self {
        Self::new().env("SIGSCI_ACCESSKEYID", "id").env("SIGSCI_SECRETACCESSKEY", "hunter2")
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.inputs.env.push((name.to_owned(), value.to_owned()));
        self
    }

    fn args(mut self, args: &[&str]) -> Self {
        self.inputs.args.extend(args.iter().map(|&arg| arg.to_owned()));
        self
    }

    fn file(mut self, path: &str, text: &str) -> Self {
        self.files.insert(path.to_owned(), text.to_owned());
        self
    }

    fn resolve(&self) -> Result<Resolved, Problems> {
        Settings::resolve(&self.inputs, |path: &Path| {
            let text = self.files.get(path.to_str().unwrap());
            text.map(|text| text.clone().into_bytes()).ok_or_else(|| io::ErrorKind::NotFound.into())
        })
    }

    fn ok(&self) -> Resolved {
        self.resolve().unwrap()
    }

    fn problems(&self) -> String {
        self.resolve().unwrap_err().to_string()
    }
}

const CONF: &str = "/etc/sigsci/agent.conf";

#[test]
fn command_line_wins_over_environment_over_file_over_default() {
    let case = Case::keys().file(CONF, "max-procs = 1\nserver-flavor = \"file\"\nlog-level = \"warn\"\n");
    let file = case.ok();
    assert_eq!(file.settings.max_procs.value, Procs::Count(1));
    assert_eq!(file.settings.max_procs.origin, Origin::File { path: CONF.into(), line: 1 });
    let env = case.env("SIGSCI_MAX_PROCS", "2").env("SIGSCI_SERVER_FLAVOR", "env").ok();
    assert_eq!(env.settings.max_procs.value, Procs::Count(2));
    assert_eq!(env.settings.server_flavor.value, "env");
    let case = Case::keys().env("SIGSCI_MAX_PROCS", "2").file(CONF, "max-procs=1");
    let line = case.args(&["-max-procs=50%"]).ok();
    assert_eq!(line.settings.max_procs.value, Procs::Share(50));
    assert_eq!(line.settings.max_procs.origin, Origin::CommandLine);
}

#[test]
fn flags_take_one_or_two_dashes_and_equals_or_space() {
    for args in [
        &["--waf-data-log", "/dev/stdout"][..],
        &["-waf-data-log", "/dev/stdout"],
        &["--waf-data-log=/dev/stdout"],
        &["-waf-data-log='/dev/stdout'"],
    ] {
        let resolved = Case::keys().args(args).ok();
        assert_eq!(
            resolved.settings.waf_data_log.as_ref().unwrap().to_str(),
            Some("/dev/stdout"),
            "{args:?}"
        );
    }
    let switched =
        Case::keys().args(&["--debug-log-blocked-requests", "--waf-data-log-all=false", "check-config"]).ok();
    assert!(switched.settings.debug_log_blocked_requests.value);
    assert!(!switched.settings.waf_data_log_all.value);
    assert_eq!(switched.words, ["check-config"]);
}

#[test]
fn the_file_may_be_named_by_flag_or_variable_and_must_then_exist() {
    let case = Case::keys().file("/x.conf", "server-flavor = x\n");
    assert_eq!(case.env("SIGSCI_CONFIG", "/x.conf").ok().settings.server_flavor.value, "x");
    assert!(Case::keys().args(&["--config", "/nope.conf"]).problems().contains("cannot read /nope.conf"));
}

#[test]
fn quoted_numbers_csv_arrays_and_comments_are_read() {
    let text = "\
# comment
debug-log-web-inputs = \"2\"
inspection-timeout = 250      # milliseconds
cleaner_interval = '1m30s'
client-ip-header = [\"X-Real-IP\", 'X-Forwarded-For']
statsd-metrics = [
  \"sigsci.agent.waf.*\",
  \"sigsci.agent.rpc.*\",
]
local-networks = \"private,203.0.113.0/24\"
";
    let settings = Case::keys().file(CONF, text).ok().settings;
    assert_eq!(settings.debug_log_web_inputs.value, 2);
    assert_eq!(settings.inspection_timeout.0, Duration::from_millis(250));
    assert_eq!(settings.cleaner_interval.0, Duration::from_secs(90));
    assert_eq!(settings.client_ip_header.0, ["X-Real-IP", "X-Forwarded-For"]);
    assert_eq!(settings.statsd_metrics.0, ["sigsci.agent.waf.*", "sigsci.agent.rpc.*"]);
    assert!(settings.local_networks.contain("10.1.2.3".parse().unwrap()));
    assert!(settings.local_networks.contain("::ffff:203.0.113.9".parse().unwrap()));
    assert!(!settings.local_networks.contain("198.51.100.1".parse().unwrap()));
}

#[test]
fn arrays_hold_comments_quotes_and_addresses() {
    let text = "\
admin-listener = [::1]:9000   # not an array
statsd-metrics = [ # what dashboards show
  # the first
  \"sigsci.agent.waf.*\",
  'a # b,c', it's, \"d\\\"]\",
  # the last
] # done
rpc-address = [::1]:9001
local-networks = [::1, 10.0.0.0/8]
";
    let settings = Case::keys().file(CONF, text).ok().settings;
    assert_eq!(settings.admin_listener.as_ref().unwrap().to_string(), "[::1]:9000");
    assert_eq!(settings.statsd_metrics.0, ["sigsci.agent.waf.*", "a # b", "c", "it's", "d\"]"]);
    assert_eq!(settings.rpc_address.to_string(), "[::1]:9001");
    assert!(settings.local_networks.contain("::1".parse().unwrap()));
    let open = Case::keys().file(CONF, "max-procs = 1\nlocal-networks = [\n'10.0.0.0/8',\n").problems();
    assert!(open.contains("agent.conf:2: expected a closing ]"), "{open}");
}

#[test]
fn every_problem_is_reported_at_once_with_option_source_and_line() {
    let case = Case::new()
        .file(CONF, "max-procs = many\nno equals sign\n[somewhere]\n")
        .env("SIGSCI_INSPECTION_TIMEOUT", "soon")
        .args(&["--sample-percent=101"]);
    let problems = case.problems();
    for expected in [
        "max-procs (/etc/sigsci/agent.conf:1): expected a number of CPUs",
        "/etc/sigsci/agent.conf:2: expected name = value",
        "/etc/sigsci/agent.conf:3: expected [revproxy-listener.NAME]",
        "inspection-timeout (environment SIGSCI_INSPECTION_TIMEOUT): expected a duration",
        "sample-percent (command line): must be between 0 and 100",
        "accesskeyid: missing: set SIGSCI_ACCESSKEYID",
        "secretaccesskey: missing: set SIGSCI_SECRETACCESSKEY",
    ] {
        assert!(problems.contains(expected), "{expected}\nnot in\n{problems}");
    }
}

#[test]
fn unknown_options_warn_with_the_nearest_name() {
    let resolved = Case::keys().env("SIGSCI_MAX_PROC", "2").file(CONF, "quite-unlike-anything = 1\n").ok();
    let text: Vec<String> = resolved.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        text,
        [
            "unknown option quite-unlike-anything (/etc/sigsci/agent.conf:1)",
            "unknown option max-proc (environment SIGSCI_MAX_PROC); did you mean max-procs?",
        ]
    );
}

#[test]
fn variables_that_kubernetes_adds_for_a_service_are_left_alone() {
    let case = Case::keys()
        .env("SIGSCI_AGENT_SERVICE_HOST", "10.0.0.1")
        .env("SIGSCI_AGENT_PORT", "tcp://10.0.0.1:80")
        .env("SIGSCI_AGENT_PORT_80_TCP_ADDR", "10.0.0.1");
    assert!(case.ok().warnings.is_empty());
}

#[test]
fn options_without_effect_and_deprecated_ones_say_so_once() {
    let resolved =
        Case::keys().env("SIGSCI_UPLOAD_URL", "https://a.example").env("SIGSCI_REVERSE_PROXY", "false").ok();
    assert!(matches!(resolved.warnings[0], Warning::Deprecated { option: "reverse-proxy", .. }));
    assert!(matches!(resolved.warnings[1], Warning::NoEffect { option: "upload-url", .. }));
}

#[test]
fn the_older_options_make_one_listener() {
    let case = Case::keys()
        .env("SIGSCI_REVERSE_PROXY", "true")
        .env("SIGSCI_REVERSE_PROXY_LISTENER", "0.0.0.0:8080")
        .env("SIGSCI_REVERSE_PROXY_UPSTREAM", "app:80,http://other:81");
    let resolved = case.ok();
    let [(name, listener)] = resolved.settings.revproxy_listener.0.as_slice() else { panic!("not one") };
    assert_eq!((name.as_str(), listener.listener.as_str()), ("reverse-proxy", "http://0.0.0.0:8080"));
    assert_eq!(listener.upstreams.0, ["http://app:80", "http://other:81"]);
    assert!(*listener.pass_host_header);
    let lone = Case::keys().env("SIGSCI_REVERSE_PROXY", "true");
    assert!(lone.problems().contains("reverse-proxy-listener"));
    let lone = Case::keys().env("SIGSCI_REVPROXY", "true").env("SIGSCI_REVERSE_PROXY_LISTENER", "0.0.0.0:80");
    assert!(lone.problems().contains("reverse-proxy-upstream"));
}

#[test]
fn the_four_spellings_of_an_rpc_address() {
    for (text, shown) in [
        ("unix:/run/a.sock", "unix:/run/a.sock"),
        ("/run/a.sock", "unix:/run/a.sock"),
        ("0.0.0.0:9999", "0.0.0.0:9999"),
        ("9999", "127.0.0.1:9999"),
        ("[::1]:9999", "[::1]:9999"),
    ] {
        let resolved = Case::keys().args(&["--rpc-address", text]).ok();
        assert_eq!(resolved.settings.rpc_address.to_string(), shown);
    }
    assert!(matches!(Case::keys().ok().settings.rpc_address.value, RpcAddress::Unix(_)));
    for wrong in ["unix:", "host", "::1:80", "1.2.3.4:99999"] {
        assert!(Case::keys().args(&["--rpc-address", wrong]).problems().contains("rpc-address"), "{wrong}");
    }
}

#[test]
fn secrets_come_from_files_and_are_never_shown() {
    let case = Case::new()
        .env("SIGSCI_ACCESSKEYID", "id")
        .env("SIGSCI_SECRETACCESSKEY_FILE", "/run/secrets/key")
        .file("/run/secrets/key", "hunter2\n");
    let resolved = case.ok();
    assert_eq!(resolved.settings.secretaccesskey.expose(), "hunter2");
    let shown = format!("{:?} {:?}", resolved.settings, resolved.settings.entries());
    assert!(!shown.contains("hunter2"));
    assert!(shown.contains("********"));
    let missing = Case::keys().env("SIGSCI_ACCESSKEYID_FILE", "/nope").problems();
    assert!(missing.contains("accesskeyid-file (environment SIGSCI_ACCESSKEYID_FILE): cannot read /nope"));
    let empty = Case::keys().env("SIGSCI_ACCESSKEYID_FILE", "/id").file("/id", "\n").problems();
    assert!(
        empty.contains("accesskeyid-file (environment SIGSCI_ACCESSKEYID_FILE): /id is empty"),
        "{empty}"
    );
}

#[test]
fn listeners_are_read_from_the_environment_in_the_vendors_language() {
    let text = "app:{listener='http://0.0.0.0:8001',upstreams='http://0.0.0.0:8000,https://b/',access-log='/dev/stdout'};\n \
                two:{ listener = http://[::]:8888/, upstreams=https://x:443/, pass-host-header=true, } ;";
    let listeners =
        Case::keys().env("SIGSCI_REVPROXY_LISTENER", text).ok().settings.revproxy_listener.value.0;
    assert_eq!(listeners.len(), 2);
    let (name, app) = &listeners[0];
    assert_eq!((name.as_str(), app.listener.as_str()), ("app", "http://0.0.0.0:8001"));
    assert_eq!(app.upstreams.0, ["http://0.0.0.0:8000", "https://b/"]);
    assert_eq!(app.access_log.as_ref().unwrap().to_str(), Some("/dev/stdout"));
    assert!(!app.pass_host_header.value);
    let (name, two) = &listeners[1];
    assert_eq!((name.as_str(), two.listener.as_str()), ("two", "http://[::]:8888/"));
    assert!(two.pass_host_header.value);
}

#[test]
fn a_faulty_listener_points_at_the_character() {
    for (text, expected) in [
        ("app", "expected ':' after the listener's name at character 4"),
        ("app:{listener='http://x", "quote is never closed at character 15"),
        ("app:{listener=http://x", "expected '}' at character 23"),
        ("app:{listner=x}", "unknown key listner, did you mean listener? at character 6"),
        ("app:{http2=maybe}", "http2: expected true or false at character 12"),
        ("a:{listener=b,upstreams=c} b:{}", "expected ';' after the listener's '}' at character 28"),
        (
            "a:{listener=b,upstreams=c};a:{}",
            "listener a: expected listener names that are unique at character 28",
        ),
        ("a:{}", "revproxy-listener.a.listener (environment SIGSCI_REVPROXY_LISTENER): missing"),
        ("a:{listener=x,upstreams='y,z',grpc=true}", "a gRPC listener has exactly one upstream"),
    ] {
        let problems = Case::keys().env("SIGSCI_REVPROXY_LISTENER", text).problems();
        assert!(problems.contains(expected), "{text}: {expected}\nnot in\n{problems}");
    }
}

#[test]
fn listener_blocks_of_the_file() {
    let text = "\
server-flavor = \"x\"
[revproxy-listener.app]
listener = \"http://0.0.0.0:8001\"
upstreams = \"http://127.0.0.1:8000\"
conn-timeout = 5
[revproxy-listener.second]
listener = \"http://0.0.0.0:8002\"
upstreams = [\"http://127.0.0.1:8000\", \"http://127.0.0.1:8003\"]
";
    let listeners = Case::keys().file(CONF, text).ok().settings.revproxy_listener.value.0;
    assert_eq!(listeners.len(), 2);
    assert_eq!(listeners[0].1.conn_timeout.0, Duration::from_millis(5));
    assert_eq!(listeners[1].1.upstreams.0.len(), 2);
    let twice =
        "[revproxy-listener.a]\nlistener=\"x\"\nupstreams=\"y\"\n[revproxy-listener.a]\nhttp2=maybe\n";
    let problems = Case::keys().file(CONF, twice).problems();
    assert!(problems.contains("agent.conf:4): expected listener names that are unique"), "{problems}");
    assert!(problems.contains("revproxy-listener.a.http2 (/etc/sigsci/agent.conf:5)"), "{problems}");
    let bare = "[revproxy-listener.a]\nlistener=x\n[revproxy-listener.b]\nlistener=y\nupstreams=z\n";
    let problems = Case::keys().file(CONF, bare).problems();
    assert!(
        problems.contains("revproxy-listener.a.upstreams (/etc/sigsci/agent.conf:1): missing"),
        "{problems}"
    );
    let both =
        "revproxy-listener = 'a:{listener=x,upstreams=y}'\n[revproxy-listener.b]\nlistener=x\nupstreams=y\n";
    let listeners = Case::keys().file(CONF, both).ok().settings.revproxy_listener.value.0;
    assert_eq!(listeners.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn threads_follow_the_documented_defaults() {
    for (procs, cpus, threads) in [
        (Procs::Auto, 1, 1),
        (Procs::Auto, 2, 2),
        (Procs::Auto, 3, 2),
        (Procs::Auto, 8, 4),
        (Procs::Count(3), 8, 3),
        (Procs::Share(25), 8, 2),
        (Procs::Share(1), 4, 1),
    ] {
        assert_eq!(procs.threads(cpus), threads, "{procs} of {cpus}");
    }
}

#[test]
fn usage_tells_of_options_and_of_keys_of_listeners() {
    let told = usage();
    for line in ["  --max-procs NUMBER|N% (default auto)\n", "\n  shutdown-timeout DURATION (default 30s)\n"]
    {
        assert!(told.contains(line), "{line}");
    }
}

#[test]
fn the_reference_page_is_what_the_table_says() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md");
    let made = configuration_markdown();
    if std::env::var_os("PORTCULLIS_BLESS").is_some() {
        std::fs::write(page, &made).unwrap();
    }
    let kept = std::fs::read_to_string(page).unwrap_or_default();
    assert!(
        kept == made,
        "docs/configuration.md is stale: run PORTCULLIS_BLESS=1 cargo test -p portcullis-config"
    );
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn no_text_makes_it_panic(file in "\\PC{0,200}", listener in "\\PC{0,80}", arg in "\\PC{0,40}") {
        let case = Case::keys().file(CONF, &file).env("SIGSCI_REVPROXY_LISTENER", &listener).args(&[&arg, &file]);
        let _ = case.resolve();
    }

    #[test]
    fn what_is_shown_is_read_again(millis in 0_u64..10_000_000, bytes: u32, mode in 0_u32..0o1000) {
        let args = [format!("--inspection-timeout={millis}"), format!("--inspection-max-content-length={bytes}"), format!("--rpc-socket-mode={mode:o}")];
        let first = Case::keys().args(&args.each_ref().map(String::as_str)).ok().settings;
        let shown: Vec<String> = first.entries().into_iter()
            .filter(|(name, _, _)| args.iter().any(|arg| arg.contains(name)))
            .map(|(name, value, _)| format!("--{name}={value}")).collect();
        let again = Case::keys().args(&shown.iter().map(String::as_str).collect::<Vec<_>>()).ok().settings;
        proptest::prop_assert_eq!(first.inspection_timeout.0, again.inspection_timeout.0);
        proptest::prop_assert_eq!(first.inspection_max_content_length.0, again.inspection_max_content_length.0);
        proptest::prop_assert_eq!(first.rpc_socket_mode.0, again.rpc_socket_mode.0);
    }
}
