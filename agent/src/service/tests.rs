use portcullis_config::{Inputs, Settings};
use portcullis_detect::Header;
use portcullis_policy::{Policy, Secret, State, StateLimits};
use portcullis_protocol::RpcMsgIn2;

use super::*;
use crate::inspector::Options;
use crate::lines::{DataLog, Kind};
use crate::snapshot::Snapshot;

fn settings(args: &[&str]) -> Settings {
    let keys = ["--accesskeyid=a", "--secretaccesskey=b"];
    let args = keys.iter().chain(args).map(|&arg| arg.to_owned()).collect();
    let inputs = Inputs { args, env: Vec::new() };
    Settings::resolve(&inputs, |_| Err(std::io::ErrorKind::NotFound.into())).unwrap().settings
}

impl Service {
    /// One for tests: `most` large requests at once, each for at most `time`.
    pub(crate) fn testing(most: usize, time: Duration) -> Arc<Self> {
        Self::recording(most, time, &[], Outlets::default())
    }

    fn recording(most: usize, time: Duration, args: &[&str], outlets: Outlets) -> Arc<Self> {
        Self::judging(Policy::default(), (most, time), args, outlets)
    }

    fn judging(
        policy: Policy,
        (most, time): (usize, Duration),
        args: &[&str],
        outlets: Outlets,
    ) -> Arc<Self> {
        let settings = settings(args);
        let snapshot = Snapshot::testing(policy);
        let options = Options::new(&settings, "agent-1".into()).unwrap();
        let limits = Limits {
            inspecting: most,
            time,
            context: Duration::from_secs(10),
            anomaly_size: 1000,
            anomaly_time: Duration::from_secs(1),
        };
        let state = Arc::new(State::new(StateLimits::default(), &Secret::new(b"test")));
        let keeping = Arc::new(Keeping::nowhere(state));
        let inspector = Inspector::new(snapshot, keeping, options);
        let debug = DebugLog::new(&settings);
        Arc::new(Self::new(inspector, Arc::default(), limits, debug, outlets))
    }
}

fn outlets(log: DataLog) -> Outlets {
    Outlets { data_log: Some(log), ..Outlets::default() }
}

fn message(body: usize) -> Bytes {
    RpcMsgIn { post_body: vec![b'x'; body].into(), ..RpcMsgIn::default() }.encode().into()
}

async fn reason(service: &Arc<Service>, message: Bytes) -> Option<NotInspected> {
    match service.pre_request(message).await.unwrap() {
        Answer::Judged(_) => None,
        Answer::NotInspected(reason) => Some(reason),
    }
}

#[tokio::test]
async fn judges_small_and_large_requests() {
    let service = Service::testing(1, Duration::from_secs(60));
    for body in [0, INLINE_BYTES, 100 * INLINE_BYTES] {
        assert_eq!(reason(&service, message(body)).await, None);
    }
    assert_eq!(service.counters.allowed.value(), 3);
    assert_eq!(service.counters.requests(), 3);
    assert_eq!(service.counters.decision.now().count(), 3);
    assert_eq!(service.counters.queued.now().count(), 2);
}

/// A request with this body, kept as the proxy keeps one.
struct Posted(Vec<u8>);

impl Ask for Posted {
    fn with_request<R>(&self, judge: impl FnOnce(&request::Request<'_>) -> R) -> R {
        let headers = [Header { name: b"content-type", value: b"text/plain" }];
        let body = portcullis_detect::Body { bytes: &self.0, truncated: false };
        let seen =
            portcullis_detect::Request { method: b"POST", headers: &headers, body, ..Default::default() };
        judge(&request::Request { seen, ..request::Request::default() })
    }
}

#[tokio::test]
async fn what_is_soon_judged_is_not_handed_over() {
    let service = Service::testing(1, Duration::from_secs(60));
    let inspect = async |text: &str, size: usize| {
        let body = text.repeat(size / text.len()).into_bytes();
        let answer = service.inspect(Arc::new(Posted(body)), size, Duration::from_secs(60)).await;
        assert!(matches!(answer, Answer::Judged(_)));
        service.counters.queued.now().count()
    };
    assert_eq!(inspect("The parcel came on Tuesday. ", 60_000).await, 0);
    assert_eq!(inspect("<a b=", BRIEF_BYTES).await, 1);
    assert_eq!(inspect("The parcel came on Tuesday. ", 2 * BRIEF_BYTES).await, 2);
    assert_eq!(service.counters.requests(), 3);
}

#[tokio::test]
async fn says_so_when_there_is_no_room() {
    let service = Service::testing(0, Duration::from_secs(60));
    assert_eq!(reason(&service, message(INLINE_BYTES)).await, Some(NotInspected::Overloaded));
    assert_eq!(reason(&service, message(0)).await, None);
    assert_eq!(service.counters.shed.value(), 1);
}

#[test]
fn says_so_when_time_is_up_and_counts_no_verdict() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .max_blocking_threads(1)
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        // The one thread for large requests is taken until the answer is there.
        let (release, taken) = std::sync::mpsc::channel::<()>();
        let taking = spawn_blocking(move || taken.recv());
        let service = Service::testing(1, Duration::from_millis(1));
        let asked = reason(&service, message(INLINE_BYTES)).await;
        assert_eq!(asked, Some(NotInspected::TimedOut));
        assert_eq!(service.counters.timed_out.value(), 1);
        release.send(()).unwrap();
        taking.await.unwrap().unwrap();
        // The late verdict is in, since there is one thread only; nobody was told, and nothing counts it.
        spawn_blocking(|| ()).await.unwrap();
        assert_eq!((service.counters.requests(), service.counters.allowed.value()), (1, 0));
    });
}

