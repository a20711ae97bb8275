//! The directory of an engine, locked as long as the engine lives, removed after it.

use super::Layout;
use crate::names::var;
use anyhow::{Context, Result, bail};
use gpt_lab_prepare::files::try_lock;
use std::fs::{self, File, TryLockError};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// The directory of an engine; others see from the lock that it is in use.
pub struct Session {
    /// The crate directory.
    pub dir: PathBuf,
    /// The lock file; as long as a process has it open, nobody removes the directory.
    pub lock: File,
}

impl Session {
    /// A new directory, for this user alone.
    pub fn create(layout: &Layout) -> Result<Session> {
        let sessions = layout.sessions();
        let private = |path: &Path| fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
        private(&sessions).with_context(|| format!("cannot make {}", sessions.display()))?;
        collect_garbage(layout);
        let (id, lock) = new_lock(&sessions)?;
        let dir = sessions.join(&id);
        private(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        Ok(Session { dir, lock })
    }
}

/// A new name with its lock.
fn new_lock(sessions: &Path) -> Result<(String, File)> {
    loop {
        let id = uuid::Uuid::new_v4().simple().to_string();
        let path = sessions.join(format!("{id}.lock"));
        let lock = File::create_new(&path).with_context(|| format!("cannot make {}", path.display()))?;
        match lock.try_lock() {
            // Another kernel may have come in between and taken it for garbage; it holds the lock while it removes it.
            Ok(()) if lock.metadata()?.nlink() > 0 => return Ok((id, lock)),
            Ok(()) | Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => {
                let _ = fs::remove_file(&path);
                bail!(
                    "{} is on a disk that does not know file locks ({error}); set {} to a folder on another disk",
                    sessions.display(),
                    var::STATE
                );
            }
        }
    }
}

fn remove_session(dir: &Path, lock_path: &Path) {
    // A compiler that was just killed may still have created a file while we were looking: once more helps.
    for _ in 0..10 {
        if fs::remove_dir_all(dir).is_ok() || !dir.exists() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let _ = fs::remove_file(lock_path);
}

/// Removes the directories of engines that have died; returns their number.
pub fn collect_garbage(layout: &Layout) -> usize {
    let Ok(entries) = fs::read_dir(layout.sessions()) else { return 0 };
    let mut removed = 0;
    for path in entries.flatten().map(|entry| entry.path()) {
        let lock_path = path.with_extension("lock");
        if path == lock_path {
            let Ok(lock) = File::open(&lock_path) else { continue };
            if try_lock(&lock) && lock.metadata().is_ok_and(|m| m.nlink() > 0) {
                remove_session(&path.with_extension(""), &lock_path);
                removed += 1;
            }
        } else if path.is_dir() && !lock_path.exists() {
            // The lock is made before and removed after the directory: without one nobody lives here.
            remove_session(&path, &lock_path);
            removed += 1;
        }
    }
    removed
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A project; the folder goes with the first value.
    fn scratch() -> (tempfile::TempDir, Layout) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_owned();
        (folder, Layout { state: root.join(".lab"), root })
    }

    #[test]
    fn a_session_is_nobody_elses() {
        let (_folder, layout) = scratch();
        let session = Session::create(&layout).unwrap();
        assert_eq!(fs::metadata(&session.dir).unwrap().mode() & 0o777, 0o700);
    }

    #[test]
    fn the_dead_are_removed_and_the_living_are_not() {
        let (_folder, layout) = scratch();
        let living = Session::create(&layout).unwrap();
        let dead = Session::create(&layout).unwrap();
        let orphan = layout.sessions().join("orphan");
        fs::create_dir(&orphan).unwrap();
        let dead_dir = dead.dir.clone();
        drop(dead);
        assert_eq!(collect_garbage(&layout), 2);
        assert!(living.dir.exists() && !dead_dir.exists() && !orphan.exists());
        drop(living);
        assert_eq!(collect_garbage(&layout), 1);
        assert_eq!(fs::read_dir(layout.sessions()).unwrap().count(), 0);
    }
}
