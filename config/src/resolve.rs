//! The four layers laid over one another.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use crate::args::{self, CommandLine};
use crate::file;
use crate::listener::ListenerSettings;
use crate::options::Settings;
use crate::origin::{Origin, Problem, Problems, Warning};
use crate::table::{Effect, Table, nearest, spec};
use crate::values::{Secret, ValueError};

/// What the process was started with.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// Arguments without the program's name.
    pub args: Vec<String>,
    /// The environment.
    pub env: Vec<(String, String)>,
}

/// A configuration without problems.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// Every option.
    pub settings: Settings,
    /// What a user should know.
    pub warnings: Vec<Warning>,
    /// Command line words that are no option's value, in order: the command and its operands.
    pub words: Vec<String>,
}

const PREFIX: &str = "SIGSCI_";

impl Settings {
    /// Lays command line over environment over file over defaults. `read` opens the configuration file and the files
    /// that hold secrets.
    ///
    /// # Errors
    /// Every problem of every layer at once.
    pub fn resolve(
        inputs: &Inputs,
        read: impl Fn(&Path) -> io::Result<Vec<u8>>,
    ) -> Result<Resolved, Problems> {
        let line = args::parse(&inputs.args);
        let mut layers = Layers::new()?;
        let environment = layers.environment(&inputs.env);
        layers.locate(&environment, &line);
        layers.file(&read);
        layers.apply_environment(environment);
        layers.apply_line(&line);
        layers.secrets(&read);
        layers.check();
        layers.finish(line)
    }

    /// Every option with its value as text (secrets masked) and origin, in the order of the documentation.
    pub fn entries(&self) -> Vec<(&'static str, String, Origin)> {
        Table::entries(self)
    }
}

struct Layers {
    settings: Settings,
    warnings: Vec<Warning>,
    problems: Vec<Problem>,
    /// Where each listener of the file begins.
    sections: BTreeMap<String, Origin>,
}

impl Layers {
    fn new() -> Result<Self, Problems> {
        let settings = Settings::defaults().map_err(|(option, error)| {
            Problems(vec![Problem {
                option: option.to_owned(),
                origin: Origin::Default,
                reason: error.to_string(),
            }])
        })?;
        Ok(Self { settings, warnings: Vec::new(), problems: Vec::new(), sections: BTreeMap::new() })
    }

    fn problem(&mut self, option: &str, origin: &Origin, reason: String) {
        self.problems.push(Problem { option: option.to_owned(), origin: origin.clone(), reason });
    }

    fn assign(&mut self, name: &str, value: &str, origin: &Origin) {
        match self.settings.assign(name, value, origin) {
            Ok(()) => self.remark(name, origin),
            Err(ValueError::UnknownOption) => self.warnings.push(Warning::Unknown {
                option: name.to_owned(),
                origin: origin.clone(),
                nearest: nearest(Settings::SPECS, name),
            }),
            Err(error) => self.problem(name, origin, error.to_string()),
        }
    }

    fn remark(&mut self, name: &str, origin: &Origin) {
        let Some(spec) = spec(Settings::SPECS, name) else { return };
        let (option, origin) = (spec.name, origin.clone());
        match spec.effect {
            Effect::Active | Effect::Experimental => {}
            Effect::Accepted(reason) => self.warnings.push(Warning::NoEffect { option, origin, reason }),
            Effect::Deprecated(instead) => {
                self.warnings.push(Warning::Deprecated { option, origin, instead });
            }
        }
    }

    /// The variables that are options, by option name.
    fn environment(&mut self, env: &[(String, String)]) -> BTreeMap<String, String> {
        let ours = env.iter().filter(|(name, _)| name.starts_with(PREFIX) && !is_service_link(name)).cloned();
        match envy::prefixed(PREFIX).from_iter::<_, BTreeMap<String, String>>(ours) {
            Ok(values) => values.into_iter().map(|(name, value)| (name.replace('_', "-"), value)).collect(),
            Err(error) => {
                self.problem("", &Origin::Environment { variable: format!("{PREFIX}*") }, error.to_string());
                BTreeMap::new()
            }
        }
    }