#[tokio::test]
async fn refuses_what_is_no_message() {
    let service = Service::testing(1, Duration::from_secs(60));
    assert!(service.pre_request(Bytes::from_static(b"hello")).await.is_err());
    assert!(service.pre_request(vec![0x91; 10 * INLINE_BYTES].into()).await.is_err());
    assert!(service.update_request(b"hello").is_err());
    assert!(service.post_request(b"hello").is_err());
}

fn attack() -> Bytes {
    RpcMsgIn { uri: "/?q=<script>alert(1)</script>".into(), method: "GET".into(), ..RpcMsgIn::default() }
        .encode()
        .into()
}

async fn id_of(service: &Arc<Service>, message: Bytes) -> String {
    let answer = service.pre_request(message).await.unwrap();
    String::from_utf8(answer.to_module().request_id.to_vec()).unwrap()
}

fn update(id: &str) -> Vec<u8> {
    RpcMsgIn2 { request_id: id.into(), response_code: 404, response_millis: 7, ..RpcMsgIn2::default() }
        .encode()
}

/// What a service wrote down that was given `file` and used by `work`.
async fn written(args: &[&str], work: impl AsyncFnOnce(&Arc<Service>)) -> Vec<serde_json::Value> {
    let file = tempfile::NamedTempFile::new().unwrap();
    let flag = format!("--waf-data-log={}", file.path().display());
    let args: Vec<&str> = args.iter().copied().chain([flag.as_str()]).collect();
    let counters = Arc::default();
    let (log, writer) = DataLog::start(Kind::DATA, file.path(), 100, &counters).unwrap();
    let service = Service::recording(1, Duration::from_secs(60), &args, outlets(log));
    work(&service).await;
    service.end();
    writer.join(Instant::now() + Duration::from_secs(60));
    let text = std::fs::read_to_string(file.path()).unwrap();
    assert_eq!(counters.records.value(), u64::try_from(text.lines().count()).unwrap());
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A rule that stops responses, under this mode.
fn leaking(mode: &str) -> Arc<Service> {
    let policy = r#"{"site": {"agentLevel": "MODE"}, "rules": [{
        "type": "request", "reason": "leaks", "enabled": true, "groupOperator": "all",
        "conditions": [{"type": "single", "field": "path", "operator": "equals", "value": "/export"},
                       {"type": "single", "field": "responseCode", "operator": "equals", "value": "500"}],
        "actions": [{"type": "block", "responseCode": 451}, {"type": "addSignal", "signal": "site.leak"}]}]}"#;
    let policy = Policy::from_json("policy.json", &policy.replace("MODE", mode)).unwrap();
    Service::judging(policy, (1, Duration::from_secs(60)), &[], Outlets::default())
}

async fn asked(service: &Arc<Service>, path: &str) -> Answer {
    let message = RpcMsgIn { uri: path.to_owned().into(), method: "GET".into(), ..RpcMsgIn::default() };
    service.pre_request(message.encode().into()).await.unwrap()
}

#[tokio::test]
async fn a_response_is_asked_about_only_where_a_rule_may_stop_it() {
    for (mode, path, wanted) in
        [("block", "/export", true), ("block", "/other", false), ("log", "/export", false)]
    {
        let answer = asked(&leaking(mode), path).await;
        assert_eq!(answer.to_filter().ask_response, wanted, "{mode} {path}");
        assert!(!answer.to_module().ask_response, "modules cannot hold responses");
    }
}

