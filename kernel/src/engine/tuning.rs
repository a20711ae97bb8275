//! Threads and memory of the cells. docs/tuning.md says what for, and what programs get instead.

/// Settings of glibc's allocator and of candle's idle threads.
const FIXED: [(&str, &str); 5] = [
    ("MALLOC_ARENA_MAX", "1"),
    ("MALLOC_MMAP_THRESHOLD_", "4294967296"),
    ("MALLOC_TRIM_THRESHOLD_", "17179869184"),
    ("MALLOC_TOP_PAD_", "268435456"),
    ("CANDLE_BARRIER_POOL_SPIN_LIMIT", "100"),
];

/// Numbers of threads: as many as there are cores for us.
const THREADS: [&str; 2] = ["RAYON_NUM_THREADS", "CANDLE_NUM_THREADS"];

/// Variables for the process of the cells, where nobody has set them.
pub fn cells() -> impl Iterator<Item = (&'static str, String)> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from).to_string();
    let threads = THREADS.map(|name| (name, cores.clone()));
    let fixed = FIXED.map(|(name, value)| (name, value.to_owned()));
    threads.into_iter().chain(fixed).filter(|(name, _)| std::env::var_os(name).is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_get_what_the_table_says() {
        let table = include_str!("../../../docs/tuning.md").lines().filter(|line| line.starts_with('|')).skip(2);
        let of_cells = table.filter_map(|row| row.split('|').nth(2)?.trim().strip_prefix('`')?.strip_suffix('`'));
        let ours =
            THREADS.map(|name| (name, "cores")).into_iter().chain(FIXED).map(|(name, value)| format!("{name}={value}"));
        assert_eq!(of_cells.collect::<Vec<_>>(), ours.collect::<Vec<_>>());
    }
}
