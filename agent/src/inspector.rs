//! The one door: a request in, an answer out.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arc_swap::ArcSwap;
use portcullis_policy::{Action, FollowUp, Verdict};
use tracing::{debug, error};

use crate::answer::{Answer, Judged, NotInspected};
use crate::counters::Counters;
use crate::ids::Ids;
use crate::request::Request;
use crate::snapshot::Snapshot;

/// Judges requests.
#[derive(Debug)]
pub struct Inspector {
    snapshot: ArcSwap<Snapshot>,
    ids: Ids,
    counters: Arc<Counters>,
}

impl Inspector {
    /// Judges by `snapshot` until it is replaced.
    pub fn new(snapshot: Snapshot, counters: Arc<Counters>) -> Self {
        Self { snapshot: ArcSwap::from_pointee(snapshot), ids: Ids::default(), counters }
    }

    /// Judges the requests that come from now on by `snapshot`.
    pub fn replace(&self, snapshot: Snapshot) {
        self.snapshot.store(Arc::new(snapshot));
    }

    /// Judges `request`. This is CPU work, linear in the request and bounded by the engine's budgets.
    pub fn inspect(&self, request: &Request<'_>) -> Answer {
        // Taken once: a request is judged by one policy from beginning to end.
        let snapshot = self.snapshot.load();
        if !snapshot.policy.inspects() {
            self.counters.unwatched.add();
            return Answer::Judged(Judged { verdict: Verdict::unwatched(), id: None, forged_tags: false });
        }
        // A fault in the engine must cost one verdict, not a thread and whatever else runs on it.
        let judge = || snapshot.policy.decide(&snapshot.engine.inspect(&request.seen));
        match catch_unwind(AssertUnwindSafe(judge)) {
            Ok(verdict) => Answer::Judged(self.judged(request, verdict)),
            Err(_) => {
                self.counters.faulted.add();
                error!("inspection failed; the request passes");
                Answer::NotInspected(NotInspected::Faulted)
            }
        }
    }

    fn judged(&self, request: &Request<'_>, verdict: Verdict) -> Judged {
        match verdict.action {
            Action::Allow => self.counters.allowed.add(),
            Action::Block { .. } | Action::Redirect { .. } => self.counters.blocked.add(),
        }
        let id = match verdict.follow_up {
            FollowUp::Always => Some(self.ids.make()),
            FollowUp::IfAnomalous => None,
        };
        debug!(code = verdict.code(), tags = ?verdict.tags, id = ?id, "request judged");
        Judged { verdict, id, forged_tags: request.has_forged_tags() }
    }
}

#[cfg(test)]
mod tests {
    use portcullis_detect::{Engine, Request as Seen};
    use portcullis_policy::Policy;

    use super::*;

    fn inspector(policy: &str) -> Inspector {
        let policy = Policy::from_json("policy.json", policy).unwrap();
        Inspector::new(Snapshot { engine: Engine::default(), policy }, Arc::default())
    }

    const REQUEST: Request<'_> = Request { seen: NULL_BYTE, remote_addr: b"192.0.2.1" };
    const NULL_BYTE: Seen<'_> = Seen {
        method: b"GET",
        scheme: b"http",
        authority: b"shop.example",
        target: b"/?q=../../../../etc/passwd%00",
        protocol: b"HTTP/1.1",
        tls_protocol: b"",
        tls_cipher: b"",
        headers: &[],
        body: portcullis_detect::Body { bytes: b"", truncated: false },
    };

    #[test]
    fn gives_an_id_exactly_where_signals_were_found() {
        let inspector = inspector("{}");
        let Answer::Judged(suspicious) = inspector.inspect(&REQUEST) else { panic!("not judged") };
        assert_eq!(suspicious.id.is_some(), !suspicious.verdict.tags.is_empty());
        assert_eq!(suspicious.verdict.code(), 200);
        assert_eq!(inspector.counters.allowed.value(), 1);
    }

    #[test]
    fn does_not_even_look_when_off() {
        let inspector = inspector(r#"{"site": {"agentLevel": "off"}}"#);
        let Answer::Judged(judged) = inspector.inspect(&REQUEST) else { panic!("not judged") };
        assert_eq!((judged.verdict, judged.id), (Verdict::unwatched(), None));
        assert_eq!((inspector.counters.allowed.value(), inspector.counters.unwatched.value()), (0, 1));
    }

    #[test]
    fn judges_by_the_newest_snapshot() {
        let watching = inspector("{}");
        let off = Policy::from_json("policy.json", r#"{"site": {"agentLevel": "off"}}"#).unwrap();
        watching.replace(Snapshot { engine: Engine::default(), policy: off });
        watching.inspect(&REQUEST);
        assert_eq!(watching.counters.unwatched.value(), 1);
    }
}
