use super::*;
use crate::host::mock::{Deed, Mock};

fn report(bytes: usize) -> Report {
    Report { path: http::POST_REQUEST, message: vec![0; bytes] }
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

#[test]
fn sends_in_order_until_too_many_are_unanswered() {
    let (mock, config) = (Mock::default(), Config::default());
    let mut reports = Reports::default();
    for bytes in 0..=MAX_UNANSWERED {
        reports.push(report(bytes));
    }
    let mut sent = 0;
    while let Some(result) = reports.send_next(&mock, &config) {
        assert_eq!(result, Ok(()));
        sent += 1;
    }
    assert_eq!(sent, MAX_UNANSWERED);
    assert_eq!(mock.deeds()[1], Deed::Call(http::POST_REQUEST.to_owned(), vec![0]));
    assert!(!reports.answered(Token(9999)));
    assert!(reports.answered(Token(1)));
    assert!(!reports.answered(Token(1)));
    assert_eq!(reports.send_next(&mock, &config), Some(Ok(())));
    assert_eq!(reports.send_next(&mock, &config), None);
}

#[test]
fn gives_up_a_report_that_the_host_refuses() {
    let (mock, config) = (Mock::default(), Config::default());
    mock.refusal.set(Some(HostError::InternalFailure));
    let mut reports = Reports::default();
    reports.push(report(1));
    assert_eq!(reports.send_next(&mock, &config), Some(Err(HostError::InternalFailure)));
    assert_eq!(reports.send_next(&mock, &config), None);
}
