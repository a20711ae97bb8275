//! A server that behaves as the Hub does, as far as files go, and badly on demand.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use gpt_lab::prelude::*;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use tempfile::TempDir;

/// The only commit of the only repository.
pub const COMMIT: &str = "607a30d783dfa663caf39e06633721c8d4cfcd7e";
const NAME: &str = "lab/tiny-gpt2";

/// Puts two files of weights and an index in the place of one file.
pub fn split_weights(folder: &Path) {
    let whole = candle_core::safetensors::load(folder.join("model.safetensors"), &Device::Cpu).unwrap();
    let shard = |name: &str| {
        if name.contains(".h.") { "model-00001-of-00002.safetensors" } else { "model-00002-of-00002.safetensors" }
    };
    for file in ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"] {
        let part: HashMap<&str, Tensor> =
            whole.iter().filter(|(name, _)| shard(name) == file).map(|(name, t)| (name.as_str(), t.clone())).collect();
        candle_core::safetensors::save(&part, folder.join(file)).unwrap();
    }
    let map: HashMap<&str, &str> = whole.keys().map(|name| (name.as_str(), shard(name))).collect();
    let index = serde_json::json!({ "metadata": { "total_size": 0 }, "weight_map": map });
    fs::write(folder.join("model.safetensors.index.json"), index.to_string()).unwrap();
    fs::remove_file(folder.join("model.safetensors")).unwrap();
}

/// A model of 28,000 numbers, and its folder with a tokenizer that is too large for it.
pub fn tiny_model() -> (Gpt2, TempDir) {
    let config =
        Gpt2Config { vocab_size: 97, n_positions: 16, n_embd: 32, n_layer: 2, n_head: 2, ..Gpt2Config::default() };
    let (model, folder) = (Gpt2::new(&config, 3).unwrap(), tempfile::tempdir().unwrap());
    model.save(folder.path()).unwrap();
    let tokenizer = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/tokenizer/vocab_merges_layout");
    for name in ["vocab.json", "merges.txt"] {
        fs::copy(tokenizer.join(name), folder.path().join(name)).unwrap();
    }
    (model, folder)
}

/// What the server does wrong, and what it saw.
#[derive(Default)]
pub struct Faults {
    /// After so many bytes of a large file the connection breaks, so many times.
    pub break_after: Option<(usize, usize)>,
    /// The first byte of this file is another one.
    pub corrupt: Option<String>,
    /// Ranges are ignored.
    pub no_ranges: bool,
    /// Large files come in small pieces, with pauses.
    pub slow: bool,
    /// Requests with a token that reached the store of large files, which is none of the Hub.
    pub tokens_at_the_store: usize,
    requests: Vec<String>,
    ranges: Vec<String>,
}

pub struct Server {
    pub url: String,
    folder: PathBuf,
    faults: Arc<Mutex<Faults>>,
}

struct Request {
    method: String,
    path: String,
    headers: HashMap<String, String>,
}

impl Server {
    /// Serves a folder as a repository: to everyone, or to those with a token.
    pub fn start(folder: &Path, open: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let faults = Arc::new(Mutex::new(Faults::default()));
        let (shared, root) = (faults.clone(), folder.to_path_buf());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (faults, folder) = (shared.clone(), root.clone());
                // A client that goes away in the middle is none of the server's business.
                std::thread::spawn(move || answer(stream, &folder, &faults, port, open).unwrap_or(()));
            }
        });
        Server { url: format!("http://127.0.0.1:{port}"), folder: folder.to_path_buf(), faults }
    }

    pub fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap()
    }

    pub fn requests(&self) -> Vec<String> {
        self.faults().requests.clone()
    }

    pub fn ranges(&self) -> Vec<String> {
        self.faults().ranges.clone()
    }

    pub fn etag(&self, name: &str) -> String {
        etag(&fs::read(self.folder.join(name)).unwrap(), is_large(name))
    }
}

/// As on the Hub: the SHA-256 of large files, git's name of the others.
fn etag(bytes: &[u8], large: bool) -> String {
    let git = [format!("blob {}\0", bytes.len()).as_bytes(), bytes].concat();
    let digest = if large { digest(&SHA256, bytes) } else { digest(&SHA1_FOR_LEGACY_USE_ONLY, &git) };
    digest.as_ref().iter().map(|b| format!("{b:02x}")).collect()
}

fn is_large(name: &str) -> bool {
    name.ends_with(".safetensors")
}

fn read_request(stream: &TcpStream) -> std::io::Result<Request> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next().unwrap_or(Ok(String::new()))?;
    let mut words = first.split(' ').map(str::to_string);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut headers = HashMap::new();
    for line in lines {
        let line = line?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.insert(name.to_lowercase(), value.trim().to_string());
    }
    Ok(Request { method, path, headers })
}

