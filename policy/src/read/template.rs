//! Configured templates: signals whose detection is a list of fields, and virtual patches.

use std::sync::Arc;

use portcullis_detect::Patch;

use crate::decision::Logging;
use crate::read::alert::{self, Alert};
use crate::read::rule::content_id;
use crate::read::{Names, Object, Reader, fold};
use crate::rule::{Effect, Field, Kind, Leaf, Many, Matcher, Multi, Part, Predicate, Rule, Test, Wild};
use crate::source::Node;

/// What templates become.
#[derive(Debug, Default)]
pub(crate) struct Templates {
    pub(crate) rules: Vec<Rule>,
    pub(crate) alerts: Vec<Alert>,
    pub(crate) patches: Vec<VirtualPatch>,
}

/// A virtual patch that is switched on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct VirtualPatch {
    /// Its id, `CVE-2021-44228`.
    pub(crate) id: &'static str,
    /// Whether what it finds is blocked.
    pub(crate) blocks: bool,
}

impl Templates {
    /// Reads `configuredTemplates`.
    pub(crate) fn read(&mut self, reader: &mut Reader, node: &Node, names: &Names) {
        reader.items(node, MOST_TEMPLATES, |reader, node| {
            let object = reader.object(node)?;
            let name = object.text(reader, "name");
            let Some(signal) = name.and_then(|name| names.signal(reader, node, &name)) else {
                if object.take("name").is_none() {
                    reader.problem(node, "needs a name");
                }
                return None;
            };
            let patch = Patch::find(&signal);
            let mut enabled = false;
            for key in ["detections", "detectionAdds", "detectionUpdates"] {
                object.read(reader, key, |reader, node| {
                    reader.items(node, MOST_DETECTIONS, |reader, node| {
                        enabled |= self.detection(reader, node, &signal, patch.is_some())?;
                        Some(())
                    });
                    Some(())
                });
            }
            let before = self.alerts.len();
            for key in ["alerts", "alertAdds", "alertUpdates"] {
                object.read(reader, key, |reader, node| {
                    let alerts =
                        reader.items(node, MOST_DETECTIONS, |reader, node| alert::of(reader, node, &signal));
                    self.alerts.extend(alerts);
                    Some(())
                });
            }
            object.finish(reader, &["detectionDeletes", "alertDeletes", "type"]);
            if let (true, Some(patch)) = (enabled, patch) {
                let mut alerts = self.alerts.iter().skip(before);
                let blocks = alerts.any(|alert| matches!(alert, Alert::Immediate(_)));
                self.patches.push(VirtualPatch { id: patch.id, blocks });
            }
            Some(())
        });
    }

    /// Reads `virtualPatches` of the newer interface.
    pub(crate) fn patches(&mut self, reader: &mut Reader, node: &Node) {
        reader.items(node, MOST_TEMPLATES, |reader, node| {
            let object = reader.object(node)?;
            let id = object.text(reader, "id");
            let enabled = object.bool(reader, "enabled").unwrap_or(true);
            let words = [("block", true), ("log", false)];
            let blocks = object.read(reader, "mode", |reader, node| reader.choice(node, "mode", &words));
            object.text(reader, "description");
            object.finish(reader, &[]);
            let Some(id) = id else {
                reader.problem(node, "needs an id");
                return None;
            };
            match Patch::find(&id) {
                Some(patch) if enabled => {
                    self.patches.push(VirtualPatch { id: patch.id, blocks: blocks.unwrap_or(false) });
                }
                Some(_) => {}
                None if enabled => reader.problem(node, format!("no virtual patch is called {id}")),
                // Exports list all of them, most of them off.
                None => {}
            }
            Some(())
        });
    }

    /// Reads one detection; whether it is on.
    fn detection(
        &mut self,
        reader: &mut Reader,
        node: &Node,
        signal: &Arc<str>,
        is_patch: bool,
    ) -> Option<bool> {
        let object = reader.object(node)?;
        let enabled = object.bool(reader, "enabled").unwrap_or(true);
        let id = object.text(reader, "id").filter(|id| !id.is_empty());
        let reason = object.text(reader, "name").unwrap_or_default();
        let mut count = 0;
        let fields = object.read(reader, "fields", |reader, node| {
            Some(reader.items(node, MOST_FIELDS, |reader, node| {
                count += 1;
                field(reader, node)
            }))
        });
        object.finish(reader, &[]);
        let tests = fields.unwrap_or_default();
        if tests.len() != count || !enabled || (is_patch && tests.is_empty()) {
            return Some(enabled);
        }
        if tests.is_empty() {
            reader.problem(node, "needs fields");
            return None;
        }
        self.rules.push(Rule {
            id: id.unwrap_or_else(|| content_id(node)).into(),
            reason: reason.into(),
            is_corp: false,
            test: Test::All(tests),
            expires: None,
            logging: Logging::Sampled,
            effects: vec![Effect::Add(Arc::clone(signal))],
            rate: None,
        });
        Some(true)
    }
}

/// Reads `{name, value}`: a fact and a wildcard, or one of many as `name` or `name=wildcard`.
fn field(reader: &mut Reader, node: &Node) -> Option<Test> {
    let object = reader.object(node)?;
    let name = object.text(reader, "name");
    let value = object.text(reader, "value");
    object.finish(reader, &[]);
    let (Some(name), Some(value)) = (name, value) else {
        needs(reader, node, &object);
        return None;
    };
    let folded = fold(&name);
    if let Some((_, field)) = Field::ALL.iter().find(|(known, _)| fold(known) == folded) {
        let case = matches!(field.kind(), Kind::Fold | Kind::Word);
        let matcher = match (field.kind(), crate::ip::Pattern::parse(&value)) {
            (Kind::Ip, Some(pattern)) => Matcher::Ip(pattern),
            (Kind::Ip, None) => {
                reader.problem(node, format!("{value:?} is neither an address nor a network"));
                return None;
            }
            _ => Matcher::Like(wild(reader, node, &value, case)?),
        };
        return Some(Test::Leaf(Leaf::One(*field, Predicate { negate: false, fold: case, matcher })));
    }
    let Some((_, multi)) = Multi::ALL.iter().find(|(known, _)| fold(known) == folded) else {
        reader.problem(node, format!("{name:?} is no field of a detection"));
        return None;
    };
    let (name, value) = match value.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (value.as_str(), None),
    };
    let mut parts = vec![part(reader, node, *multi, Part::Name, name)?];
    if let Some(value) = value {
        parts.push(part(reader, node, *multi, Part::Value, value)?);
    }
    Some(Test::Leaf(Leaf::Many(Many { field: *multi, negate: false, any: false, parts })))
}

fn part(reader: &mut Reader, node: &Node, of: Multi, part: Part, value: &str) -> Option<(Part, Predicate)> {
    let case = matches!(part.kind(of), Kind::Fold);
    let wild = wild(reader, node, value, case)?;
    let matcher = match wild {
        Wild::Exact(text) => Matcher::Equals(text),
        other => Matcher::Like(other),
    };
    Some((part, Predicate { negate: false, fold: case, matcher }))
}

fn wild(reader: &mut Reader, node: &Node, value: &str, case: bool) -> Option<Wild> {
    Wild::new(value, case).map_err(|reason| reader.problem(node, reason)).ok()
}

fn needs(reader: &mut Reader, node: &Node, object: &Object<'_>) {
    if object.take("name").is_none() || object.take("value").is_none() {
        reader.problem(node, "needs name and value");
    }
}

const MOST_TEMPLATES: usize = 500;
const MOST_DETECTIONS: usize = 200;
const MOST_FIELDS: usize = 20;
