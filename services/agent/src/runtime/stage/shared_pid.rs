//! The holder of the sandbox's shared PID namespace, which the agent keeps for all later containers.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

use rustix::io::Errno;

use super::start;
use crate::runtime::error::{Attempt, Result};
use crate::runtime::launch::spawn::Child;
use crate::runtime::namespaces::has_ended;

/// Runs `create` with the pidfd of the holder. Starts the holder if there is none or it was killed.
pub fn with_shared_pid_namespace<T>(create: impl FnOnce(BorrowedFd<'_>) -> Result<T>) -> Result<T> {
    static HOLDER: Mutex<Option<(Child, OwnedFd)>> = Mutex::new(None);
    let mut holder = HOLDER.lock().unwrap_or_else(PoisonError::into_inner);
    if holder.as_ref().is_none_or(|(child, _)| has_ended(child.pidfd.as_fd())) {
        *holder = Some(start::spawn_holder()?);
    }
    let Some((child, _)) = holder.as_ref() else {
        return Err(Errno::SRCH).attempt(|| "find the holder of the shared PID namespace");
    };
    create(child.pidfd.as_fd())
}
