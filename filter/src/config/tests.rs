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
            "body": {"mode": "after", "max_bytes": 4096}, "metrics_prefix": "waf_1",
            "report": {"enabled": false, "min_status": 500, "slow_ms": 2000, "large_bytes": 10},
            "fingerprints": {"ja3": "a.ja3", "ja4": "a.ja4", "cipher": "a.cipher"}}"#,
    );
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!(config.agent_cluster, "waf");
    assert_eq!(config.timeout, Duration::from_millis(250));
    assert_eq!(config.on_failure, OnFailure::Closed(500));
    assert_eq!((config.body, config.max_body), (BodyMode::After, 4096));
    assert_eq!(config.metrics_prefix, "waf_1");
    let report = Report { mode: ReportMode::Off, min_status: 500, slow: Duration::from_secs(2), large: 10 };
    assert_eq!(config.report, report);
    let state = |name: &str| format!("a.{name}");
    let fingerprints = Fingerprints { ja3: state("ja3"), ja4: state("ja4"), cipher: state("cipher") };
    assert_eq!(config.fingerprints, fingerprints);
}

#[test]
fn reads_body_mode_none() {
    assert_eq!(parsed(r#"{"body": {"mode": "none"}}"#).0.body, BodyMode::None);
}

#[test]
fn keeps_defaults_for_bad_values_and_names_each() {
    let (config, problems) = parsed(
        r#"{"agent_cluster": "", "timeout_ms": 0, "fail_open": "no", "fail_status": 200, "colour": 1,
            "body": {"mode": "sometimes", "max_bytes": -1, "x": 1}, "report": 7, "metrics_prefix": "a b",
            "fingerprints": {"ja5": ""}}"#,
    );
    assert_eq!(config, Config::default());
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
    ] {
        let named = problems.iter().filter(|problem| problem.starts_with(&format!("{key} "))).count();
        assert_eq!(named, 1, "{key} in {problems:?}");
    }
    assert_eq!(problems.len(), 11);
}

#[test]
fn takes_defaults_for_what_is_no_object() {
    for bad in ["[]", "3", "{", "\u{1}", "{\"timeout_ms\": 50}x"] {
        let (config, problems) = parsed(bad);
        assert_eq!((config, problems.len()), (Config::default(), 1), "{bad}");
    }
    assert_eq!(Config::parse(b"\xff{}").0, Config::default());
}
