//! Which profile a request has: by its host and path, the most specific entry first.

use std::rc::Rc;

use serde_json::Value;

use super::profile::{Inspection, Known, Profile};
use super::reader::Reader;
use crate::headers::{is_plain_path, without_port};

/// The profiles of a configuration, and where each is in force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    default: Rc<Profile>,
    /// In the order of their names.
    named: Vec<(String, Rc<Profile>)>,
    /// The most specific first.
    entries: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    host: Host,
    /// What the path begins with; empty for every path.
    path: String,
    profile: Rc<Profile>,
}

/// Ordered by how little it says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Host {
    #[default]
    Any,
    /// Subdomains of this, which begins with a dot.
    Below(String),
    Exactly(String),
}

impl Scope {
    /// Takes the defaults and reads the parts of a configuration that say where others are in force.
    pub(super) fn read(
        reader: &mut Reader,
        default: Profile,
        profiles: Option<&Value>,
        scope: Option<&Value>,
    ) -> Self {
        let mut read = Self::default();
        let objects = profiles.and_then(|value| reader.object("profiles", value));
        for (name, value) in objects.into_iter().flatten() {
            let mut profile = default.clone();
            let prefix = format!("profiles.{name}.");
            let keys = reader.object(&format!("profiles.{name}"), value);
            for (key, value) in keys.into_iter().flatten() {
                if profile.read(reader, &prefix, key, value) == Known::No {
                    reader.unknown(&format!("{prefix}{key}"));
                }
            }
            if let Err(at) = read.place(name) {
                read.named.insert(at, (name.clone(), Rc::new(profile)));
            }
        }
        let mut off = default.clone();
        off.inspection = Inspection::Off;
        if let Err(at) = read.place(OFF) {
            read.named.insert(at, (OFF.to_owned(), Rc::new(off)));
        }
        read.default = Rc::new(default);
        let list = scope.map(|value| reader.list("scope", value)).unwrap_or_default();
        for (index, value) in list.iter().enumerate() {
            let name = format!("scope[{index}]");
            if let Some(map) = reader.object(&name, value) {
                read.entry(reader, &name, map);
            }
        }
        read
    }

    fn entry(&mut self, reader: &mut Reader, name: &str, map: &serde_json::Map<String, Value>) {
        let known = map.get("profile").map(|value| (value, value.as_str().and_then(|it| self.named(it))));
        let mut profile = match known {
            None => Profile::clone(&self.default),
            Some((_, Some(profile))) => Profile::clone(profile),
            // An entry whose profile is not there must not loosen anything.
            Some((_, None)) => return reader.unusable(&format!("{name}.profile"), "the name of a profile"),
        };
        let (mut host, mut path, mut usable) = (Host::Any, String::new(), true);
        for (key, value) in map {
            let key_name = format!("{name}.{key}");
            match key.as_str() {
                "profile" => {}
                "host" => match value.as_str().and_then(Host::parse) {
                    Some(parsed) => host = parsed,
                    None => {
                        usable = false;
                        reader.unusable(&key_name, "a host name, *.name or *");
                    }
                },
                "path" => match value.as_str().filter(|text| text.starts_with('/')) {
                    Some(text) => text.clone_into(&mut path),
                    None => {
                        usable = false;
                        reader.unusable(&key_name, "a path that begins with /");
                    }
                },
                _ => {
                    if profile.read(reader, &format!("{name}."), key, value) == Known::No {
                        reader.unknown(&key_name);
                    }
                }
            }
        }
        // An entry that cannot say where it holds would hold everywhere.
        if usable {
            let entry = Entry { host, path, profile: Rc::new(profile) };
            // Behind its equals: of two entries that say the same, the first stands.
            let at = self.entries.partition_point(|other| other.weight() >= entry.weight());
            self.entries.insert(at, entry);
        }
    }

    /// All profiles, those in no entry included.
    pub fn profiles(&self) -> impl Iterator<Item = &Rc<Profile>> {
        let entries = self.entries.iter().map(|entry| &entry.profile);
        std::iter::once(&self.default).chain(self.named.iter().map(|(_, profile)| profile)).chain(entries)
    }

    /// The profile of what no entry speaks of.
    pub fn default_profile(&self) -> &Rc<Profile> {
        &self.default
    }

