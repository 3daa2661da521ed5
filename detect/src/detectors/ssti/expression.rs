//! What is inside a template's delimiters: a placeholder, or something that acts.

use crate::scan::{self, Cursor};

/// The idea by which an expression acts, if it does; `whole` where it is all there is of the value.
pub(super) fn active(content: &[u8], whole: bool) -> Option<&'static str> {
    if is_arithmetic(content) {
        return Some("SSTI-ARITHMETIC");
    }
    let inside = content.trim_ascii();
    if whole && ENGINE_OBJECTS.contains(&inside) {
        return Some("SSTI-INTERNALS");
    }
    let mut reader = Reader::new(content);
    while reader.next() {}
    reader.found
}

/// Whether the content is arithmetic on literals: `7*7`, `7 * '7'`, `print 'x' * 64`.
pub(super) fn is_arithmetic(content: &[u8]) -> bool {
    let content = content.trim_ascii();
    let content = content.strip_prefix(b"=").unwrap_or(content);
    let content = content.strip_prefix(b"print ").unwrap_or(content);
    let mut cursor = Cursor::new(content);
    let (mut operands, mut operators) = (0, 0);
    while let Some(byte) = cursor.peek() {
        match byte {
            b'0'..=b'9' => {
                cursor.take_while(|byte| byte.is_ascii_digit() || byte == b'.');
                operands += 1;
            }
            b'\'' | b'"' => {
                cursor.bump();
                cursor.take_while(|other| other != byte);
                if cursor.bump().is_none() {
                    return false;
                }
                operands += 1;
            }
            b'*' | b'+' | b'-' | b'/' | b'%' => {
                cursor.bump();
                operators += usize::from(byte != b'-' && byte != b'/' || operands > 0);
            }
            b'(' | b')' | b' ' | b'\t' | b'@' => {
                cursor.bump();
            }
            _ => return false,
        }
    }
    // A date is no sum: `2024-01-01`, `1/2/2024`; nor is a list of ranges.
    let sums = content.iter().any(|byte| matches!(byte, b'*' | b'+' | b'%'));
    operands >= 2 && operators >= 1 && (sums || operands == 2)
}

struct Reader<'a> {
    cursor: Cursor<'a>,
    /// The last token was a literal, so that `.name(` calls on one.
    literal: bool,
    /// A pipe stands before the word: a filter.
    piped: bool,
    /// A string that is the name of something that runs commands.
    named: bool,
    filters: bool,
    found: Option<&'static str>,
}

impl<'a> Reader<'a> {
    fn new(content: &'a [u8]) -> Self {
        Self {
            cursor: Cursor::new(content),
            literal: false,
            piped: false,
            named: false,
            filters: false,
            found: None,
        }
    }

    /// Reads one token; false at the end or once something is found.
    fn next(&mut self) -> bool {
        let Some(byte) = self.cursor.peek() else { return false };
        match byte {
            b'\'' | b'"' => self.string(byte),
            b'`' => self.command(),
            b'|' => {
                self.cursor.bump();
                self.piped = self.cursor.peek() != Some(b'|') && self.cursor.before() == Some(b'|');
                self.literal = false;
                return true;
            }
            b'.' if self.literal => self.literal_call(),
            b'?' => self.built_in(),
            _ if is_word(byte) => self.word(),
            b' ' | b'\t' | b'\n' | b'\r' => {
                self.cursor.bump();
                return self.found.is_none();
            }
            _ => {
                self.cursor.bump();
                self.literal = false;
            }
        }
        self.piped = false;
        self.found.is_none()
    }

    fn string(&mut self, quote: u8) {
        self.cursor.bump();
        let text = self.cursor.take_while(|byte| byte != quote);
        self.cursor.bump();
        self.literal = true;
        let hidden = COMMANDS.contains(&text) || text == b"constructor" || is_dunder(text);
        if hidden || HIDDEN.iter().any(|hidden| scan::find(text, hidden).is_some()) {
            self.named = true;
            if self.filters || text != b"system" {
                self.found = Some("SSTI-INTERNALS");
            }
        }
    }

    /// ERB's and Ruby's `` `id` ``; a template literal of JavaScript has no white space before it in a tag.
    fn command(&mut self) {
        self.cursor.bump();
        let text = self.cursor.take_while(|byte| byte != b'`');
        let closed = self.cursor.bump().is_some();
        let first = text.split(|byte| *byte == b' ').next().unwrap_or_default();
        if closed && SHELL.contains(&first) {
            self.found = Some("SSTI-CALL");
        }
    }

    /// `'a'.toUpperCase()`: a method of a literal.
    fn literal_call(&mut self) {
        self.cursor.bump();
        let name = self.cursor.take_while(is_word);
        self.literal = false;
        if INTERNALS.contains(&name) || is_dunder(name) {
            self.found = Some("SSTI-INTERNALS");
        }
        if name.len() > 2
            && self.cursor.peek() == Some(b'(')
            && name.first().is_some_and(|byte| !byte.is_ascii_digit())
        {
            self.found = Some("SSTI-CALL");
        }
    }

    /// FreeMarker's built-ins that make objects.
    fn built_in(&mut self) {
        self.cursor.bump();
        let name = self.cursor.take_while(is_word);
        if matches!(name, b"new" | b"api" | b"eval" | b"interpret")
            && matches!(self.cursor.peek(), Some(b'(' | b'.') | None)
        {
            self.found = Some("SSTI-INTERNALS");
        }
        self.literal = false;
    }

