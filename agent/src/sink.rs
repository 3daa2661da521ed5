//! A file that lines are written to, and that can be opened again under its name.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Where lines go.
#[derive(Debug)]
pub struct Sink {
    path: PathBuf,
    target: Target,
}

#[derive(Debug)]
enum Target {
    Stdout,
    Stderr,
    File(File),
}

impl Sink {
    /// Opens `path` for appending. The standard streams have the names that containers give them.
    ///
    /// # Errors
    ///
    /// When the file can not be opened.
    pub fn open(path: &Path) -> io::Result<Self> {
        // Opening these by name fails where they are sockets.
        let target = match path.to_str() {
            Some("/dev/stdout") => Target::Stdout,
            Some("/dev/stderr") => Target::Stderr,
            _ => Target::File(OpenOptions::new().append(true).create(true).open(path)?),
        };
        Ok(Self { path: path.to_owned(), target })
    }

    /// Opens the file again, as after it was renamed; what was open stays so if that fails.
    ///
    /// # Errors
    ///
    /// When the file can not be opened.
    pub fn reopen(&mut self) -> io::Result<()> {
        *self = Self::open(&self.path)?;
        Ok(())
    }

    /// Its name.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.target {
            Target::Stdout => io::stdout().write(bytes),
            Target::Stderr => io::stderr().write(bytes),
            Target::File(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.target {
            Target::Stdout => io::stdout().flush(),
            Target::Stderr => io::stderr().flush(),
            Target::File(file) => file.flush(),
        }
    }
}
