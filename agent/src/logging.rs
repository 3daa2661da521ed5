//! Where events go.

use std::fs::OpenOptions;
use std::io;
use std::path::PathBuf;
use std::sync::Mutex;

use portcullis_config::{LogFormat, LogLevel, Settings};
use thiserror::Error;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

/// Why there would be no log.
#[derive(Debug, Error)]
pub enum LoggingError {
    /// The file can not be written.
    #[error("log-out: cannot open {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Another part of the process has set one up.
    #[error("log is already set up")]
    Twice(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Sends the events of the whole process where `settings` says.
///
/// # Errors
///
/// When the file that `log-out` names can not be opened.
pub fn start(settings: &Settings) -> Result<(), LoggingError> {
    let writer = match settings.log_out.as_ref() {
        None => BoxMakeWriter::new(io::stderr),
        Some(path) => {
            let file = OpenOptions::new().append(true).create(true).open(path);
            BoxMakeWriter::new(Mutex::new(
                file.map_err(|source| LoggingError::Open { path: path.clone(), source })?,
            ))
        }
    };
    let builder = tracing_subscriber::fmt()
        .with_max_level(level(*settings.log_level))
        .with_ansi(false)
        .with_writer(writer);
    match *settings.log_format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    }
    .map_err(LoggingError::Twice)
}

fn level(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}
