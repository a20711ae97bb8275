//! Bringing a file into the cache: whole and right, or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::Duration;

use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256};

use super::cache::Cache;
use super::client::{About, Bytes, Client};
use crate::core::files::parent;
use crate::core::stop;
use crate::lab::ByteProgress;
use crate::{Error, Result};

/// Number of times in a row that a connection may break without bringing a byte.
const TRIES: u32 = 6;
const PAUSE: Duration = Duration::from_millis(100);
/// Files smaller than this come without a bar.
const WORTH_A_BAR: u64 = 1 << 20;

/// The end of a connection.
enum Ended {
    /// With the file.
    Complete,
    /// Before it: the rest must be asked for.
    Broken(String),
}

/// Downloads a blob that the cache lacks. What has arrived grows in `<etag>.incomplete`, from which a later call goes
/// on – after a broken connection at once, after the stop button or a crash when it is asked for again; only a file
/// with the announced length and checksum takes its place.
pub(super) fn fetch(client: &Client, url: &str, about: &About, cache: &Cache, label: &str) -> Result<()> {
    let blob = cache.blob(&about.etag);
    if blob.exists() {
        return Ok(());
    }
    let _lock = cache.lock(&about.etag)?;
    if blob.exists() {
        return Ok(()); // another process had it while we waited
    }
    let folder = parent(&blob);
    fs::create_dir_all(&folder).map_err(|e| Error::io(&folder, "creating the folder", e))?;
    let partial = folder.join(format!("{}.incomplete", about.etag));
    let file = OpenOptions::new().create(true).append(true).open(&partial);
    let mut file = file.map_err(|e| Error::io(&partial, "opening", e))?;
    receive(client, url, about, &mut file, label, &partial)?;
    if let Err(error) = verify(&partial, about, url) {
        fs::remove_file(&partial).map_err(|e| Error::io(&partial, "removing", e))?;
        return Err(error);
    }
    file.sync_all().and_then(|()| fs::rename(&partial, &blob)).map_err(|e| Error::io(&blob, "writing", e))
}

/// Asks until everything is there.
fn receive(client: &Client, url: &str, about: &About, file: &mut File, label: &str, path: &Path) -> Result<()> {
    let io = |e: io::Error| Error::io(path, "writing", e);
    let mut have = file.metadata().map_err(io)?.len();
    let mut bar = about.size.filter(|&size| size >= WORTH_A_BAR).map(|size| ByteProgress::new(label, have, size));
    let mut failures = 0;
    while about.size != Some(have) {
        let before = have;
        let too_long = about.size.is_some_and(|size| have > size);
        let ended = match if too_long { Bytes::OutOfRange } else { client.bytes(url, have)? } {
            Bytes::Come(from, answer) => {
                if from != have {
                    // A server that cannot begin in the middle: from the beginning, then.
                    restart(file, &mut bar).map_err(io)?;
                }
                have = from;
                transfer(answer.into_body().into_reader(), file, &mut have, about.size, &mut bar).map_err(io)?
            }
            Bytes::OutOfRange => {
                restart(file, &mut bar).map_err(io)?;
                have = 0;
                Ended::Broken("what is there does not fit what the Hub has".into())
            }
            Bytes::Failed(why) => Ended::Broken(why),
        };
        if stop::interrupted() {
            bar.into_iter().for_each(|bar| bar.finish("stopped"));
            let hint = format!("{have} bytes have arrived and are kept: the next call goes on from there");
            return Err(Error::Stopped { what: format!("the download of {label}"), hint });
        }
        let Ended::Broken(why) = ended else { break };
        failures = if have > before { 1 } else { failures + 1 };
        if failures == TRIES {
            let detail = format!("the connection broke {TRIES} times in a row ({why}); {have} bytes are kept");
            return Err(Error::Download { url: url.into(), detail });
        }
        std::thread::sleep(PAUSE * 2u32.pow(failures));
    }
    bar.into_iter().for_each(|bar| bar.finish("done"));
    Ok(())
}

/// Writes what comes until it ends, breaks or is stopped. An error is one of writing.
fn transfer(
    mut from: impl Read,
    file: &mut File,
    have: &mut u64,
    size: Option<u64>,
    bar: &mut Option<ByteProgress>,
) -> io::Result<Ended> {
    let mut buffer = vec![0; 1 << 16];
    while !stop::interrupted() {
        let n = match from.read(&mut buffer) {
            Ok(n) => n,
            Err(error) => return Ok(Ended::Broken(error.to_string())),
        };
        if n == 0 {
            let short = size.is_some_and(|size| *have < size);
            return Ok(if short { Ended::Broken("it was closed too early".into()) } else { Ended::Complete });
        }
        file.write_all(&buffer[..n])?;
        *have += n as u64;
        bar.iter_mut().for_each(|bar| bar.add(n as u64));
    }
    Ok(Ended::Broken("stopped".into()))
}

fn restart(file: &mut File, bar: &mut Option<ByteProgress>) -> io::Result<()> {
    bar.iter_mut().for_each(ByteProgress::restart);
    file.set_len(0)
}

/// Compares length and checksum with what the Hub announced. The name of a large file's blob is its SHA-256, that of a
/// small one the name that git gives it: the SHA-1 of `blob <length>\0` and the contents.
fn verify(path: &Path, about: &About, url: &str) -> Result<()> {
    let io = |e: io::Error| Error::io(path, "reading", e);
    let mismatch = |kind, expected: String, found: String| {
        Err(Error::ChecksumMismatch { url: url.to_string(), kind, expected, found })
    };
    let length = fs::metadata(path).map_err(io)?.len();
    if let Some(size) = about.size.filter(|&size| size != length) {
        return mismatch("the length", size.to_string(), length.to_string());
    }
    let hex = about.etag.bytes().all(|b| b.is_ascii_hexdigit());
    let (kind, mut context) = match about.etag.len() {
        64 if hex => ("SHA-256", Context::new(&SHA256)),
        40 if hex => ("the git name", Context::new(&SHA1_FOR_LEGACY_USE_ONLY)),
        _ => return Ok(()), // no checksum that we know
    };
    if about.etag.len() == 40 {
        context.update(format!("blob {length}\0").as_bytes());
    }
    let mut file = File::open(path).map_err(io)?;
    let mut buffer = vec![0; 1 << 18];
    loop {
        match file.read(&mut buffer).map_err(io)? {
            0 => break,
            n => context.update(&buffer[..n]),
        }
    }
    let found: String = context.finish().as_ref().iter().map(|b| format!("{b:02x}")).collect();
    if found == about.etag.to_lowercase() { Ok(()) } else { mismatch(kind, about.etag.clone(), found) }
}
