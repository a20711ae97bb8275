//! Copies of a crate directory.

use std::fs::{self, File, FileTimes};
use std::path::Path;

/// Copies a crate directory: files that cargo only ever replaces are shared, those that it writes into are copied.
///
/// Times are kept, because cargo compares them.
pub fn clone_tree(from: &Path, to: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type()?;
        if kind.is_dir() {
            fs::create_dir(&target)?;
            clone_tree(&source, &target)?;
        } else if kind.is_file() && (!is_shareable(&source) || fs::hard_link(&source, &target).is_err()) {
            copy_with_times(&source, &target)?;
        }
    }
    Ok(())
}

/// Compiled code of the registry's crates. `gpt_lab` is not among them: the learner may change it.
fn is_shareable(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let folder = path.parent().and_then(Path::file_name).unwrap_or_default();
    let compiled = ["rlib", "rmeta", "so", "a", "o"].iter().any(|end| name.ends_with(&format!(".{end}")));
    folder == "deps" && compiled && !name.contains("gpt_lab")
}

fn copy_with_times(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::copy(from, to)?;
    let times = fs::metadata(from)?;
    let file = File::options().write(true).open(to).or_else(|_| File::open(to))?;
    file.set_times(FileTimes::new().set_modified(times.modified()?).set_accessed(times.accessed()?))
}
