//! A way to end work in a thread early.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::error::{FileError, Result};
use crate::sync::lock;

type Wake = Box<dyn Fn() + Send>;

/// Whether work is to end early. Clones are the same.
#[derive(Clone, Default)]
pub struct Cancel(Arc<Inner>);

#[derive(Default)]
struct Inner {
    cancelled: AtomicBool,
    wakes: Mutex<Vec<Wake>>,
}

impl Cancel {
    /// Ends the work soon.
    pub fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::SeqCst);
        lock(&self.0.wakes).iter().for_each(|wake| wake());
    }

    /// Calls `wake` when the work is cancelled, so that a thread that waits sees it.
    pub fn when_cancelled(&self, wake: impl Fn() + Send + 'static) {
        lock(&self.0.wakes).push(Box::new(wake));
        if self.is_cancelled() {
            lock(&self.0.wakes).iter().for_each(|wake| wake());
        }
    }

    /// Whether the work is to end.
    pub fn is_cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::SeqCst)
    }

    /// Fails if the work is to end.
    pub fn check(&self) -> Result<()> {
        if self.is_cancelled() { Err(FileError::Closed) } else { Ok(()) }
    }
}

/// Cancels when it is dropped.
pub struct CancelOnDrop(pub Cancel);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}
