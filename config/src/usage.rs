//! `--usage` and docs/configuration.md, both made from the table.

use std::fmt::Write as _;

use crate::listener::ListenerSettings;
use crate::options::Settings;
use crate::table::{Effect, Spec, Table};

/// The text of `--usage`: every option, then every key of a listener.
pub fn usage() -> String {
    let mut out = String::new();
    told(&mut out, "--", Settings::SPECS);
    out.push_str("\nKeys of revproxy-listener, as in app:{listener='http://0.0.0.0:8001',upstreams='http://127.0.0.1:8000'}:\n\n");
    told(&mut out, "", ListenerSettings::SPECS);
    out
}

fn told(out: &mut String, dashes: &str, specs: &[Spec]) {
    for spec in specs {
        let default =
            if spec.default.is_empty() { String::new() } else { format!(" (default {})", spec.default) };
        let _ = writeln!(
            out,
            "  {dashes}{} {}{default}\n        {}{}",
            spec.name,
            spec.form,
            spec.help,
            remark(spec.effect)
        );
    }
}

/// The reference page of every option, in Markdown.
pub fn configuration_markdown() -> String {
    let mut out = String::from(INTRODUCTION);
    out.push_str("\n## Agent options\n\n");
    rows(&mut out, Settings::SPECS);
    out.push_str(LISTENERS);
    rows(&mut out, ListenerSettings::SPECS);
    out
}

fn rows(out: &mut String, specs: &[Spec]) {
    out.push_str("| option | value | default | what it does |\n| --- | --- | --- | --- |\n");
    for spec in specs {
        let default = if spec.default.is_empty() { String::new() } else { format!("`{}`", spec.default) };
        let form = spec.form.replace('|', "\\|");
        let _ = writeln!(
            out,
            "| `{}` | `{form}` | {default} | {}{} |",
            spec.name,
            spec.help,
            remark(spec.effect)
        );
    }
}

fn remark(effect: Effect) -> String {
    match effect {
        Effect::Active => String::new(),
        Effect::Experimental => " _Experimental._".to_owned(),
        Effect::Deprecated(instead) => format!(" _Deprecated: use {instead}._"),
        Effect::Accepted(reason) => format!(" _Accepted without effect: {reason}._"),
    }
}

const INTRODUCTION: &str = "# Configuration

This page is made from the agent's own option table; `portcullis-agent --usage` prints the same.

Every option can be given in three places. The first of these that has it wins:

1. the command line: `--max-procs 2`, `-max-procs=2`; a switch needs no value: `--debug-log-blocked-requests`;
2. the environment: `SIGSCI_` and the name in upper case with `_` for `-`: `SIGSCI_MAX_PROCS=2`. An empty variable
   counts as not set;
3. the file that `config` names: `max-procs = 2`, one option a line, quotes optional, `#` starts a comment.

Durations carry a unit (`100ms`, `1m30s`); a bare number is milliseconds. Sizes are bytes, or carry `K`, `M` or `G`.
Options nobody knows are warnings with the nearest known name. Faults are errors, all reported at once with their source;
the agent then does not start. `portcullis-agent check-config` prints what is in force and where each value came from, with
secrets masked.
";

const LISTENERS: &str = "
## Reverse proxy listeners

`revproxy-listener` holds any number of listeners, each a name and keys:

```
app:{listener='http://0.0.0.0:8001',upstreams='http://127.0.0.1:8000',access-log='/dev/stdout'};
```

Quotes are needed only around a value that holds a comma or a brace. In the file a listener is a block at the end:

```
[revproxy-listener.app]
listener = \"http://0.0.0.0:8001\"
upstreams = \"http://127.0.0.1:8000\"
```

";
