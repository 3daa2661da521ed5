//! Options through which an ordinary program runs another, for values that land among a program's arguments.

use std::ops::Range;

use crate::scan::starts_with_ignore_case;

/// Finds a value that is an option of this kind with something to run.
pub(crate) fn find(bytes: &[u8]) -> Option<Range<usize>> {
    let rest = bytes.trim_ascii_start();
    if rest.first() != Some(&b'-') {
        return None;
    }
    let start = bytes.len() - rest.len();
    let length = OPTIONS
        .iter()
        .find(|option| starts_with_ignore_case(rest, option))
        .map(|option| option.len())
        .or_else(|| zip_test(rest))?;
    let given = rest.get(length).is_some_and(u8::is_ascii_graphic);
    given.then_some(start..start + length)
}

/// `-TT=command`, also among other letters: zip runs it to test an archive.
fn zip_test(rest: &[u8]) -> Option<usize> {
    let letters = rest.iter().skip(1).take(8).take_while(|byte| byte.is_ascii_alphabetic()).count();
    let name = rest.get(1..1 + letters)?;
    (name.ends_with(b"TT") && rest.get(1 + letters) == Some(&b'=')).then_some(letters + 2)
}

/// Of git, ssh, rsync, tar, curl and others.
const OPTIONS: &[&[u8]] = &[
    b"--open-files-in-pager=",
    b"--upload-pack=",
    b"--receive-pack=",
    b"--checkpoint-action=",
    b"--to-command=",
    b"--use-compress-program=",
    b"--unzip-command=",
    b"--rsh=",
    b"--rsync-path=",
    b"--use-askpass=",
    b"-oproxycommand=",
    b"-o proxycommand=",
    b"-oproxycommand ",
    b"-olocalcommand=",
    b"-ccore.sshcommand=",
    b"-c core.sshcommand=",
    b"-c core.pager=",
    b"-c core.fsmonitor=",
    b"--config=core.sshcommand=",
    b"--config core.sshcommand=",
    b"-wrapper ",
];

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn options_that_run_something_are_found() {
        for value in
            ["--upload-pack=touch /tmp/x", "-oProxyCommand=id", "-TvTT=id>x.php", "-TT=id", "--rsh=sh -c id"]
        {
            assert!(find(value.as_bytes()).is_some(), "{value}");
        }
    }

    #[test]
    fn others_are_not() {
        for value in ["--rsh=", "-TT", "-1", "--output=x", "a --rsh=x", "-att=1", "- use: a=b"] {
            assert_eq!(find(value.as_bytes()), None, "{value}");
        }
    }
}
