//! Files from the Hugging Face Hub, and the cache that they are kept in.
//!
//! The cache is the one of Python's `huggingface_hub`: what one of the two has downloaded, the other finds. Reading
//! order: this file (what is asked for), `cache` (where it lies), `client` (how to ask), `download` (how it comes in
//! whole). `docs/hub.md` says why there is a client of our own.

mod cache;
mod client;
mod download;
mod repo;

use std::fmt;
use std::path::PathBuf;

use cache::Cache;
use client::{Answer, Client};
pub use repo::Repo;

use crate::{Error, Result};

/// The address of the Hub, and the settings for asking it.
///
/// ```no_run
/// use gpt_lab::prelude::*;
/// let gpt2 = Gpt2::from_hub("openai-community/gpt2")?; // settings from the environment
/// let pinned = Repo::model("openai-community/gpt2").revision("607a30d783dfa663caf39e06633721c8d4cfcd7e");
/// let offline = Hub { offline: true, ..Hub::from_env() };
/// let gpt2 = Gpt2::from_hub_with(pinned, &offline)?; // from the cache or not at all
/// # Ok::<(), gpt_lab::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Hub {
    /// Its address, without a slash at the end.
    pub endpoint: String,
    /// The folder of the cache.
    pub cache: PathBuf,
    /// The user's token, for repositories that are not open to everyone. It is only sent to `endpoint`.
    pub token: Option<String>,
    /// Use what is in the cache and nothing else.
    pub offline: bool,
}

impl Hub {
    /// The settings that `huggingface_hub` would use: `HF_ENDPOINT`; the cache in `HF_HUB_CACHE`, in `HF_HOME/hub` or
    /// in `~/.cache/huggingface/hub`; the token in `HF_TOKEN` or in the file that `hf auth login` writes;
    /// `HF_HUB_OFFLINE`.
    pub fn from_env() -> Self {
        Self::from_variables(|name| std::env::var(name).ok())
    }

    fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Self {
        let get = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        let user = get("HOME").map(PathBuf::from).or_else(std::env::home_dir).unwrap_or_default();
        let path = |text: String| match text.strip_prefix("~/") {
            Some(rest) => user.join(rest),
            None => PathBuf::from(text),
        };
        let caches = get("XDG_CACHE_HOME").map_or_else(|| user.join(".cache"), path);
        let home = get("HF_HOME").map_or_else(|| caches.join("huggingface"), path);
        let cache = get("HF_HUB_CACHE").or_else(|| get("HUGGINGFACE_HUB_CACHE"));
        let token_file = get("HF_TOKEN_PATH").map_or_else(|| home.join("token"), path);
        let saved_token = || std::fs::read_to_string(token_file).ok();
        let token = get("HF_TOKEN").or_else(|| get("HUGGING_FACE_HUB_TOKEN")).or_else(saved_token);
        let on =
            |name: &str| get(name).is_some_and(|value| ["1", "on", "yes", "true"].contains(&&*value.to_lowercase()));
        let endpoint = get("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".to_string());
        Hub {
            endpoint: endpoint.trim_end_matches('/').to_string(),
            cache: cache.map_or_else(|| home.join("hub"), path),
            token: token.map(|token| token.trim().to_string()).filter(|token| !token.is_empty()),
            offline: on("HF_HUB_OFFLINE") || on("TRANSFORMERS_OFFLINE"),
        }
    }

    /// A repository's files at one commit. Nothing is asked or downloaded yet.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for what cannot be the name of a repository or revision.
    pub fn snapshot(&self, repo: impl Into<Repo>) -> Result<Snapshot> {
        let repo = repo.into();
        repo.check()?;
        let offline = || "downloads are off (`offline`, HF_HUB_OFFLINE)".to_string();
        Ok(Snapshot {
            cache: Cache::new(&self.cache, &repo),
            client: Client::new(&self.endpoint, self.token.as_deref())?,
            commit: repo.commit(),
            away: self.offline.then(offline),
            endpoint: self.endpoint.clone(),
            repo,
        })
    }
}

/// Does not show the token.
impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let token = self.token.as_ref().map(|_| "…");
        let Hub { endpoint, cache, offline, .. } = self;
        write!(f, "Hub {{ endpoint: {endpoint:?}, cache: {cache:?}, token: {token:?}, offline: {offline} }}")
    }
}

/// A repository's files at one commit: the one that the revision stands for when the first file is asked for.
#[derive(Debug)]
pub struct Snapshot {
    repo: Repo,
    endpoint: String,
    cache: Cache,
    client: Client,
    /// Known from the beginning if the revision is a commit, otherwise from the first answer or from the cache.
    commit: Option<String>,
    /// The reason why the Hub is not asked, if it is not.
    away: Option<String>,
}

/// The result of looking for a file.
enum Lookup {
    There(PathBuf),
    /// The repository, or the cache without a Hub, lacks it; the error is for those who need it.
    Missing(Error),
}

