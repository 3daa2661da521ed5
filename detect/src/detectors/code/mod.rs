//! CODEINJECTION: code of PHP, Java and its expression languages, Node, Python, Ruby, Perl, VBScript, Lua, ColdFusion.
//!
//! Catches tags, superglobals, stream wrappers and calls of expressions (`marks.rs`); calls of functions that no value
//! has but code, and of ordinary ones where place and argument are code (`functions.txt`); class and member names of
//! runtimes (`names.txt`); Python's double-underscore attributes; loops that never end; PHP's constructor by name.
//! Deliberately misses: calls in prose (`the eval() function`), code in long posts, template literals that call the
//! application's own functions, stack traces.
//! False-positive risk: snippets of code sent as a value of their own, class names in error reports that are one name.
//! Vectors: `vectors/code`.

mod chain;
mod marks;
mod pages;
mod post;
mod scripts;
mod tables;
mod upload;

use crate::budget::Steps;
use crate::detectors::Detector;
use crate::features::Features;
use crate::signal::{Location, Tag};
use crate::value::{Finding, Value};

use self::chain::{Argument, Before, Chain, Chains};
use self::tables::{Function, Name};

/// The detector's row in the table.
pub(crate) const DETECTOR: Detector = Detector { name: "code", words: WORDS, possible, inspect };

/// What stands in every finding that needs no punctuation but that of a header's own grammar.
const WORDS: &[&str] = &[
    "__",
    "apache",
    "child_process",
    "class",
    "commands",
    "compress.",
    "console",
    "constructor",
    "createobject",
    "exec",
    "expect:",
    "freemarker",
    "glob:",
    "global",
    "groovy",
    "input:",
    "java",
    "kernel",
    "ognl",
    "ogg:",
    "omg",
    "opensymphony",
    "phar:",
    "php:",
    "popen",
    "process",
    "python",
    "rar:",
    "response",
    "runtime",
    "spawn",
    "springframework",
    "ssh2.",
    "sun",
    "system",
    "wscript",
    "xwork",
    "zip:",
];

/// A call that only prints is a probe where it is all there is; in more than this it is somebody's script.
const LONGEST_PROBE: usize = 64;

fn possible(features: Features, _word: bool) -> bool {
    const MARKS: u32 = Features::PAREN | Features::DOLLAR | Features::LT | Features::AT | Features::PERCENT;
    features.any(MARKS)
        || (features.any(Features::DOT | Features::BACKSLASH) && features.any(Features::ALPHA))
        || features.all(Features::COLON | Features::SLASH)
        // A database's address with settings, and a key that names a property.
        || features.all(Features::COLON | Features::SEMI | Features::EQUALS)
        || features.all(Features::BRACKET | Features::HASH)
        || features.any(Features::BRACE)
        || features.all(Features::UNDERSCORE | Features::ALPHA)
}

fn inspect(value: &Value<'_>, steps: &mut Steps) -> Option<Finding> {
    let bytes = value.bytes;
    let found = |detector, span| Some(Finding { tag: Tag::CodeInjection, detector, span });
    if upload::is_program(value) {
        return found("CODE-UPLOAD", 0..bytes.len());
    }
    // A method that PHP calls by itself: whoever takes one for the name of an action calls it too.
    if [&b"__construct"[..], b"__destruct"].contains(&bytes.trim_ascii()) {
        return found("CODE-PHP-METHOD", 0..bytes.len());
    }
    let post = post::has_words(bytes);
    let mark = if post && post::is_text(bytes) { None } else { marks::find(bytes) };
    if let Some(mark) = mark {
        return found(mark.detector, mark.span);
    }
    if !steps.take(bytes.len() / 16) || !chain::may_fire(value, post) {
        return None;
    }
    let text = Text { bytes, post, location: value.field.location, last_close: last_close(bytes) };
    for chain in Chains::new(bytes) {
        if !steps.take(1) {
            return None;
        }
        if let Some(detector) = judge(&text, &chain) {
            return found(detector, chain.start..chain.end);
        }
    }
    None
}

/// What is the same for every chain of a value.
struct Text<'a> {
    bytes: &'a [u8],
    /// Whether it is a text for people.
    post: bool,
    location: Location,
    /// The last parenthesis, if it closes with nothing but punctuation behind it.
    last_close: Option<usize>,
}

