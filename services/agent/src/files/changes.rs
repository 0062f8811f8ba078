//! Changes on their way from a watch to a client. They are bounded: a client that reads slowly is told that it has missed some.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use super::cancel::Cancel;
use super::error::{FileError, Result};
use super::path::PATH_BYTES;
use crate::pb;
use crate::pb::FileChangeKind;
use crate::pb::watch_files_response::Message;
use crate::sync::{lock, until};

/// Most changes that wait for the client, and bytes of their paths.
const CHANGES: usize = 1024;
const CHANGES_BYTES: usize = 256 * 1024;

/// The changes for a client.
pub struct Changes {
    state: Mutex<State>,
    changed: Notify,
    pub cancel: Cancel,
}

#[derive(Default)]
struct State {
    started: bool,
    queue: VecDeque<pb::FileChange>,
    bytes: usize,
    missed: bool,
    outcome: Option<FileError>,
}

impl Changes {
    /// The changes of a watch that begins.
    pub fn new(cancel: Cancel) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), changed: Notify::new(), cancel })
    }

    /// Waits until the watch has begun.
    pub async fn started(&self) -> Result<()> {
        until(&self.changed, || {
            let state = lock(&self.state);
            match &state.outcome {
                Some(error) => Some(Err(error.clone())),
                None => state.started.then_some(Ok(())),
            }
        })
        .await
    }

    /// The next message for the client.
    pub async fn next(&self) -> Result<Message> {
        until(&self.changed, || {
            let mut state = lock(&self.state);
            if let Some(change) = state.queue.pop_front() {
                state.bytes -= change.path.len();
                return Some(Ok(Message::Change(change)));
            }
            if std::mem::take(&mut state.missed) {
                return Some(Ok(Message::Missed(pb::WatchFilesMissed {})));
            }
            state.outcome.clone().map(Err)
        })
        .await
    }

    /// Ends the changes.
    pub fn finish(&self, result: Result<()>) {
        lock(&self.state).outcome = Some(result.err().unwrap_or(FileError::Closed));
        self.changed.notify_waiters();
    }

    /// Notes that later changes are reported.
    pub fn start(&self) {
        lock(&self.state).started = true;
        self.changed.notify_waiters();
    }

    /// Reports a change.
    pub fn push(&self, path: &[u8], kind: FileChangeKind, is_directory: bool) {
        let mut state = lock(&self.state);
        // After a gap changes are queued when the client knows of it.
        let is_long = path.len() > PATH_BYTES;
        if state.missed || is_long || state.queue.len() >= CHANGES || state.bytes + path.len() > CHANGES_BYTES {
            state.missed = true;
        } else {
            let path = String::from_utf8_lossy(path).into_owned();
            state.bytes += path.len();
            state.queue.push_back(pb::FileChange { path, kind: kind.into(), is_directory });
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// Notes that changes were missed.
    pub fn miss(&self) {
        lock(&self.state).missed = true;
        self.changed.notify_waiters();
    }
}
