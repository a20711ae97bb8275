//! The kernelspec: how Jupyter finds this kernel.

use crate::names::var;
use crate::session::Layout;
use anyhow::{Context, Result, bail};
use gpt_lab_prepare::files::replace_file;
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};

/// A place to install in.
#[derive(Debug, PartialEq, Eq)]
pub enum Target {
    /// `PREFIX/share/jupyter`: a virtual environment, a conda environment, `/usr/local` …
    Prefix(PathBuf),
    /// The user's own Jupyter folder.
    User,
    /// The active virtual or conda environment.
    SysPrefix,
}

/// Writes the kernelspec `gpt_lab`; returns its folder.
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
    replace_file(&folder.join("kernel.json"), serde_json::to_string_pretty(&spec)?.as_bytes())?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spec_names_this_binary_and_the_project() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout { root: "/project".into(), state: "/project/.lab".into() };
        let place = install(&layout, &Target::Prefix(folder.path().to_owned())).unwrap();
        assert!(place.ends_with("share/jupyter/kernels/gpt_lab"));
        let spec: serde_json::Value = serde_json::from_slice(&fs::read(place.join("kernel.json")).unwrap()).unwrap();
        assert_eq!(spec["env"][var::ROOT], "/project");
        assert_eq!(spec["argv"][1], "--connection-file");
        assert!(Path::new(spec["argv"][0].as_str().unwrap()).is_absolute());
    }
}
