//! What the agent says about a request, and how it says it to each kind of caller.

use portcullis_policy::{Decision, HeaderEdit};
use portcullis_protocol::http::{MAX_PAGE, PAGES};
use portcullis_protocol::names::{AGENT_RESPONSE_HEADER, REDIRECT_HEADER, REQUEST_ID_HEADER, TAGS_HEADER};
use portcullis_protocol::{ByteStr, Pair, RespAction, RpcMsgOut};

use crate::ids::RequestId;

/// Bytes of tag names that are sent: with the longest redirect, all still fits a module's reply.
const MAX_TAGS: usize = 360;

/// What the agent says about a request.
#[derive(Clone, Debug)]
pub enum Answer {
    /// The request was judged.
    Judged(Judged),
    /// The request was not looked at, though it should have been; callers let it pass, and count that.
    NotInspected(NotInspected),
}

/// A verdict with what goes with it.
#[derive(Clone, Debug)]
pub struct Judged {
    /// The verdict.
    pub verdict: Box<Decision>,
    /// Set exactly where the response is to be reported.
    pub id: Option<RequestId>,
    /// Whether the client sent tags of its own, which the application must not see.
    pub forged_tags: bool,
    /// Headers that the operator invented, for the application.
    pub headers: Vec<(String, String)>,
    /// Whether the response is to be asked about before it goes out. Only the filter can.
    pub asks_response: bool,
}

/// Why a request was not looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotInspected {
    /// It took too long.
    TimedOut,
    /// Too many others were under inspection.
    Overloaded,
    /// The agent failed on it.
    Faulted,
    /// Processing is turned off.
    Disabled,
    /// What was kept of the request is gone.
    Forgotten,
}

impl NotInspected {
    /// The agent response code; the field's own for "not processed".
    pub(crate) fn code(self) -> i32 {
        match self {
            Self::TimedOut => -2,
            Self::Overloaded => -1,
            Self::Faulted | Self::Disabled | Self::Forgotten => 0,
        }
    }
}

impl Answer {
    /// The message for a module. Modules set the other headers of the field themselves, and one adds what it is given to
    /// what it sets.
    pub fn to_module(&self) -> RpcMsgOut<'_> {
        match self {
            Self::Judged(judged) => {
                let pairs = judged.redirect().into_iter().chain(judged.tags()).chain(judged.invented());
                judged.message(pairs.collect())
            }
            Self::NotInspected(reason) => RpcMsgOut { waf_response: reason.code(), ..RpcMsgOut::default() },
        }
    }

    /// The message for the filter, which gives the application exactly the headers it is told.
    pub fn to_filter(&self) -> RpcMsgOut<'_> {
        match self {
            Self::Judged(judged) => {
                let code = (AGENT_RESPONSE_HEADER.into(), judged.verdict.code().to_string().into());
                let id = judged.id.map(|id| (REQUEST_ID_HEADER.into(), id.to_string().into()));
                let pairs = judged
                    .redirect()
                    .into_iter()
                    .chain([code])
                    .chain(id)
                    .chain(judged.tags())
                    .chain(judged.invented());
                RpcMsgOut { ask_response: judged.asks_response, ..judged.message(pairs.collect()) }
            }
            Self::NotInspected(reason) => RpcMsgOut { waf_response: reason.code(), ..RpcMsgOut::default() },
        }
    }

    /// The same, with the page of a request that is stopped where the filter speaks `version` of the protocol.
    pub fn to_filter_speaking(&self, version: u16) -> RpcMsgOut<'_> {
        let message = self.to_filter();
        let Self::Judged(judged) = self else { return message };
        match &judged.verdict.page {
            Some(page) if version >= PAGES && page.body.len() <= MAX_PAGE => RpcMsgOut {
                page: page.body.as_slice().into(),
                page_type: page.content_type.into(),
                page_headers: page
                    .headers
                    .iter()
                    .map(|(name, value)| ((*name).into(), (*value).into()))
                    .collect(),
                ..message
            },
            _ => message,
        }
    }

    /// The message about a response that waits.
    pub fn about_response(&self) -> RpcMsgOut<'_> {
        match self {
            Self::Judged(judged) => judged.message(judged.redirect().into_iter().collect()),
            Self::NotInspected(reason) => RpcMsgOut { waf_response: reason.code(), ..RpcMsgOut::default() },
        }
    }
}