    fn word(&mut self) {
        let before = self.cursor.before();
        let word = self.cursor.take_while(is_word);
        let calls = self.cursor.peek() == Some(b'(');
        let follows = self.cursor.rest();
        self.literal =
            word.first().is_some_and(u8::is_ascii_digit) && before != Some(b'.') && word.len() > 12;
        let leads_out = is_dunder(word)
            || INTERNALS.contains(&word)
            || (self.piped && calls && word == b"attr")
            || PATHS.iter().any(|(base, rest)| *base == word && follows.starts_with(rest));
        let runs = calls
            && ((CALLS.contains(&word) && before != Some(b'-'))
                || (word == b"T" && follows.starts_with(b"(java")));
        if leads_out {
            self.found = Some("SSTI-INTERNALS");
        } else if runs {
            self.found = Some("SSTI-CALL");
        }
        if self.piped && matches!(word, b"filter" | b"map" | b"sort" | b"reduce") {
            self.filters = true;
            if self.named {
                self.found = Some("SSTI-CALL");
            }
        }
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$') || byte >= 0x80
}

/// `__class__` and its kin, by which Python templates leave their sandbox.
fn is_dunder(word: &[u8]) -> bool {
    let inside = word.strip_prefix(b"__").and_then(|word| word.strip_suffix(b"__"));
    inside.is_some_and(|inside| DUNDERS.contains(&inside))
}

/// The members with two underscores on each side that lead from any object to the interpreter.
const DUNDERS: &[&[u8]] = &[
    b"class",
    b"mro",
    b"base",
    b"bases",
    b"subclasses",
    b"init",
    b"globals",
    b"builtins",
    b"import",
    b"dict",
    b"getattribute",
    b"getitem",
    b"reduce",
    b"reduce_ex",
    b"call",
    b"self",
    b"code",
    b"closure",
    b"module",
    b"loader",
    b"new",
    b"proto",
];

/// What whole values of one expression ask for to see whether an engine answers.
const ENGINE_OBJECTS: &[&[u8]] = &[
    b"self",
    b"config",
    b"_self",
    b"settings",
    b"request",
    b"debug",
    b".",
    b"this",
    b"dump(app)",
    b"config.items()",
    b"_context",
];

/// Names that no placeholder has and that lead out of a template.
const INTERNALS: &[&[u8]] = &[
    b"_self",
    b"cycler",
    b"joiner",
    b"lipsum",
    b"constructor",
    b"mainModule",
    b"child_process",
    b"getRuntime",
    b"ProcessBuilder",
    b"ScriptEngineManager",
    b"getClass",
    b"forName",
    b"newInstance",
    b"getProtectionDomain",
    b"getClassLoader",
    b"freemarker",
    b"SECRET_KEY",
    b"registerUndefinedFilterCallback",
    b"getFilter",
    b"ObjectConstructor",
    b"JythonRuntime",
    b"get_flashed_messages",
    b"url_for",
    b"_TemplateReference__context",
    b"phpinfo",
    b"shell_exec",
    b"passthru",
    b"proc_open",
    b"popen",
    b"subprocess",
    b"_mmarker",
    b"linecache",
    b"execSync",
    b"spawnSync",
    b"subclasses",
    b"mro",
    b"func_globals",
    b"im_func",
];

/// Functions whose call from a template runs commands or code, or reads files.
const CALLS: &[&[u8]] = &[
    b"system",
    b"exec",
    b"eval",
    b"popen",
    b"spawn",
    b"assert",
    b"execute",
    b"file_get_contents",
    b"readfile",
    b"include",
    b"unserialize",
    b"compile",
    b"getenv",
    b"instance_eval",
    b"class_eval",
    b"const_get",
    b"syscall",
];

/// A name and what follows it.
const PATHS: &[(&[u8], &[u8])] = &[
    (b"os", b".system"),
    (b"os", b".popen"),
    (b"File", b".open"),
    (b"File", b".read"),
    (b"IO", b".popen"),
    (b"IO", b".read"),
    (b"Dir", b".entries"),
    (b"Kernel", b"."),
    (b"Process", b".Start"),
    (b"System", b".Diagnostics"),
    (b"System", b".getenv"),
    (b"java", b".lang."),
    (b"java", b".io."),
    (b"java", b".util.Scanner"),
    (b"javax", b".script"),
    (b"app", b".request.server"),
    (b"app", b".request.query"),
    (b"request", b".application"),
    (b"request", b".environ"),
    (b"self", b".module"),
    (b"self", b".template"),
    (b"self", b".context"),
    (b"global", b".process"),
    (b"root", b".process"),
    (b"settings", b".SECRET"),
    (b"config", b".items()"),
    (b"handler", b".settings"),
];

/// Functions that, given by name to a filter, run commands.
const COMMANDS: &[&[u8]] =
    &[b"system", b"passthru", b"exec", b"shell_exec", b"popen", b"phpinfo", b"assert", b"eval", b"id"];

/// Names inside strings, for engines that look members up by string.
const HIDDEN: &[&[u8]] =
    &[b"freemarker.template.utility", b"java.lang.", b"child_process", b"__class", b"__init", b"__glob"];

/// Commands that probes run.
const SHELL: &[&[u8]] = &[
    b"id",
    b"ls",
    b"whoami",
    b"cat",
    b"uname",
    b"curl",
    b"wget",
    b"sleep",
    b"ping",
    b"nslookup",
    b"dir",
    b"env",
    b"pwd",
];