fn last_close(bytes: &[u8]) -> Option<usize> {
    let close = memchr::memrchr(b')', bytes)?;
    let tail = bytes.get(close + 1..).unwrap_or_default();
    (!tail.iter().any(u8::is_ascii_alphanumeric)).then_some(close)
}

fn judge(text: &Text<'_>, chain: &Chain<'_>) -> Option<&'static str> {
    let &Text { bytes, post, location, .. } = text;
    let joined = chain.text.len() > chain.last.len();
    if dunder(bytes, chain) {
        return Some("CODE-PYTHON-ATTRIBUTE");
    }
    let whole = is_whole(bytes, chain);
    if joined && !is_trace(bytes, chain) {
        let in_code = !post && (chain.call.is_some() && !chain.apart || chain.indexed);
        let quoted = is_reflection(bytes, chain);
        match tables::name(chain.text) {
            Some(Name::Anywhere) => return Some("CODE-NAME"),
            Some(Name::Code) if is_console(chain.text) && bytes.len() > LONGEST_PROBE => {}
            Some(Name::Code) if whole || in_code || quoted => return Some("CODE-NAME"),
            _ => {}
        }
        if whole && is_java_runtime(chain.text) {
            return Some("CODE-NAME");
        }
    }
    if is_require(bytes, chain) {
        return Some("CODE-REQUIRE");
    }
    let function = if whole || chain.call.is_some() { tables::function(chain.last) } else { None };
    let header = matches!(location, Location::Header | Location::UserAgent);
    // A function's name that is no word, and nothing else: called by who reads it as a parameter.
    if whole && !header && function == Some(Function::Sure) && chain.last.contains(&b'_') {
        return Some("CODE-CALL");
    }
    if !post && !header && is_directive(bytes, chain) {
        return Some("CODE-PHP-DIRECTIVE");
    }
    let argument = chain.call?;
    if chain.text.eq_ignore_ascii_case(b"while") && !post {
        return endless(bytes, chain.end).then_some("CODE-LOOP");
    }
    if location == Location::UserAgent {
        return None;
    }
    let function = match function {
        Some(Function::Plain) | None if tables::is_library_function(chain.last) => Function::Sure,
        function => function?,
    };
    let member = joined;
    let code = argument == Argument::Code;
    // A page of the manual: `syslog(3)`.
    if !chain.last.starts_with(b"php") && is_manual_page(bytes, chain) {
        return None;
    }
    // The value is one call: nothing but punctuation before it, and its parenthesis closes near the end.
    let alone = chain.before == Before::Start && text.last_close.is_some_and(|close| close >= chain.end);
    let open = chain::skip_blank(bytes, chain.end);
    let hidden = bytes.get(chain.end..open).is_some_and(|blank| blank.windows(2).any(|pair| pair == b"/*"));
    // `new Function(`, which compiles its argument.
    let head = bytes.get(..chain.start).unwrap_or_default();
    if chain.text == b"Function" && head.trim_ascii_end().ends_with(b"new") && !post {
        return Some("CODE-CALL");
    }
    let fires = match (function, chain.before) {
        _ if post || is_mention(bytes, chain, argument) => false,
        // A comment between a function's name and its parenthesis hides a call.
        (_, Before::Start | Before::Mark) if hidden => true,
        (Function::Sure, Before::Start | Before::Mark) => {
            !chain.apart || code || (alone && argument == Argument::Nothing)
        }
        (Function::Sure, Before::Word) => code && !chain.apart,
        // Methods of the same name are everybody's: `db.exec("...")`, `re.exec(x)`.
        (Function::Dangerous, _) if member => false,
        (Function::Dangerous, Before::Start) => {
            (alone && (code || argument == Argument::Nothing)) || (!chain.apart && (alone || code))
        }
        (Function::Dangerous, Before::Mark) => code && !chain.apart,
        (Function::Dangerous, Before::Word) => false,
        (Function::Plain, _) if member => false,
        (Function::Plain, Before::Start) => breaks_out(bytes, chain) && code && !chain.apart,
        // The rest of a script's line is commented out.
        (Function::Plain, Before::Mark) => code && !chain.apart && comments_out(bytes) && !member,
        (Function::Plain, Before::Word) => false,
    };
    let shell = function == Function::Plain && !post && !member && back_ticked(bytes, chain);
    (fires || shell).then_some("CODE-CALL")
}

fn is_console(text: &[u8]) -> bool {
    text.starts_with(b"console.")
}

