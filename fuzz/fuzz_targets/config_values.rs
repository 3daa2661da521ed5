//! A configuration file, a command line and an environment of arbitrary text: every option's parser and that of
//! listeners. No panic; an error names a line that exists; what is shown of a configuration holds no secret.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use portcullis_config::{Inputs, Origin, Settings};

/// Options whose values have a form of their own; the first byte of the input chooses one.
const OPTIONS: [&str; 12] = [
    "revproxy-listener",
    "rpc-address",
    "max-procs",
    "inspection-timeout",
    "inspection-max-content-length",
    "sample-percent",
    "client-ip-header",
    "custom-request-headers",
    "admin-listener",
    "statsd-address",
    "log-level",
    "context-expiration",
];

fuzz_target!(|bytes: &[u8]| {
    let Some((&first, rest)) = bytes.split_first() else { return };
    let text = String::from_utf8_lossy(rest).into_owned();
    let option = OPTIONS[usize::from(first) % OPTIONS.len()];
    let (file, args) = match first / 64 {
        0 => (rest.to_vec(), Vec::new()),
        1 => (format!("{option} = {text}").into_bytes(), Vec::new()),
        2 => (Vec::new(), vec![format!("--{option}={text}")]),
        _ => (Vec::new(), text.split(' ').map(str::to_owned).collect()),
    };
    let env = vec![
        ("SIGSCI_ACCESSKEYID".to_owned(), "id".to_owned()),
        ("SIGSCI_SECRETACCESSKEY".to_owned(), "never-shown".to_owned()),
    ];
    let read = |path: &Path| match path.ends_with("agent.conf") {
        true => Ok(file.clone()),
        false => Err(std::io::ErrorKind::NotFound.into()),
    };
    match Settings::resolve(&Inputs { args, env }, read) {
        Ok(resolved) => {
            for (name, value, _) in resolved.settings.entries() {
                assert!(!value.contains("never-shown"), "{name} shows a secret");
            }
        }
        Err(problems) => {
            let lines = 1 + file.iter().filter(|&&byte| byte == b'\n').count();
            assert!(!problems.0.is_empty() && !problems.to_string().contains("never-shown"));
            for problem in &problems.0 {
                if let Origin::File { line, .. } = problem.origin {
                    assert!(line <= lines, "line {line} of {lines}");
                }
            }
        }
    }
});
