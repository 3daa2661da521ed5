//! Chooses a command.

use std::process::ExitCode;

use portcullis_agent::{config, serve};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let asked = |names: &[&str]| {
        args.iter().any(|arg| names.contains(&arg.trim_start_matches('-')) && arg.starts_with('-'))
    };
    if asked(&["help", "h", "usage"]) {
        print!("{}", portcullis_config::usage());
        return ExitCode::SUCCESS;
    }
    if asked(&["version", "v"]) {
        println!("portcullis-agent {}", env!("CARGO_PKG_VERSION"));
        return ExitCode::SUCCESS;
    }
    let result = config::from_process(args).map_err(anyhow::Error::from).and_then(|resolved| match resolved
        .words
        .first()
    {
        None => serve::run(&resolved),
        Some(word) => anyhow::bail!("unknown command {word:?}; try --help"),
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("portcullis-agent: {error:#}");
            ExitCode::FAILURE
        }
    }
}
