//! Settings of a process with which it computes faster.

/// Number of times that an idle thread of candle's looks for work before it sleeps. By default it goes on looking for
/// long, and takes time from our threads, which have some.
const SPIN_LIMIT: (&str, &str) = ("CANDLE_BARRIER_POOL_SPIN_LIMIT", "100");

/// Parameters of glibc's `mallopt`: name, number, value. One arena, since what threads get of their own is given back
/// at once; no pieces apart, nothing given back (that is what −1 means), and more is taken by 256 MiB at a time.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const MEMORY: [(&str, i32, i32); 4] =
    [("M_ARENA_MAX", -8, 1), ("M_MMAP_MAX", -4, 0), ("M_TRIM_THRESHOLD", -1, -1), ("M_TOP_PAD", -2, 256 << 20)];

/// Settings for a program that trains, to be made first in `main`: beside other threads they cannot be made safely, and
/// nothing is done. docs/tuning.md has the table, and what the kernel sets for its cells.
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
    for (_, parameter, value) in MEMORY {
        // SAFETY: glibc's function of this signature; it takes any values, and this is the only thread, so none other
        // allocates.
        unsafe { mallopt(parameter, value) };
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn keep_freed_memory() {}

#[cfg(all(test, target_os = "linux", target_env = "gnu"))]
mod tests {
    use super::*;

    #[test]
    fn programs_get_what_the_table_says() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/tuning.md");
        let table = std::fs::read_to_string(path).unwrap();
        let rows = table.lines().filter(|line| line.starts_with('|')).skip(2);
        let of_programs: Vec<&str> =
            rows.filter_map(|row| row.split('|').nth(3)?.trim().strip_prefix('`')?.strip_suffix('`')).collect();
        let memory = MEMORY.map(|(name, _, value)| format!("{name}={value}"));
        let (name, value) = SPIN_LIMIT;
        assert_eq!(of_programs, [memory.to_vec(), vec![format!("{name}={value}")]].concat());
    }
}