    /// The file's own path can only come from the layers above it.
    fn locate(&mut self, environment: &BTreeMap<String, String>, line: &CommandLine) {
        if let Some(path) = environment.get("config").filter(|path| !path.is_empty()) {
            self.assign("config", path, &variable("config"));
        }
        for flag in line.flags.iter().filter(|flag| flag.name == "config") {
            if let Some(path) = &flag.value {
                self.assign("config", path, &Origin::CommandLine);
            }
        }
    }

    fn file(&mut self, read: &impl Fn(&Path) -> io::Result<Vec<u8>>) {
        let path = self.settings.config.value.clone();
        let whole = Origin::File { path: path.clone(), line: 0 };
        let bytes = match read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound && !self.settings.config.is_set() => return,
            Err(error) => {
                let origin = self.settings.config.origin.clone();
                return self.problem("config", &origin, format!("cannot read {}: {error}", path.display()));
            }
        };
        if bytes.len() > file::MOST_BYTES {
            return self.problem("", &whole, "larger than 1 MiB".to_owned());
        }
        let Ok(text) = String::from_utf8(bytes) else {
            return self.problem("", &whole, "not UTF-8".to_owned());
        };
        let document = file::parse(&text);
        let at = |line| Origin::File { path: path.clone(), line };
        for (line, error) in document.faults {
            self.problem("", &at(line), error.to_string());
        }
        let (listeners, own): (Vec<_>, Vec<_>) =
            document.entries.into_iter().partition(|entry| entry.section.is_some());
        // First: revproxy-listener itself would replace the listeners of the blocks.
        for entry in own {
            self.assign(&entry.name, &entry.value, &at(entry.line));
        }
        for section in document.sections {
            let origin = at(section.line);
            if let Err(error) = self.settings.revproxy_listener.value.add(&section.name) {
                self.problem("revproxy-listener", &origin, error.to_string());
            }
            self.settings.revproxy_listener.origin = origin.clone();
            self.sections.entry(section.name).or_insert(origin);
        }
        for entry in listeners {
            let section = entry.section.unwrap_or_default();
            self.assign_listener(&section, &entry.name, &entry.value, &at(entry.line));
        }
    }

    fn assign_listener(&mut self, listener: &str, key: &str, value: &str, origin: &Origin) {
        let listeners = &mut self.settings.revproxy_listener.value.0;
        let Some((_, settings)) = listeners.iter_mut().find(|(name, _)| name == listener) else { return };
        let option = format!("revproxy-listener.{listener}.{key}");
        match settings.assign(key, value, origin) {
            Ok(()) => {}
            Err(ValueError::UnknownOption) => self.warnings.push(Warning::Unknown {
                option,
                origin: origin.clone(),
                nearest: nearest(ListenerSettings::SPECS, key),
            }),
            Err(error) => self.problem(&option, origin, error.to_string()),
        }
    }

    fn apply_environment(&mut self, environment: BTreeMap<String, String>) {
        for (name, value) in environment {
            // An empty variable is a manifest's way to leave an option out.
            if name != "config" && !value.is_empty() {
                self.assign(&name, &value, &variable(&name));
            }
        }
    }

    fn apply_line(&mut self, line: &CommandLine) {
        for flag in &line.flags {
            match &flag.value {
                _ if flag.name == "config" || is_command(&flag.name) => {}
                Some(value) => self.assign(&flag.name, value, &Origin::CommandLine),
                None if spec(Settings::SPECS, &flag.name).is_none() => {
                    self.assign(&flag.name, "", &Origin::CommandLine);
                }
                None => self.problem(&flag.name, &Origin::CommandLine, "needs a value".to_owned()),
            }
        }
    }

    /// Secrets that stand in files of their own.
    fn secrets(&mut self, read: &impl Fn(&Path) -> io::Result<Vec<u8>>) {
        for (option, name) in
            [("accesskeyid-file", "accesskeyid"), ("secretaccesskey-file", "secretaccesskey")]
        {
            let set = match option {
                "accesskeyid-file" => &self.settings.accesskeyid_file,
                _ => &self.settings.secretaccesskey_file,
            };
            let Some(path) = set.as_ref().cloned() else { continue };
            let origin = set.origin.clone();
            match read(&path).map(String::from_utf8) {
                Ok(Ok(text)) if text.trim().is_empty() => {
                    self.problem(option, &origin, format!("{} is empty", path.display()));
                }
                Ok(Ok(text)) => self.assign(name, text.trim(), &Origin::File { path, line: 1 }),
                Ok(Err(_)) => self.problem(option, &origin, format!("{} is not UTF-8", path.display())),
                Err(error) => {
                    self.problem(option, &origin, format!("cannot read {}: {error}", path.display()));
                }
            }
        }
    }

    /// The options that stood for one listener before there were many.
    fn legacy(&mut self) {
        let on = [&self.settings.reverse_proxy, &self.settings.revproxy];
        let Some(origin) = on.into_iter().find(|option| option.value).map(|option| option.origin.clone())
        else {
            return;
        };
        let upstreams =
            self.settings.reverse_proxy_upstream.0.iter().map(|upstream| match upstream.as_str() {
                whole if whole.contains("://") => whole.to_owned(),
                bare => format!("http://{bare}"),
            });
        let upstreams = upstreams.collect::<Vec<_>>().join(",");
        let Some(address) = self.settings.reverse_proxy_listener.as_ref().map(ToString::to_string) else {
            return self.problem("reverse-proxy-listener", &origin, "missing: give HOST:PORT".to_owned());
        };
        if upstreams.is_empty() {
            return self.problem("reverse-proxy-upstream", &origin, "missing: give HOST:PORT".to_owned());
        }
        let log = self.settings.reverse_proxy_accesslog.as_ref().map(|path| path.display().to_string());
        let pairs = [
            ("listener", format!("http://{address}")),
            ("upstreams", upstreams),
            ("pass-host-header", self.settings.reverse_proxy_pass_host_header.to_string()),
            ("access-log", log.unwrap_or_default()),
        ];
        if let Err(error) = self.settings.revproxy_listener.value.add(LEGACY) {
            return self.problem("reverse-proxy", &origin, error.to_string());
        }
        for (key, value) in pairs.iter().filter(|(_, value)| !value.is_empty()) {
            self.assign_listener(LEGACY, key, value, &origin);
        }
    }

    /// What no single value can tell.
    fn check(&mut self) {
        self.legacy();
        let missing = |secret: &Secret| secret.is_empty();
        let variable = |name: &str| {
            format!("missing: set {PREFIX}{} or {name} in agent.conf", name.to_ascii_uppercase())
        };
        for (name, is_missing) in [
            ("accesskeyid", missing(&self.settings.accesskeyid)),
            ("secretaccesskey", missing(&self.settings.secretaccesskey)),
        ] {
            if is_missing {
                self.problem(name, &Origin::Default, variable(name));
            }
        }
        let whole = &self.settings.revproxy_listener.origin;
        let mut faults = Vec::new();
        for (name, listener) in &self.settings.revproxy_listener.0 {
            let section = self.sections.get(name).filter(|_| matches!(whole, Origin::File { .. }));
            let origin = section.unwrap_or(whole);
            let option = |key: &str| (format!("revproxy-listener.{name}.{key}"), origin.clone());
            if listener.listener.is_empty() {
                faults.push((option("listener"), "missing: give http://HOST:PORT or https://HOST:PORT"));
            }
            if listener.upstreams.0.is_empty() {
                faults.push((option("upstreams"), "missing: give at least one http:// or https:// URL"));
            }
            if *listener.grpc && listener.upstreams.0.len() > 1 {
                faults.push((option("grpc"), "a gRPC listener has exactly one upstream"));
            }
        }
        for ((option, origin), reason) in faults {
            self.problem(&option, &origin, reason.to_owned());
        }
    }

    fn finish(self, line: CommandLine) -> Result<Resolved, Problems> {
        if self.problems.is_empty() {
            Ok(Resolved { settings: self.settings, warnings: self.warnings, words: line.words })
        } else {
            Err(Problems(self.problems))
        }
    }
}

/// What the listener of the older options is called.
const LEGACY: &str = "reverse-proxy";

fn variable(name: &str) -> Origin {
    Origin::Environment { variable: format!("{PREFIX}{}", name.to_ascii_uppercase().replace('-', "_")) }
}

/// Kubernetes adds `SIGSCI_AGENT_SERVICE_HOST` and its kin for a Service called sigsci-agent.
fn is_service_link(name: &str) -> bool {
    name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || name.contains("_PORT_")
        || name.ends_with("_PORT")
}

/// Flags that ask for an answer and not for a configuration.
fn is_command(name: &str) -> bool {
    matches!(name, "usage" | "help" | "h" | "version" | "v")
}
