//! One crate is not built a second time: once `gpt_lab`'s shared object is loaded, a new one would not fit the running
//! process. If the learner changes `gpt_lab`, the session keeps what it has until the kernel is restarted.

use crate::names::{file, var};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// Keeps what the compiler made of `gpt_lab`, for [`restore`].
pub fn keep(session: &Path) -> Result<()> {
    let kept = session.join(file::LOADED);
    std::fs::create_dir_all(&kept)?;
    for target in std::fs::read_dir(session.join("target"))?.flatten() {
        let Ok(files) = std::fs::read_dir(target.path().join("debug/deps")) else { continue };
        for file in files.flatten().filter(|file| file.file_name().to_string_lossy().contains("gpt_lab")) {
            replace_link(&file.path(), &kept.join(file.file_name()))?;
        }
    }
    Ok(())
}

/// Cargo has removed the crate's files and wants new ones: it gets the old ones. False if `gpt_lab` is not loaded yet.
pub fn restore(args: &[String]) -> Result<bool> {
    let Some(session) = std::env::var_os(var::EVCXR_DIR).map(PathBuf::from) else {
        return Ok(false);
    };
    let Ok(kept) = std::fs::read_dir(session.join(file::LOADED)) else { return Ok(false) };
    let out_dir = args.windows(2).find(|pair| pair[0] == "--out-dir").map(|pair| Path::new(&pair[1]));
    let out_dir = out_dir.context("cargo named no folder for gpt_lab")?;
    for file in kept.flatten() {
        replace_link(&file.path(), &out_dir.join(file.file_name()))?;
    }
    std::fs::write(session.join(file::CHANGED), "")?;
    Ok(true)
}

fn replace_link(from: &Path, to: &Path) -> Result<()> {
    let _ = std::fs::remove_file(to);
    std::fs::hard_link(from, to).with_context(|| format!("cannot link {} to {}", from.display(), to.display()))
}
