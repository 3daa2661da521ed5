//! Alerts, and the thresholds of the newer interface: a signal, an interval, a number, and what follows.

use std::sync::Arc;

use crate::read::Reader;
use crate::read::site::interval;
use crate::signals;
use crate::source::Node;
use crate::state::{FlagKind, Interval};
use crate::threshold::{Counted, Threshold};

/// What an alert is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Alert {
    /// A number that flags.
    Threshold(Threshold),
    /// A signal that is blocked whenever it comes.
    Immediate(Arc<str>),
}

#[derive(Clone, Copy)]
enum Action {
    Log,
    Block,
    Immediate,
    Metric,
}

/// Reads an item of `alerts`.
pub(crate) fn alert(reader: &mut Reader, node: &Node) -> Option<Alert> {
    read(reader, node, None)
}

/// Reads an alert of a template, which is on the template's signal.
pub(crate) fn of(reader: &mut Reader, node: &Node, signal: &Arc<str>) -> Option<Alert> {
    read(reader, node, Some(signal))
}

fn read(reader: &mut Reader, node: &Node, signal: Option<&Arc<str>>) -> Option<Alert> {
    let object = reader.object(node)?;
    let words = [
        ("info", Action::Log),
        ("template", Action::Log),
        ("flagged", Action::Block),
        ("blockImmediate", Action::Immediate),
        ("siteMetricInfo", Action::Metric),
    ];
    let action = object.read(reader, "action", |reader, node| reader.choice(node, "action", &words));
    if object.take("action").is_none() {
        reader.problem(node, "needs an action");
    }
    if matches!(action, Some(Action::Metric)) {
        reader.warn(
            node,
            "an alert on the agent's own metrics has no effect here: watch the metrics themselves",
        );
        return None;
    }
    let tag = object.text(reader, "tagName");
    let name = object.text(reader, "longName");
    let interval = object.read(reader, "interval", interval);
    let threshold = object.int(reader, "threshold", 0..=100_000);
    let seconds = object.int(reader, "blockDurationSeconds", 0..=31_556_900).filter(|seconds| *seconds > 0);
    let enabled = object.bool(reader, "enabled").unwrap_or(true);
    object.finish(reader, &["skipNotifications", "operator", "fieldName", "type", "siteName"]);
    let tag = tag.filter(|tag| !tag.is_empty());
    let signal: Arc<str> = match (tag, signal) {
        (_, Some(signal)) => Arc::clone(signal),
        (Some(tag), None) => match signals::canonical(&tag) {
            Some(name) => name.into(),
            None => {
                reader.problem(node, format!("there is no signal called {tag:?}"));
                return None;
            }
        },
        (None, None) => {
            reader.problem(node, "needs a tagName");
            return None;
        }
    };
    let action = action?;
    if let Action::Immediate = action {
        return enabled.then_some(Alert::Immediate(signal));
    }
    if interval.is_none() && object.take("interval").is_none() {
        reader.problem(node, "needs an interval");
    }
    let threshold = match threshold {
        Some(number @ 1..) => number,
        Some(_) => {
            reader.problem(node, "threshold: 0 is not within 1 and 100000");
            return None;
        }
        None => {
            if object.take("threshold").is_none() {
                reader.problem(node, "needs a threshold");
            }
            return None;
        }
    };
    let kind = if let Action::Block = action { FlagKind::Block } else { FlagKind::Log };
    let threshold = Threshold {
        name: name.map_or_else(|| Arc::clone(&signal), Arc::from),
        counted: Counted::Signal(signal),
        interval: interval?,
        threshold: u32::try_from(threshold).ok()?,
        kind,
        seconds: seconds.and_then(|seconds| u32::try_from(seconds).ok()).unwrap_or(DEFAULT_SECONDS),
    };
    enabled.then_some(Alert::Threshold(threshold))
}

/// Reads an item of `thresholds`.
pub(crate) fn threshold(reader: &mut Reader, node: &Node) -> Option<Alert> {
    let object = reader.object(node)?;
    let words = [("block", FlagKind::Block), ("log", FlagKind::Log)];
    let kind = object.read(reader, "action", |reader, node| reader.choice(node, "action", &words));
    let name = object.text(reader, "name");
    let signal = object.text(reader, "signal");
    let interval = object.read(reader, "interval", |reader, node| match reader.int(node, 1..=3600)? {
        60 => Some(Interval::Minute),
        600 => Some(Interval::TenMinutes),
        3600 => Some(Interval::Hour),
        other => {
            reader.problem(node, format!("{other} is not 60, 600 or 3600 (seconds)"));
            None
        }
    });
    let limit = object.int(reader, "limit", 1..=100_000);
    let seconds = object.int(reader, "duration", 1..=31_556_900);
    let enabled = object.bool(reader, "enabled").unwrap_or(true);
    for key in ["action", "signal", "interval", "limit"] {
        if object.take(key).is_none() {
            reader.problem(node, format!("needs {key}"));
        }
    }
    object.finish(reader, &["dontNotify", "scope"]);
    let signal = signal?;
    let Some(signal) = signals::canonical(&signal) else {
        reader.problem(node, format!("there is no signal called {signal:?}"));
        return None;
    };
    let signal: Arc<str> = signal.into();
    let threshold = Threshold {
        name: name.map_or_else(|| Arc::clone(&signal), Arc::from),
        counted: Counted::Signal(signal),
        interval: interval?,
        threshold: u32::try_from(limit?).ok()?,
        kind: kind?,
        seconds: seconds.and_then(|seconds| u32::try_from(seconds).ok()).unwrap_or(DEFAULT_SECONDS),
    };
    enabled.then_some(Alert::Threshold(threshold))
}

/// A day, as for the site.
const DEFAULT_SECONDS: u32 = 86_400;
