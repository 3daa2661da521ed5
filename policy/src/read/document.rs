//! A policy file as a whole, and the policy as several of them give it.

use crate::read::Reader;
use crate::read::address::{Address, address};
use crate::read::alert::{self, Alert};
use crate::read::site::site;
use crate::site::Site;
use crate::source::{Kind, Node, Problem, Source};

/// What the files say, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    pub(crate) site: Option<Site>,
    pub(crate) alerts: Vec<Alert>,
    pub(crate) allow: Vec<Address>,
    pub(crate) block: Vec<Address>,
    pub(crate) problems: Vec<Problem>,
    pub(crate) warnings: Vec<Problem>,
}

impl Draft {
    /// Reads one file more.
    pub(crate) fn add(&mut self, source: &Source<'_>) {
        let node = match source.parse() {
            Ok(node) => node,
            Err(problem) => return self.problems.push(problem),
        };
        let mut reader = Reader::new(source.name);
        match collection(source.name, &node) {
            Some(name) => self.section(&mut reader, name, &node),
            None => self.document(&mut reader, &node),
        }
        self.problems.append(&mut reader.problems);
        self.warnings.append(&mut reader.warnings);
    }

    fn document(&mut self, reader: &mut Reader, node: &Node) {
        // An empty YAML file is an empty policy.
        if node.kind == Kind::Null {
            return;
        }
        let Some(object) = reader.object(node) else { return };
        for (name, _) in SECTIONS {
            if let Some(value) = object.take(name) {
                reader.key(name, |reader| self.section(reader, name, value));
            }
        }
        object.finish(reader, &["$schema", "version", "comment"]);
    }

    fn section(&mut self, reader: &mut Reader, name: &str, node: &Node) {
        let Some((_, section)) = SECTIONS.iter().find(|(known, _)| *known == name) else { return };
        match section {
            Section::Site => {
                if self.site.is_some() {
                    reader.problem(node, "the site is described twice");
                }
                let read = site(reader, node);
                self.site = self.site.take().or(read);
            }
            Section::Alerts => self.alerts.extend(reader.items(node, MOST_ALERTS, alert::alert)),
            Section::Thresholds => self.alerts.extend(reader.items(node, MOST_ALERTS, alert::threshold)),
            Section::Allow => self.allow.extend(reader.items(node, MOST_ADDRESSES, address)),
            Section::Block => self.block.extend(reader.items(node, MOST_ADDRESSES, address)),
        }
    }
}

#[derive(Clone, Copy)]
enum Section {
    Site,
    Alerts,
    Thresholds,
    Allow,
    Block,
}

/// The keys of a file, in the order in which they are read.
const SECTIONS: &[(&str, Section)] = &[
    ("site", Section::Site),
    ("workspace", Section::Site),
    ("alerts", Section::Alerts),
    ("thresholds", Section::Thresholds),
    ("whitelist", Section::Allow),
    ("allowlist", Section::Allow),
    ("blacklist", Section::Block),
    ("blocklist", Section::Block),
];

/// The section that a file without keys of its own is: a list, or a reply that holds one, in a file called after the
/// section.
fn collection(file: &str, node: &Node) -> Option<&'static str> {
    let is_bare = match &node.kind {
        Kind::List(_) => true,
        Kind::Map(pairs) => {
            pairs.iter().any(|(key, value)| key.name == "data" && matches!(value.kind, Kind::List(_)))
        }
        _ => false,
    };
    let stem = file.rsplit(['/', '\\']).next()?.split('.').next()?;
    let section =
        SECTIONS.iter().find(|(name, _)| super::fold(name) == super::fold(&stem.replace('-', "")))?;
    is_bare.then_some(section.0)
}

const MOST_ALERTS: usize = 200;
const MOST_ADDRESSES: usize = 100_000;
