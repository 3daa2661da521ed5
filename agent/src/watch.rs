//! The files of the policy and of the keys, watched: what changes is loaded without being told.

use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use portcullis_config::{Optional, Secret, Settings};
use tokio::sync::{Notify, mpsc};
use tokio::time::{interval, timeout};
use tracing::{debug, warn};

use crate::aside;
use crate::policy_files::PolicyFiles;
use crate::reload::Requests;
use crate::service::Service;
use crate::snapshot::Snapshot;

/// How long nothing may happen before files are looked at: whoever writes several, or one in parts, is done by then.
const QUIET: Duration = Duration::from_millis(100);

/// At most so many times in a row.
const PATIENCE: usize = 20;

/// How often files are looked at though nothing is heard: some file systems do not tell.
const LOOK: Duration = Duration::from_secs(60);

/// Bytes of a key file that are looked at.
const MOST_KEY_BYTES: u64 = 64 * 1024;

/// Watches the policy and the key files that the settings of `service` name, and asks for a reload when the content of any is
/// another. A reload may name others: `reloaded` tells of it.
pub async fn watch(
    settings: Arc<ArcSwap<Settings>>,
    service: Arc<Service>,
    reloaded: Arc<Notify>,
    requests: Requests,
) {
    let begin = || {
        let settings = settings.load();
        Watched::begin(Files::of(&settings), &settings, service.inspector.snapshot().fingerprint)
    };
    let mut watched = begin();
    let mut looks = interval(LOOK);
    loop {
        tokio::select! {
            Some(()) = watched.events.recv() => quiet(&mut watched.events).await,
            () = reloaded.notified() => {
                if Files::of(&settings.load()) == watched.files {
                    continue;
                }
                watched = begin();
            }
            _ = looks.tick(), if watched.files.paths().next().is_some() => {}
        }
        let found = fingerprint(watched.files.clone()).await;
        if found == watched.known {
            continue;
        }
        debug!("policy-file or a key file has changed");
        watched.known = found;
        // What is wrong with it is in the log already.
        let _outcome = requests.ask().await;
    }
}

/// Files, and what is known of them.
struct Watched {
    files: Files,
    known: Option<Fingerprint>,
    events: mpsc::Receiver<()>,
    /// Tells as long as it is there.
    _watcher: Option<RecommendedWatcher>,
}

impl Watched {
    /// Begins with what is in force: the fingerprint of the policy, and the keys of `settings`.
    fn begin(files: Files, settings: &Settings, policy: u64) -> Self {
        let (heard, events) = mpsc::channel(1);
        let watcher = start(&files, heard).inspect_err(|error| {
            warn!(%error, "cannot watch policy-file and key files; changes are found within a minute");
        });
        let policy = files.policy.as_ref().map(|_| policy);
        let known = Some(Fingerprint { policy, keys: keys_in_force(settings) });
        Self { files, known, events, _watcher: watcher.ok() }
    }
}

/// What is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Files {
    policy: Option<PathBuf>,
    access_key_id: Option<PathBuf>,
    secret_access_key: Option<PathBuf>,
}

impl Files {
    fn of(settings: &Settings) -> Self {
        Self {
            policy: Snapshot::policy_file(settings).cloned(),
            access_key_id: settings.accesskeyid_file.as_ref().cloned(),
            secret_access_key: settings.secretaccesskey_file.as_ref().cloned(),
        }
    }

    fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        [&self.policy, &self.access_key_id, &self.secret_access_key].into_iter().flatten()
    }
}

/// What the files hold, each where there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fingerprint {
    policy: Option<u64>,
    keys: [Option<u64>; 2],
}

fn keys_in_force(settings: &Settings) -> [Option<u64>; 2] {
    let in_file =
        |file: &Optional<PathBuf>, key: &Secret| file.as_ref().map(|_| hash(key.expose().as_bytes()));
    [
        in_file(&settings.accesskeyid_file, &settings.accesskeyid),
        in_file(&settings.secretaccesskey_file, &settings.secretaccesskey),
    ]
}

/// A file is watched by its folder: it may be replaced, or be a link that is.
fn start(files: &Files, heard: mpsc::Sender<()>) -> notify::Result<RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Looking at the files is no change of them.
        let is_change = event.is_ok_and(|event| !matches!(event.kind, EventKind::Access(_)));
        if is_change {
            // Full means that a look is due anyway.
            let _due = heard.try_send(());
        }
    })?;
    for path in files.paths() {
        let folder = if path.is_dir() { path.clone() } else { parent(path) };
        watcher.watch(&folder, RecursiveMode::NonRecursive)?;
    }
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

/// None where a file can not be read: that, too, is a change, and the reload says what is wrong.
async fn fingerprint(files: Files) -> Option<Fingerprint> {
    let look = move || {
        let policy = match &files.policy {
            Some(path) => Some(PolicyFiles::read(path).ok()?.fingerprint()),
            None => None,
        };
        let keys = [key(files.access_key_id.as_deref())?, key(files.secret_access_key.as_deref())?];
        Some(Fingerprint { policy, keys })
    };
    aside::run("watch", look).await.ok().flatten()
}

/// The fingerprint of a key as it is read from a file; the outer none is a file that can not be read.
fn key(path: Option<&Path>) -> Option<Option<u64>> {
    let Some(path) = path else { return Some(None) };
    let mut text = String::new();
    File::open(path).ok()?.take(MOST_KEY_BYTES).read_to_string(&mut text).ok()?;
    Some(Some(hash(text.trim().as_bytes())))
}

fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}
