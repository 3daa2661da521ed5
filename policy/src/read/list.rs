//! Lists, and descriptions of signals.

use crate::ip::{IpMap, Pattern};
use crate::lists::{Cases, Entries, List, Texts, Wildcards};
use crate::read::rule::Level;
use crate::read::{Names, Reader};
use crate::rule::Wild;
use crate::signals;
use crate::source::Node;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Type {
    Text,
    Ip,
    Country,
    Wildcard,
    Signal,
}

/// Reads a list of lists.
pub(crate) fn lists(reader: &mut Reader, node: &Node, level: Level, names: &mut Names) {
    reader.items(node, MOST_LISTS, |reader, node| {
        let read = list(reader, node, level)?;
        if !names.add_list(read) {
            reader.problem(node, "another list has the same name");
        }
        Some(())
    });
}

fn list(reader: &mut Reader, node: &Node, level: Level) -> Option<List> {
    let object = reader.object(node)?;
    let words = [
        ("string", Type::Text),
        ("ip", Type::Ip),
        ("country", Type::Country),
        ("wildcard", Type::Wildcard),
        ("signal", Type::Signal),
    ];
    let name = object.text(reader, "name");
    let reference = object.text(reader, "referenceId");
    let of = object.read(reader, "type", |reader, node| reader.choice(node, "type of list", &words));
    for key in ["name", "type"] {
        if object.take(key).is_none() {
            reader.problem(node, format!("needs {key}"));
        }
    }
    object.text(reader, "description");
    let (name, of) = (name?, of?);
    let entries = object.read(reader, "entries", |reader, node| Some(entries(reader, node, of)));
    object.finish(reader, &["scope"]);
    let start = if level == Level::Corp { "corp." } else { "site." };
    let short = |name: &str| {
        let known =
            ["site.", "corp.", "workspace.", "account."].iter().find_map(|start| name.strip_prefix(start));
        known.unwrap_or(name).to_owned()
    };
    // Consoles show a name with spaces and refer to it with dashes.
    let short = reference.as_deref().map_or_else(|| short(&name), short).replace(' ', "-");
    Some(List {
        name: format!("{start}{short}"),
        entries: entries.unwrap_or(Entries::Texts(Cases::default())),
    })
}

fn entries(reader: &mut Reader, node: &Node, of: Type) -> Entries {
    match of {
        Type::Ip => {
            let mut ips = IpMap::default();
            reader.items(node, MOST_ENTRIES, |reader, node| {
                let text = reader.text(node)?;
                match Pattern::parse(&text) {
                    Some(pattern) => ips.insert(pattern, ()),
                    None => reader.problem(node, format!("{text:?} is neither an address nor a network")),
                }
                Some(())
            });
            Entries::Ips(ips)
        }
        Type::Wildcard => {
            let mut wildcards = Cases::<Wildcards>::default();
            reader.items(node, MOST_ENTRIES, |reader, node| {
                let text = reader.text(node)?;
                match (Wild::new(&text, false), Wild::new(&text, true)) {
                    (Ok(written), Ok(folded)) => {
                        wildcards.written.insert(written);
                        wildcards.folded.insert(folded);
                    }
                    (Err(reason), _) | (_, Err(reason)) => reader.problem(node, reason),
                }
                Some(())
            });
            if wildcards.written.slow() > MOST_SLOW {
                reader.problem(
                    node,
                    format!("more than {MOST_SLOW} wildcards that are open on both ends or within"),
                );
            }
            Entries::Wildcards(wildcards)
        }
        Type::Text | Type::Country | Type::Signal => {
            let mut texts = Cases::<Texts>::default();
            reader.items(node, MOST_ENTRIES, |reader, node| {
                let text = reader.text(node)?;
                if of == Type::Country && text.len() != 2 {
                    reader.problem(node, format!("{text:?} is no country of two letters"));
                }
                let text = match of {
                    // By the name that it goes by, whichever it is written with.
                    Type::Signal => signals::canonical(&text).unwrap_or_else(|| {
                        reader.problem(node, format!("there is no signal called {text:?}"));
                        text
                    }),
                    _ => text,
                };
                texts.written.insert(text.as_bytes());
                texts.folded.insert(text.to_ascii_lowercase().as_bytes());
                Some(())
            });
            Entries::Texts(texts)
        }
    }
}

/// Reads descriptions of an operator's signals.
pub(crate) fn own_signals(reader: &mut Reader, node: &Node, level: Level, names: &mut Names) {
    reader.items(node, MOST_SIGNALS, |reader, node| {
        let object = reader.object(node)?;
        let tag = object.text(reader, "tagName").or_else(|| object.text(reader, "referenceId"));
        let short = object.read_any(reader, &["shortName", "name"], Reader::text);
        object.text(reader, "description");
        object.finish(
            reader,
            &[
                "longName",
                "configurable",
                "informational",
                "needsResponse",
                "scope",
                "tagName",
                "referenceId",
            ],
        );
        let start = if level == Level::Corp { "corp." } else { "site." };
        let name = tag
            .filter(|tag| !tag.is_empty())
            .or_else(|| short.map(|short| format!("{start}{}", short.replace(' ', "-"))));
        let Some(name) = name else {
            reader.problem(node, "needs a shortName");
            return None;
        };
        match signals::canonical(&name) {
            Some(name) if name.starts_with("site.") || name.starts_with("corp.") => {
                if !names.add_signal(&name) {
                    reader.problem(node, format!("the signal {name} is described twice"));
                }
            }
            // Consoles list the signals of the system too.
            Some(_) => {}
            None => reader.problem(node, format!("no signal can be called {name:?}")),
        }
        Some(())
    });
}

const MOST_LISTS: usize = 500;
const MOST_ENTRIES: usize = 250_000;
const MOST_SIGNALS: usize = 2000;
/// Wildcards that have to be tried one by one.
const MOST_SLOW: usize = 1000;
