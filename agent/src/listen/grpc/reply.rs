//! What Envoy is told to do, from the service's answer.

use bytes::Bytes;
use portcullis_policy::{HeaderEdit, Page};
use portcullis_protocol::names::{REDIRECT_HEADER, RESERVED_PREFIX};

use super::proto::core::{
    APPEND_IF_EXISTS_OR_ADD, Field, HeaderValue, HeaderValueOption, List, OVERWRITE_IF_EXISTS_OR_ADD, Struct,
    Value,
};
use super::question::Question;
use crate::answer::{Answer, NotInspected};
use crate::ids::RequestId;

/// The names under which the former agent's users log id and verdict.
pub(super) const ID_HEADER: &str = "x-sigsci-request-id";
pub(super) const RESPONSE_HEADER: &str = "x-sigsci-waf-response";

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// It goes on.
    Allow,
    /// It is answered with this status, and for a redirection this location.
    Deny { status: u16, location: Option<String> },
    /// It goes on, and nobody may take it for clean.
    NotInspected(NotInspected),
}

/// A decision with what goes with it.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    pub(super) decision: Decision,
    /// The agent response code.
    pub(super) code: i32,
    /// Set where the response is wanted.
    pub(super) id: Option<RequestId>,
    /// Headers for the application.
    pub(super) set: Vec<(String, String)>,
    /// Headers that it must not see.
    pub(super) remove: Vec<String>,
    /// Goes with a denial.
    pub(super) page: Option<Page>,
    /// Edits of the response's headers.
    pub(super) edits: Vec<HeaderEdit>,
    signals: Vec<String>,
}

impl Reply {
    /// Puts `answer` to `question` into Envoy's terms.
    pub(super) fn new(answer: &Answer, question: &Question) -> Self {
        let message = answer.to_filter();
        let code = message.waf_response;
        let (decision, id, signals) = match answer {
            Answer::NotInspected(reason) => (Decision::NotInspected(*reason), None, Vec::new()),
            Answer::Judged(judged) => {
                let decision = match judged.verdict.code() {
                    200 => Decision::Allow,
                    status => {
                        Decision::Deny { status, location: judged.verdict.location().map(str::to_owned) }
                    }
                };
                let signals = judged.verdict.tags.iter().map(|tag| tag.as_str().to_owned()).collect();
                (decision, judged.id, signals)
            }
        };
        let owned = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let pairs =
            message.request_headers.iter().filter(|(name, _)| &name[..] != REDIRECT_HEADER.as_bytes());
        let mut set: Vec<_> =
            pairs.map(|(name, value)| (owned(name).to_ascii_lowercase(), owned(value))).collect();
        set.extend(id.map(|id| (ID_HEADER.to_owned(), id.to_string())));
        set.push((RESPONSE_HEADER.to_owned(), code.to_string()));
        // Tags that stand in for a client's own: there are none, and no header says so best.
        set.retain(|(_, value)| !value.is_empty());
        // Envoy removes after it has set.
        let is_set = |name: &[u8]| set.iter().any(|(have, _)| have.as_bytes() == name);
        let remove = question.forged().into_iter().filter(|name| !is_set(name)).map(owned).collect();
        let (page, edits) = match answer {
            Answer::NotInspected(_) => (None, Vec::new()),
            Answer::Judged(judged) => (judged.verdict.page.clone(), judged.verdict.headers.clone()),
        };
        Self { decision, code, id, set, remove, page, edits, signals }
    }

    /// The decision for Envoy's access log, filters and metrics.
    pub(super) fn metadata(&self) -> Struct {
        let text = |text: &str| Value { text: Some(text.to_owned()), ..Value::default() };
        let field = |key: &str, value| Field { key: key.to_owned(), value: Some(value) };
        let verdict = match &self.decision {
            Decision::Allow => "allow",
            Decision::Deny { location: None, .. } => "block",
            Decision::Deny { location: Some(_), .. } => "redirect",
            Decision::NotInspected(_) => "not_inspected",
        };
        let mut fields = vec![
            field("verdict", text(verdict)),
            field("code", Value { number: Some(self.code.into()), ..Value::default() }),
        ];
        fields.extend(self.id.map(|id| field("request_id", text(&id.to_string()))));
        if let Decision::NotInspected(reason) = self.decision {
            fields.push(field("reason", text(reason_name(reason))));
        }
        if !self.signals.is_empty() {
            let values = self.signals.iter().map(|tag| text(tag)).collect();
            fields.push(field("signals", Value { list: Some(List { values }), ..Value::default() }));
        }
        Struct { fields }
    }
}