    /// Whether all requests have the same profile, unless their route says otherwise.
    pub fn is_uniform(&self) -> bool {
        self.entries.is_empty()
    }

    /// How long calls wait that no request waits for.
    pub fn default_timeout(&self) -> std::time::Duration {
        self.default.timeout
    }

    /// The profile of this name.
    pub fn named(&self, name: &str) -> Option<&Rc<Profile>> {
        self.named.get(self.place(name).ok()?).map(|(_, profile)| profile)
    }

    /// Where the profile of this name stands, or where it would.
    fn place(&self, name: &str) -> Result<usize, usize> {
        self.named.binary_search_by(|(known, _)| known.as_str().cmp(name))
    }

    /// The profile of a request.
    pub fn of(&self, authority: &[u8], target: &[u8]) -> &Rc<Profile> {
        if self.entries.is_empty() {
            return &self.default;
        }
        let host = without_port(authority);
        let path = target.split(|byte| *byte == b'?').next().unwrap_or_default();
        let mut at_host = self.entries.iter().filter(|entry| entry.host.is(host));
        if is_plain_path(path) {
            let entry = at_host.find(|entry| path.starts_with(entry.path.as_bytes()));
            return entry.map_or(&self.default, |entry| &entry.profile);
        }
        // Of a path that the application may read as another one, nobody knows which entry it falls under: it is looked
        // at wherever anything at its host is.
        let candidates = at_host.map(|entry| &entry.profile).chain([&self.default]);
        let mut inspecting = candidates.filter(|profile| profile.inspection == Inspection::On);
        inspecting.next().unwrap_or(&self.default)
    }
}

impl Entry {
    /// How specific it is.
    fn weight(&self) -> ((u8, usize), usize) {
        (self.host.weight(), self.path.len())
    }
}

impl Profile {
    /// Whether the body of a request to this target and of this content type is looked at.
    pub fn reads_body(&self, target: &[u8], content_type: &[u8]) -> bool {
        let path = target.split(|byte| *byte == b'?').next().unwrap_or_default();
        let skipped = || self.skip_paths.iter().any(|skipped| path.starts_with(skipped.as_bytes()));
        let begins = |wanted: &String| {
            content_type.get(..wanted.len()).is_some_and(|it| it.eq_ignore_ascii_case(wanted.as_bytes()))
        };
        let wanted = || content_type.is_empty() || self.content_types.iter().any(begins);
        (self.content_types.is_empty() || wanted()) && !(is_plain_path(path) && skipped())
    }
}

impl Host {
    fn parse(text: &str) -> Option<Self> {
        let lower = text.to_ascii_lowercase();
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
        match lower.strip_prefix('*') {
            Some("") => Some(Self::Any),
            Some(rest) if rest.len() > 1 && rest.starts_with('.') && rest.bytes().all(fits) => {
                Some(Self::Below(rest.to_owned()))
            }
            None if !lower.is_empty() && lower.bytes().all(fits) => Some(Self::Exactly(lower)),
            _ => None,
        }
    }

    fn is(&self, host: &[u8]) -> bool {
        match self {
            Self::Any => true,
            Self::Exactly(name) => host.eq_ignore_ascii_case(name.as_bytes()),
            Self::Below(end) => {
                let start = host.len().checked_sub(end.len()).filter(|start| *start > 0);
                start
                    .and_then(|start| host.get(start..))
                    .is_some_and(|it| it.eq_ignore_ascii_case(end.as_bytes()))
            }
        }
    }

    fn weight(&self) -> (u8, usize) {
        match self {
            Self::Any => (0, 0),
            Self::Below(end) => (1, end.len()),
            Self::Exactly(name) => (2, name.len()),
        }
    }
}

/// A profile that is always there.
const OFF: &str = "off";

#[cfg(test)]
mod tests {
    use super::super::Config;

    fn max_body(config: &Config, authority: &str, target: &str) -> usize {
        config.scope.of(authority.as_bytes(), target.as_bytes()).max_body
    }

    fn config(json: &str) -> Config {
        let (config, problems) = Config::parse(json.as_bytes());
        assert_eq!(problems, Vec::<String>::new());
        config
    }

