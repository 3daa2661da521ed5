//! What all streams of one plugin share: configuration, metrics, the queue of reports.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use crate::config::Config;
use crate::failure::Failure;
use crate::host::{Host, Level, Token};
use crate::metrics::{Counter, Metrics};
use crate::reports::{Fate, Report, Reports};
use crate::verdict::{self, ReplyShape};

/// One configuration at work. A new one makes a new plugin; streams under way keep the one they began with.
#[derive(Debug, Default)]
pub struct Plugin {
    pub(crate) config: Config,
    pub(crate) metrics: Metrics,
    reports: Rc<RefCell<Reports>>,
    last_complaint: Cell<Option<Duration>>,
}

impl Plugin {
    /// Reads the configuration and takes over the reports that a previous one has not sent yet.
    pub fn configure(host: &impl Host, previous: &Plugin) -> Plugin {
        let (config, mut problems) = match host.configuration() {
            Ok(bytes) => Config::parse(&bytes),
            Err(error) => (Config::default(), vec![format!("the configuration cannot be read: {error}")]),
        };
        if let Err(error) = host.tick_every(TICK) {
            problems.push(format!("no ticks, so no reports: {error}"));
        }
        for problem in &problems {
            host.log(Level::Error, problem);
        }
        let metrics = Metrics::define(host, &config.metrics_prefix);
        metrics.config_errors(host, problems.len());
        Plugin { config, metrics, reports: Rc::clone(&previous.reports), last_complaint: Cell::new(None) }
    }

    /// Sends reports.
    pub fn on_tick(&self, host: &impl Host) {
        // Nothing that a host does inside a call may reach this queue; if it did, the next tick comes soon.
        let Ok(mut reports) = self.reports.try_borrow_mut() else { return };
        while let Some(sent) = reports.send_next(host, &self.config) {
            let counter = if sent.is_ok() { Counter::ReportsSent } else { Counter::ReportsFailed };
            self.metrics.count(host, counter);
        }
    }

    /// Takes the reply to a report.
    pub fn on_reply(&self, host: &impl Host, token: Token, shape: ReplyShape) {
        let ours = self.reports.try_borrow_mut().is_ok_and(|mut reports| reports.answered(token));
        let taken = || shape.headers > 0 && host.reply_headers().is_ok_and(|it| verdict::check(&it).is_ok());
        if ours && !taken() {
            self.metrics.count(host, Counter::ReportsFailed);
        }
    }

    pub(crate) fn report(&self, host: &impl Host, report: Report) {
        let fate = self.reports.try_borrow_mut().map_or(Fate::Dropped, |mut reports| reports.push(report));
        match fate {
            Fate::Queued => {}
            Fate::Dropped => self.metrics.count(host, Counter::ReportsDropped),
        }
    }

    /// Logs that a request was not inspected, unless that was just said: metrics have the number.
    pub(crate) fn complain(&self, host: &impl Host, failure: Failure) {
        let now = host.now();
        let quiet = |last: Duration| now.saturating_sub(last) < COMPLAINT_PAUSE;
        if self.last_complaint.get().is_some_and(quiet) {
            return;
        }
        self.last_complaint.set(Some(now));
        host.log(Level::Warn, &format!("requests are not inspected: {}", failure.name()));
    }
}

/// Reports are not urgent, but a queue that fills within a tick loses some.
const TICK: Duration = Duration::from_millis(100);
const COMPLAINT_PAUSE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use portcullis_protocol::http;

    use super::*;
    use crate::host::mock::{Deed, Mock};

    fn report() -> Report {
        Report { path: http::UPDATE_REQUEST, message: vec![1] }
    }

    #[test]
    fn shows_how_much_of_the_configuration_is_wrong() {
        let mock = Mock::default();
        *mock.configuration.borrow_mut() = br#"{"a": 1, "timeout_ms": true}"#.to_vec();
        Plugin::configure(&mock, &Plugin::default());
        assert_eq!(mock.metric("config.errors"), 2);
        assert_eq!(mock.log().len(), 2);
    }

    #[test]
    fn sends_reports_left_by_the_configuration_before() {
        let mock = Mock::default();
        let before = Plugin::configure(&mock, &Plugin::default());
        let after = Plugin::configure(&mock, &before);
        before.report(&mock, report());
        after.on_tick(&mock);
        assert_eq!(mock.deeds(), [Deed::Call(http::UPDATE_REQUEST.to_owned(), vec![1])]);
    }

    #[test]
    fn counts_reports_that_are_not_acknowledged() {
        let mock = Mock::default();
        let plugin = Plugin::configure(&mock, &Plugin::default());
        for _ in 0..3 {
            plugin.report(&mock, report());
        }
        plugin.on_tick(&mock);
        plugin.on_reply(&mock, Token(1), ReplyShape { headers: 0, body: 0 });
        assert_eq!(mock.metric("reports.failed.total"), 1);
        mock.replies(&portcullis_protocol::RpcMsgOut::default());
        plugin.on_reply(&mock, Token(2), ReplyShape { headers: 4, body: 1 });
        plugin.on_reply(&mock, Token(2), ReplyShape { headers: 0, body: 0 });
        assert_eq!(mock.metric("reports.failed.total"), 1);
        assert_eq!(mock.metric("reports.sent.total"), 3);
    }
}
