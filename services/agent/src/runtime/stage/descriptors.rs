//! The descriptors of a new stage, by number, in addition to its standard streams.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};

use crate::runtime::error::{Attempt, Result};
use crate::runtime::launch::plan::LaunchPlan;
use crate::runtime::launch::pty::Terminal;

/// The channel to the agent.
pub const CHANNEL: i32 = 3;
/// The file with the stage's spec.
pub const SPEC: i32 = 4;
/// The pidfd of the process whose namespaces the stage joins, if any.
pub const MEMBER: i32 = 5;
/// The first number that the stage protocol does not use.
pub const FIRST_FREE: i32 = 10;

/// The channel, the spec and the pidfd, owned.
///
/// # Safety The process must have been started as a stage with all three, and nothing else may own them.
pub unsafe fn take() -> (OwnedFd, OwnedFd, OwnedFd) {
    // SAFETY: per this function's contract.
    unsafe { (OwnedFd::from_raw_fd(CHANNEL), OwnedFd::from_raw_fd(SPEC), OwnedFd::from_raw_fd(MEMBER)) }
}

/// Duplicates the plan's streams, or the terminal in their place, above the numbers that the launch installs them at.
pub fn lift_streams(plan: &mut LaunchPlan, terminal: Option<&Terminal>) -> Result<()> {
    for slot in &mut plan.stdio {
        let from = terminal.map_or(*slot, |terminal| terminal.slave.as_raw_fd());
        // SAFETY: an open descriptor, borrowed for the call.
        let from = unsafe { BorrowedFd::borrow_raw(from) };
        let lifted = rustix::io::fcntl_dupfd_cloexec(from, FIRST_FREE).attempt(|| "duplicate a standard stream")?;
        *slot = lifted.into_raw_fd();
    }
    Ok(())
}
