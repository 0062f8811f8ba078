//! Locks that survive a panic, waits for a change, and readiness of descriptors.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;

/// Locks a mutex. Ignores that an earlier holder panicked, because PID 1 has to continue.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until `check` has a value. It runs at once, and again after each notification.
pub async fn until<T>(changed: &Notify, mut check: impl FnMut() -> Option<T>) -> T {
    loop {
        let mut next = std::pin::pin!(changed.notified());
        // A notification after this line is not missed.
        next.as_mut().enable();
        if let Some(value) = check() {
            return value;
        }
        next.await;
    }
}

/// Registers a descriptor with the runtime.
pub fn watch_fd(fd: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: the descriptor is owned, so it stays open and unchanged for as long as it is registered.
    Ok(unsafe { AsyncFd::register_with_interest(fd, interest) }?)
}
