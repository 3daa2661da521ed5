use super::*;

fn parsed(json: &str) -> (Config, Vec<String>) {
    Config::parse(json.as_bytes())
}

#[test]
fn takes_defaults_where_there_is_nothing() {
    for empty in ["", "  \n", "{}"] {
        assert_eq!(parsed(empty), (Config::default(), vec![]));
    }
}

#[test]
fn reads_every_key() {
    let (config, problems) = parsed(
        r#"{"agent_cluster": "waf", "timeout_ms": 250, "fail_open": false, "fail_status": 500,
            "inspect": true, "mode": "local-first",
            "body": {"mode": "after", "max_bytes": 4096, "content_types": ["Text/"], "skip_paths": ["/up/"]},
            "metrics_prefix": "waf_1", "filter_state": false, "log_level": "error", "route_metadata": true,
            "breaker": {"failures": 2, "pause_ms": 100, "max_pause_ms": 5000},
            "local": {"poll_ms": 1000, "max_age_ms": 9000, "max_body_bytes": 0},
            "report": {"enabled": false, "min_status": 500, "slow_ms": 2000, "large_bytes": 10, "headers": ["*"]},
            "fingerprints": {"ja3": "a.ja3", "ja4": "a.ja4", "cipher": "a.cipher"},
            "profiles": {"slow": {"timeout_ms": 2000}},
            "scope": [{"host": "a.example", "path": "/x", "profile": "slow", "fail_open": true}]}"#,
    );
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!(config.agent_cluster, "waf");
    let profile = config.scope.default_profile();
    assert_eq!(profile.timeout, Duration::from_millis(250));
    assert_eq!((profile.on_failure, profile.mode), (OnFailure::Closed(500), Mode::LocalFirst));
    assert_eq!((profile.body, profile.max_body), (BodyMode::After, 4096));
    assert_eq!(
        (profile.content_types.as_slice(), profile.skip_paths.as_slice()),
        (&["text/".into()][..], &["/up/".into()][..])
    );
    assert_eq!((config.metrics_prefix.as_str(), config.filter_state), ("waf_1", FilterState::Off));
    assert_eq!((config.log_level, config.route_metadata), (LogLevel::Error, RouteMetadata::Read));
    let (second, five) = (Duration::from_secs(1), Duration::from_secs(5));
    assert_eq!(config.breaker, Breaker { failures: 2, pause: second / 10, max_pause: five });
    assert_eq!(config.local, Local { poll: second, max_age: second * 9, max_body: 0 });
    let report = Report {
        mode: ReportMode::Off,
        min_status: 500,
        slow: second * 2,
        large: 10,
        headers: vec!["*".to_owned()],
    };
    assert_eq!(config.report, report);
    let state = |name: &str| format!("a.{name}");
    let fingerprints = Fingerprints { ja3: state("ja3"), ja4: state("ja4"), cipher: state("cipher") };
    assert_eq!(config.fingerprints, fingerprints);
    let slow = config.scope.of(b"a.example", b"/x");
    assert_eq!((slow.timeout, slow.on_failure), (second * 2, OnFailure::Open));
    assert!(config.judges());
}

#[test]
fn reads_body_mode_none() {
    let config = parsed(r#"{"body": {"mode": "none"}}"#).0;
    assert_eq!(config.scope.default_profile().body, BodyMode::None);
    assert!(!config.judges());
}

#[test]
fn keeps_defaults_for_bad_values_and_names_each() {
    let (config, problems) = parsed(
        r#"{"agent_cluster": "", "timeout_ms": 0, "fail_open": "no", "fail_status": 200, "colour": 1,
            "body": {"mode": "sometimes", "max_bytes": -1, "x": 1}, "report": 7, "metrics_prefix": "a b",
            "fingerprints": {"ja5": ""}, "breaker": [], "local": {"poll_ms": 0}, "log_level": "loud",
            "filter_state": 1, "route_metadata": "yes", "inspect": 1, "mode": "local_first",
            "profiles": {"p": {"colour": 1}}, "scope": {}}"#,
    );
    assert_eq!(Config { scope: Config::default().scope, ..config.clone() }, Config::default());
    assert_eq!(config.scope.default_profile(), Config::default().scope.default_profile());
    for key in [
        "agent_cluster",
        "timeout_ms",
        "fail_open",
        "fail_status",
        "colour",
        "body.mode",
        "body.max_bytes",
        "body.x",
        "report",
        "metrics_prefix",
        "fingerprints.ja5",
        "breaker",
        "local.poll_ms",
        "log_level",
        "filter_state",
        "route_metadata",
        "inspect",
        "mode",
        "profiles.p.colour",
        "scope",
    ] {
        let named = problems.iter().filter(|problem| problem.starts_with(&format!("{key} "))).count();
        assert_eq!(named, 1, "{key} in {problems:?}");
    }
    assert_eq!(problems.len(), 20);
}

#[test]
fn takes_defaults_for_what_is_no_object() {
    for bad in ["[]", "3", "{", "\u{1}", "{\"timeout_ms\": 50}x"] {
        let (config, problems) = parsed(bad);
        assert_eq!((config, problems.len()), (Config::default(), 1), "{bad}");
    }
    assert_eq!(Config::parse(b"\xff{}").0, Config::default());
}