/// The headers that `edits` set or add, and the names that they delete.
pub(super) fn edited(edits: &[HeaderEdit], place: In) -> (Vec<HeaderValueOption>, Vec<String>) {
    let (mut set, mut deleted) = (Vec::new(), Vec::new());
    for edit in edits {
        match edit {
            HeaderEdit::Set(name, value) => set.push(header(name, value, place)),
            HeaderEdit::Add(name, value) => {
                set.push(HeaderValueOption {
                    append_action: APPEND_IF_EXISTS_OR_ADD,
                    ..header(name, value, place)
                });
            }
            HeaderEdit::Delete(name) => deleted.push(name.to_string()),
        }
    }
    (set, deleted)
}

/// In which field Envoy looks for a header's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum In {
    /// ext_authz.
    Value,
    /// ext_proc.
    RawValue,
}

/// A header that replaces all of its name.
pub(super) fn header(name: &str, value: &str, place: In) -> HeaderValueOption {
    let bytes = Bytes::copy_from_slice(value.as_bytes());
    let (value, raw_value) = match place {
        In::Value => (bytes, Bytes::new()),
        In::RawValue => (Bytes::new(), bytes),
    };
    let key = Bytes::copy_from_slice(name.as_bytes());
    let header = Some(HeaderValue { key, value, raw_value });
    HeaderValueOption { header, append_action: OVERWRITE_IF_EXISTS_OR_ADD }
}

/// Whether only the agent may set this header. An application that reads its headers through CGI or WSGI names cannot
/// tell `_` from `-`, so neither spelling may come from a client.
pub(super) fn is_reserved(name: &[u8]) -> bool {
    let plain = |byte: &u8| if *byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    name.get(..RESERVED_PREFIX.len()).is_some_and(|start| start.iter().map(plain).eq(RESERVED_PREFIX.bytes()))
}

fn reason_name(reason: NotInspected) -> &'static str {
    match reason {
        NotInspected::TimedOut => "timed_out",
        NotInspected::Overloaded => "shed",
        NotInspected::Faulted => "faulted",
        NotInspected::Disabled => "disabled",
        NotInspected::Forgotten => "forgotten",
    }
}

#[cfg(test)]
mod tests {
    use portcullis_detect::Tag;
    use portcullis_policy::{FollowUp, Policy};

    use super::*;
    use crate::answer::Judged;

    fn judged(policy: &str, tags: &[Tag]) -> Answer {
        let action = match tags {
            [] => portcullis_policy::Action::Allow,
            _ => Policy::from_json("policy.json", policy).unwrap().site.block_action(),
        };
        let judged = portcullis_policy::Decision::pass(tags.to_vec(), FollowUp::IfAnomalous);
        let verdict = Box::new(portcullis_policy::Decision { action, ..judged });
        Answer::Judged(Judged {
            verdict,
            id: None,
            forged_tags: true,
            headers: Vec::new(),
            asks_response: false,
        })
    }

    fn question(names: &[&'static str]) -> Question {
        let header = |name: &&'static str| (Bytes::from_static(name.as_bytes()), Bytes::from_static(b"x"));
        Question { headers: names.iter().map(header).collect(), ..Question::default() }
    }

    #[test]
    fn takes_away_what_a_client_forged_and_only_that() {
        let forged =
            question(&["x-sigsci-tags", "x_sigsci_agentresponse", "x-sigsci-agentresponse", "x-other"]);
        let reply = Reply::new(&judged("{}", &[]), &forged);
        assert_eq!(reply.remove, ["x-sigsci-tags", "x_sigsci_agentresponse"]);
        let set = [("x-sigsci-agentresponse", "200"), ("x-sigsci-waf-response", "200")];
        assert_eq!(reply.set, set.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn redirects_to_where_the_policy_says() {
        let policy = r#"{"site":{"blockHTTPCode":302,"blockRedirectURL":"/no"}}"#;
        let reply = Reply::new(&judged(policy, &[Tag::Sqli]), &Question::default());
        assert_eq!(reply.decision, Decision::Deny { status: 302, location: Some("/no".to_owned()) });
        assert!(reply.set.iter().all(|(name, _)| name != "x-sigsci-redirect"));
    }

    #[test]
    fn never_calls_a_request_clean_that_was_not_inspected() {
        let reply = Reply::new(&Answer::NotInspected(NotInspected::Overloaded), &Question::default());
        assert_eq!(reply.set, [("x-sigsci-waf-response".to_owned(), "-1".to_owned())]);
        let fields = reply.metadata().fields;
        let text = |key: &str| {
            let field = fields.iter().find(|field| field.key == key)?;
            field.value.as_ref()?.text.clone()
        };
        assert_eq!(text("verdict").as_deref(), Some("not_inspected"));
        assert_eq!(text("reason").as_deref(), Some("shed"));
    }
}
