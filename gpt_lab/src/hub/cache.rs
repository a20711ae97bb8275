//! The cache's folders, as Python's `huggingface_hub` has them:
//!
//! ```text
//! models--openai-community--gpt2/
//!   blobs/<etag>                     the files themselves, named by their checksums
//!   blobs/<etag>.incomplete          one that is still coming
//!   snapshots/<commit>/config.json   a link to a blob
//!   refs/main                        the commit that `main` stands for
//! .locks/models--openai-community--gpt2/<etag>.lock
//! ```

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::Repo;
use crate::core::files::{neighbour, parent, write_through};
use crate::core::stop;
use crate::{Error, Result};

/// One repository's part of the cache.
#[derive(Debug)]
pub(super) struct Cache {
    folder: PathBuf,
    locks: PathBuf,
}

impl Cache {
    pub fn new(root: &Path, repo: &Repo) -> Self {
        let name = repo.folder();
        Cache { folder: root.join(&name), locks: root.join(".locks").join(name) }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The folder with the names of a commit's files.
    pub fn snapshot(&self, commit: &str) -> PathBuf {
        self.folder.join("snapshots").join(commit)
    }

    pub fn blob(&self, etag: &str) -> PathBuf {
        self.folder.join("blobs").join(etag)
    }

    /// The commit that the repository's revision stood for when it was last asked about.
    pub fn read_ref(&self, repo: &Repo) -> Option<String> {
        let commit = fs::read_to_string(self.folder.join("refs").join(repo.reference()?)).ok()?;
        Some(commit.trim().to_string()).filter(|commit| is_name(commit))
    }

    pub fn write_ref(&self, repo: &Repo, commit: &str) -> Result<()> {
        match repo.reference() {
            Some(reference) if self.read_ref(repo).as_deref() != Some(commit) => {
                place(&self.folder.join("refs").join(reference), |new| write_through(new, commit.as_bytes()))
            }
            _ => Ok(()),
        }
    }

    /// Gives a blob its name in a commit's folder.
    pub fn link(&self, commit: &str, name: &str, etag: &str) -> Result<PathBuf> {
        let path = self.snapshot(commit).join(name);
        // Relative, so that the cache can be moved: out of the snapshot's folders, out of `snapshots`.
        let target = format!("{}blobs/{etag}", "../".repeat(name.split('/').count() + 1));
        place(&path, |new| {
            std::os::unix::fs::symlink(&target, new)
                .or_else(|_| fs::copy(self.blob(etag), new).map(|_| ())) // not every file system has links
                .map_err(|e| Error::io(&path, "linking", e))
        })?;
        Ok(path)
    }

    /// Waits until no other process, ours or a Python one, downloads this blob. The lock ends with the file that is
    /// returned; `None` where the file system has no locks.
    pub fn lock(&self, etag: &str) -> Result<Option<File>> {
        fs::create_dir_all(&self.locks).map_err(|e| Error::io(&self.locks, "creating the folder", e))?;
        let path = self.locks.join(format!("{etag}.lock"));
        let options = File::options().create(true).truncate(false).write(true).open(&path);
        let file = options.map_err(|e| Error::io(&path, "opening", e))?;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Some(file)),
                Err(TryLockError::Error(_)) => return Ok(None),
                Err(TryLockError::WouldBlock) if stop::interrupted() => {
                    let what = "waiting for another download of the same file".into();
                    return Err(Error::Stopped { what, hint: "the other one goes on".into() });
                }
                Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(100)),
            }
        }
    }
}

/// Puts what `make` makes under a name of its own in the place of `path`. Several threads and processes may do so at
/// once.
fn place(path: &Path, make: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let folder = parent(path);
    fs::create_dir_all(&folder).map_err(|e| Error::io(&folder, "creating the folder", e))?;
    let own = format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let new = neighbour(path, &own);
    make(&new)?;
    fs::rename(&new, path).map_err(|e| Error::io(path, "replacing", e))
}

/// `true` if a word of the server can be the name of a file or folder of the cache.
pub(super) fn is_name(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    !text.is_empty() && text.len() <= 200 && text.bytes().all(plain) && !text.starts_with('.')
}
