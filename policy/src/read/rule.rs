//! Rules of the site and of the corporation.

use std::collections::HashSet;
use std::sync::Arc;

use crate::decision::Logging;
use crate::read::action::{self, Read, RuleType};
use crate::read::address::time;
use crate::read::{Names, Object, Reader, condition};
use crate::rule::{Effect, Exclusion, Identifier, RateLimit, Rule, Scope, Test};
use crate::source::{Kind, Node};
use crate::state::RateOf;

/// Where a rule stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Site,
    Corp,
}

/// What rules become, and what they have to be unlike.
#[derive(Debug, Default)]
pub(crate) struct Rulebook {
    pub(crate) rules: Vec<Rule>,
    pub(crate) exclusions: Vec<Exclusion>,
    ids: HashSet<String>,
}

impl Rulebook {
    /// Reads a list of rules; `site` is the site's name, for rules of the corporation that are for some sites only.
    pub(crate) fn read(
        &mut self,
        reader: &mut Reader,
        node: &Node,
        level: Level,
        (site, names): (&str, &Names),
    ) {
        let (mut rates, mut at) = (0, 0);
        reader.items(node, MOST_RULES, |reader, node| {
            at += 1;
            let object = reader.object(node)?;
            let id = object.text(reader, "id").filter(|id| !id.is_empty());
            let id = id.unwrap_or_else(|| content_id(node));
            let reason =
                object.read_any(reader, &["reason", "description"], Reader::text).unwrap_or_default();
            reader.rule = Some(if reason.is_empty() {
                format!("{id} (number {at})")
            } else {
                format!("{id} ({reason})")
            });
            if !self.ids.insert(id.clone()) {
                reader.problem(node, "another rule has the same id, or says the very same");
            }
            let head = Head { id: id.into(), reason: reason.into(), level };
            self.rule(reader, (&object, node), head, (site, names));
            if self.rules.last().is_some_and(|rule| rule.rate.is_some()) {
                rates += 1;
            }
            reader.rule = None;
            Some(())
        });
        if rates > MOST_RATES {
            reader.problem(node, format!("more than {MOST_RATES} rate limits"));
        }
    }