/// Whether the call is only spoken of (`stat() returns -1`), or is a line of a chain of methods (`.range(8..)`).
fn is_mention(bytes: &[u8], chain: &Chain<'_>, argument: Argument) -> bool {
    let behind = bytes.get(chain.end..).unwrap_or_default().strip_prefix(b"()").unwrap_or_default();
    let spoken = matches!(behind, [b' ', letter, ..] if letter.is_ascii_alphabetic());
    let method = chain.start == 1 && bytes.first() == Some(&b'.');
    (argument == Argument::Nothing && spoken) || method
}

/// Whether the value ends in a mark that makes a comment of what follows it.
fn comments_out(bytes: &[u8]) -> bool {
    let end = bytes.trim_ascii_end();
    [&b";//"[..], b";#", b"; //", b"; #", b";/*", b";--"].iter().any(|mark| end.ends_with(mark))
}

/// Whether a lone digit stands in the parentheses and no statement ends behind them: `printf(3), syslog(3)`.
fn is_manual_page(bytes: &[u8], chain: &Chain<'_>) -> bool {
    let rest = bytes.get(chain.end..).unwrap_or_default();
    let section = matches!(rest, [b'(', b'1'..=b'8', b')', ..]);
    section && rest.get(3) != Some(&b';') && !(rest.len() == 3 && chain.before == Before::Start)
}

/// Whether the chain is all there is but punctuation.
fn is_whole(bytes: &[u8], chain: &Chain<'_>) -> bool {
    let rest = bytes.get(chain.end..).unwrap_or_default();
    chain.before == Before::Start && !rest.iter().any(u8::is_ascii_alphanumeric)
}

/// Whether what stands before closes a string, a call or a statement.
fn breaks_out(bytes: &[u8], chain: &Chain<'_>) -> bool {
    let head = bytes.get(..chain.start).unwrap_or_default();
    let head = head.trim_ascii_end();
    matches!(head.last(), Some(b';' | b'\'' | b'"' | b')' | b'}' | b'.' | b'|' | b'&' | b'@'))
}

/// `print(`id`)`
fn back_ticked(bytes: &[u8], chain: &Chain<'_>) -> bool {
    let open = chain::skip_blank(bytes, chain.end);
    bytes.get(open) == Some(&b'(') && bytes.get(chain::skip_blank(bytes, open + 1)) == Some(&b'`')
}

/// `T(java.lang.Runtime)`, `@java.lang.Runtime@`, `new java.io.File`, `"java.lang.Class"` as an argument.
fn is_reflection(bytes: &[u8], chain: &Chain<'_>) -> bool {
    let head = bytes.get(..chain.start).unwrap_or_default();
    let after = bytes.get(chain.end);
    head.ends_with(b"T(")
        || (head.ends_with(b"@") && after == Some(&b'@'))
        || (head.ends_with(b"new ") && after == Some(&b'('))
        || head.ends_with(b"forName(\"")
        || head.ends_with(b"forName('")
}

/// A line of a stack trace: `at java.lang.Thread.run(Thread.java:1)`, `java.lang.Error: why`.
fn is_trace(bytes: &[u8], chain: &Chain<'_>) -> bool {
    let rest = bytes.get(chain.end..).unwrap_or_default();
    let frame = rest.get(..96).unwrap_or(rest);
    let frame =
        frame.iter().position(|&byte| byte == b')').and_then(|close| frame.get(..close)).unwrap_or_default();
    let place = frame.windows(6).any(|six| six == b".java:" || six == b"Source" || six == b"Method");
    let error = chain.last.ends_with(b"Exception") || chain.last.ends_with(b"Error");
    error || (frame.first() == Some(&b'(') && place)
}

/// `java.any.Runtime`
fn is_java_runtime(text: &[u8]) -> bool {
    let java = starts_with_any(text, &[b"java.", b"javax."]);
    let last = text.rsplit(|&byte| byte == b'.').next().unwrap_or_default();
    java && [&b"runtime"[..], b"processbuilder"].iter().any(|name| last.eq_ignore_ascii_case(name))
}

fn starts_with_any(text: &[u8], heads: &[&[u8]]) -> bool {
    heads.iter().any(|head| crate::scan::starts_with_ignore_case(text, head))
}

