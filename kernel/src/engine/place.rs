//! Files of a session that the engine holds open.

use crate::names::file;
use anyhow::{Context, Result};
use rustix::fs::{CWD, Mode, mkfifoat};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// A session directory that is in use.
pub struct Place {
    /// The session directory.
    pub dir: PathBuf,
    /// The file that exists while a cell is to stop.
    pub interrupt: PathBuf,
    /// The word that begins our own lines on the cells' output.
    pub mark: String,
    channel: File,
    _lock: OwnedFd,
}

impl Place {
    /// Makes the pipe for displays in a session directory that is locked by `lock`.
    pub fn open(dir: &Path, lock: OwnedFd) -> Result<Place> {
        let fifo = dir.join(file::CHANNEL);
        let owner_only = Mode::RUSR | Mode::WUSR;
        mkfifoat(CWD, &fifo, owner_only).with_context(|| format!("cannot make {}", fifo.display()))?;
        // Open for both directions: so opening does not wait, and the pipe never reads as closed.
        let channel = File::options().read(true).write(true).open(&fifo)?;
        let mark = format!("gpt_lab:{}", uuid::Uuid::new_v4().simple());
        Ok(Place { dir: dir.to_owned(), interrupt: dir.join(file::INTERRUPT), mark, channel, _lock: lock })
    }

    /// The pipe for displays.
    pub fn channel(&self) -> Result<File> {
        Ok(self.channel.try_clone()?)
    }

    /// The name of that pipe.
    pub fn channel_path(&self) -> PathBuf {
        self.dir.join(file::CHANNEL)
    }
}
