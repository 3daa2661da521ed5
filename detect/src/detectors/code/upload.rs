//! Files that a server would run, sent under their own name.

use crate::signal::Location;
use crate::value::{Part, Value};

/// Extensions that servers hand to an interpreter.
const PROGRAMS: &[&[u8]] = &[
    b"php",
    b"php3",
    b"php4",
    b"php5",
    b"php7",
    b"php8",
    b"phps",
    b"pht",
    b"phtml",
    b"phar",
    b"jsp",
    b"jspx",
    b"jspf",
    b"jsw",
    b"jsv",
    b"asp",
    b"aspx",
    b"asa",
    b"asax",
    b"ascx",
    b"ashx",
    b"asmx",
    b"cer",
    b"cfm",
    b"cfml",
    b"cgi",
    b"shtml",
    b"htaccess",
];

/// Whether the value is the name of an uploaded file that has such an extension, also in front of a harmless one.
pub(crate) fn is_program(value: &Value<'_>) -> bool {
    if !is_file_name(value) {
        return false;
    }
    let name = value.bytes.rsplit(|byte| matches!(byte, b'/' | b'\\')).next().unwrap_or_default();
    const SETTINGS: &[&[u8]] = &[b"web.config", b".user.ini", b"php.ini", b".htpasswd"];
    if SETTINGS.iter().any(|known| name.eq_ignore_ascii_case(known)) {
        return true;
    }
    if is_session(name) {
        return true;
    }
    name.split(|&byte| byte == b'.').skip(1).any(|extension| {
        let extension = extension.split(|byte| matches!(byte, 0 | b';' | b':' | b' ' | b'%')).next();
        let extension = extension.unwrap_or_default();
        let stem = extension.iter().rposition(|byte| !byte.is_ascii_digit()).map_or(0, |at| at + 1);
        let stem = extension.get(..stem).unwrap_or_default();
        PROGRAMS.iter().any(|known| extension.eq_ignore_ascii_case(known) || stem.eq_ignore_ascii_case(known))
    })
}

/// A session's file as PHP names it, which an upload next to the others would forge: `sess_` and an identifier.
fn is_session(name: &[u8]) -> bool {
    let id = name.strip_prefix(b"sess_").unwrap_or_default();
    let letters = id.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b',' | b'-'));
    id.len() >= SHORTEST_SESSION && letters && id.iter().any(u8::is_ascii_digit)
}

/// Identifiers of 20 letters and more; PHP makes none shorter than 22, and programs that guess do.
const SHORTEST_SESSION: usize = 20;

/// A file's name in multipart, or a header that names one.
fn is_file_name(value: &Value<'_>) -> bool {
    let field = value.field;
    let header = field.location == Location::Header && field.part == Part::Value;
    let named = || {
        let name = field.name.iter().filter(|byte| byte.is_ascii_alphanumeric()).map(u8::to_ascii_lowercase);
        name.eq(b"xfilename".iter().copied())
    };
    field.part == Part::FileName || (header && named())
}

#[cfg(test)]
mod tests {
    use crate::engine::Engine;
    use crate::request::{Header, Request};
    use crate::signal::Tag;

    fn fires(file: &str) -> bool {
        let headers = [Header { name: b"X-Filename", value: file.as_bytes() }];
        let request = Request { headers: &headers, ..Request::default() };
        Engine::default().inspect(&request).iter().any(|signal| signal.tag == Tag::CodeInjection)
    }

    #[test]
    fn programs_are_told_from_documents() {
        for file in [
            "shell.php",
            "x.PHP.jpg",
            "a.phtml",
            "b.jsp\0.png",
            "c.php907....",
            "d.aspx;.jpg",
            "sess_k2m8q0v4b6n1c3x5z7l9d0",
        ] {
            assert!(fires(file), "{file}");
        }
        for file in [
            "cv.pdf",
            "php.txt",
            "photo.jpeg",
            "notes.about.php_and_me.md",
            "archive.tar.gz",
            "sess_1.pdf",
            "sess_notes",
        ] {
            assert!(!fires(file), "{file}");
        }
    }
}
