//! The policy's files, watched: what changes is loaded without being told.

use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use portcullis_config::Settings;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::{interval, timeout};
use tracing::{debug, warn};

use crate::policy_files::PolicyFiles;
use crate::reload::Requests;

/// How long nothing may happen before files are looked at: whoever writes several, or one in parts, is done by then.
const QUIET: Duration = Duration::from_millis(100);

/// At most so many times in a row.
const PATIENCE: usize = 20;

/// How often files are looked at though nothing is heard: some file systems do not tell.
const LOOK: Duration = Duration::from_secs(60);

/// Watches the policy of `settings`, and asks for a reload when its content is another. Ends only where there is none.
/// `loaded` is the fingerprint of what is in force.
pub async fn watch(settings: &Settings, loaded: u64, requests: Requests) {
    let Some(path) = settings.policy_file.as_ref().cloned() else { return };
    let (heard, mut events) = mpsc::channel(1);
    // Held as long as this runs.
    let watcher = start(&path, heard);
    if let Err(error) = &watcher {
        warn!(%error, path = %path.display(), "cannot watch policy-file; changes are found within a minute");
    }
    let mut known = Some(loaded);
    let mut looks = interval(LOOK);
    loop {
        tokio::select! {
            Some(()) = events.recv() => quiet(&mut events).await,
            _ = looks.tick() => {}
        }
        let found = fingerprint(path.clone()).await;
        if found == known {
            continue;
        }
        debug!(path = %path.display(), "policy-file has changed");
        known = found;
        // What is wrong with it is in the log already.
        let _outcome = requests.ask().await;
    }
}

/// A file is watched by its folder: it may be replaced, or be a link that is.
fn start(path: &Path, heard: mpsc::Sender<()>) -> notify::Result<RecommendedWatcher> {
    let folder = if path.is_dir() { path.to_owned() } else { parent(path) };
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Looking at the files is no change of them.
        let is_change = event.is_ok_and(|event| !matches!(event.kind, EventKind::Access(_)));
        if is_change {
            // Full means that a look is due anyway.
            let _due = heard.try_send(());
        }
    })?;
    watcher.watch(&folder, RecursiveMode::NonRecursive)?;
    Ok(watcher)
}

fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

async fn quiet(events: &mut mpsc::Receiver<()>) {
    for _ in 0..PATIENCE {
        if timeout(QUIET, events.recv()).await.is_err() {
            return;
        }
    }
}

/// None where the files can not be read: that, too, is a change, and the reload says what is wrong.
async fn fingerprint(path: PathBuf) -> Option<u64> {
    let read = spawn_blocking(move || PolicyFiles::read(&path).ok().map(|files| files.fingerprint()));
    read.await.ok().flatten()
}