    #[test]
    fn the_most_specific_entry_is_in_force_whatever_the_order() {
        let mut entries = [
            r#"{"body": {"max_bytes": 1}}"#,
            r#"{"path": "/api/", "body": {"max_bytes": 2}}"#,
            r#"{"host": "*.example", "body": {"max_bytes": 3}}"#,
            r#"{"host": "*.shop.example", "path": "/api/", "body": {"max_bytes": 4}}"#,
            r#"{"host": "a.shop.example", "body": {"max_bytes": 5}}"#,
            r#"{"host": "a.shop.example", "path": "/api/v2/", "body": {"max_bytes": 6}}"#,
        ];
        for _ in 0..2 {
            let config = config(&format!(r#"{{"scope": [{}]}}"#, entries.join(",")));
            for (authority, target, expected) in [
                ("other.test", "/", 1),
                ("other.test:8080", "/api/x?y=/", 2),
                ("b.example", "/api/", 3),
                ("example", "/", 1),
                ("b.SHOP.example:443", "/api/v2/x", 4),
                ("b.shop.example", "/x", 3),
                ("A.shop.example.", "/x", 5),
                ("a.shop.example", "/api/v1", 5),
                ("a.shop.example", "/api/v2/", 6),
            ] {
                assert_eq!(max_body(&config, authority, target), expected, "{authority} {target}");
            }
            entries.reverse();
        }
    }

    #[test]
    fn an_excluded_path_cannot_be_pretended() {
        let config = config(r#"{"scope": [{"path": "/static/", "profile": "off"}]}"#);
        let inspected = |target: &str| config.scope.of(b"a", target.as_bytes()).inspection;
        use super::Inspection::{Off, On};
        assert_eq!(inspected("/static/a.css?v=1"), Off);
        for target in [
            "/static/../admin",
            "/static/%2e%2e/admin",
            "/static/..;/admin",
            "/static//admin",
            "/static/\\..\\admin",
            "/static/a/./b",
            "*",
            "http://a/static/",
        ] {
            assert_eq!(inspected(target), On, "{target}");
        }
    }

    #[test]
    fn an_included_path_cannot_be_hidden() {
        let config =
            config(r#"{"inspect": false, "scope": [{"host": "a", "path": "/api/", "inspect": true}]}"#);
        let inspected =
            |host: &str, target: &str| config.scope.of(host.as_bytes(), target.as_bytes()).inspection;
        use super::Inspection::{Off, On};
        assert_eq!(inspected("a", "/api/x"), On);
        assert_eq!(inspected("a", "/%61pi/x"), On);
        assert_eq!(inspected("a", "/x/../api/"), On);
        assert_eq!(inspected("a", "/x"), Off);
        assert_eq!(inspected("b", "/%61pi/x"), Off);
    }

    #[test]
    fn bodies_are_chosen_by_type_and_path() {
        let config = config(
            r#"{"body": {"content_types": ["application/json", "TEXT/"], "skip_paths": ["/upload/"]}}"#,
        );
        let reads = |target: &str, kind: &str| {
            config.scope.of(b"", target.as_bytes()).reads_body(target.as_bytes(), kind.as_bytes())
        };
        assert!(reads("/", "application/JSON; charset=utf-8"));
        assert!(reads("/", "text/xml"));
        assert!(reads("/", ""));
        assert!(!reads("/", "image/png"));
        assert!(!reads("/upload/x", "application/json"));
        assert!(reads("/upload/../x", "application/json"));
    }

    #[test]
    fn an_entry_that_is_not_understood_loosens_nothing() {
        for entry in [
            r#"{"path": "static", "profile": "off"}"#,
            r#"{"host": "*shop", "profile": "off"}"#,
            r#"{"host": 7, "inspect": false}"#,
            r#"{"profile": "of"}"#,
            r#"{"profile": null, "inspect": false}"#,
            "7",
        ] {
            let (config, problems) = Config::parse(format!(r#"{{"scope": [{entry}]}}"#).as_bytes());
            assert_eq!(problems.len(), 1, "{entry}: {problems:?}");
            assert_eq!(config, Config { scope: config.scope.clone(), ..Config::default() });
            assert_eq!(config.scope.of(b"shop", b"/static/").inspection, super::Inspection::On, "{entry}");
        }
    }
}
