//! The directory of an engine: a copy of the template, locked as long as the engine lives, removed after it.

use super::copy::clone_tree;
use super::layout::Layout;
use crate::sys::files::try_lock;
use anyhow::{Context, Result};
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The directory of an engine; others see from the lock that it is in use.
pub struct Session {
    /// The crate directory.
    pub dir: PathBuf,
    /// The lock file; as long as a process has it open, nobody removes the directory.
    pub lock: File,
}

impl Session {
    /// A fresh copy of the template.
    pub fn create(layout: &Layout) -> Result<Session> {
        let sessions = layout.sessions();
        fs::create_dir_all(&sessions).with_context(|| format!("cannot make {}", sessions.display()))?;
        collect_garbage(layout);
        let (id, lock) = new_lock(&sessions)?;
        let dir = sessions.join(&id);
        let template = layout.template();
        fs::create_dir(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        if template.is_dir() {
            clone_tree(&template, &dir)
                .with_context(|| format!("cannot copy {} to {}", template.display(), dir.display()))?;
        }
        Ok(Session { dir, lock })
    }
}

/// A new name with its lock.
fn new_lock(sessions: &Path) -> Result<(String, File)> {
    loop {
        let id = uuid::Uuid::new_v4().simple().to_string();
        let path = sessions.join(format!("{id}.lock"));
        let lock = File::create_new(&path).with_context(|| format!("cannot make {}", path.display()))?;
        // Another kernel may have come in between and taken it for garbage; it holds the lock while it removes it.
        if try_lock(&lock) && lock.metadata()?.nlink() > 0 {
            return Ok((id, lock));
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

    /// A project with a template; the folder goes with the first value.
    fn scratch() -> (tempfile::TempDir, Layout) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_owned();
        let deps = root.join(".lab/template/target/debug/deps");
        fs::create_dir_all(&deps).unwrap();
        for file in ["libserde-1.rlib", "libgpt_lab-1.so", "libctx-1.so", "serde-1.d"] {
            fs::write(deps.join(file), file).unwrap();
        }
        (folder, Layout { state: root.join(".lab"), root })
    }

    #[test]
    fn only_what_is_never_written_into_is_shared() {
        let (_folder, layout) = scratch();
        let session = Session::create(&layout).unwrap();
        let deps = Path::new("target/debug/deps");
        let inode =
            |dir: &Path, file: &str| fs::metadata(dir.join(deps).join(file)).map(|m| (m.ino(), m.modified().unwrap()));
        let template = layout.template();
        assert_eq!(inode(&template, "libserde-1.rlib").unwrap(), inode(&session.dir, "libserde-1.rlib").unwrap());
        for copied in ["libgpt_lab-1.so", "serde-1.d"] {
            let (original, copy) = (inode(&template, copied).unwrap(), inode(&session.dir, copied).unwrap());
            assert_ne!(original.0, copy.0, "{copied}");
            assert_eq!(original.1, copy.1, "{copied}: the time is kept");
        }
        assert!(inode(&session.dir, "libctx-1.so").is_err());
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
