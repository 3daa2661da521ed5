//! Telling access logs what became of a request.

use super::Stream;
use crate::config::FilterState;
use crate::headers::Headers;
use crate::host::Host;
use crate::plugin::VERDICT;

/// What is told of a request; what is empty is not.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Told<'a> {
    pub(super) verdict: &'a str,
    pub(super) signals: &'a [u8],
    pub(super) id: &'a [u8],
    pub(super) reason: &'a str,
}

impl Stream {
    /// Leaves the verdict, and whatever else there is to say, where access logs find it.
    pub(super) fn tell(&self, host: &impl Host, told: Told<'_>) {
        if self.plugin.config.filter_state == FilterState::Off {
            return;
        }
        let all = [
            (VERDICT, told.verdict.as_bytes()),
            ("portcullis_signals", told.signals),
            ("portcullis_request_id", told.id),
            ("portcullis_reason", told.reason.as_bytes()),
        ];
        for (name, value) in all.into_iter().filter(|(_, value)| !value.is_empty()) {
            self.check(host.tell(name, value));
        }
    }

    /// Whether the proxy has redirected, to itself, a request that has had its verdict. The header alone says nothing: a
    /// client may send it.
    pub(super) fn has_been_judged(&self, host: &impl Host, headers: &Headers) -> bool {
        headers.first("x-envoy-original-url").is_some()
            && self.plugin.config.filter_state == FilterState::On
            && host.property(&[VERDICT]).ok().flatten().is_some_and(|it| it == b"allow" || it == b"local")
    }

    /// The same of a request that nobody looks at.
    pub(super) fn tell_unwatched(&self, host: &impl Host) {
        self.tell(host, Told { verdict: "unwatched", ..Told::default() });
    }
}
