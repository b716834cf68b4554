//! Threads for hashing, each with memory of its own: so many passwords at a time, so much memory, whoever went away meanwhile.
//!
//! Threads of the runtime's own would do it, but the allocator keeps a heap for each thread that ever freed 19 MiB, which came
//! to twelve times the bound; and these step back behind the threads that answer calls, which theirs may not.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use argon2::Block;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::error::{Error, Result};

/// How long a log-in waits for a slot before it is refused.
const PATIENCE: Duration = Duration::from_secs(5);
/// A thread without work gives its memory back after so long.
const IDLE: Duration = Duration::from_secs(1);
/// Of the system's 0 to 19: on a busy machine a hash gets what is left, and is not starved.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;
/// glibc maps what is over 32 MiB by itself and gives it back at once when it is freed; the part that is not used costs nothing.
const LEAST_CAPACITY: usize = 33 * 1024 * 1024 / Block::SIZE;

/// The memory of one hash at a time.
#[derive(Default)]
pub(super) struct Memory(Vec<Block>);

impl Memory {
    /// So many blocks, with whatever is in them: Argon2 reads none that it has not written.
    pub(super) fn blocks(&mut self, count: usize) -> &mut [Block] {
        if self.0.len() < count {
            self.0 = Vec::with_capacity(count.max(LEAST_CAPACITY));
            self.0.resize(count, Block::new());
        }
        self.0.get_mut(..count).unwrap_or_default()
    }
}

type Job = Box<dyn FnOnce(&mut Memory) + Send>;

/// So many threads.
pub(super) struct Slots {
    free: Arc<Semaphore>,
    /// Of threads without work: at least as many as there are permits. The last to come goes first, so that few have memory
    /// where few are needed.
    idle: Arc<Mutex<Vec<Sender<Job>>>>,
}

impl Slots {
    /// Starts `count` threads, one at least; they end with this value.
    pub(super) fn start(count: usize) -> anyhow::Result<Self> {
        let mut idle = Vec::new();
        for _ in 0..count.clamp(1, Semaphore::MAX_PERMITS) {
            let (sender, jobs) = channel();
            thread::Builder::new()
                .name("password".to_owned())
                .spawn(move || work(&jobs))?;
            idle.push(sender);
        }
        Ok(Self {
            free: Arc::new(Semaphore::new(idle.len())),
            idle: Arc::new(Mutex::new(idle)),
        })
    }

    /// Runs `work` in a slot, once one is free. The slot is free again when the work is done, not when the caller leaves.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Memory) -> T + Send + 'static,
    ) -> Result<T> {
        let free = tokio::time::timeout(PATIENCE, self.free.clone().acquire_owned());
        let permit: OwnedSemaphorePermit = free
            .await
            .map_err(|_| Error::Overloaded)?
            .map_err(|error| Error::internal("the slots are closed", error))?;
        let thread = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let thread = thread.ok_or(Error::Internal("a slot has no thread", None))?;
        let (done, result) = oneshot::channel();
        let (idle, again) = (self.idle.clone(), thread.clone());
        let job: Job = Box::new(move |memory| {
            // Whoever left before it began needs no answer.
            if !done.is_closed() {
                // The thread outlives a fault of the work; the caller is told by the sender's end.
                let worked = catch_unwind(AssertUnwindSafe(|| work(memory)));
                let _ = worked.map(|result| done.send(result));
            }
            idle.lock().unwrap_or_else(PoisonError::into_inner).push(again);
            drop(permit);
        });
        thread
            .send(job)
            .map_err(|_| Error::Internal("a slot has ended", None))?;
        result
            .await
            .map_err(|error| Error::internal("hashing a password failed", error))
    }
}

fn work(jobs: &Receiver<Job>) {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(NICENESS) {
        tracing::warn!(%error, "hashing cannot step back behind other threads");
    }
    let mut memory = Memory::default();
    loop {
        match jobs.recv_timeout(IDLE) {
            Ok(job) => job(&mut memory),
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {
                memory = Memory::default();
                match jobs.recv() {
                    Ok(job) => job(&mut memory),
                    Err(_) => return,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::join_all;

    use super::*;

    #[tokio::test]
    async fn so_many_at_a_time_even_when_callers_leave() {
        let slots = Arc::new(Slots::start(2).unwrap());
        let (running, most, begun) = (
            Arc::new(AtomicUsize::new(0)),
            Arc::new(AtomicUsize::new(0)),
            Arc::new(AtomicUsize::new(0)),
        );
        let tasks: Vec<_> = (0..40)
            .map(|n| {
                let (slots, running, most, begun) = (slots.clone(), running.clone(), most.clone(), begun.clone());
                let task = tokio::spawn(async move {
                    let work = move |_: &mut Memory| {
                        begun.fetch_add(1, Ordering::SeqCst);
                        most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        thread::sleep(Duration::from_millis(2));
                        running.fetch_sub(1, Ordering::SeqCst);
                    };
                    slots.run(work).await
                });
                (n, task)
            })
            .collect();
        while begun.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        for (n, task) in &tasks {
            if n % 2 == 0 {
                task.abort();
            }
        }
        join_all(tasks.into_iter().map(|(_, task)| task)).await;
        assert_eq!(most.load(Ordering::SeqCst), 2);
        assert!(begun.load(Ordering::SeqCst) >= 20);
        // All slots are there again.
        let again = join_all((0..4).map(|_| slots.run(|memory| memory.blocks(8).len()))).await;
        assert!(again.into_iter().all(|blocks| blocks.unwrap() == 8));
    }

    #[tokio::test]
    async fn work_that_fails_badly_is_told() {
        let slots = Slots::start(1).unwrap();
        let failed = slots.run(|_| assert!(std::hint::black_box(false), "on purpose")).await;
        assert!(matches!(failed, Err(Error::Internal(..))));
        assert_eq!(slots.run(|_| 1).await.unwrap(), 1, "and leaves the slot");
    }
}
