//! [`Run`]: what a reconciler may say while it works. The shell listens and writes.

use std::collections::BTreeMap;

use super::{Cause, Reconciled};

/// How much an event matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Kept as a Kubernetes event, never sent to a provider.
    Trace,
    Info,
    Error,
}

/// One reconciliation of one object, from the inside.
#[derive(Default)]
pub struct Run {
    ready: Option<Cause>,
    metadata: BTreeMap<String, String>,
}

impl Run {
    /// Says what is being done; becomes the Reconciling condition when the run is not over at once.
    pub async fn progress(&mut self, _message: impl Into<String>) {}

    /// Reports something that happened; `metadata` keys come without the group prefix.
    pub async fn event(&mut self, _severity: Severity, _reason: &str, _message: &str, _metadata: &[(&str, &str)]) {}

    /// Adds a metadata entry to every later event of this run, e.g. `revision`.
    pub fn note(&mut self, key: &str, value: &str) {
        self.metadata.insert(key.into(), value.into());
    }

    /// The reason and message of Ready=True, should the run succeed.
    pub fn ready(&mut self, reason: &str, message: impl Into<String>) {
        self.ready = Some(Cause::new(reason, message));
    }

    /// Sets a condition of the kind's own (not Ready, Reconciling, Stalled).
    pub fn set_condition<O: Reconciled>(
        &self,
        _object: &mut O,
        _kind: &str,
        _status: &str,
        _reason: &str,
        _message: &str,
    ) {
    }

    /// Removes a condition of the kind's own.
    pub fn unset_condition<O: Reconciled>(&self, _object: &mut O, _kind: &str) {}

    /// Writes the object's status now, before the run is over: what must survive a crash.
    pub async fn save<O: Reconciled>(&mut self, _object: &O) -> Result<(), super::Failure> {
        Ok(())
    }

    /// Waits without holding a worker, so that other objects get their turn.
    pub async fn rest<T>(&mut self, waiting: impl Future<Output = T> + Send) -> T {
        waiting.await
    }
}
