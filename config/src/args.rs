//! The command line: one or two dashes, `=` or a space, switches with or without a value.

use crate::options::Settings;
use crate::table::{Table, spec};

/// One flag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Flag {
    pub(crate) name: String,
    /// `None` where the flag stood last and wants a value.
    pub(crate) value: Option<String>,
}

/// A command line taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CommandLine {
    pub(crate) flags: Vec<Flag>,
    /// Words that are no flag's value.
    pub(crate) words: Vec<String>,
}

/// Takes the arguments after the program's name apart.
pub(crate) fn parse(args: &[String]) -> CommandLine {
    let mut line = CommandLine::default();
    let mut args = args.iter().peekable();
    while let Some(arg) = args.next() {
        let flag = arg.strip_prefix("--").or_else(|| arg.strip_prefix('-'));
        let Some(flag) = flag.filter(|flag| !flag.is_empty()) else {
            line.words.push(arg.clone());
            continue;
        };
        let (name, value) = match flag.split_once('=') {
            Some((name, value)) => (name, Some(unquote(value).to_owned())),
            None => (flag, None),
        };
        let name = name.to_ascii_lowercase().replace('_', "-");
        let value = value.or_else(|| match spec(Settings::SPECS, &name) {
            Some(spec) if spec.switch => {
                // `--flag false` is seen in the wild; any other word is not the switch's.
                let word = args.next_if(|next| matches!(next.as_str(), "true" | "false"));
                Some(word.map_or_else(|| "true".to_owned(), Clone::clone))
            }
            // An unknown flag takes the next word, so that the word is not taken for a command.
            _ => args
                .next_if(|next| !next.starts_with("--") || next.contains(' '))
                .map(|next| unquote(next).to_owned()),
        });
        line.flags.push(Flag { name, value });
    }
    line
}

/// Container manifests often quote twice.
fn unquote(value: &str) -> &str {
    let inner = |quote| value.strip_prefix(quote).and_then(|value| value.strip_suffix(quote));
    inner('"').or_else(|| inner('\'')).unwrap_or(value)
}
