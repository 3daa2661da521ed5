//! What a rule does.

use std::sync::Arc;

use crate::decision::HeaderEdit;
use crate::read::site::{AnswerKeys, answer};
use crate::read::{Names, Reader};
use crate::rule::{Effect, Scope};
use crate::source::Node;

/// An action as it is written: its effect, and the signal that it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    Effect(Effect),
    /// Of a rate limit: what happens to which requests.
    Limit(Effect, Scope),
    /// A finding is none.
    Exclude(Option<Arc<str>>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RuleType {
    Request,
    Signal,
    RateLimit,
    Templated,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Type {
    Block,
    Allow,
    Add,
    Exclude,
    Log,
    BlockSignal,
    Deception,
    Challenge,
    VerifyToken,
    SetHeader,
    AddHeader,
    DeleteHeader,
}

/// Reads one action of a rule of type `of`; `counted` is the signal that a rate limit counts.
pub(crate) fn action(
    reader: &mut Reader,
    node: &Node,
    of: RuleType,
    counted: Option<&str>,
    names: &Names,
) -> Option<Read> {
    let object = reader.object(node)?;
    let kind = object.read(reader, "type", |reader, node| {
        let kind = reader.choice(node, "action", TYPES)?;
        if !fits(kind, of) {
            reader.problem(node, format!("a rule of type {of:?} has no such action"));
            return None;
        }
        Some(kind)
    });
    if object.take("type").is_none() {
        reader.problem(node, "needs a type");
    }
    let named = object.read(reader, "signal", |reader, node| {
        let name = reader.text(node)?;
        if name.is_empty() { None } else { names.signal(reader, node, &name) }
    });
    let own = answer(reader, &object, node, ANSWER);
    object.read(reader, "allowInteractive", Reader::bool);
    let deception = object.text(reader, "deceptionType").filter(|kind| !kind.is_empty());
    if let Some(kind) = deception.filter(|kind| kind != "invalid_login_response") {
        reader.problem(node, format!("{kind:?} is no deception; known is invalid_login_response"));
    }
    let header = object.text(reader, "header");
    let value = object.text(reader, "value");
    object.finish(reader, &[]);
    let effect = match kind? {
        Type::Block | Type::BlockSignal => Effect::Block(own),
        Type::Allow => Effect::Allow,
        Type::Log => Effect::Log,
        Type::Deception => Effect::Deceive,
        Type::Challenge => Effect::Challenge,
        Type::VerifyToken => Effect::VerifyToken,
        Type::Exclude => return Some(Read::Exclude(named)),
        Type::Add => match &named {
            Some(signal) => Effect::Add(Arc::clone(signal)),
            None => {
                if object.take("signal").is_none() {
                    reader.problem(node, "needs a signal");
                }
                return None;
            }
        },
        Type::SetHeader | Type::AddHeader | Type::DeleteHeader => {
            Effect::Header(header_edit(reader, node, kind?, header, value)?)
        }
    };
    if of != RuleType::RateLimit {
        return Some(Read::Effect(effect));
    }
    let scope = match named {
        Some(name) if name.eq_ignore_ascii_case("ALL-REQUESTS") => Scope::All,
        Some(name) if counted.is_some_and(|counted| counted.eq_ignore_ascii_case(&name)) => Scope::Counted,
        Some(name) => Scope::Signal(name),
        None => Scope::Counted,
    };
    Some(Read::Limit(effect, scope))
}

fn header_edit(
    reader: &mut Reader,
    node: &Node,
    kind: Type,
    header: Option<String>,
    value: Option<String>,
) -> Option<HeaderEdit> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let Some(name) = header.filter(|name| !name.is_empty() && name.bytes().all(is_token)) else {
        reader.problem(node, "needs a header, by a name that headers can have");
        return None;
    };
    let name: Arc<str> = name.into();
    if kind == Type::DeleteHeader {
        return Some(HeaderEdit::Delete(name));
    }
    let Some(value) =
        value.filter(|value| value.bytes().all(|byte| byte == b'\t' || (b' '..=b'~').contains(&byte)))
    else {
        reader.problem(node, "needs a value of printable ASCII");
        return None;
    };
    let value: Arc<str> = value.into();
    Some(if kind == Type::AddHeader { HeaderEdit::Add(name, value) } else { HeaderEdit::Set(name, value) })
}

fn fits(kind: Type, of: RuleType) -> bool {
    match of {
        RuleType::Request => !matches!(kind, Type::Exclude | Type::BlockSignal),
        RuleType::Signal => kind == Type::Exclude,
        RuleType::RateLimit => !matches!(
            kind,
            Type::Allow | Type::Add | Type::Exclude | Type::SetHeader | Type::AddHeader | Type::DeleteHeader
        ),
        RuleType::Templated => !matches!(kind, Type::Exclude | Type::BlockSignal),
    }
}

const TYPES: &[(&str, Type)] = &[
    ("block", Type::Block),
    ("allow", Type::Allow),
    ("addSignal", Type::Add),
    ("excludeSignal", Type::Exclude),
    ("exclude", Type::Exclude),
    ("logRequest", Type::Log),
    ("blockSignal", Type::BlockSignal),
    ("deception", Type::Deception),
    ("browserChallenge", Type::Challenge),
    ("dynamicChallenge", Type::Challenge),
    ("verifyToken", Type::VerifyToken),
    ("setResponseHeader", Type::SetHeader),
    ("addResponseHeader", Type::AddHeader),
    ("deleteResponseHeader", Type::DeleteHeader),
];

const ANSWER: AnswerKeys = (&["responseCode"], &["redirectURL"]);
