//! The threads that compute.

use std::sync::{LazyLock, Mutex, PoisonError};

use rayon::{BroadcastContext, ThreadPool, ThreadPoolBuilder};

/// The backward pass walks a model's graph recursively, so its depth is the depth of the graph; this is more than a
/// main thread has. (Memory that is not used costs nothing.)
const STACK: usize = 64 << 20;

/// The crate's own threads, as many as the cores or as `RAYON_NUM_THREADS` says; none where the system refuses them.
static POOL: LazyLock<Option<ThreadPool>> = LazyLock::new(|| {
    let name = |i| format!("gpt_lab-{i}");
    ThreadPoolBuilder::new().thread_name(name).stack_size(STACK).build().ok()
});

/// Held while a piece of work is done. Without it, a worker that waits for its helpers would begin with another
/// caller's work, on top of its own, which may hold locks that the other one needs.
static TURN: Mutex<()> = Mutex::new(());

/// Runs `work` on the first of the threads that compute, and waits for it; inside of any rayon pool, in place.
///
/// A step of training hands out work to several threads hundreds of times. A thread outside of the pool goes to sleep
/// each time and is woken again; one inside takes a share of the work itself. For small batches that is a tenth of the
/// step. It is always the same one, since the system's allocator keeps memory for each thread: what one has freed,
/// another does not get.
pub(crate) fn on_a_worker<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    let Some(pool) = POOL.as_ref().filter(|_| rayon::current_thread_index().is_none()) else { return work() };
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let work = Mutex::new(Some(work));
    let first = |thread: BroadcastContext| {
        let work = (thread.index() == 0).then(|| work.lock().ok()?.take()).flatten()?;
        Some(work())
    };
    pool.broadcast(first).into_iter().flatten().next().expect("the first thread did the work")
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};
    use rayon::prelude::*;

    use super::*;

    #[test]
    fn deep_graphs_have_a_backward_pass() {
        let x = Var::new(1f32, &Device::Cpu).unwrap();
        let mut y = x.as_tensor().clone();
        for _ in 0..20_000 {
            y = (y + 0.5).unwrap();
        }
        let gradients = on_a_worker(|| y.backward()).unwrap();
        assert_eq!(gradients.get(&x).unwrap().to_scalar::<f32>().unwrap(), 1.0);
        std::mem::forget(y); // dropping so long a chain is recursive, too, and happens on this test's small stack
    }

    #[test]
    fn a_panic_comes_back_to_the_caller_and_the_next_one_is_served() {
        let panic = std::panic::catch_unwind(|| on_a_worker(|| panic!("in there"))).unwrap_err();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"in there"));
        assert_eq!(on_a_worker(|| on_a_worker(|| 7)), 7);
    }

    #[test]
    fn one_piece_of_work_ends_before_the_next_begins() {
        let busy = Mutex::new(());
        let work = || {
            let _alone = busy.try_lock().expect("nobody else is at work");
            (0..64u64).into_par_iter().map(|i| (0..20_000).fold(i, |sum, k| sum ^ (sum << 7) ^ k)).sum::<u64>()
        };
        std::thread::scope(|scope| {
            let callers: Vec<_> = (0..4).map(|_| scope.spawn(|| [(); 20].map(|()| on_a_worker(work)))).collect();
            for caller in callers {
                caller.join().unwrap();
            }
        });
    }
}