impl Judged {
    fn message<'a>(&'a self, request_headers: Vec<Pair<'a>>) -> RpcMsgOut<'a> {
        RpcMsgOut {
            waf_response: i32::from(self.verdict.code()),
            request_id: self.id.map(|id| id.to_string().into()).unwrap_or_default(),
            request_headers,
            resp_actions: self.verdict.headers.iter().map(edit).collect(),
            ..RpcMsgOut::default()
        }
    }

    fn redirect(&self) -> Option<Pair<'_>> {
        self.verdict.location().map(|location| (REDIRECT_HEADER.into(), location.into()))
    }

    /// The tags' names; none where there are none, unless that would leave the client's own in place.
    fn tags(&self) -> Option<Pair<'_>> {
        let wanted = self.verdict.names().next().is_some() || self.forged_tags;
        wanted.then(|| (TAGS_HEADER.into(), ByteStr::from(tag_list(&self.verdict))))
    }

    fn invented(&self) -> impl Iterator<Item = Pair<'_>> {
        self.headers.iter().map(|(name, value)| (name.as_str().into(), value.as_str().into()))
    }
}

/// An edit of the response's headers as modules and the filter take it.
fn edit(edit: &HeaderEdit) -> RespAction<'_> {
    let (code, args) = match edit {
        HeaderEdit::Add(name, value) => (1, vec![(&**name).into(), (&**value).into()]),
        HeaderEdit::Set(name, value) => (2, vec![(&**name).into(), (&**value).into()]),
        HeaderEdit::Delete(name) => (4, vec![(&**name).into()]),
    };
    RespAction { code, args }
}

/// The tags' names, separated by commas, as many as fit.
pub fn tag_list(verdict: &Decision) -> String {
    let mut names = String::new();
    for name in verdict.names() {
        if names.len() + 1 + name.len() > MAX_TAGS {
            break;
        }
        if !names.is_empty() {
            names.push(',');
        }
        names.push_str(&name.to_ascii_uppercase());
    }
    names
}

#[cfg(test)]
mod tests {
    use portcullis_detect::Tag;
    use portcullis_policy::{FollowUp, Page, Policy};
    use portcullis_protocol::envelope::{MAX_REPLY, MsgId, write_reply};

    use super::*;
    use crate::ids::Ids;

    fn judged(tags: &[Tag], forged_tags: bool) -> Answer {
        let (follow_up, id) = match tags {
            [] => (FollowUp::IfAnomalous, None),
            _ => (FollowUp::Always, Some(Ids::default().make())),
        };
        let verdict = Box::new(Decision::pass(tags.to_vec(), follow_up));
        Answer::Judged(Judged { verdict, id, forged_tags, headers: Vec::new(), asks_response: false })
    }

    fn names(message: &RpcMsgOut<'_>) -> Vec<String> {
        message.request_headers.iter().map(|(name, _)| String::from_utf8_lossy(name).into_owned()).collect()
    }

    #[test]
    fn says_little_about_a_clean_request() {
        let clean = judged(&[], false);
        assert_eq!(clean.to_module(), RpcMsgOut { waf_response: 200, ..RpcMsgOut::default() });
        assert_eq!(names(&clean.to_filter()), ["X-SigSci-AgentResponse"]);
        assert!(clean.to_filter().request_id.is_empty());
    }

    #[test]
    fn names_the_tags_and_gives_an_id() {
        let answer = judged(&[Tag::Sqli, Tag::NoUa], false);
        let message = answer.to_module();
        assert_eq!(message.request_headers, [("X-SigSci-Tags".into(), "SQLI,NOUA".into())]);
        assert_eq!(message.request_id.len(), 24);
        assert_eq!(
            names(&answer.to_filter()),
            ["X-SigSci-AgentResponse", "X-SigSci-RequestID", "X-SigSci-Tags"]
        );
    }

