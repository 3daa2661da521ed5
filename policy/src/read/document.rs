//! A policy file as a whole, and the policy as several of them give it.

use crate::read::address::{Address, address};
use crate::read::alert::{self, Alert};
use crate::read::list::{lists, own_signals};
use crate::read::redaction::{header_link, redaction};
use crate::read::rule::{Level, Rulebook};
use crate::read::site::site;
use crate::read::template::Templates;
use crate::read::{Names, Reader};
use crate::redact::Redaction;
use crate::site::Site;
use crate::source::{Kind, Node, Problem, Source};

/// What the files say, together.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    pub(crate) site: Option<Site>,
    pub(crate) alerts: Vec<Alert>,
    pub(crate) allow: Vec<Address>,
    pub(crate) block: Vec<Address>,
    pub(crate) rules: Rulebook,
    pub(crate) templates: Templates,
    pub(crate) redactions: Vec<Redaction>,
    pub(crate) problems: Vec<Problem>,
    pub(crate) warnings: Vec<Problem>,
    names: Names,
}

impl Draft {
    /// Reads all files: first what others refer to, whichever file it stands in.
    pub(crate) fn read(sources: &[Source<'_>]) -> Self {
        let mut draft = Self::default();
        let mut trees = Vec::new();
        for source in sources {
            match source.parse() {
                Ok(tree) => trees.push((source.name, tree)),
                Err(problem) => draft.problems.push(problem),
            }
        }
        for turn in [Turn::Names, Turn::Site, Turn::Rest] {
            for (name, tree) in &trees {
                draft.file(name, tree, turn);
            }
        }
        draft.problems.sort_by(|a, b| {
            let at = |problem: &Problem| sources.iter().position(|source| source.name == problem.file);
            (at(a), a.line, a.column).cmp(&(at(b), b.line, b.column))
        });
        draft
    }

    fn file(&mut self, name: &str, tree: &Node, turn: Turn) {
        let mut reader = Reader::new(name);
        match collection(name, tree) {
            Some(section) if section.turn() == turn => self.section(&mut reader, section, tree),
            Some(_) => {}
            None => self.document(&mut reader, tree, turn),
        }
        self.problems.append(&mut reader.problems);
        self.warnings.append(&mut reader.warnings);
    }

    fn document(&mut self, reader: &mut Reader, tree: &Node, turn: Turn) {
        // An empty YAML file is an empty policy.
        if tree.kind == Kind::Null {
            return;
        }
        let before = reader.problems.len();
        let Some(object) = reader.object(tree) else {
            // Told once.
            if turn != Turn::Rest {
                reader.problems.truncate(before);
            }
            return;
        };
        if turn != Turn::Rest {
            reader.problems.truncate(before);
        }
        for (name, section) in SECTIONS {
            let value = object.take(name);
            if let Some(value) = value.filter(|_| section.turn() == turn) {
                reader.key(name, |reader| self.section(reader, *section, value));
            }
        }
        if turn == Turn::Rest {
            object.finish(reader, &["$schema", "version", "comment"]);
        }
    }

    fn section(&mut self, reader: &mut Reader, section: Section, node: &Node) {
        let site_name = self.site.as_ref().map(|site| site.name.clone()).unwrap_or_default();
        match section {
            Section::Site => {
                if self.site.is_some() {
                    reader.problem(node, "the site is described twice");
                }
                let read = site(reader, node);
                self.site = self.site.take().or(read);
            }
            Section::Lists(level) => lists(reader, node, level, &mut self.names),
            Section::Signals(level) => own_signals(reader, node, level, &mut self.names),
            Section::Rules(level) => self.rules.read(reader, node, level, (&site_name, &self.names)),
            Section::Templates => self.templates.read(reader, node, &self.names),
            Section::Patches => self.templates.patches(reader, node),
            Section::Alerts => self.alerts.extend(reader.items(node, MOST_ALERTS, alert::alert)),
            Section::Thresholds => self.alerts.extend(reader.items(node, MOST_ALERTS, alert::threshold)),
            Section::Allow => self.allow.extend(reader.items(node, MOST_ADDRESSES, address)),
            Section::Block => self.block.extend(reader.items(node, MOST_ADDRESSES, address)),
            Section::Redactions => self.redactions.extend(reader.items(node, MOST_REDACTIONS, redaction)),
            Section::HeaderLinks => {
                reader.items(node, MOST_REDACTIONS, header_link);
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Names,
    Site,
    Rest,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Section {
    Site,
    Lists(Level),
    Signals(Level),
    Rules(Level),
    Templates,
    Patches,
    Alerts,
    Thresholds,
    Allow,
    Block,
    Redactions,
    HeaderLinks,
}

impl Section {
    const fn turn(self) -> Turn {
        match self {
            Self::Lists(_) | Self::Signals(_) => Turn::Names,
            Self::Site => Turn::Site,
            _ => Turn::Rest,
        }
    }
}

/// The keys of a file.
const SECTIONS: &[(&str, Section)] = &[
    ("site", Section::Site),
    ("workspace", Section::Site),
    ("lists", Section::Lists(Level::Site)),
    ("siteLists", Section::Lists(Level::Site)),
    ("corpLists", Section::Lists(Level::Corp)),
    ("signals", Section::Signals(Level::Site)),
    ("siteSignals", Section::Signals(Level::Site)),
    ("tags", Section::Signals(Level::Site)),
    ("corpSignals", Section::Signals(Level::Corp)),
    ("rules", Section::Rules(Level::Site)),
    ("siteRules", Section::Rules(Level::Site)),
    ("corpRules", Section::Rules(Level::Corp)),
    ("configuredTemplates", Section::Templates),
    ("virtualPatches", Section::Patches),
    ("alerts", Section::Alerts),
    ("thresholds", Section::Thresholds),
    ("whitelist", Section::Allow),
    ("allowlist", Section::Allow),
    ("blacklist", Section::Block),
    ("blocklist", Section::Block),
    ("redactions", Section::Redactions),
    ("headerLinks", Section::HeaderLinks),
];

/// The section that a file without keys of its own is: a list, or a reply that holds one, in a file called after the
/// section.
fn collection(file: &str, tree: &Node) -> Option<Section> {
    let is_bare = match &tree.kind {
        Kind::List(_) => true,
        Kind::Map(pairs) => {
            pairs.iter().any(|(key, value)| key.name == "data" && matches!(value.kind, Kind::List(_)))
        }
        _ => false,
    };
    let stem = file.rsplit(['/', '\\']).next()?.split('.').next()?;
    let section =
        SECTIONS.iter().find(|(name, _)| super::fold(name) == super::fold(&stem.replace('-', "")))?;
    is_bare.then_some(section.1)
}

const MOST_ALERTS: usize = 200;
const MOST_ADDRESSES: usize = 250_000;
const MOST_REDACTIONS: usize = 1000;
