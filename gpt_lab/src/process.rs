//! Settings of a process with which it computes faster.

/// Candle's own threads wait for work by asking again and again; as many of ours have work to do, so these shall go to sleep soon.
const SPIN_LIMIT: (&str, &str) = ("CANDLE_BARRIER_POOL_SPIN_LIMIT", "100");

/// To be called first in `main` by a program that trains. (Our kernel makes the same settings for its cells.)
///
/// - Memory that a training step frees is kept for the next one, which needs as much again; by default, large pieces go back to the
///   system and have to be filled with zeros when they come again. (With glibc on Linux; elsewhere nothing changes.)
/// - Candle's idle threads go to sleep at once and take no time from those that work, unless `CANDLE_BARRIER_POOL_SPIN_LIMIT` says otherwise.
///   This is an environment variable, which cannot be set safely beside other threads: if there are some, it is left as it is.
pub fn tune() {
    keep_freed_memory();
    let (name, value) = SPIN_LIMIT;
    if std::env::var_os(name).is_none() && is_alone() {
        // SAFETY: there is no other thread that could read the environment meanwhile.
        unsafe { std::env::set_var(name, value) };
    }
}

/// Whether this process is known to have one thread.
fn is_alone() -> bool {
    std::fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.count() == 1)
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn keep_freed_memory() {
    unsafe extern "C" {
        /// Of glibc's `malloc.h`.
        safe fn mallopt(parameter: i32, value: i32) -> i32;
    }
    const TRIM_THRESHOLD: i32 = -1;
    const TOP_PAD: i32 = -2;
    const MMAP_MAX: i32 = -4;
    const ARENA_MAX: i32 = -8;
    mallopt(ARENA_MAX, 1); // the first one; what further threads get of their own is given back at once
    mallopt(MMAP_MAX, 0);
    mallopt(TRIM_THRESHOLD, i32::MAX);
    mallopt(TOP_PAD, 256 << 20);
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn keep_freed_memory() {}
