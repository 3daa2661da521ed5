//! `sleep` under that name: manifests end a container with `preStop: sleep 30`, and the agent's image holds no other program.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

/// Longer than any grace of a pod.
const LONGEST: Duration = Duration::from_secs(3600);

/// How long to sleep, where the command line is one of `sleep`; the error says what is wrong with it.
pub fn asked(mut command_line: impl Iterator<Item = OsString>) -> Option<Result<Duration, String>> {
    let program = command_line.next()?;
    if Path::new(&program).file_name()? != "sleep" {
        return None;
    }
    let words: Vec<OsString> = command_line.collect();
    Some(match words.as_slice() {
        [word] => seconds(&word.to_string_lossy()),
        _ => Err("usage: sleep SECONDS".to_owned()),
    })
}

fn seconds(word: &str) -> Result<Duration, String> {
    let wrong = || format!("{word:?} is not a number of seconds up to {}", LONGEST.as_secs());
    let number: f64 = word.strip_suffix('s').unwrap_or(word).parse().map_err(|_| wrong())?;
    let duration = Duration::try_from_secs_f64(number).map_err(|_| wrong())?;
    if duration > LONGEST { Err(wrong()) } else { Ok(duration) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(words: &[&str]) -> Option<Result<Duration, String>> {
        asked(words.iter().map(OsString::from))
    }

    #[test]
    fn is_meant_only_by_its_name() {
        assert_eq!(ask(&["/usr/sbin/portcullis-agent", "30"]), None);
        assert_eq!(ask(&[]), None);
        assert_eq!(ask(&["/bin/sleep", "30"]), Some(Ok(Duration::from_secs(30))));
        assert_eq!(ask(&["sleep", "0.5s"]), Some(Ok(Duration::from_millis(500))));
    }

    #[test]
    fn refuses_what_is_no_time() {
        for words in
            [&["sleep"][..], &["sleep", "1", "2"], &["sleep", "-1"], &["sleep", "NaN"], &["sleep", "1e9"]]
        {
            assert!(ask(words).unwrap().is_err(), "{words:?}");
        }
    }
}