#[tokio::test]
async fn a_response_that_was_asked_about_is_judged_once() {
    let service = leaking("block");
    let id = asked(&service, "/export").await.to_filter().request_id.to_vec();
    let about = |code| {
        RpcMsgIn2 { request_id: id.clone().into(), response_code: code, ..RpcMsgIn2::default() }.encode()
    };
    let answer = service.about_response(&about(500)).unwrap();
    assert_eq!(answer.about_response().waf_response, 451);
    let signals = || {
        let signals = &service.counters.signals;
        (signals.named(), signals.all().collect::<Vec<_>>())
    };
    let before = signals();
    // The report tells of what the client got in its place.
    service.update_request(&about(451)).unwrap();
    assert_eq!((signals(), service.contexts.is_empty()), (before, true));
    let gone = service.about_response(&about(500)).unwrap();
    assert!(matches!(gone, Answer::NotInspected(NotInspected::Forgotten)));
    assert_eq!((service.counters.responses.value(), service.counters.orphans.value()), (2, 1));
}

#[tokio::test]
async fn a_response_that_no_rule_stops_goes_out() {
    let service = leaking("block");
    let id = asked(&service, "/export").await.to_filter().request_id.to_vec();
    let about = RpcMsgIn2 { request_id: id.into(), response_code: 200, ..RpcMsgIn2::default() };
    let answer = service.about_response(&about.encode()).unwrap();
    assert_eq!(answer.about_response().waf_response, 200);
    assert!(service.about_response(b"hello").is_err());
}

#[tokio::test]
async fn joins_a_response_to_its_request() {
    let lines = written(&[], async |service| {
        let id = id_of(service, attack()).await;
        service.update_request(&update(&id)).unwrap();
        service.update_request(&update(&id)).unwrap();
        service.update_request(&update("")).unwrap();
        assert_eq!((service.counters.updates.value(), service.counters.orphans.value()), (3, 2));
        assert!(service.contexts.is_empty());
    });
    let lines = lines.await;
    assert_eq!(lines.len(), 1);
    assert_eq!((&lines[0]["ResponseCode"], &lines[0]["ResponseMillis"]), (&404.into(), &7.into()));
    let types: Vec<_> =
        lines[0]["Signals"].as_array().unwrap().iter().map(|signal| &signal["Type"]).collect();
    assert!(types.contains(&&"XSS".into()) && types.contains(&&"HTTP404".into()), "{types:?}");
    assert_eq!(lines[0]["RequestIDStr"].as_str().unwrap().len(), 24);
}

#[tokio::test]
async fn writes_down_a_request_whose_response_never_comes() {
    let lines = written(&[], async |service| {
        id_of(service, attack()).await;
        service.sweep(Instant::now());
        assert_eq!((service.contexts.len(), service.counters.expired.value()), (1, 0));
        service.sweep(Instant::now() + Duration::from_secs(10));
        assert_eq!((service.contexts.len(), service.counters.expired.value()), (0, 1));
    });
    assert_eq!(lines.await[0]["ResponseCode"], -1);
}

#[tokio::test]
async fn writes_down_every_request_with_its_response_where_told_to() {
    let lines = written(&["--waf-data-log-all"], async |service| {
        let id = id_of(service, message(0)).await;
        assert_eq!(id.len(), 24);
        service.update_request(&update(&id)).unwrap();
    });
    let lines = lines.await;
    assert_eq!((lines.len(), &lines[0]["ResponseCode"]), (1, &404.into()));
}

#[tokio::test]
async fn writes_down_an_anomalous_response_that_comes_with_its_request() {
    let post = |code, size, millis| RpcMsgIn {
        uri: "/a?b=c".into(),
        waf_response: Some(200),
        response_code: Some(code),
        response_size: Some(size),
        response_millis: Some(millis),
        ..RpcMsgIn::default()
    };
    let lines = written(&[], async |service| {
        for (code, size, millis) in [(200, 1000, 1000), (200, 1001, 0), (200, 0, 1001), (-1, -1, -1)] {
            service.post_request(&post(code, size, millis).encode()).unwrap();
        }
        assert_eq!(service.counters.posts.value(), 4);
    });
    let lines = lines.await;
    assert_eq!(lines.len(), 2);
    assert_eq!((&lines[0]["URI"], &lines[0]["WAFResponse"]), (&"/a".into(), &200.into()));
}