impl Snapshot {
    /// The path of a file, which is downloaded if the cache lacks it. A Hub that cannot be reached is no error if the
    /// cache has the file.
    ///
    /// # Errors
    /// [`Error::NotCached`] without a Hub; [`Error::Download`] with the answer of one that refuses or has no such file;
    /// [`Error::ChecksumMismatch`]; [`Error::Stopped`] after the stop button: what has arrived is kept, and the next
    /// call goes on from there.
    pub fn file(&mut self, name: &str) -> Result<PathBuf> {
        match self.look_up(name)? {
            Lookup::There(path) => Ok(path),
            Lookup::Missing(error) => Err(error),
        }
    }

    /// [`file`](Self::file), or `None` if the repository has no such file.
    pub fn optional(&mut self, name: &str) -> Result<Option<PathBuf>> {
        match self.look_up(name)? {
            Lookup::There(path) => Ok(Some(path)),
            Lookup::Missing(_) => Ok(None),
        }
    }

    /// The folder that has the files under their names.
    ///
    /// # Errors
    /// [`Error::NotCached`] if there is none yet.
    pub fn folder(&self) -> Result<PathBuf> {
        let folder = self.commit.as_ref().map(|commit| self.cache.snapshot(commit));
        folder.filter(|folder| folder.is_dir()).ok_or_else(|| self.not_cached("", "no file was asked for"))
    }

    /// The commit, once it is known.
    pub fn commit(&self) -> Option<&str> {
        self.commit.as_deref()
    }

    fn look_up(&mut self, name: &str) -> Result<Lookup> {
        repo::check_file(name)?;
        if let Some(path) = self.cached(name) {
            return Ok(Lookup::There(path));
        }
        if self.away.is_none()
            && let Some(lookup) = self.ask(name)?
        {
            return Ok(lookup);
        }
        // Without a Hub, a branch stands for the commit that it stood for last time.
        self.commit = self.commit.take().or_else(|| self.cache.read_ref(&self.repo));
        let why = self.away.clone().unwrap_or_default();
        Ok(self.cached(name).map_or_else(|| Lookup::Missing(self.not_cached(name, &why)), Lookup::There))
    }

    /// Asks the Hub for a file and brings it into the cache; `None` if the Hub cannot be reached.
    fn ask(&mut self, name: &str) -> Result<Option<Lookup>> {
        let url = self.repo.url(&self.endpoint, self.commit.as_deref(), name);
        let about = match self.client.head(&url)? {
            Answer::There(about) => about,
            Answer::Missing(detail) => return Ok(Some(Lookup::Missing(Error::Download { url, detail }))),
            Answer::Unreachable(why) => {
                self.away = Some(format!("the Hub cannot be reached: {why}"));
                return Ok(None);
            }
        };
        let no_commit =
            || Error::Download { url: url.clone(), detail: "the answer names no commit: this is no Hub".into() };
        let commit = about.commit.clone().or_else(|| self.commit.clone()).ok_or_else(no_commit)?;
        self.cache.write_ref(&self.repo, &commit)?;
        self.commit = Some(commit.clone());
        if let Some(path) = self.cached(name) {
            return Ok(Some(Lookup::There(path)));
        }
        let label = format!("{}/{name}", self.repo.id());
        download::fetch(&self.client, &url, &about, &self.cache, &label)?;
        Ok(Some(Lookup::There(self.cache.link(&commit, name, &about.etag)?)))
    }

    fn cached(&self, name: &str) -> Option<PathBuf> {
        let path = self.cache.snapshot(self.commit.as_ref()?).join(name);
        path.exists().then_some(path)
    }

    fn not_cached(&self, file: &str, why: &str) -> Error {
        Error::NotCached {
            repo: self.repo.to_string(),
            file: file.to_string(),
            cache: self.cache.folder().to_path_buf(),
            why: why.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hub(variables: &[(&str, &str)]) -> Hub {
        Hub::from_variables(|name| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| value.to_string()))
    }

    #[test]
    fn the_environment_counts_as_in_python() {
        let plain = hub(&[("HOME", "/home/me"), ("HF_TOKEN", " ")]);
        assert_eq!(plain.endpoint, "https://huggingface.co");
        assert_eq!(plain.cache, PathBuf::from("/home/me/.cache/huggingface/hub"));
        assert!(plain.token.is_none() && !plain.offline);
        let set = hub(&[
            ("HOME", "/home/me"),
            ("HF_HOME", "~/hf"),
            ("HF_ENDPOINT", "http://127.0.0.1:9/"),
            ("HF_TOKEN", "hf_secret\n"),
            ("HF_HUB_OFFLINE", "ON"),
        ]);
        assert_eq!((set.endpoint.as_str(), set.cache.as_path()), ("http://127.0.0.1:9", "/home/me/hf/hub".as_ref()));
        assert!(set.offline && set.token.as_deref() == Some("hf_secret"));
        assert!(!format!("{set:?}").contains("secret"));
        assert_eq!(hub(&[("HF_HOME", "/a"), ("HF_HUB_CACHE", "/b")]).cache, PathBuf::from("/b"));
        assert!(!hub(&[("HF_HUB_OFFLINE", "0")]).offline);
    }

    #[test]
    fn the_token_may_be_in_the_file_that_a_login_writes() {
        let root = tempfile::tempdir().unwrap();
        let home = root.path();
        std::fs::write(home.join("token"), "hf_saved\n").unwrap();
        assert_eq!(hub(&[("HF_HOME", home.to_str().unwrap())]).token.as_deref(), Some("hf_saved"));
    }
}
