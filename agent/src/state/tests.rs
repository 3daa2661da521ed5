use std::net::IpAddr;

use portcullis_policy::{Secret, StateLimits};
use tempfile::TempDir;

use super::*;

fn state() -> Arc<State> {
    Arc::new(State::new(StateLimits::default(), &Secret::new(b"test")))
}

fn client(last: u8) -> Client {
    Client::new(IpAddr::from([192, 0, 2, last]), 64)
}

fn flag(last: u8) -> Flag {
    let since = clock::millis();
    Flag {
        client: client(last),
        kind: FlagKind::Block,
        since,
        until: since + 3_600_000,
        cause: "SQLI".into(),
    }
}

fn restore(folder: &Path, health: &Arc<Health>) -> (Keeping, Option<Threads>, Option<Restored>) {
    Keeping::restore(folder, state(), Duration::from_secs(3600), &Arc::default(), health)
}

fn is_flagged(keeping: &Keeping, last: u8) -> bool {
    keeping.state().flagged(client(last), FlagKind::Block, clock::millis()).is_some()
}

fn ended(keeping: &Keeping, threads: Option<Threads>) {
    keeping.end();
    threads.unwrap().join();
}

#[tokio::test]
async fn a_noted_flag_is_there_though_no_snapshot_has_it() {
    let (dir, health) = (TempDir::new().unwrap(), Arc::default());
    let (keeping, _threads, restored) = restore(dir.path(), &health);
    assert_eq!(restored, None);
    let flag = flag(1);
    keeping.state().flag(flag.clone(), flag.since);
    keeping.flagged(&flag);
    keeping.settled().await;
    // As a kill leaves it: what is on disk, without a farewell.
    let left = TempDir::new().unwrap();
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, left.path().join(path.file_name().unwrap())).unwrap();
    }
    let (again, threads, restored) = restore(left.path(), &health);
    assert_eq!(restored.unwrap().flags, 1);
    assert!(is_flagged(&again, 1) && !is_flagged(&again, 2));
    ended(&again, threads);
}

#[test]
fn an_orderly_end_keeps_all_and_needs_no_journal() {
    let (dir, health) = (TempDir::new().unwrap(), Arc::default());
    let (keeping, threads, _) = restore(dir.path(), &health);
    let flag = flag(3);
    keeping.state().flag(flag.clone(), flag.since);
    ended(&keeping, threads);
    let (again, threads, restored) = restore(dir.path(), &health);
    assert_eq!(restored.unwrap().flags, 1);
    assert!(is_flagged(&again, 3));
    ended(&again, threads);
}

#[test]
fn what_an_operator_clears_stays_cleared() {
    let (dir, health) = (TempDir::new().unwrap(), Arc::default());
    let (keeping, threads, _) = restore(dir.path(), &health);
    let flag = flag(4);
    keeping.state().flag(flag.clone(), flag.since);
    keeping.flagged(&flag);
    for gone in keeping.state().unflag(client(4), flag.since) {
        keeping.cleared(&gone);
    }
    ended(&keeping, threads);
    let (again, threads, _) = restore(dir.path(), &health);
    assert!(!is_flagged(&again, 4));
    ended(&again, threads);
}

#[test]
fn a_folder_that_cannot_be_used_degrades_and_is_named() {
    let (dir, health) = (TempDir::new().unwrap(), Arc::new(Health::default()));
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let (keeping, threads, _) = restore(&file, &health);
    assert!(threads.is_none());
    assert!(health.state_fault().unwrap().contains("shared-cache-dir: cannot make"));
    let flag = flag(5);
    keeping.state().flag(flag.clone(), flag.since);
    keeping.flagged(&flag);
    assert!(is_flagged(&keeping, 5));
}

#[test]
fn a_foreign_snapshot_is_kept_aside_and_the_journal_still_counts() {
    let (dir, health) = (TempDir::new().unwrap(), Arc::default());
    std::fs::write(dir.path().join("state"), vec![b'{'; 200]).unwrap();
    let (keeping, threads, restored) = restore(dir.path(), &health);
    assert_eq!(restored, None);
    assert!(dir.path().join("refused.0.state").exists());
    ended(&keeping, threads);
    let (again, threads, restored) = restore(dir.path(), &health);
    assert_eq!(restored.map(|restored| restored.flags), Some(0));
    ended(&again, threads);
}