/// `x.__class__`, `['__globals__']`, `__builtins__.`: attributes through which Python's insides are reached.
fn dunder(bytes: &[u8], chain: &Chain<'_>) -> bool {
    const INSIDES: &[&[u8]] = &[
        b"__class__",
        b"__mro__",
        b"__bases__",
        b"__base__",
        b"__subclasses__",
        b"__globals__",
        b"__builtins__",
        b"__init__",
        b"__import__",
        b"__getitem__",
        b"__dict__",
        b"__code__",
        b"__reduce__",
        b"__getattribute__",
    ];
    if crate::scan::find(chain.text, b"__").is_none() {
        return false;
    }
    let names = chain.text.split(|byte| matches!(byte, b'.' | b':' | b'>' | b'-' | b'?'));
    // `lib/__init__.py` is a file.
    if chain.last == b"py" || chain.last == b"pyc" {
        return false;
    }
    let inside = names.filter(|name| INSIDES.contains(name)).count();
    let before = chain.start.checked_sub(1).and_then(|at| bytes.get(at));
    let key = matches!(before, Some(b'\'' | b'"')) && bytes.get(chain.end) == before;
    let bracketed = key && chain.start.checked_sub(2).and_then(|at| bytes.get(at)) == Some(&b'[');
    // One that leads nowhere is spoken of: `Point.__init__ takes two numbers`.
    let harmless = [&b"__init__"[..], b"__dict__", b"__class__", b"__code__"].contains(&chain.last);
    let goes_on = chain.indexed || chain.call.is_some();
    let member = chain.text.len() > chain.last.len() && (!harmless || goes_on || is_whole(bytes, chain));
    inside >= 2 || (inside == 1 && (member || chain.indexed || bracketed))
}

/// `allow_url_include=1`: a setting of PHP's that opens the door.
fn is_directive(bytes: &[u8], chain: &Chain<'_>) -> bool {
    const DIRECTIVES: &[&[u8]] = &[
        b"allow_url_fopen",
        b"allow_url_include",
        b"auto_append_file",
        b"auto_prepend_file",
        b"cgi.force_redirect",
        b"disable_classes",
        b"disable_functions",
        b"enable_dl",
        b"extension_dir",
        b"open_basedir",
        b"safe_mode",
        b"suhosin.simulation",
        b"unserialize_callback_func",
        b"zend.assertions",
        b"safe_mode_exec_dir",
    ];
    let known = DIRECTIVES.iter().any(|name| chain.text.eq_ignore_ascii_case(name));
    known && bytes.get(chain::skip_blank(bytes, chain.end)) == Some(&b'=')
}

/// `require('child_process')`
fn is_require(bytes: &[u8], chain: &Chain<'_>) -> bool {
    const MODULES: &[&[u8]] =
        &[b"child_process", b"fs", b"net", b"vm", b"os", b"http", b"process", b"module"];
    if !matches!(chain.last, b"require" | b"import" | b"getBuiltinModule") {
        return false;
    }
    let rest = bytes.get(chain.end..).unwrap_or_default();
    let Some(name) = rest.strip_prefix(b"('").or(rest.strip_prefix(b"(\"")).or(rest.strip_prefix(b"(`"))
    else {
        return false;
    };
    let name = name.strip_prefix(b"node:").unwrap_or(name);
    let len = name.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
    let closed = name.get(len).is_some_and(|byte| matches!(byte, b'\'' | b'"' | b'`'));
    closed && name.get(..len).is_some_and(|name| MODULES.contains(&name)) && chain.before != Before::Word
}

/// `while(true);`: a condition that is a constant.
fn endless(bytes: &[u8], at: usize) -> bool {
    let rest = bytes.get(at..).unwrap_or_default().trim_ascii_start();
    let Some(inner) = rest.strip_prefix(b"(") else { return false };
    let Some(close) = inner.iter().take(32).position(|&byte| byte == b')') else { return false };
    let condition = inner.get(..close).unwrap_or_default().trim_ascii();
    let condition = condition.iter().position(|byte| !matches!(byte, b'!' | b'-' | b'+' | b'~' | b' '));
    let constant =
        condition.and_then(|from| inner.get(..close)?.trim_ascii().get(from..)).unwrap_or_default();
    let known: [&[u8]; 15] = [
        b"true",
        b"1",
        b"0",
        b"Infinity",
        b"String",
        b"Number",
        b"Object",
        b"NaN",
        b"false",
        b"null",
        b"''",
        b"\"\"",
        b"``",
        b"{}",
        b"[]",
    ];
    let after = inner.get(close + 1..).unwrap_or_default().trim_ascii_start();
    known.contains(&constant) && matches!(after.first(), Some(b';' | b'{') | None)
}
