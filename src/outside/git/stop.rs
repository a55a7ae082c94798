//! [`Stop`]: the deadline of one fetch, and the way to end its blocking thread when nobody waits for it any more.
//!
//! The git library blocks; so a fetch runs on a blocking thread, every wait in it goes through [`Stop::wait`], and its
//! computing parts look at [`Stop::flag`]. Start with [`run`].

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::error::GitError;

/// Shared by everything that works on one fetch.
#[derive(Clone)]
pub(super) struct Stop {
    flag: Arc<AtomicBool>,
    token: CancellationToken,
    at: Instant,
    after: Duration,
    runtime: Handle,
}

/// Ends the fetch when dropped: at the deadline, or when the caller stops waiting.
struct Guard(Stop);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.flag.store(true, Ordering::Relaxed);
        self.0.token.cancel();
    }
}

/// Runs blocking work until it ends, the time is over, or the caller drops the future.
///
/// Errors as the work does, and with [`GitError::Timeout`] as soon as `after` has passed.
pub(super) async fn run<T: Send + 'static>(
    after: Duration,
    work: impl FnOnce(&Stop) -> Result<T, GitError> + Send + 'static,
) -> Result<T, GitError> {
    let stop = Stop {
        flag: Arc::default(),
        token: CancellationToken::new(),
        at: Instant::now() + after,
        after,
        runtime: Handle::current(),
    };
    let _guard = Guard(stop.clone());
    let thread = tokio::task::spawn_blocking(move || work(&stop));
    match tokio::time::timeout(after, thread).await {
        Err(_) => Err(GitError::Timeout { after }),
        Ok(Err(ended)) => Err(GitError::Internal(ended.to_string())),
        Ok(Ok(outcome)) => outcome,
    }
}

impl Stop {
    /// What the library looks at between steps.
    pub(super) fn flag(&self) -> &AtomicBool {
        &self.flag
    }

    /// Time until the deadline.
    pub(super) fn left(&self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }

    /// Errors when the fetch should end.
    pub(super) fn check(&self) -> Result<(), GitError> {
        match self.flag.load(Ordering::Relaxed) || self.left().is_zero() {
            true => Err(self.error()),
            false => Ok(()),
        }
    }

    /// Waits on the blocking thread for something asynchronous, no longer than the fetch may last.
    pub(super) fn wait<T>(&self, work: impl Future<Output = T>) -> Result<T, GitError> {
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                () = self.token.cancelled() => Err(self.error()),
                outcome = tokio::time::timeout_at(self.at, work) => outcome.map_err(|_| self.error()),
            }
        })
    }

    pub(super) fn error(&self) -> GitError {
        GitError::Timeout { after: self.after }
    }
}

/// Carries a [`GitError`] past library code that only knows its own errors.
#[derive(Clone, Default)]
pub(super) struct Trouble(Arc<std::sync::Mutex<Option<GitError>>>);

impl Trouble {
    /// Keeps the first error and gives an I/O error that stands for it.
    pub(super) fn keep(&self, error: GitError) -> io::Error {
        let shown = io::Error::other(error.to_string());
        if let Ok(mut slot) = self.0.lock() {
            slot.get_or_insert(error);
        }
        shown
    }

    /// Takes the kept error out.
    pub(super) fn take(&self) -> Option<GitError> {
        self.0.lock().ok()?.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_blocked_fetch_ends_within_a_second_of_its_timeout() {
        let (sender, receiver) = std::sync::mpsc::channel();
        let begun = std::time::Instant::now();
        let outcome = run(Duration::from_millis(200), move |stop| {
            let waited = stop.wait(std::future::pending::<()>());
            sender.send(waited.is_err()).ok();
            waited
        })
        .await;
        assert!(matches!(outcome, Err(GitError::Timeout { .. })));
        assert!(receiver.recv_timeout(Duration::from_secs(1)).unwrap(), "the thread ended too");
        assert!(begun.elapsed() < Duration::from_millis(1200));
    }

    #[tokio::test]
    async fn a_dropped_fetch_frees_its_thread() {
        let (sender, receiver) = std::sync::mpsc::channel();
        let work = run(Duration::from_secs(600), move |stop| {
            while stop.check().is_ok() {
                std::thread::sleep(Duration::from_millis(5));
            }
            sender.send(()).ok();
            Ok(())
        });
        tokio::time::timeout(Duration::from_millis(50), work).await.unwrap_err();
        receiver.recv_timeout(Duration::from_secs(5)).unwrap();
    }
}