fn answer(stream: TcpStream, folder: &Path, faults: &Mutex<Faults>, port: u16, open: bool) -> std::io::Result<()> {
    let request = read_request(&stream)?;
    faults.lock().unwrap().requests.push(format!("{} {}", request.method, request.path));
    if let Some(name) = request.path.strip_prefix("/store/") {
        return store(stream, &request, folder, name, faults);
    }
    if let Some(rest) = request.path.strip_prefix("/old-name/") {
        return say(
            &stream,
            &request,
            "307 Temporary Redirect",
            &format!("Location: /{NAME}/{rest}\r\n"),
            b"elsewhere",
        );
    }
    if !open && !request.headers.contains_key("authorization") {
        return say(&stream, &request, "401 Unauthorized", "", b"");
    }
    let Some((revision, name)) =
        request.path.strip_prefix(&format!("/{NAME}/resolve/")).and_then(|rest| rest.split_once('/'))
    else {
        return say(&stream, &request, "404 Not Found", "X-Error-Code: RepoNotFound\r\n", b"");
    };
    if revision != "main" && revision != COMMIT {
        return say(&stream, &request, "404 Not Found", "X-Error-Code: RevisionNotFound\r\n", b"");
    }
    let Ok(mut bytes) = fs::read(folder.join(name)) else {
        let headers = format!("X-Error-Code: EntryNotFound\r\nX-Repo-Commit: {COMMIT}\r\n");
        return say(&stream, &request, "404 Not Found", &headers, b"");
    };
    let (size, etag) = (bytes.len(), etag(&bytes, is_large(name)));
    if is_large(name) {
        let headers = format!(
            "X-Repo-Commit: {COMMIT}\r\nX-Linked-Etag: \"{etag}\"\r\nX-Linked-Size: {size}\r\nETag: \"other\"\r\n\
             Location: http://localhost:{port}/store/{name}\r\n"
        );
        return say(&stream, &request, "302 Found", &headers, b"in the other store");
    }
    corrupt(&mut bytes, name, faults);
    let headers = format!("X-Repo-Commit: {COMMIT}\r\nETag: W/\"{etag}\"\r\n");
    say(&stream, &request, "200 OK", &headers, &bytes)
}

/// Where large files are.
fn store(
    stream: TcpStream,
    request: &Request,
    folder: &Path,
    name: &str,
    faults: &Mutex<Faults>,
) -> std::io::Result<()> {
    let mut bytes = fs::read(folder.join(name))?;
    corrupt(&mut bytes, name, faults);
    let range = request.headers.get("range").cloned();
    let (limit, slow, from) = {
        let mut faults = faults.lock().unwrap();
        faults.tokens_at_the_store += usize::from(request.headers.contains_key("authorization"));
        faults.ranges.extend(range.clone());
        let range = range.filter(|_| !faults.no_ranges);
        let from = range.and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
        let limit = faults.break_after.filter(|(_, times)| *times > 0).map(|(limit, _)| limit);
        if let Some((_, times)) = faults.break_after.as_mut() {
            *times = times.saturating_sub(1);
        }
        (limit, faults.slow, from)
    };
    let (total, start) = (bytes.len(), from.unwrap_or(0));
    let range = format!("Content-Range: bytes {start}-{}/{total}\r\n", total - 1);
    let (status, range) = if from.is_some() { ("206 Partial Content", range) } else { ("200 OK", String::new()) };
    let rest = &bytes[start..];
    head(&stream, status, &range, rest.len())?;
    for piece in rest[..limit.unwrap_or(rest.len()).min(rest.len())].chunks(if slow { 16_384 } else { total }) {
        write_all(&stream, piece)?;
        if slow {
            std::thread::sleep(Duration::from_millis(60));
        }
    }
    Ok(())
}

fn corrupt(bytes: &mut [u8], name: &str, faults: &Mutex<Faults>) {
    if faults.lock().unwrap().corrupt.as_deref() == Some(name) {
        bytes[0] ^= 1;
    }
}

/// An answer; to a question of the method HEAD without its body.
fn say(stream: &TcpStream, request: &Request, status: &str, headers: &str, body: &[u8]) -> std::io::Result<()> {
    head(stream, status, headers, body.len())?;
    if request.method == "HEAD" { Ok(()) } else { write_all(stream, body) }
}

fn head(mut stream: &TcpStream, status: &str, headers: &str, length: usize) -> std::io::Result<()> {
    write!(stream, "HTTP/1.1 {status}\r\nConnection: close\r\n{headers}Content-Length: {length}\r\n\r\n")
}

fn write_all(mut stream: &TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    stream.write_all(bytes)
}
