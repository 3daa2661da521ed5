//! What happens at ticks and replies that belong to no stream.

use portcullis_protocol::{LocalFacts, ReportBatch, RpcMsgOut, http};

use super::*;
use crate::host::HostError;
use crate::host::mock::{Deed, Mock};
use crate::reports::Kind;

fn report() -> Report {
    Report { kind: Kind::Update, message: vec![1] }
}

const REPLIED: ReplyShape = ReplyShape { headers: 4, body: 1 };
const BROKEN: ReplyShape = ReplyShape { headers: 0, body: 0 };

fn configured(mock: &Mock, json: &str, previous: &Plugin) -> Plugin {
    *mock.configuration.borrow_mut() = json.as_bytes().to_vec();
    Plugin::configure(mock, previous)
}

fn paths(mock: &Mock) -> Vec<String> {
    let call = |deed| match deed {
        Deed::Call(path, _) => path,
        other => panic!("not a call: {other:?}"),
    };
    mock.deeds().into_iter().map(call).collect()
}

#[test]
fn shows_how_much_of_the_configuration_is_wrong() {
    let mock = Mock::default();
    configured(&mock, r#"{"a": 1, "timeout_ms": true}"#, &Plugin::default());
    assert_eq!(mock.metric("config.errors"), 2);
    assert_eq!(mock.log().len(), 2);
}

#[test]
fn logs_no_less_grave_lines_than_it_should() {
    let mock = Mock::default();
    configured(&mock, r#"{"log_level": "off", "a": 1}"#, &Plugin::default());
    assert_eq!(mock.log().len(), 0);
    assert_eq!(mock.metric("config.errors"), 1);
}

#[test]
fn an_agent_is_not_left_alone_where_no_timer_would_find_it_back() {
    let mock = Mock::default();
    mock.ticks.set(Some(HostError::InternalFailure));
    let plugin = configured(&mock, r#"{"breaker": {"failures": 1}}"#, &Plugin::default());
    plugin.unanswered(&mock, Failure::Timeout);
    assert_eq!(plugin.gate(), Gate::Ask);
    let plugin = configured(&mock, r#"{"breaker": {"failures": 1}}"#, &Plugin::default());
    plugin.unanswered(&mock, Failure::Timeout);
    assert_eq!(plugin.gate(), Gate::Spare);
}

#[test]
fn sends_reports_left_by_the_configuration_before() {
    let mock = Mock::default();
    let before = configured(&mock, "{}", &Plugin::default());
    let after = configured(&mock, "{}", &before);
    before.report(report());
    after.on_tick(&mock);
    let deeds = mock.deeds();
    let [Deed::Call(path, message)] = deeds.as_slice() else { panic!("{deeds:?}") };
    assert_eq!(path, http::REPORTS);
    let batch = ReportBatch::decode(message).unwrap();
    assert_eq!(batch.reports, [("update".into(), vec![1].into())]);
}

#[test]
fn counts_reports_that_are_not_acknowledged() {
    let mock = Mock::default();
    let plugin = configured(&mock, "{}", &Plugin::default());
    for _ in 0..3 {
        plugin.report(report());
    }
    plugin.on_tick(&mock);
    plugin.on_reply(&mock, Token(1), BROKEN);
    plugin.on_reply(&mock, Token(1), BROKEN);
    plugin.metrics.flush(&mock);
    assert_eq!((mock.metric("reports.sent.total"), mock.metric("reports.failed.total")), (3, 3));
    plugin.report(report());
    plugin.on_tick(&mock);
    mock.replies(&RpcMsgOut::default());
    plugin.on_reply(&mock, Token(2), REPLIED);
    plugin.metrics.flush(&mock);
    assert_eq!((mock.metric("reports.sent.total"), mock.metric("reports.failed.total")), (4, 3));
}

#[test]
fn numbers_of_own_verdicts_are_told_once_however_often_the_agent_fails() {
    let mock = Mock::default();
    let plugin = configured(&mock, "{}", &Plugin::default());
    plugin.passed();
    plugin.passed();
    plugin.blocked();
    let mut told = Vec::new();
    for tick in 1..=30_u32 {
        plugin.on_tick(&mock);
        for deed in mock.deeds() {
            let Deed::Call(_, message) = deed else { panic!("{deed:?}") };
            let batch = ReportBatch::decode(&message).unwrap();
            told.push((tick, batch.passed, batch.blocked));
            mock.replies(&RpcMsgOut::default());
            let shape = if told.len() == 1 { BROKEN } else { REPLIED };
            plugin.on_reply(&mock, Token(u32::try_from(told.len()).unwrap()), shape);
        }
    }
    assert_eq!(told, [(10, 2, 1), (20, 2, 1)]);
}

#[test]
fn an_agent_that_does_not_answer_is_left_alone_and_probed_by_the_timer() {
    let mock = Mock::default();
    let plugin = configured(&mock, r#"{"breaker": {"failures": 2, "pause_ms": 300}}"#, &Plugin::default());
    plugin.unanswered(&mock, Failure::NotInspected);
    plugin.unanswered(&mock, Failure::Timeout);
    assert_eq!(plugin.gate(), Gate::Ask);
    plugin.unanswered(&mock, Failure::Timeout);
    assert_eq!(plugin.gate(), Gate::Spare);
    assert_eq!(mock.metric("breaker.open"), 1);
    plugin.report(report());
    plugin.on_tick(&mock);
    assert_eq!(paths(&mock), Vec::<String>::new(), "reports wait as well");
    mock.now.set(mock.now.get() + Duration::from_millis(300));
    plugin.on_tick(&mock);
    assert_eq!(paths(&mock), [http::LOCAL]);
    plugin.on_reply(&mock, Token(1), BROKEN);
    assert_eq!(plugin.gate(), Gate::Spare);
    mock.now.set(mock.now.get() + Duration::from_millis(599));
    plugin.on_tick(&mock);
    assert_eq!(paths(&mock), Vec::<String>::new(), "the pause has grown");
    mock.now.set(mock.now.get() + Duration::from_millis(1));
    plugin.on_tick(&mock);
    assert_eq!(paths(&mock), [http::LOCAL]);
    mock.replies_with(&LocalFacts { version: 3, ..LocalFacts::default() }.encode());
    plugin.on_reply(&mock, Token(2), ReplyShape { headers: 4, body: 30 });
    assert_eq!(plugin.gate(), Gate::Ask);
    assert_eq!(mock.metric("breaker.open"), 0);
    plugin.on_tick(&mock);
    assert_eq!(paths(&mock), [http::REPORTS]);
    assert_eq!(mock.metric("breaker.opened.total"), 1);
}

#[test]
fn a_probe_that_cannot_be_sent_is_one_that_failed() {
    let mock = Mock::default();
    let plugin = configured(&mock, r#"{"breaker": {"failures": 1, "pause_ms": 300}}"#, &Plugin::default());
    mock.refusal.set(Some(HostError::InternalFailure));
    plugin.unanswered(&mock, Failure::Unavailable);
    for _ in 0..3 {
        mock.now.set(mock.now.get() + Duration::from_secs(10));
        plugin.on_tick(&mock);
        assert_eq!(plugin.gate(), Gate::Spare);
    }
}
