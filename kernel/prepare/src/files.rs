//! Files: locks, lists, replacing.

use anyhow::{Context, Result};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// Takes the lock of a file if nobody has it.
pub fn try_lock(file: &File) -> bool {
    file.try_lock().is_ok()
}

/// Every file in a folder and in those below it.
pub fn collect_files(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            collect_files(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

/// Writes a file whole or not at all: whoever reads it meanwhile, or after a crash, finds the old content or the new.
pub fn replace_file(path: &Path, bytes: &[u8]) -> Result<()> {
    let temporary = path.with_extension("new");
    fs::write(&temporary, bytes).with_context(|| format!("cannot write {}", temporary.display()))?;
    File::open(&temporary)?.sync_all()?;
    fs::rename(&temporary, path).with_context(|| format!("cannot write {}", path.display()))
}
