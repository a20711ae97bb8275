//! Threads and memory of the cells.

/// Variables for the cells that nobody has set: as many threads as there are cores for us; an allocator that keeps large
/// blocks, for all threads together (giving them back and faulting them in again is half the time of memory-bound work); and
/// candle's own threads, which wait for work by asking again and again, go to sleep soon, as there are as many of ours that have
/// work to do. Programs get the same from `gpt_lab::process::tune`.
pub fn cells() -> Vec<(&'static str, String)> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).to_string();
    vec![
        ("RAYON_NUM_THREADS", threads.clone()),
        ("CANDLE_NUM_THREADS", threads),
        ("MALLOC_MMAP_THRESHOLD_", "4294967296".into()),
        ("MALLOC_TRIM_THRESHOLD_", "17179869184".into()),
        ("MALLOC_TOP_PAD_", "268435456".into()),
        ("MALLOC_ARENA_MAX", "1".into()),
        ("CANDLE_BARRIER_POOL_SPIN_LIMIT", "100".into()),
    ]
}
