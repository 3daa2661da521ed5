//! A child process that does not outlive us: killed on drop, and by the kernel when we are killed ourselves.

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

/// What becomes of a process that is to look hung.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freeze {
    /// It stands still.
    Stop,
    /// It goes on.
    GoOn,
}

/// A running child process, its output going to a file.
pub struct Process {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `program` with both output streams appended to `log`.
    ///
    /// # Errors
    /// When the log cannot be written or the program cannot be started.
    pub fn start(
        name: &'static str,
        program: &Path,
        log: &Path,
        prepare: impl FnOnce(&mut Command),
    ) -> Result<Self> {
        let out = File::options().create(true).append(true).open(log)?;
        let mut command = tied_to_us(program);
        prepare(&mut command);
        let child = command
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            // Ctrl-C reaches a whole process group: in one of its own, a child is ended by us, in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{name} ({}) does not start", program.display()))?;
        Ok(Self { name, child, log: log.to_owned() })
    }

    /// The file its output goes to.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Its process id, while it runs.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Stops it where it stands, or lets it go on.
    ///
    /// # Errors
    /// When it has ended or cannot be signalled.
    pub fn freeze(&self, freeze: Freeze) -> Result<()> {
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        let signal = match freeze {
            Freeze::Stop => Signal::STOP,
            Freeze::GoOn => Signal::CONT,
        };
        Ok(kill_process(pid.with_context(|| format!("{} has ended", self.name))?, signal)?)
    }

    /// Fails with the end of the log if the process has ended.
    ///
    /// # Errors
    /// When it has ended, or cannot be asked.
    pub fn ensure_running(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("{} ended by itself ({status}):\n{}", self.name, self.tail()),
        }
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    /// Always: the end of a process we need is an error, told with the end of its log.
    pub async fn ended(&mut self) -> Result<()> {
        let status = self.child.wait().await?;
        bail!("{} ended by itself ({status}):\n{}", self.name, self.tail())
    }

    /// Ends it at once, as a crash would.
    ///
    /// # Errors
    /// When the signal cannot be sent.
    pub async fn kill(mut self) -> Result<()> {
        self.child.kill().await.with_context(|| format!("cannot kill {}", self.name))
    }

    /// Asks it to end, and ends it when it has not within `patience`.
    ///
    /// # Errors
    /// When it did not end in time, or could not be signalled.
    pub async fn stop(mut self, patience: Duration) -> Result<()> {
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid {
            kill_process(pid, Signal::TERM)?;
        }
        if tokio::time::timeout(patience, self.child.wait()).await.is_err() {
            self.child.kill().await?;
            bail!("{} did not end within {} s of SIGTERM", self.name, patience.as_secs());
        }
        Ok(())
    }

    /// The last lines of its output.
    #[must_use]
    pub fn tail(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines.get(lines.len().saturating_sub(20)..).unwrap_or_default().join("\n")
    }
}

/// A command the kernel ends when we die, where the system has a tool for it (`setpriv`, part of util-linux).
fn tied_to_us(program: &Path) -> Command {
    match on_path("setpriv") {
        Some(setpriv) => {
            let mut command = Command::new(setpriv);
            command.args(["--pdeathsig", "KILL", "--"]).arg(program);
            command
        }
        None => Command::new(program),
    }
}

fn on_path(name: impl AsRef<OsStr>) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name.as_ref())).find(|file| file.is_file())
}