    fn rule(
        &mut self,
        reader: &mut Reader,
        (object, node): (&Object<'_>, &Node),
        head: Head,
        (site, names): (&str, &Names),
    ) -> Option<()> {
        let of = object.read(reader, "type", |reader, node| reader.choice(node, "type of rule", TYPES));
        if object.take("type").is_none() {
            reader.problem(node, "needs a type");
        }
        let enabled = object.bool(reader, "enabled").unwrap_or(true);
        let signal = object.read(reader, "signal", |reader, node| match reader.text(node)? {
            empty if empty.is_empty() => None,
            name => names.signal(reader, node, &name),
        });
        let expires = object.read_any(reader, &["expiration", "expiresAt"], time).flatten();
        let logging = object.read(reader, "requestLogging", |reader, node| {
            reader.choice(
                node,
                "way of logging",
                &[("sampled", Logging::Sampled), ("none", Logging::Never), ("", Logging::Sampled)],
            )
        });
        let applies = applies(reader, object, head.level, site);
        let of = of?;
        let rate = object.read(reader, "rateLimit", |reader, node| match (of, &node.kind) {
            (RuleType::RateLimit, _) => rate_limit(reader, node, names),
            (_, Kind::Map(pairs)) if pairs.iter().all(|(_, value)| is_blank(value)) => None,
            _ => {
                reader.problem(node, "only a rule of type rateLimit has one");
                None
            }
        });
        let counted = signal.clone().or_else(|| rate.as_ref().and_then(|(signal, _)| signal.clone()));
        let actions = object.read(reader, "actions", |reader, node| {
            let mut count = 0;
            let actions = reader.items(node, MOST_ACTIONS, |reader, node| {
                count += 1;
                action::action(reader, node, of, counted.as_deref(), names)
            });
            (actions.len() == count).then_some(actions)
        });
        let has_conditions = object.take("conditions").is_some();
        let test = match has_conditions {
            true => condition::group(reader, object, names, 1),
            false => Some(Test::All(Vec::new())),
        };
        object.finish(reader, &["createdby", "siteName", "groupConditions", "multivalConditions"]);
        if !has_conditions && of == RuleType::Request {
            reader.problem(node, "needs conditions");
            return None;
        }
        let built =
            self.build(reader, node, Parts { of, head, signal, expires, logging, rate, actions, test })?;
        if enabled && applies {
            match built {
                Built::Rule(rule) => self.rules.push(rule),
                Built::Exclusion(exclusion) => self.exclusions.push(exclusion),
            }
        }
        Some(())
    }

    fn build(&self, reader: &mut Reader, node: &Node, parts: Parts) -> Option<Built> {
        let Parts { of, head, signal, expires, logging, rate, actions, test } = parts;
        let is_missing = actions.is_none();
        let (actions, test) = (actions.unwrap_or_default(), test?);
        let mut effects = Vec::new();
        let mut scope = None;
        let mut excluded = None;
        for action in actions {
            match action {
                Read::Effect(effect) => effects.push(effect),
                Read::Limit(effect, of) => {
                    if scope.as_ref().is_some_and(|known| *known != of) {
                        reader.problem(node, "the actions of a rate limit concern different requests");
                    }
                    scope = Some(of);
                    effects.push(effect);
                }
                Read::Exclude(named) => excluded = Some(named),
            }
        }
        if of == RuleType::Signal {
            let Some(signal) = signal.or_else(|| excluded.clone().flatten()) else {
                reader.problem(node, "needs the signal that is excluded");
                return None;
            };
            return Some(Built::Exclusion(Exclusion { id: head.id, signal, test, expires }));
        }
        let mut limit = None;
        if of == RuleType::RateLimit {
            let Some((counted, draft)) = rate else {
                reader.problem(node, "needs a rateLimit");
                return None;
            };
            let Some(counted) = signal.clone().or(counted) else {
                reader.problem(node, "needs the signal that is counted");
                return None;
            };
            limit = Some(RateLimit { signal: counted, scope: scope.unwrap_or(Scope::Counted), ..draft });
        }
        if of == RuleType::Templated {
            let Some(signal) = signal else {
                reader.problem(node, "needs the signal that it adds");
                return None;
            };
            effects.push(Effect::Add(signal));
        }
        if effects.is_empty() {
            if !is_missing || limit.is_none() {
                reader.problem(node, "needs actions");
            }
            return None;
        }
        Some(Built::Rule(Rule {
            id: head.id,
            reason: head.reason,
            is_corp: head.level == Level::Corp,
            test,
            expires,
            logging: logging.unwrap_or_default(),
            effects,
            rate: limit,
        }))
    }
}

struct Head {
    id: Arc<str>,
    reason: Arc<str>,
    level: Level,
}

struct Parts {
    of: RuleType,
    head: Head,
    signal: Option<Arc<str>>,
    expires: Option<u64>,
    logging: Option<Logging>,
    rate: Option<(Option<Arc<str>>, RateLimit)>,
    actions: Option<Vec<Read>>,
    test: Option<Test>,
}

enum Built {
    Rule(Rule),
    Exclusion(Exclusion),
}

/// Whether a rule is for this site.
fn applies(reader: &mut Reader, object: &Object<'_>, level: Level, site: &str) -> bool {
    let words = [("global", true), ("specificSites", false), ("", true)];
    let is_global = object.read(reader, "corpScope", |reader, node| reader.choice(node, "scope", &words));
    let sites =
        object.read(reader, "siteNames", |reader, node| Some(reader.items(node, 10_000, Reader::text)));
    object.read(reader, "scope", |reader, node| {
        let object = reader.object(node)?;
        let words = [("workspace", ()), ("account", ())];
        object.read(reader, "type", |reader, node| reader.choice(node, "scope", &words));
        object.take("appliesTo");
        object.finish(reader, &[]);
        Some(())
    });
    let named = sites.unwrap_or_default().iter().any(|name| name.eq_ignore_ascii_case(site));
    level == Level::Site || is_global.unwrap_or(true) || named
}

fn rate_limit(reader: &mut Reader, node: &Node, names: &Names) -> Option<(Option<Arc<str>>, RateLimit)> {
    let object = reader.object(node)?;
    let threshold = object.int(reader, "threshold", 1..=100_000);
    let interval = object.int(reader, "interval", 1..=3600);
    if let (Some(interval), Some(place)) = (interval, object.take("interval"))
        && !INTERVALS.iter().any(|(written, _)| *written == interval)
    {
        reader.problem(place, format!("{interval} is not 1 or 10 (minutes), or 60, 600 or 3600 (seconds)"));
    }
    let duration = object.int(reader, "duration", 1..=86_400);
    let signal = object.read(reader, "signal", |reader, node| {
        let name = reader.text(node)?;
        if name.is_empty() { None } else { names.signal(reader, node, &name) }
    });
    let identifiers = object.read(reader, "clientIdentifiers", |reader, node| {
        let mut count = 0;
        let read = reader.items(node, 2, |reader, node| {
            count += 1;
            identifier(reader, node)
        });
        (read.len() == count).then_some(read)
    });
    for key in ["threshold", "interval"] {
        if object.take(key).is_none() {
            reader.problem(node, format!("needs {key}"));
        }
    }
    object.finish(reader, &[]);
    let number = |number: i64| u32::try_from(number).ok();
    let seconds =
        INTERVALS.iter().find(|(written, _)| Some(*written) == interval).map(|(_, seconds)| *seconds)?;
    let identifiers = match (identifiers, object.take("clientIdentifiers")) {
        (Some(identifiers), _) if !identifiers.is_empty() => identifiers,
        (_, None) | (Some(_), _) => vec![Identifier::Ip],
        (None, Some(_)) => return None,
    };
    let of = RateOf {
        threshold: number(threshold?)?,
        interval: seconds,
        duration: number(duration.unwrap_or(600))?,
    };
    Some((signal, RateLimit { signal: "".into(), of, identifiers, scope: Scope::Counted }))
}

fn identifier(reader: &mut Reader, node: &Node) -> Option<Identifier> {
    #[derive(Clone, Copy)]
    enum Type {
        Ip,
        Header,
        Cookie,
        Post,
        Payload,
    }
    let object = reader.object(node)?;
    let words = [
        ("ip", Type::Ip),
        ("requestHeader", Type::Header),
        ("requestCookie", Type::Cookie),
        ("postParameter", Type::Post),
        ("signalPayload", Type::Payload),
    ];
    let kind = object.read(reader, "type", |reader, node| reader.choice(node, "client identifier", &words));
    if object.take("type").is_none() {
        reader.problem(node, "needs a type");
    }
    let name = object.text(reader, "name").filter(|name| !name.is_empty());
    let key = object.text(reader, "key").filter(|key| !key.is_empty());
    object.finish(reader, &[]);
    let kind = kind?;
    let name = name.or(key);
    if let Type::Ip = kind {
        return Some(Identifier::Ip);
    }
    let Some(name) = name else {
        reader.problem(node, "needs a name or key");
        return None;
    };
    Some(match kind {
        Type::Ip => Identifier::Ip,
        Type::Header => Identifier::RequestHeader(name),
        Type::Cookie => Identifier::RequestCookie(name),
        Type::Post => Identifier::PostParameter(name),
        Type::Payload => Identifier::SignalPayload(name),
    })
}

/// What an export has where there is nothing.
fn is_blank(node: &Node) -> bool {
    match &node.kind {
        Kind::Null | Kind::Int(0) => true,
        Kind::Text(text) => text.is_empty(),
        Kind::List(items) => items.is_empty(),
        Kind::Map(pairs) => pairs.iter().all(|(_, value)| is_blank(value)),
        Kind::Bool(_) | Kind::Int(_) | Kind::Float(_) => false,
    }
}

/// An id for a rule without one: the same as long as the rule says the same, in the form that ids have.
pub(crate) fn content_id(node: &Node) -> String {
    use siphasher::sip128::{Hasher128, SipHasher24};
    use std::hash::Hasher;
    let mut hasher = SipHasher24::new();
    let mut text = String::new();
    node.render(&mut text);
    hasher.write(text.as_bytes());
    let hash = hasher.finish128();
    let hex = format!("{:016x}{:016x}", hash.h1, hash.h2);
    hex.get(..24).unwrap_or(&hex).to_owned()
}

const TYPES: &[(&str, RuleType)] = &[
    ("request", RuleType::Request),
    ("signal", RuleType::Signal),
    ("rateLimit", RuleType::RateLimit),
    ("templatedSignal", RuleType::Templated),
];
/// What an interval can be, and its seconds.
const INTERVALS: &[(i64, u32)] = &[(1, 60), (10, 600), (60, 60), (600, 600), (3600, 3600)];
const MOST_RULES: usize = 2000;
const MOST_RATES: usize = 100;
const MOST_ACTIONS: usize = 10;
