//! What cells call: the other side of `gpt_lab_cell::Host`.

use super::protocol::{End, FromCells};
use super::store;
use crate::code::generate::ENTRY;
use crate::names::var;
use crate::sys::lock;
use gpt_lab_cell::{Host, Text, Value};
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW, Symbol};
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

static ENGINE: Mutex<Option<UnixStream>> = Mutex::new(None);
static MARK: Mutex<String> = Mutex::new(String::new());
static RUNNING: AtomicBool = AtomicBool::new(false);
static HOST: Host = Host { put, look, take, value, panicked, failed, caught, is_running };

/// Messages go to this engine from now on.
pub fn connect(engine: UnixStream) {
    *lock(&ENGINE) = Some(engine);
    *lock(&MARK) = std::env::var(var::MARK).unwrap_or_default();
}

fn send(message: &FromCells) {
    let Ok(mut line) = serde_json::to_vec(message) else { return };
    line.push(b'\n');
    if let Some(engine) = &mut *lock(&ENGINE) {
        // If the engine is gone, the main thread ends this process.
        let _ = engine.write_all(&line);
    }
}

/// Loads a shared object that cells need, so that they find it by its name wherever they lie.
pub fn load(path: &Path) {
    // SAFETY: `gpt_lab`, which the kernel itself has had built; loading it runs nothing.
    match unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) } {
        Ok(library) => std::mem::forget(library),
        // The first cell will say why.
        Err(error) => eprintln!("gpt_lab_kernel: {:#}", anyhow::Error::new(error)),
    }
}

/// Runs the cell in a shared object and says how it ended.
pub fn run(path: &Path) {
    RUNNING.store(true, Ordering::SeqCst);
    let end = match call(path) {
        Ok(0) => End::Well,
        Ok(1) => End::Error,
        Ok(2) => End::Panic,
        Ok(_) => End::Misfit,
        Err(error) => End::NotLoaded(format!("{:#}", anyhow::Error::new(error))),
    };
    flush_c();
    RUNNING.store(false, Ordering::SeqCst);
    send(&FromCells::Done { end, variables: store::names() });
}

fn call(path: &Path) -> Result<u32, libloading::Error> {
    // SAFETY: the object was compiled for a cell of this session; what it runs when it is loaded is the learner's own.
    let library = unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL)? };
    // SAFETY: the kernel has generated a function of this name and type into every cell.
    let cell: Symbol<extern "C" fn(&'static Host) -> u32> = unsafe { library.get(ENTRY)? };
    let end = cell(&HOST);
    // Variables, threads and hooks may run its code for ever.
    std::mem::forget(library);
    Ok(end)
}

/// Prints a line for the engine among the cell's output.
fn mark(what: &str) {
    let line = format!("{}{what}\n", lock(&MARK));
    let mut rest = line.as_bytes();
    // Not through this program's own standard output: the order with what the cell has written must hold.
    while let Ok(count @ 1..) = rustix::io::write(rustix::stdio::stdout(), rest) {
        rest = &rest[count..];
    }
}

/// What C code has printed belongs to the cell.
fn flush_c() {
    unsafe extern "C" {
        fn fflush(stream: *mut std::ffi::c_void) -> std::ffi::c_int;
    }
    // SAFETY: fflush(3) with a null pointer flushes all streams of the C library; it may be called at any time.
    unsafe { fflush(std::ptr::null_mut()) };
}

extern "C" fn is_running() -> bool {
    RUNNING.load(Ordering::SeqCst)
}

unsafe extern "C" fn put(name: Text, type_name: Text, value: Value) {
    // SAFETY: the cell waits for this call.
    let (name, type_name) = unsafe { (name.read(), type_name.read()) };
    store::put(&name, value);
    send(&FromCells::Put { name, type_name });
}

unsafe extern "C" fn look(name: Text) -> Value {
    // SAFETY: the cell waits for this call.
    store::look(&unsafe { name.read() })
}

unsafe extern "C" fn take(name: Text) -> Value {
    // SAFETY: the cell waits for this call.
    store::take(&unsafe { name.read() })
}

unsafe extern "C" fn value(mime: Text, text: Text) {
    // SAFETY: the cell waits for this call.
    let (mime, text) = unsafe { (mime.read(), text.read()) };
    if mime.is_empty() {
        mark(" value");
    } else {
        send(&FromCells::Value { mime, text });
    }
}

unsafe extern "C" fn panicked(message: Text, place: Text, trace: Text, in_cell: bool) {
    // SAFETY: the cell waits for this call.
    let (message, place, trace) = unsafe { (message.read(), place.read(), trace.read()) };
    // `             at ./cell-0123456789abcdef.rs:3:5`
    let places = trace.lines().filter_map(|line| Some(line.trim().strip_prefix("at ")?.to_owned()));
    let trace = places.filter(|place| place.contains("cell-")).collect();
    send(&FromCells::Panicked { message, place, trace, in_cell });
}

unsafe extern "C" fn caught(message: Text) {
    // SAFETY: the cell waits for this call.
    let message = unsafe { message.read() };
    send(&FromCells::Caught { message });
}

unsafe extern "C" fn failed(place: u32, type_name: Text, message: Text) {
    // SAFETY: the cell waits for this call.
    let (type_name, message) = unsafe { (type_name.read(), message.read()) };
    send(&FromCells::Failed { place, type_name, message });
}
