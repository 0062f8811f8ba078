//! Files of containers: attributes, directories, copies both ways, and watches.
//!
//! The caller opens a container's root, and everything below it is reached from that descriptor ([`path`]). The work is done in
//! threads ([`worker`]), whose number is bounded ([`registry`]).
//!
//! A copy has two ends: a thread, which reads or writes files, and the stream of a client. Between them are bounded bytes
//! ([`outgoing`], [`incoming`]). A stream may break; the thread then waits, and another stream may continue with any byte that is
//! kept. If none does within [`RESUME_TIME`], the transfer is given up.

mod archive;
pub mod cancel;
pub mod changes;
mod content;
pub mod directory;
pub mod error;
pub mod incoming;
mod info;
pub mod list;
pub mod outgoing;
mod path;
mod read_file;
pub mod registry;
pub mod remove;
mod sink;
mod temporary;
mod warnings;
pub mod watch;
mod worker;
mod write_file;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};

use crate::pb;
use cancel::Cancel;
use changes::Changes;
pub use error::FileError;
use error::Result;
use incoming::Incoming;
use outgoing::Outgoing;
use registry::{Closing, Entry, Registry, Work};

/// How long a transfer waits for another stream.
pub const RESUME_TIME: Duration = Duration::from_secs(60);
/// Threads for calls that are neither transfers nor watches.
const CALL_THREADS: usize = 4;

/// The root of a container. It keeps the container's file systems mounted.
pub type Root = Arc<OwnedFd>;

/// The work on files of all containers.
pub struct Files {
    pub registry: Arc<Registry>,
    call_threads: Arc<Semaphore>,
}

impl Default for Files {
    fn default() -> Self {
        Self { registry: Arc::default(), call_threads: Arc::new(Semaphore::new(CALL_THREADS)) }
    }
}

impl Files {
    /// Notes that work on a container's files begins, before its root is opened.
    pub fn enter(&self, work: Work, container: &str, cancel: &Cancel) -> Result<Entry> {
        self.registry.enter(work, container, cancel)
    }

    /// Runs a short piece of work in a thread, and waits for it.
    pub async fn call<T: Send + 'static>(
        &self,
        entry: Entry,
        root: Root,
        work: impl FnOnce(BorrowedFd<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let permit = self.call_threads.clone().acquire_owned().await.map_err(|_| FileError::Closed)?;
        let (sender, receiver) = oneshot::channel();
        let run = move || work(root.as_fd());
        worker::spawn(run, move |result| {
            drop((entry, permit));
            // The caller may have left.
            let _ = sender.send(result);
        })?;
        receiver.await.unwrap_or(Err(FileError::Panicked))
    }

    /// Starts the thread of a copy from a container.
    pub fn copy_from(
        &self,
        entry: Entry,
        root: Root,
        request: pb::CopyFromRequest,
        outgoing: Arc<Outgoing>,
    ) -> Result<()> {
        let bytes = outgoing.clone();
        worker::spawn(
            move || {
                let root = root;
                read_file::copy_from(root.as_fd(), &request, &bytes)
            },
            move |outcome| {
                drop(entry);
                outgoing.finish(outcome);
            },
        )
    }

    /// Starts the thread of a copy to a container.
    pub fn copy_to(&self, entry: Entry, root: Root, start: pb::CopyToStart, incoming: Arc<Incoming>) -> Result<()> {
        let bytes = incoming.clone();
        worker::spawn(
            move || {
                let root = root;
                write_file::copy_to(root.as_fd(), &start, &bytes)
            },
            move |outcome| {
                drop(entry);
                incoming.finish(outcome);
            },
        )
    }

    /// Starts the thread of a watch.
    pub fn watch(&self, entry: Entry, root: Root, request: pb::WatchFilesRequest, changes: Arc<Changes>) -> Result<()> {
        let watched = changes.clone();
        worker::spawn(
            move || {
                let root = root;
                watch::watch(root.as_fd(), &request, &watched)
            },
            move |result| {
                drop(entry);
                changes.finish(result);
            },
        )
    }

    /// Ends all work on a container's files, and refuses new work until the result is dropped.
    pub async fn close(&self, container: &str) -> Closing {
        self.registry.close(container).await
    }
}

/// Refuses a request for a copy that cannot be one.
pub fn check_copy(path: &str, format: pb::CopyFormat) -> Result<()> {
    path::check(path)?;
    if format == pb::CopyFormat::Unspecified {
        return Err(FileError::Invalid("format is missing".to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
