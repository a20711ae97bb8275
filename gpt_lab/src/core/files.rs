//! Writing files so that a reader never meets half of one: everything goes to a temporary neighbour first, reaches the
//! disk, and takes the place of the old version by one rename.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// The text of a file, with errors that name it.
pub(crate) fn read_text(path: &Path) -> Result<String> {
    let bytes = fs::read(path).map_err(|e| Error::io(path, "reading", e))?;
    String::from_utf8(bytes).map_err(|e| Error::TruncatedFile {
        path: path.to_path_buf(),
        detail: format!("not UTF-8 text: byte {} cannot be read", e.utf8_error().valid_up_to()),
    })
}

/// Replaces the file at `path` (its folder is made if need be) as a whole or, after an error, not at all.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    replace_with(path, |temporary| write_through(temporary, bytes))
}

/// [`write_atomically`] for a file that `write` fills and brings to the disk; it gets the path.
pub(crate) fn replace_with(path: &Path, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let folder = parent(path);
    fs::create_dir_all(&folder).map_err(|e| Error::io(&folder, "creating the folder", e))?;
    let temporary = neighbour(path, "new");
    let done =
        write(&temporary).and_then(|()| fs::rename(&temporary, path).map_err(|e| Error::io(path, "replacing", e)));
    if done.is_err() {
        // The first error is the one worth telling.
        let _ = fs::remove_file(&temporary);
    }
    done.and_then(|()| sync_folder(&folder))
}

/// Writes a new file and waits until the disk has it.
pub(crate) fn write_through(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = File::create(path).map_err(|e| Error::io(path, "creating", e))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(|e| Error::io(path, "writing", e))
}

/// Waits until the disk knows the folder's entries.
pub(crate) fn sync_folder(path: &Path) -> Result<()> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(|e| Error::io(path, "writing the folder", e))
}

/// `.NAME.SUFFIX` beside `path`: the place of a new version that grows, or of an old one that waits.
pub(crate) fn neighbour(path: &Path, suffix: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    parent(path).join(format!(".{name}.{suffix}"))
}

/// The folder that `path` is in.
pub(crate) fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_that_fails_leaves_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("inner/notes.txt");
        write_atomically(&path, b"one").unwrap();
        fs::create_dir_all(neighbour(&path, "new")).unwrap(); // the temporary file cannot be created
        let error = write_atomically(&path, b"two").unwrap_err().to_string();
        assert!(error.contains(".notes.txt.new"), "{error}");
        assert_eq!(read_text(&path).unwrap(), "one");
    }

    #[test]
    fn errors_name_the_file() {
        let error = read_text(Path::new("/no/such/file")).unwrap_err().to_string();
        assert_eq!(error, "/no/such/file: no such file or folder");
    }
}
