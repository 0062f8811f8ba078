//! Threads that work on files of containers. File I/O blocks, so none of it runs on the executor.
//!
//! A thread gives up all rights but those that a container's root has over files, for good. So a file that checks its writer, such
//! as one of /proc/sys, sees no more than the container's root.

use std::panic::{AssertUnwindSafe, catch_unwind};

use caps::{CapSet, Capability, CapsHashSet};

use super::error::{Attempt, FileError, Result};

/// The walk of a directory keeps its state on the heap.
const STACK_BYTES: usize = 256 * 1024;
/// What a container's root may do with files.
const RIGHTS: [Capability; 6] = [
    Capability::CAP_CHOWN,
    Capability::CAP_DAC_OVERRIDE,
    Capability::CAP_DAC_READ_SEARCH,
    Capability::CAP_FOWNER,
    Capability::CAP_FSETID,
    Capability::CAP_SETFCAP,
];

/// Runs `work` in a thread of its own, and gives `done` its result.
pub fn spawn<T: 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
    done: impl FnOnce(Result<T>) + Send + 'static,
) -> Result<()> {
    let run = move || {
        let result = catch_unwind(AssertUnwindSafe(|| {
            limit_rights()?;
            work()
        }));
        done(result.unwrap_or(Err(FileError::Panicked)));
    };
    let spawned = std::thread::Builder::new().name("files".to_owned()).stack_size(STACK_BYTES).spawn(run);
    let spawned = spawned.map_err(|error| rustix::io::Errno::from_io_error(&error).unwrap_or(rustix::io::Errno::NOMEM));
    spawned.map(drop).attempt(|| "start a thread")
}

/// Gives up the rights of the calling thread, except for [`RIGHTS`].
fn limit_rights() -> Result<()> {
    let limit = || {
        let held = caps::read(None, CapSet::Permitted)?;
        let kept: CapsHashSet = RIGHTS.into_iter().filter(|right| held.contains(right)).collect();
        caps::set(None, CapSet::Effective, &kept)?;
        caps::set(None, CapSet::Inheritable, &CapsHashSet::new())?;
        caps::set(None, CapSet::Permitted, &kept)
    };
    limit().map_err(|error| FileError::Refused(format!("cannot give up the rights of a thread: {error}")))
}
