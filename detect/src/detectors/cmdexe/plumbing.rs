//! Redirections that only a shell has a use for: bash's network files, words cut by an empty process substitution, and
//! a value that begins by overwriting a system's file.

use std::ops::Range;

use crate::scan;

/// Finds one of them.
pub(crate) fn find(bytes: &[u8]) -> Option<Range<usize>> {
    network_file(bytes).or_else(|| cut_word(bytes)).or_else(|| overwrites(bytes))
}

/// `/dev/tcp/host/80`, which bash opens as a connection; a sentence names it without a port.
fn network_file(bytes: &[u8]) -> Option<Range<usize>> {
    [&b"/dev/tcp/"[..], b"/dev/udp/"].into_iter().find_map(|device| {
        scan::find_all(bytes, device).take(CUTS).find_map(|at| {
            let opened = bytes.get(..at)?.iter().rev().take(BLANKS).find(|byte| !byte.is_ascii_whitespace());
            let rest = bytes.get(at + device.len()..)?;
            let host = rest.iter().take(LONGEST_HOST).position(|&byte| byte == b'/')?;
            let port = rest.get(host + 1).is_some_and(|byte| byte.is_ascii_digit() || *byte == b'$');
            (host > 0 && port && matches!(opened, Some(b'<' | b'>' | b'&' | b'|')))
                .then_some(at..at + device.len() + host + 2)
        })
    })
}

const LONGEST_HOST: usize = 128;
/// White space between the redirection and its file that is looked over.
const BLANKS: usize = 64;

/// `pi<()ng`: the substitution is empty, and the shell joins what stands around it.
fn cut_word(bytes: &[u8]) -> Option<Range<usize>> {
    scan::find_all(bytes, b"()").take(CUTS).find_map(|at| {
        let mark = at.checked_sub(1)?;
        let letter = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_lowercase);
        let cuts = matches!(bytes.get(mark), Some(b'<' | b'>'));
        (cuts && letter(mark.checked_sub(1)) && letter(Some(at + 2))).then_some(mark..at + 2)
    })
}

/// Places of a kind that are looked at.
const CUTS: usize = 16;

/// `>/tmp/x`: the output of the application's own command goes to a file.
fn overwrites(bytes: &[u8]) -> Option<Range<usize>> {
    let path = bytes.trim_ascii_start().strip_prefix(b">")?;
    let path = path.strip_prefix(b">").unwrap_or(path).strip_prefix(b"/")?;
    let folder = path.get(..path.iter().position(|&byte| byte == b'/')?)?;
    let named = path.get(folder.len() + 1).is_some_and(u8::is_ascii_alphanumeric);
    const FOLDERS: [&[u8]; 8] = [b"tmp", b"var", b"etc", b"dev", b"root", b"home", b"opt", b"usr"];
    (named && FOLDERS.contains(&folder)).then_some(0..bytes.len())
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn what_only_a_shell_reads_is_found() {
        for value in [
            "exec 3<>/dev/tcp/192.0.2.1/443",
            "cat <& /dev/udp/host.example/53",
            "who<()ami",
            "l>()s -l",
            "see /dev/tcp/ and exec 3<>/dev/tcp/192.0.2.1/443",
            ">/tmp/a",
            " >>/var/www/x.php",
        ] {
            assert!(find(value.as_bytes()).is_some(), "{value}");
        }
    }

    #[test]
    fn what_looks_like_it_is_not() {
        for value in [
            "bash has /dev/tcp/host/port built in",
            "see /dev/tcp/",
            "Vec<()>",
            "Result<(), E>",
            "Ok<()>",
            "fn()",
            "> /tmp is full",
            ">/",
            "<b>/home</b>",
        ] {
            assert_eq!(find(value.as_bytes()), None, "{value}");
        }
    }
}
