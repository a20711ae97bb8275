//! Compiled cells that are kept, so that what has run before runs at once, in this session or another.

use super::Layout;
use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::PathBuf;
use std::time::SystemTime;

/// Most bytes that are kept.
const MOST_BYTES: u64 = 256 << 20;

/// The folder of compiled cells, with no more in it than there should be; none if it cannot be made.
pub fn kept_cells(layout: &Layout) -> Option<PathBuf> {
    let folder = layout.kept();
    // What is in it will be run: it must be nobody else's.
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder).ok()?;
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).ok()?;
    let mut files: Vec<(SystemTime, u64, PathBuf)> = fs::read_dir(&folder)
        .ok()?
        .flatten()
        .filter_map(|entry| {
            let about = entry.metadata().ok()?;
            Some((about.modified().ok()?, about.len(), entry.path()))
        })
        .collect();
    files.sort_by_key(|file| std::cmp::Reverse(file.0));
    let mut bytes = 0;
    for (_, length, path) in files {
        bytes += length;
        if bytes > MOST_BYTES {
            let _ = fs::remove_file(path);
        }
    }
    Some(folder)
}
