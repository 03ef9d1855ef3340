//! Start and stop of a process. Two signals: *soft* says stop taking work and finish
//! what was taken; *hard* says drop it. Whatever runs is tracked, so that a stop waits.

use std::future::Future;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use tracing::Instrument as _;

use crate::failure::{Failure, Outcome};

/// Tracks what runs in a process. Clones share the signals and the tracking.
#[derive(Debug, Clone, Default)]
pub struct Lifecycle {
    soft: CancellationToken,
    hard: CancellationToken,
    tasks: TaskTracker,
}

impl Lifecycle {
    /// Nothing runs yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancelled when the process should finish what it has and take nothing new.
    #[must_use]
    pub const fn soft(&self) -> &CancellationToken {
        &self.soft
    }

    /// Cancelled when the process should drop what it has.
    #[must_use]
    pub const fn hard(&self) -> &CancellationToken {
        &self.hard
    }

    /// Runs a task that a stop waits for. A task that panics stops the process: going on
    /// without it would only look alive.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let guard = StopOnPanic { name, soft: self.soft.clone() };
        self.tasks.spawn(async move {
            task.await;
            std::mem::forget(guard);
        });
    }

    /// Runs one of many tasks of a kind (a connection, a room) that a stop waits for. A panic
    /// in it ends it alone; the runtime logs it.
    pub fn spawn_one_of_many(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// Runs a handler's effects to their end even if its caller goes away: cancelling the
    /// returned future drops only the wait.
    ///
    /// # Errors
    /// Those of `effects`; a panic in it is a failure like any other.
    pub async fn effect<T: Send + 'static>(
        &self,
        effects: impl Future<Output = Outcome<T>> + Send + 'static,
    ) -> Outcome<T> {
        match self.tasks.spawn(effects.in_current_span()).await {
            Ok(outcome) => outcome,
            Err(join) => Err(Failure::Broken(anyhow::anyhow!("a handler ended early: {join}"))),
        }
    }

    /// Asks everything to finish, waits up to `grace`, then cuts what is left and waits
    /// for that.
    pub async fn stop(&self, grace: Duration) {
        self.soft.cancel();
        self.tasks.close();
        if tokio::time::timeout(grace, self.tasks.wait()).await.is_err() {
            tracing::warn!(tasks = self.tasks.len(), "not everything finished in time; cutting the rest");
        }
        self.hard.cancel();
        let cut = tokio::time::timeout(Duration::from_secs(2), self.tasks.wait()).await;
        if cut.is_err() {
            tracing::warn!(tasks = self.tasks.len(), "tasks ignored the stop");
        }
    }
}

struct StopOnPanic {
    name: &'static str,
    soft: CancellationToken,
}

impl Drop for StopOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(task = self.name, "a task panicked; the process stops");
            self.soft.cancel();
        }
    }
}
