//! Commands that hide in the strings, addresses and keys of other languages: Groovy, H2, PostScript, Drupal.

use crate::scan::starts_with_ignore_case;

/// `"id".execute()`: Groovy runs its strings.
pub(super) fn groovy_command(rest: &[u8]) -> Option<usize> {
    let call = rest.get(1..)?;
    starts_with_ignore_case(call, b".execute()").then_some(b"'.execute()".len())
}

/// Bytes of a database address that are read.
const ADDRESS: usize = 512;

/// `jdbc:h2:mem:a;INIT=RUNSCRIPT FROM '..'`: the database runs what its own address says; `at` is the first colon.
pub(super) fn h2_script(bytes: &[u8], at: usize) -> Option<usize> {
    let head = bytes.get(..at)?;
    let scheme = head.len().checked_sub(4).and_then(|from| head.get(from..))?;
    let rest = bytes.get(at..)?;
    if !scheme.eq_ignore_ascii_case(b"jdbc") || !starts_with_ignore_case(rest, b":h2:") {
        return None;
    }
    let address = rest.get(..ADDRESS).unwrap_or(rest);
    let mut settings = address.split(|&byte| byte == b';').skip(1);
    settings.any(|setting| starts_with_ignore_case(setting, b"init=")).then_some(4)
}

/// `(%pipe%id)`: a file name by which PostScript starts a command.
pub(super) fn pipe_file(bytes: &[u8], at: usize) -> Option<usize> {
    let opens = at.checked_sub(1).and_then(|at| bytes.get(at)) == Some(&b'(');
    let rest = bytes.get(at..)?;
    let known = [&b"%pipe%"[..], b"%pipe#"].iter().any(|pipe| starts_with_ignore_case(rest, pipe));
    (opens && known).then_some(b"%pipe%".len())
}

/// `mail[#post_render][]`: a key by which Drupal takes a function to call; `at` is the bracket behind it.
pub(super) fn render_property(bytes: &[u8], at: usize) -> Option<usize> {
    const PROPERTIES: [&[u8]; 6] =
        [b"#post_render", b"#pre_render", b"#lazy_builder", b"#access_callback", b"#process", b"#markup"];
    let head = bytes.get(..at)?;
    let key =
        PROPERTIES.iter().any(|name| head.strip_suffix(*name).is_some_and(|before| before.ends_with(b"[")));
    (key && bytes.get(at) == Some(&b']')).then_some(1)
}
