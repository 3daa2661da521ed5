use super::*;
use crate::host::mock::{Deed, Mock};

fn report(bytes: usize) -> Report {
    Report { kind: Kind::Post, message: vec![0; bytes] }
}

#[test]
fn drops_what_does_not_fit() {
    let mut reports = Reports::default();
    for _ in 0..MAX_REPORTS {
        assert_eq!(reports.push(report(1)), Fate::Queued);
    }
    assert_eq!(reports.push(report(1)), Fate::Dropped);
    let mut reports = Reports::default();
    assert_eq!(reports.push(report(MAX_BYTES)), Fate::Queued);
    assert_eq!(reports.push(report(1)), Fate::Dropped);
}

fn sent(reports: &mut Reports, mock: &Mock) -> Vec<usize> {
    let config = Config::default();
    let next = || reports.send_next(mock, &config).map(|sent| sent.unwrap().reports);
    std::iter::from_fn(next).collect()
}

#[test]
fn sends_many_in_one_call_and_in_order() {
    let mock = Mock::default();
    let mut reports = Reports::default();
    for bytes in 0..3 {
        reports.push(report(bytes));
    }
    assert_eq!(sent(&mut reports, &mock), [3]);
    let deeds = mock.deeds();
    let [Deed::Call(path, message)] = deeds.as_slice() else { panic!("{deeds:?}") };
    assert_eq!(path, http::REPORTS);
    let lengths: Vec<usize> =
        ReportBatch::decode(message).unwrap().reports.iter().map(|(_, report)| report.len()).collect();
    assert_eq!(lengths, [0, 1, 2]);
}

#[test]
fn a_call_has_a_limit_of_reports_and_of_bytes() {
    let mock = Mock::default();
    let mut reports = Reports::default();
    for _ in 0..=MAX_BATCH {
        reports.push(report(1));
    }
    assert_eq!(sent(&mut reports, &mock), [MAX_BATCH, 1]);
    for bytes in [MAX_BATCH_BYTES + 1, MAX_BATCH_BYTES - 1, 1, 1] {
        reports.push(report(bytes));
    }
    assert_eq!(sent(&mut reports, &mock), [1, 2, 1]);
}

#[test]
fn waits_where_too_much_is_unanswered() {
    let mock = Mock::default();
    let mut reports = Reports::default();
    for _ in 0..MAX_UNANSWERED * MAX_BATCH {
        reports.push(report(0));
    }
    assert_eq!(sent(&mut reports, &mock).len(), MAX_UNANSWERED);
    reports.push(report(0));
    assert_eq!(sent(&mut reports, &mock), [0; 0]);
    assert_eq!(reports.answered(Token(9999)), None);
    assert_eq!(reports.answered(Token(1)).map(|batch| batch.reports), Some(MAX_BATCH));
    assert_eq!(reports.answered(Token(1)), None);
    assert_eq!(sent(&mut reports, &mock), [1]);
}

#[test]
fn gives_up_reports_that_the_host_refuses_but_no_numbers() {
    let (mock, config) = (Mock::default(), Config::default());
    mock.refusal.set(Some(HostError::InternalFailure));
    let mut reports = Reports::default();
    reports.push(report(1));
    reports.own(Own { passed: 3, blocked: 1 });
    let refused = reports.send_next(&mock, &config).unwrap().unwrap_err();
    assert_eq!((refused.0.reports, refused.1), (1, HostError::InternalFailure));
    mock.refusal.set(None);
    assert_eq!(sent(&mut reports, &mock), [0]);
    let deeds = mock.deeds();
    let [Deed::Call(_, message)] = deeds.as_slice() else { panic!("{deeds:?}") };
    let batch = ReportBatch::decode(message).unwrap();
    assert_eq!((batch.passed, batch.blocked, batch.reports.len()), (3, 1, 0));
}
