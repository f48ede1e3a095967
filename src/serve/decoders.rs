//! The threads on which pictures are decoded and drawn: one per core, and never others.
//!
//! The allocator keeps lists of free memory for each thread. If the threads that move files and load
//! models decoded as well, in turn and a dozen of them, each would come to keep what a picture takes, and
//! the server would grow with the number of threads that it ever had. Imports: tokio,
//! futures (tests).

use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::Semaphore;
use tokio::task::JoinError;

/// Where work is handed in that takes a core for a while.
pub(super) struct Decoders {
    /// As many as there are threads: who waits does so here, and leaves when its client does.
    turns: Arc<Semaphore>,
    threads: Handle,
}

/// The threads, which end with it.
pub(super) struct DecoderThreads(Runtime);

impl Decoders {
    /// Makes room for `count` threads, which come with the work.
    ///
    /// # Errors
    /// The system refuses what a runtime needs.
    pub(super) fn start(count: NonZeroUsize) -> io::Result<(Self, DecoderThreads)> {
        // Of this runtime only the threads for blocking work are used, which bring panics home and can
        // be awaited from any other.
        let runtime = Builder::new_current_thread()
            .max_blocking_threads(count.get())
            .thread_name("cvops-decode")
            .build()?;
        let decoders = Self {
            turns: Arc::new(Semaphore::new(count.get())),
            threads: runtime.handle().clone(),
        };
        Ok((decoders, DecoderThreads(runtime)))
    }

    /// Does `work` when its turn has come. Who drops this before that drops the work; work that has begun
    /// is done, and keeps its turn to the end, awaited or not.
    ///
    /// # Errors
    /// It panicked.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        // The semaphore is never closed.
        let turn = Arc::clone(&self.turns).acquire_owned().await;
        let running = self.threads.spawn_blocking(move || {
            let _turn = turn;
            work()
        });
        running.await
    }
}

impl DecoderThreads {
    /// Lets the threads end after what they are at.
    pub(super) fn end(self) {
        self.0.shutdown_background();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::thread;

    use super::*;

    /// Does `pieces` pieces of work that are handed in at once, and returns the threads that did them.
    fn threads_of(count: usize, pieces: usize) -> Vec<thread::ThreadId> {
        let (decoders, threads) = Decoders::start(NonZeroUsize::new(count).unwrap()).unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        // The server's runtime, which is another one.
        let runtime = Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let all = (0..pieces).map(|_| {
                let seen = Arc::clone(&seen);
                decoders.run(move || {
                    let id = thread::current().id();
                    let mut seen = seen.lock().unwrap();
                    if !seen.contains(&id) {
                        seen.push(id);
                    }
                })
            });
            for done in futures_util::future::join_all(all).await {
                done.unwrap();
            }
        });
        threads.end();
        let seen = seen.lock().unwrap();
        seen.clone()
    }

    #[test]
    fn no_more_threads_decode_than_there_are_cores() {
        for count in [1, 2, 3] {
            let threads = threads_of(count, 200);
            assert!((1..=count).contains(&threads.len()), "{threads:?}");
        }
    }

    #[test]
    fn a_panic_is_told_and_its_turn_is_given_back() {
        let (decoders, threads) = Decoders::start(NonZeroUsize::MIN).unwrap();
        let runtime = Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let panicked = decoders
                .run(|| -> u32 { panic!("a bug in a decoder") })
                .await;
            assert!(panicked.is_err_and(|error| error.is_panic()));
            assert_eq!(decoders.run(|| 7).await.unwrap(), 7);
        });
        threads.end();
    }
}
