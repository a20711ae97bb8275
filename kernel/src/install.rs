//! The kernelspec: how Jupyter finds this kernel.

use crate::names::var;
use crate::session::Layout;
use anyhow::{Context, Result, bail};
use serde_json::json;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// Where to install.
#[derive(Debug, PartialEq, Eq)]
pub enum Target {
    /// `PREFIX/share/jupyter`: a virtual environment, a conda environment, `/usr/local` …
    Prefix(PathBuf),
    /// The user's own Jupyter folder.
    User,
    /// The active virtual or conda environment.
    SysPrefix,
}

/// Writes the kernelspec `gpt_lab` and says where.
pub fn install(layout: &Layout, target: &Target) -> Result<PathBuf> {
    let folder = data_folder(target)?.join("kernels/gpt_lab");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let binary = std::env::current_exe()?;
    let spec = json!({
        "argv": [binary, "--connection-file", "{connection_file}"],
        "display_name": "Rust (gpt_lab)",
        "language": "rust",
        "interrupt_mode": "message",
        "env": {(var::ROOT): layout.root},
        "metadata": {"debugger": false},
    });
    write(&folder.join("kernel.json"), serde_json::to_string_pretty(&spec)?.as_bytes())?;
    Ok(folder)
}

fn data_folder(target: &Target) -> Result<PathBuf> {
    match target {
        Target::Prefix(prefix) => Ok(absolute(prefix)?.join("share/jupyter")),
        Target::SysPrefix => {
            let prefix = ["VIRTUAL_ENV", "CONDA_PREFIX"].iter().find_map(std::env::var_os);
            let Some(prefix) = prefix else {
                bail!("no environment is active (neither VIRTUAL_ENV nor CONDA_PREFIX is set): use --prefix");
            };
            Ok(PathBuf::from(prefix).join("share/jupyter"))
        }
        Target::User => {
            if let Some(folder) = std::env::var_os("JUPYTER_DATA_DIR") {
                return Ok(folder.into());
            }
            let home = PathBuf::from(std::env::var_os("HOME").context("HOME is not set: use --prefix")?);
            if cfg!(target_os = "macos") {
                return Ok(home.join("Library/Jupyter"));
            }
            let data = std::env::var_os("XDG_DATA_HOME").map_or_else(|| home.join(".local/share"), PathBuf::from);
            Ok(data.join("jupyter"))
        }
    }
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("{} is no path", path.display()))
}

/// Whole or not at all.
fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let temporary = path.with_extension("new");
    fs::write(&temporary, bytes).with_context(|| format!("cannot write {}", temporary.display()))?;
    File::open(&temporary)?.sync_all()?;
    fs::rename(&temporary, path).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spec_names_this_binary_and_the_project() {
        let folder = std::env::temp_dir().join(format!("gpt_lab_install_{}", std::process::id()));
        let layout = Layout { root: "/project".into(), state: "/project/.lab".into() };
        let place = install(&layout, &Target::Prefix(folder.clone())).unwrap();
        assert!(place.ends_with("share/jupyter/kernels/gpt_lab"));
        let spec: serde_json::Value = serde_json::from_slice(&fs::read(place.join("kernel.json")).unwrap()).unwrap();
        assert_eq!(spec["env"][var::ROOT], "/project");
        assert_eq!(spec["argv"][1], "--connection-file");
        assert!(Path::new(spec["argv"][0].as_str().unwrap()).is_absolute());
        fs::remove_dir_all(folder).unwrap();
    }
}
