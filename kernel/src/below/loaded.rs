//! The project's crates are not built a second time: once `gpt_lab`'s shared object is loaded, a new one would not fit
//! the running process. If the learner changes it, the session keeps what it has until the kernel is restarted.

use crate::names::{file, var};
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// The beginning of the names of the project's crates.
const OURS: &str = "gpt_lab";

/// Keeps what the compiler made of the project's crates, for [`restore`].
pub fn keep(session: &Path) -> Result<()> {
    let kept = session.join(file::LOADED);
    fs::create_dir_all(&kept)?;
    for target in fs::read_dir(session.join("target"))?.flatten() {
        let Ok(files) = fs::read_dir(target.path().join("debug/deps")) else { continue };
        for file in files.flatten().filter(|file| file.file_name().to_string_lossy().contains(OURS)) {
            replace_link(&file.path(), &kept.join(file.file_name()))?;
        }
    }
    Ok(())
}

/// Gives cargo the old files of a crate instead of the new ones that it wants; false if the crate is not loaded.
pub fn restore(name: &str, args: &[String]) -> Result<bool> {
    let Some(session) = std::env::var_os(var::EVCXR_DIR).map(PathBuf::from) else {
        return Ok(false);
    };
    let Ok(kept) = fs::read_dir(session.join(file::LOADED)) else { return Ok(false) };
    let files: Vec<PathBuf> = kept.flatten().map(|file| file.path()).filter(|file| is_of(name, file)).collect();
    if files.is_empty() {
        return Ok(false);
    }
    let out_dir = args.windows(2).find(|pair| pair[0] == "--out-dir").map(|pair| Path::new(&pair[1]));
    let out_dir = out_dir.with_context(|| format!("cargo named no folder for {name}"))?;
    for file in files {
        replace_link(&file, &out_dir.join(file.file_name().unwrap_or_default()))?;
    }
    fs::write(session.join(file::CHANGED), "")?;
    Ok(true)
}

/// True for `libNAME.so`, `libNAME-0123.rlib`, `NAME-0123.d`.
fn is_of(name: &str, file: &Path) -> bool {
    let file = file.file_name().unwrap_or_default().to_string_lossy();
    let rest = file.strip_prefix("lib").unwrap_or(&file).strip_prefix(name);
    name.starts_with(OURS) && rest.is_some_and(|rest| rest.starts_with(['.', '-']))
}

fn replace_link(from: &Path, to: &Path) -> Result<()> {
    let _ = fs::remove_file(to);
    fs::hard_link(from, to).with_context(|| format!("cannot link {} to {}", from.display(), to.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_belongs_to_one_crate() {
        let belongs = |name: &str| {
            ["libgpt_lab.so", "libgpt_lab-1.rlib", "gpt_lab.d", "libgpt_lab_cpu-1.rlib", "libserde-1.rlib"]
                .map(|file| is_of(name, Path::new(file)))
        };
        assert_eq!(belongs("gpt_lab"), [true, true, true, false, false]);
        assert_eq!(belongs("gpt_lab_cpu"), [false, false, false, true, false]);
        assert_eq!(belongs("serde"), [false; 5]);
    }
}