    #[test]
    fn puts_nothing_in_the_place_of_forged_tags() {
        assert_eq!(judged(&[], true).to_module().request_headers, [("X-SigSci-Tags".into(), "".into())]);
    }

    #[test]
    fn sends_a_redirected_client_somewhere() {
        let text = r#"{"site":{"agentLevel":"block","immediateBlock":true,"blockHTTPCode":302,"blockRedirectURL":"/no"}}"#;
        let policy = Policy::from_json("policy.json", text).unwrap();
        let action = policy.site.block_action();
        let verdict = Box::new(Decision { action, ..Decision::pass(vec![Tag::Sqli], FollowUp::Always) });
        let answer = Answer::Judged(Judged {
            verdict,
            id: None,
            forged_tags: false,
            headers: Vec::new(),
            asks_response: false,
        });
        let message = answer.to_module();
        assert_eq!(message.waf_response, 302);
        assert_eq!(message.request_headers.first(), Some(&("X-Sigsci-Redirect".into(), "/no".into())));
    }

    fn with_page(body: Vec<u8>) -> Answer {
        let text = r#"{"site":{"blockHTTPCode":403}}"#;
        let action = Policy::from_json("policy.json", text).unwrap().site.block_action();
        let page = Some(Page { content_type: "text/html", headers: &[("cache-control", "no-store")], body });
        let verdict =
            Box::new(Decision { action, page, ..Decision::pass(vec![Tag::Sqli], FollowUp::IfAnomalous) });
        Answer::Judged(Judged {
            verdict,
            id: None,
            forged_tags: false,
            headers: Vec::new(),
            asks_response: false,
        })
    }

    #[test]
    fn shows_a_page_only_to_filters_that_know_what_one_is() {
        let answer = with_page(b"<p>wait</p>".to_vec());
        for plain in [answer.to_module(), answer.to_filter(), answer.to_filter_speaking(PAGES - 1)] {
            assert_eq!((plain.waf_response, plain.page.is_empty(), plain.page_headers.len()), (403, true, 0));
        }
        let shown = answer.to_filter_speaking(PAGES);
        assert_eq!((&shown.page[..], &shown.page_type[..]), (&b"<p>wait</p>"[..], &b"text/html"[..]));
        assert_eq!(shown.page_headers, [("cache-control".into(), "no-store".into())]);
        assert_eq!(RpcMsgOut::decode(&shown.encode()).unwrap(), shown);
    }

    #[test]
    fn sends_the_status_alone_where_a_page_is_too_long() {
        assert_eq!(with_page(vec![b'x'; MAX_PAGE]).to_filter_speaking(PAGES).page.len(), MAX_PAGE);
        let shown = with_page(vec![b'x'; MAX_PAGE + 1]);
        assert_eq!(shown.to_filter_speaking(PAGES), shown.to_filter());
    }

    #[test]
    fn fits_a_reply_with_every_tag_and_the_longest_redirect() {
        let location = format!("/{}", "x".repeat(511));
        let text = format!(r#"{{"site":{{"blockHTTPCode":302,"blockRedirectURL":"{location}"}}}}"#);
        let action = Policy::from_json("policy.json", &text).unwrap().site.block_action();
        let verdict = Box::new(Decision { action, ..Decision::pass(Tag::ALL.to_vec(), FollowUp::Always) });
        let id = Some(Ids::default().make());
        let answer = Answer::Judged(Judged {
            verdict,
            id,
            forged_tags: false,
            headers: Vec::new(),
            asks_response: false,
        });
        let message = answer.to_module();
        let wire = write_reply(MsgId::NONE, &message);
        assert!(wire.len() + 8 < MAX_REPLY);
        assert_eq!(RpcMsgOut::decode(&wire[4..]).unwrap(), message);
    }

    #[test]
    fn never_calls_a_request_clean_that_was_not_inspected() {
        for (reason, code) in [
            (NotInspected::TimedOut, -2),
            (NotInspected::Overloaded, -1),
            (NotInspected::Faulted, 0),
            (NotInspected::Disabled, 0),
        ] {
            let answer = Answer::NotInspected(reason);
            assert_eq!((answer.to_module().waf_response, answer.to_filter().waf_response), (code, code));
        }
    }
}
