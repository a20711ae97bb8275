//! Settings of a process with which it computes faster.

/// Number of times that an idle thread of candle's looks for work before it sleeps. By default it goes on looking for
/// long, and takes time from our threads, which have some.
const SPIN_LIMIT: (&str, &str) = ("CANDLE_BARRIER_POOL_SPIN_LIMIT", "100");

/// Settings for a program that trains, to be made first in `main`: beside other threads they cannot be made safely, and
/// nothing is done. (Our Jupyter kernel makes the same for its cells.)
///
/// - Memory that a training step frees is kept for the next one, which needs as much again; by default, large pieces go
///   back to the system and have to be filled with zeros when they come again. (With glibc on Linux, and if no variable
///   `MALLOC_…` says otherwise.)
/// - Candle's idle threads sleep at once and take no time from those that work, if `CANDLE_BARRIER_POOL_SPIN_LIMIT` is
///   not set.
pub fn tune() {
    if !is_alone() {
        return;
    }
    if !std::env::vars_os().any(|(name, _)| name.as_encoded_bytes().starts_with(b"MALLOC_")) {
        keep_freed_memory();
    }
    let (name, value) = SPIN_LIMIT;
    if std::env::var_os(name).is_none() {
        // SAFETY: this is the only thread, so none other can read the environment, and none can be started meanwhile.
        unsafe { std::env::set_var(name, value) };
    }
}

/// A check whether this process is known to have one thread.
fn is_alone() -> bool {
    std::fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.count() == 1)
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn keep_freed_memory() {
    unsafe extern "C" {
        /// Of glibc's `malloc.h`.
        fn mallopt(parameter: i32, value: i32) -> i32;
    }
    const TRIM_THRESHOLD: i32 = -1;
    const TOP_PAD: i32 = -2;
    const MMAP_MAX: i32 = -4;
    const ARENA_MAX: i32 = -8;
    // One arena: what threads get of their own is given back at once. No pieces apart, nothing given back (that is what
    // −1 means), and more is taken by 256 MiB at a time.
    for (parameter, value) in [(ARENA_MAX, 1), (MMAP_MAX, 0), (TRIM_THRESHOLD, -1), (TOP_PAD, 256 << 20)] {
        // SAFETY: glibc's function of this signature; it takes any values, and this is the only thread, so none other
        // allocates.
        unsafe { mallopt(parameter, value) };
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn keep_freed_memory() {}
