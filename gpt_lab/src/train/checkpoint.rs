//! Checkpoints: everything that a run needs to go on as if it had never stopped.
//!
//! A folder with `model.safetensors` (and `config.json` where the model has one, so that the folder is a model too),
//! `optimizer.safetensors` (AdamW's moments) and `state.json` (step, place in the data, generator state, history). A
//! new version grows beside the old one, reaches the disk, and takes its place by renaming; if the machine stops
//! between the two renames, the old one is found under its other name.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::order::Position;
use super::{AdamW, History};
use crate::core::files::{neighbour, parent, read_text, sync_folder, write_through};
use crate::core::rng::RngState;
use crate::core::safetensors::{WeightFile, write_safetensors};
use crate::{Error, Param, Result};

const FORMAT: &str = "gpt_lab checkpoint 1";

/// `state.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct State {
    pub format: String,
    pub step: usize,
    pub position: Position,
    pub dropout: RngState,
    pub run: Identity,
    pub history: History,
}

/// The settings that must be the same for a run to go on as it began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    pub seed: u64,
    pub batch_size: usize,
    pub accumulate: usize,
    pub rows: usize,
    /// As text, because JSON numbers end at 2⁵³.
    pub data: String,
}

impl State {
    pub fn new(step: usize, position: Position, dropout: RngState, run: Identity, history: History) -> Self {
        State { format: FORMAT.into(), step, position, dropout, run, history }
    }
}

/// Fails now if a checkpoint could not be written later: another thing's folder, no permission, no such place.
pub(super) fn prepare(folder: &Path) -> Result<()> {
    let is_ours = folder.join("state.json").is_file();
    let is_free = !folder.exists() || fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none());
    if !is_ours && !is_free {
        let detail = "there is something else, which saving would replace; name a new folder".into();
        return Err(Error::ForeignCheckpoint { path: folder.to_path_buf(), detail });
    }
    make_folder(&neighbour(folder, "new"))?;
    remove(&neighbour(folder, "new"))
}

/// Writes a checkpoint; an older one stays until the new one is whole.
pub(super) fn save(
    folder: &Path,
    params: &[Param],
    config: Option<&str>,
    optimizer: &AdamW,
    state: &State,
) -> Result<()> {
    let (new, old) = (neighbour(folder, "new"), neighbour(folder, "old"));
    let written = write(&new, params, config, optimizer, state);
    if written.is_err() {
        // What was written of it is of no use; the first error is the one worth telling.
        let _ = fs::remove_dir_all(&new);
        return written;
    }
    let replacing = |e| Error::io(folder, "replacing the checkpoint", e);
    if folder.exists() {
        remove(&old)?;
        fs::rename(folder, &old).map_err(replacing)?;
    }
    if let Err(error) = fs::rename(&new, folder) {
        let _ = fs::rename(&old, folder);
        return Err(replacing(error));
    }
    sync_folder(&parent(folder))?;
    remove(&old)
}

fn write(folder: &Path, params: &[Param], config: Option<&str>, optimizer: &AdamW, state: &State) -> Result<()> {
    make_folder(folder)?;
    write_safetensors(&folder.join("model.safetensors"), params)?;
    write_safetensors(&folder.join("optimizer.safetensors"), &optimizer.state()?)?;
    if let Some(config) = config {
        write_through(&folder.join("config.json"), config.as_bytes())?;
    }
    let json = serde_json::to_vec(state).map_err(|source| Error::Json { context: "state.json".into(), source })?;
    write_through(&folder.join("state.json"), &json)?;
    sync_folder(folder)
}

/// Reads a checkpoint into the parameters and the optimizer; `None` if there is none. An error leaves both as they
/// were.
pub(super) fn load(
    folder: &Path,
    params: &[Param],
    optimizer: &mut AdamW,
    expected: &Identity,
) -> Result<Option<State>> {
    let Some(folder) = locate(folder)? else { return Ok(None) };
    let foreign = |detail: String| Error::ForeignCheckpoint { path: folder.clone(), detail };
    let path = folder.join("state.json");
    let damaged = |e: serde_json::Error| Error::TruncatedFile { path: path.clone(), detail: e.to_string() };
    let json: serde_json::Value = serde_json::from_str(&read_text(&path)?).map_err(damaged)?;
    if json["format"] != FORMAT {
        return Err(foreign(format!("state.json says format {}, expected {FORMAT:?}", json["format"])));
    }
    let state: State = serde_json::from_value(json).map_err(damaged)?;
    if let Some(difference) = difference(&state.run, expected) {
        return Err(foreign(difference));
    }
    let as_foreign = |error| match error {
        Error::ShapeMismatch { name, expected, found, .. } => {
            foreign(format!("tensor `{name}` has shape {found:?} there and {expected:?} in this model"))
        }
        Error::MissingTensor { name, .. } => foreign(format!("it lacks this model's tensor `{name}`")),
        other => other,
    };
    let weights = WeightFile::open(folder.join("model.safetensors"))?;
    if let Some(name) = weights.names().iter().find(|name| params.iter().all(|param| param.name() != *name)) {
        return Err(foreign(format!("it holds a tensor `{name}` that this model lacks")));
    }
    let values = params.iter().map(|param| weights.read(param.name(), param.dims()).map_err(as_foreign));
    let values = values.collect::<Result<Vec<_>>>()?;
    let moments = WeightFile::open(folder.join("optimizer.safetensors"))?;
    optimizer.restore(state.step, &mut |name, shape| moments.read(name, shape).map_err(as_foreign))?;
    for (param, values) in params.iter().zip(&values) {
        param.var().set(values)?;
    }
    Ok(Some(state))
}

/// The checkpoint's folder, or the name that it has while a new one takes its place.
fn locate(folder: &Path) -> Result<Option<PathBuf>> {
    let old = neighbour(folder, "old");
    if folder.join("state.json").is_file() {
        return Ok(Some(folder.to_path_buf()));
    }
    if folder.join("model.safetensors").is_file() {
        let detail = "there are weights but no state.json: a model, which can be loaded but not resumed".into();
        return Err(Error::ForeignCheckpoint { path: folder.to_path_buf(), detail });
    }
    Ok(old.join("state.json").is_file().then_some(old))
}

/// The first setting that differs, in words.
fn difference(found: &Identity, expected: &Identity) -> Option<String> {
    let say = |what: &str, found: String, expected: String| {
        (found != expected).then(|| format!("it was made with {what} {found}, this run has {expected}"))
    };
    say("seed", found.seed.to_string(), expected.seed.to_string())
        .or_else(|| say("batch_size", found.batch_size.to_string(), expected.batch_size.to_string()))
        .or_else(|| say("accumulate", found.accumulate.to_string(), expected.accumulate.to_string()))
        .or_else(|| say("a number of training rows of", found.rows.to_string(), expected.rows.to_string()))
        .or_else(|| say("training data of fingerprint", found.data.clone(), expected.data.clone()))
}

fn make_folder(folder: &Path) -> Result<()> {
    remove(folder)?;
    fs::create_dir_all(folder).map_err(|e| Error::io(folder, "creating the folder", e))
}

fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io(folder, "removing", error)),
        _ => Ok(()),
    }
}
