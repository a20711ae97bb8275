//! The places of the project and of the kernel's own files.

use anyhow::{Context, Result};
use std::fs;
use std::path::PathBuf;

/// The folders that everything else lies in.
#[derive(Debug, Clone)]
pub struct Layout {
    /// The folder that holds `gpt_lab/Cargo.toml`.
    pub root: PathBuf,
    /// The folder of everything that can be made again.
    pub state: PathBuf,
}

/// The environment variable that names the project's folder.
pub const ROOT: &str = "GPT_LAB_ROOT";
/// That of the folder used in place of `.lab`.
pub const STATE: &str = "GPT_LAB_STATE";

impl Layout {
    /// The layout that the environment names, or that of the first folder upward from here that has a `gpt_lab` crate.
    pub fn find() -> Result<Layout> {
        let root = match std::env::var_os(ROOT) {
            Some(root) => PathBuf::from(root),
            None => {
                let here = std::env::current_dir().context("the working directory is gone")?;
                let found = here.ancestors().find(|folder| folder.join("gpt_lab/Cargo.toml").is_file());
                found
                    .with_context(|| {
                        format!("no folder with gpt_lab/Cargo.toml from {} upward; set {}", here.display(), ROOT)
                    })?
                    .to_owned()
            }
        };
        let root = root.canonicalize().with_context(|| format!("{} names {}", ROOT, root.display()))?;
        let state = std::env::var_os(STATE).map_or_else(|| root.join(".lab"), PathBuf::from);
        fs::create_dir_all(&state).with_context(|| format!("cannot make {}", state.display()))?;
        let state = state.canonicalize()?;
        Ok(Layout { root, state })
    }

    /// The crate that cells use.
    pub fn gpt_lab(&self) -> PathBuf {
        self.root.join("gpt_lab")
    }

    /// The crate that the code around a cell calls.
    pub fn cell_crate(&self) -> PathBuf {
        self.root.join("kernel/cell")
    }

    /// The folder of what sessions compile against.
    pub fn bases(&self) -> PathBuf {
        self.state.join("base")
    }

    /// The folder of all session directories.
    pub fn sessions(&self) -> PathBuf {
        self.state.join("sessions")
    }

    /// The folder of compiled cells that may be used again.
    pub fn kept(&self) -> PathBuf {
        self.state.join("cells")
    }
}
