//! What a collector gets, and what it may say.

use super::*;

#[test]
fn knows_where_collectors_listen() {
    let of = |url: &str| {
        let target = target(url)?;
        Some((target.scheme, format!("{} {} {}", target.host, target.port, target.path)))
    };
    assert_eq!(of("http://collector"), Some((Scheme::Http, "collector 4318 /v1/logs".to_owned())));
    assert_eq!(of("http://[::1]:80/x"), Some((Scheme::Http, "::1 80 /x".to_owned())));
    assert_eq!(of("https://collector:443/x"), Some((Scheme::Https, "collector 443 /x".to_owned())));
    let with_query = Some((Scheme::Https, "collector 4318 /x?key=1".to_owned()));
    assert_eq!(of("https://collector/x?key=1"), with_query);
    assert_eq!(target("http://[::1]").unwrap().authority, "[::1]:4318");
    for url in ["", "collector:4318", "ftp://collector", "http://", "/v1/logs", "http://a:99999", "http://a:"]
    {
        assert_eq!(of(url), None, "{url}");
    }
}

#[test]
fn never_shows_a_password_that_has_no_place_there() {
    let counters = Arc::new(Counters::default());
    for url in ["https://me:hunter2@collector/v1/logs", "me:hunter2@collector", "http://me:hunter2@"] {
        let fault = Otlp::new((url, None), 1, "agent".into(), &counters).map(|_| ()).unwrap_err();
        assert_eq!(fault.to_string(), "otlp-logs-url: a user's name or password has no place in it");
    }
    assert!(!has_credentials("https://collector/@?a=@"));
}

#[test]
fn waits_as_long_as_it_is_asked_to() {
    let now: Timestamp = "2026-09-21T14:13:20Z".parse().unwrap();
    let asked = |value: &str| {
        let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_str(value).unwrap())]);
        pause(&headers, now).map(|pause| pause.as_secs())
    };
    assert_eq!(asked("7"), Some(7));
    assert_eq!(asked("86400"), Some(60));
    assert_eq!(asked("Mon, 21 Sep 2026 14:13:50 GMT"), Some(30));
    assert_eq!(asked("Mon, 21 Sep 2026 14:13:10 GMT"), Some(0));
    assert_eq!((asked("soon"), pause(&HeaderMap::new(), now)), (None, None));
    for _ in 0..100 {
        let pause = scattered(Duration::from_secs(2));
        assert!((1000..3000).contains(&pause.as_millis()), "{pause:?}");
    }
}

#[test]
fn hears_what_a_collector_refuses() {
    for (said, wanted) in [
        (r#"{"partialSuccess":{"rejectedLogRecords":"3","errorMessage":"too old"}}"#, 3),
        (r#"{"partialSuccess":{"rejectedLogRecords":3}}"#, 3),
        (r#"{"partialSuccess":{"errorMessage":"slow down"}}"#, 0),
        (r#"{"partialSuccess":{}}"#, 0),
        ("{}", 0),
        ("", 0),
    ] {
        assert_eq!(refused(said.as_bytes()), wanted, "{said}");
    }
}

#[test]
fn counts_what_it_gives_up() {
    let counters = Arc::new(Counters::default());
    let made = Otlp::new(("http://127.0.0.1:1", None), 10, "agent".into(), &counters);
    let (otlp, mut exporter) = made.unwrap();
    (0..3).for_each(|_| otlp.put(Box::new(Record::testing())));
    exporter.under_way = 2;
    drop(exporter);
    assert_eq!((counters.otlp_dropped.value(), counters.otlp_failed.value()), (3, 2));
}

#[test]
fn refuses_roots_that_it_can_not_use() {
    let counters = Arc::new(Counters::default());
    let refused = |url: &str, roots: &str| {
        let made = Otlp::new((url, Some(Path::new(roots))), 1, "agent".into(), &counters);
        made.map(|_| ()).unwrap_err().to_string()
    };
    assert_eq!(refused("http://collector", "/roots.pem"), "otlp-ca-roots: otlp-logs-url is not https");
    assert_eq!(refused("https://collector", "/nowhere/roots.pem"), "otlp-ca-roots");
}
