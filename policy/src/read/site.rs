//! The site object, and the workspace object of the newer interface.

use crate::read::{Object, Reader};
use crate::site::{AgentMode, BlockAnswer, Blocking, Site};
use crate::source::{Kind, Node};
use crate::state::Interval;

/// Reads `site`.
pub(crate) fn site(reader: &mut Reader, node: &Node) -> Option<Site> {
    let object = reader.object(node)?;
    let mut site = Site::default();
    let name = object.read_any(reader, &["displayName", "name"], Reader::text);
    site.name = name.unwrap_or_default();
    object.take("description");
    if let Some(mode) = object.read_any(reader, &["agentLevel", "mode"], mode) {
        site.mode = mode;
    }
    if object.bool(reader, "immediateBlock") == Some(true) {
        site.blocking = Blocking::Immediate;
    }
    object.read(reader, "attackThresholds", |reader, node| {
        for (interval, threshold) in reader.items(node, 3, attack_threshold) {
            set(&mut site, interval, threshold);
        }
        Some(())
    });
    object.read(reader, "attackSignalThresholds", |reader, node| signal_thresholds(reader, node, &mut site));
    let seconds = 60..=31_556_900;
    if let Some(seconds) = object.int(reader, "blockDurationSeconds", seconds) {
        site.flag_seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
    }
    if let Some(answer) = answer(reader, &object, node, SITE_ANSWER) {
        site.answer = answer;
    }
    if let Some(anonymize) = object.read_any(reader, &["agentAnonMode", "ipAnonymization"], anonymize) {
        site.anonymize = anonymize;
    }
    let headers = object.read_any(reader, &["clientIPRules", "clientIpHeaders"], |reader, node| {
        Some(reader.items(node, MOST_CLIENT_HEADERS, client_header))
    });
    site.client_headers = headers.unwrap_or_default();
    if let Some(prefix) = object.int(reader, "ipv6Prefix", 32..=128) {
        site.ipv6_prefix = u8::try_from(prefix).unwrap_or(64);
    }
    object.finish(reader, LINKS);
    Some(site)
}

/// The two names under which a status, and a target, can stand.
pub(crate) type AnswerKeys = (&'static [&'static str], &'static [&'static str]);

const SITE_ANSWER: AnswerKeys =
    (&["blockHTTPCode", "defaultBlockingResponseCode"], &["blockRedirectURL", "defaultRedirectUrl"]);

/// Reads a status and a target; none where there is neither.
pub(crate) fn answer(
    reader: &mut Reader,
    object: &Object<'_>,
    node: &Node,
    (codes, targets): AnswerKeys,
) -> Option<BlockAnswer> {
    let place = codes.iter().find_map(|name| object.take(name)).unwrap_or(node);
    let code = object.read_any(reader, codes, |reader, node| reader.int(node, i64::MIN..=i64::MAX));
    let target = object.read_any(reader, targets, Reader::text).filter(|target| !target.is_empty());
    // 0 is how exports say that the default holds.
    let code = code.filter(|code| *code != 0);
    if code.is_none() && target.is_none() {
        return None;
    }
    let code = code.unwrap_or(if target.is_some() { 302 } else { 406 });
    match BlockAnswer::new(code, target) {
        Ok(answer) => Some(answer),
        Err(error) => {
            let name = codes.iter().find(|name| object.take(name).is_some()).copied();
            let tell = |reader: &mut Reader| reader.problem(place, error.to_string());
            match name {
                Some(name) => reader.key(name, tell),
                None => tell(reader),
            }
            None
        }
    }
}

fn mode(reader: &mut Reader, node: &Node) -> Option<AgentMode> {
    let words = [("block", AgentMode::Block), ("log", AgentMode::Log), ("off", AgentMode::Off)];
    reader.choice(node, "mode", &words)
}

fn anonymize(reader: &mut Reader, node: &Node) -> Option<bool> {
    if matches!(&node.kind, Kind::Text(text) if text.is_empty()) {
        return Some(false);
    }
    reader.choice(node, "way to anonymise", &[("EU", true), ("hashed", true), ("none", false)])
}

/// Reads the length of an interval as minutes, or as the seconds of the newer interface.
pub(crate) fn interval(reader: &mut Reader, node: &Node) -> Option<Interval> {
    match reader.int(node, 1..=3600)? {
        1 => Some(Interval::Minute),
        10 => Some(Interval::TenMinutes),
        // 60 is an hour in minutes and a minute in seconds: whoever reads seconds says so.
        60 => Some(Interval::Hour),
        other => {
            reader.problem(node, format!("{other} is not 1, 10 or 60 (minutes)"));
            None
        }
    }
}

fn attack_threshold(reader: &mut Reader, node: &Node) -> Option<(Interval, u32)> {
    let object = reader.object(node)?;
    let interval = object.read(reader, "interval", interval);
    let threshold = object.int(reader, "threshold", 1..=100_000);
    if object.take("interval").is_none() || object.take("threshold").is_none() {
        reader.problem(node, "needs interval and threshold");
    }
    object.finish(reader, &[]);
    Some((interval?, u32::try_from(threshold?).ok()?))
}

fn signal_thresholds(reader: &mut Reader, node: &Node, site: &mut Site) -> Option<()> {
    let object = reader.object(node)?;
    let names =
        [("oneMinute", Interval::Minute), ("tenMinutes", Interval::TenMinutes), ("oneHour", Interval::Hour)];
    for (name, interval) in names {
        if let Some(threshold) = object.int(reader, name, 1..=10_000) {
            set(site, interval, u32::try_from(threshold).unwrap_or(u32::MAX));
        }
    }
    if object.bool(reader, "immediate") == Some(true) {
        site.blocking = Blocking::Immediate;
    }
    object.finish(reader, &[]);
    Some(())
}

fn set(site: &mut Site, interval: Interval, threshold: u32) {
    for known in site.attack_thresholds.iter_mut().filter(|known| known.interval == interval) {
        known.threshold = threshold;
    }
}

fn client_header(reader: &mut Reader, node: &Node) -> Option<String> {
    let name = match &node.kind {
        Kind::Map(_) => {
            let object = reader.object(node)?;
            let name = object.text(reader, "header");
            object.finish(reader, &["order"]);
            name?
        }
        _ => reader.text(node)?,
    };
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_token) {
        reader.problem(node, format!("{name:?} is no header's name"));
        return None;
    }
    Some(name)
}

/// Headers that may be named.
const MOST_CLIENT_HEADERS: usize = 10;

/// Where a console keeps the rest of a site.
const LINKS: &[&str] = &[
    "activity",
    "agents",
    "alerts",
    "analyticsEvents",
    "attackThresholdsUri",
    "blacklist",
    "events",
    "headerLinks",
    "integrations",
    "members",
    "monitors",
    "paramwhitelist",
    "pathwhitelist",
    "redactions",
    "requests",
    "suspiciousIPs",
    "topAttacks",
    "whitelist",
];
