//! Where events go.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use portcullis_config::{LogFormat, LogLevel, Settings};
use thiserror::Error;
use tracing_subscriber::filter::{FilterExt, LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{Layer, fmt, registry};

use crate::counters::Counters;
use crate::debug_log;
use crate::repeats::Repeats;
use crate::sink::Sink;

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
    Twice(#[from] TryInitError),
}

/// The log of the process.
#[derive(Clone, Debug)]
pub struct Log {
    /// `None` is the standard error.
    sink: Arc<Mutex<Option<Sink>>>,
    counters: Arc<Counters>,
    /// What was logged how often.
    pub repeats: Repeats,
}

impl Log {
    /// Sends the events of the whole process where `settings` says.
    ///
    /// # Errors
    ///
    /// When the file that `log-out` names can not be opened.
    pub fn start(settings: &Settings, counters: &Arc<Counters>) -> Result<Self, LoggingError> {
        let open = |path: &PathBuf| {
            Sink::open(path).map_err(|source| LoggingError::Open { path: path.clone(), source })
        };
        let sink = settings.log_out.as_ref().map(open).transpose()?;
        let repeats = Repeats::new(counters);
        let log = Self { sink: Arc::new(Mutex::new(sink)), counters: Arc::clone(counters), repeats };
        let wanted = Targets::new()
            .with_default(level(*settings.log_level))
            .with_target(debug_log::TARGET, LevelFilter::INFO);
        let layer = fmt::layer().with_ansi(false).with_writer(log.clone());
        let layer = match *settings.log_format {
            LogFormat::Text => layer.boxed(),
            LogFormat::Json => layer.json().boxed(),
        };
        registry().with(layer.with_filter(wanted.and(log.repeats.clone()))).try_init()?;
        Ok(log)
    }

    /// Opens the file again, as after it was renamed.
    ///
    /// # Errors
    ///
    /// When it can not be opened; the old one stays.
    pub fn reopen(&self) -> io::Result<()> {
        let path = self.sink().as_ref().map(|sink| sink.path().to_owned());
        if let Some(path) = path {
            // Not under the lock: opening may take its time, and whoever logs would wait.
            let fresh = Sink::open(&path)?;
            *self.sink() = Some(fresh);
        }
        Ok(())
    }

    fn sink(&self) -> MutexGuard<'_, Option<Sink>> {
        self.sink.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One event is written at a time.
impl Write for &Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let written = match self.sink().as_mut() {
            Some(sink) => sink.write_all(line),
            None => io::stderr().write_all(line),
        };
        if written.is_err() {
            // A full disk must not make the agent mute.
            self.counters.log_failed.add();
            io::stderr().write_all(line)?;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
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
