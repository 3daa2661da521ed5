use portcullis_config::Inputs;
use portcullis_detect::{Header, Request as Seen};
use portcullis_policy::{Decision, Policy, Secret, State, StateLimits};

use super::*;

fn options(args: &[&str]) -> Options {
    let keys = ["--accesskeyid=a", "--secretaccesskey=b"];
    let args = keys.iter().chain(args).map(|&arg| arg.to_owned()).collect();
    let inputs = Inputs { args, env: Vec::new() };
    let resolved = Settings::resolve(&inputs, |_| Err(std::io::ErrorKind::NotFound.into())).unwrap();
    Options::new(&resolved.settings, "agent-1".into()).unwrap()
}

fn inspector(policy: &str, args: &[&str]) -> Inspector {
    let policy = Policy::from_json("policy.json", policy).unwrap();
    let state = Arc::new(State::new(StateLimits::default(), &Secret::new(b"test")));
    Inspector::new(Snapshot::testing(policy), Arc::new(Keeping::nowhere(state)), options(args))
}

const HEADERS: &[Header<'_>] = &[
    Header {
        name: b"user-agent",
        value: b"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    },
    Header { name: b"accept", value: b"*/*" },
    Header { name: b"accept-language", value: b"en" },
];

fn request(target: &[u8]) -> Request<'_> {
    let seen = Seen { target, authority: b"shop.example", headers: HEADERS, ..Seen::default() };
    Request { seen, ..Request::default() }
}

const ATTACK: &[u8] = b"/?q=%3Cscript%3Ealert(1)%3C/script%3E";

fn judged(inspected: Inspected) -> Judged {
    match inspected.answer {
        Answer::Judged(judged) => judged,
        Answer::NotInspected(reason) => panic!("{reason:?}"),
    }
}

#[test]
fn gives_an_id_exactly_where_the_response_is_wanted() {
    let watching = inspector("{}", &[]);
    let attack = judged(watching.inspect(&request(ATTACK)));
    assert!(attack.id.is_some() && attack.verdict.code() == 200);
    assert!(judged(watching.inspect(&request(b"/"))).id.is_none());
    // Every request is to be written down with its response.
    let recording = inspector("{}", &["--waf-data-log=/dev/null", "--waf-data-log-all"]);
    let clean = recording.inspect(&request(b"/"));
    assert!(clean.record.is_some());
    assert!(judged(clean).id.is_some());
}

#[test]
fn writes_down_what_it_is_told_to() {
    let recorded = |args: &[&str], target| inspector("{}", args).inspect(&request(target)).record.is_some();
    assert!(!recorded(&[], ATTACK));
    assert!(recorded(&["--waf-data-log=/dev/null"], ATTACK));
    assert!(!recorded(&["--waf-data-log=/dev/null"], b"/"));
}

#[test]
fn does_not_even_look_when_off() {
    let off = inspector(r#"{"site": {"agentLevel": "off"}}"#, &[]).inspect(&request(ATTACK));
    assert_eq!(off.course, Course::Unwatched);
    assert_eq!(*judged(off).verdict, Decision::unwatched());
}

#[test]
fn says_so_when_processing_is_turned_off() {
    let disabled = inspector("{}", &["--debug-disable-processing"]).inspect(&request(ATTACK));
    assert!(matches!(disabled.answer, Answer::NotInspected(NotInspected::Disabled)));
}

#[test]
fn inspects_the_share_it_is_told_to() {
    for (percent, expected) in [(0, 0), (1, 10), (33, 330), (99, 990), (100, 1000)] {
        let sampling = inspector("{}", &[&format!("--sample-percent={percent}")]);
        let looked = (0..1000).filter(|_| sampling.inspect(&request(b"/")).course == Course::Inspected);
        assert_eq!(looked.count(), expected);
    }
}

#[test]
fn a_brief_look_that_was_in_vain_is_in_the_sample() {
    let sampling = inspector("{}", &["--sample-percent=50"]);
    let body = portcullis_detect::Body { bytes: &b"<a b=".repeat(16_000), truncated: false };
    let dear = Request { seen: Seen { method: b"POST", body, ..Seen::default() }, ..Request::default() };
    let briefly = |request: &Request<'_>| sampling.inspect_with(request, Effort::Brief);
    assert_eq!(briefly(&dear).map(|inspected| inspected.course), Some(Course::Unsampled));
    assert!(briefly(&dear).is_none());
    let rest = sampling.inspect_with(&dear, Effort::Rest).map(|inspected| inspected.course);
    assert_eq!(rest, Some(Course::Inspected));
    assert_eq!(briefly(&request(b"/")).map(|inspected| inspected.course), Some(Course::Unsampled));
}

#[test]
fn adds_the_operators_headers() {
    let adding = inspector("{}", &["--custom-request-headers=X-Waf:$AgentResponse $TagList"]);
    let headers = judged(adding.inspect(&request(ATTACK))).headers;
    assert_eq!(headers, [("X-Waf".to_owned(), "200 XSS".to_owned())]);
}

#[test]
fn judges_by_the_newest_snapshot() {
    let watching = inspector("{}", &[]);
    let off = Policy::from_json("policy.json", r#"{"site": {"agentLevel": "off"}}"#).unwrap();
    watching.replace(Snapshot::testing(off));
    assert_eq!(watching.inspect(&request(b"/")).course, Course::Unwatched);
}
