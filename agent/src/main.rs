//! Chooses a command.

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use anyhow::Context;
use portcullis_agent::{check_config, config, inspect, policy_command, serve, sleep};

fn main() -> ExitCode {
    match sleep::asked(std::env::args_os()) {
        None => {}
        Some(Ok(time)) => {
            #[expect(clippy::disallowed_methods, reason = "to wait is all that is asked for")]
            std::thread::sleep(time);
            return ExitCode::SUCCESS;
        }
        Some(Err(fault)) => {
            eprintln!("sleep: {fault}");
            return ExitCode::FAILURE;
        }
    }
    let args: Vec<String> = std::env::args().skip(1).collect();
    // A command of its own: it asks nothing of an agent's configuration.
    if let Some(("inspect", rest)) = args.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        return end(inspect::run(rest).and_then(|text| tell(&text)));
    }
    let asked = |names: &[&str]| {
        args.iter().any(|arg| names.contains(&arg.trim_start_matches('-')) && arg.starts_with('-'))
    };
    if asked(&["help", "h", "usage"]) {
        return end(tell(&format!("{USAGE}{}", portcullis_config::usage())));
    }
    if asked(&["version", "v"]) {
        return end(tell(concat!("portcullis-agent ", env!("CARGO_PKG_VERSION"), "\n")));
    }
    // Needs no agent's configuration.
    if let Some((_, words)) = args.split_first().filter(|(first, _)| *first == "policy") {
        return end(policy_command::run(words).and_then(|text| tell(&text)));
    }
    let result = config::from_process(args.clone()).map_err(anyhow::Error::from).and_then(|resolved| {
        let words: Vec<&str> = resolved.words.iter().map(String::as_str).collect();
        match words.as_slice() {
            [] => serve::run(&resolved, args),
            ["check-config"] => check_config::run(&resolved).and_then(|text| tell(&text)),
            [word, ..] => anyhow::bail!("unknown command {word:?}; try --help"),
        }
    });
    end(result)
}

/// Prints what a command has to say; a reader that has seen enough, as `head` has, is no failure.
fn tell(text: &str) -> anyhow::Result<()> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error).context("cannot write"),
        _ => Ok(()),
    }
}

fn end(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("portcullis-agent: {error:#}");
            ExitCode::FAILURE
        }
    }
}

const USAGE: &str = "\
usage: portcullis-agent [OPTION...]                 serve
       portcullis-agent [OPTION...] check-config    print what is in force and where it came from, secrets masked
       portcullis-agent inspect [FILE] [...]        what the engine finds in a request; inspect --help tells more
       portcullis-agent policy check FILE...        check a policy, and tell everything that is wrong with it
       portcullis-agent policy explain FILE REQUEST [--from IP] [--country CC] [--times N]
                                [--response CODE|FILE]
                                                    tell what a policy does to the request in a file, and why
       portcullis-agent --help | --usage | --version

Options can also stand in the environment (SIGSCI_MAX_PROCS=2) and in agent.conf (max-procs = 2).

";
