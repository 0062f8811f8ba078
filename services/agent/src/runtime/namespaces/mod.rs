//! Namespaces: what a container has of its own, and how a process gets into another's PID namespace.
//!
//! A process changes its PID namespace only by being born there: `setns(CLONE_NEWPID)` says where the caller's next
//! children are born. So the thread that creates a process points itself there for the moment of the `clone3`, and back.
//! That spares a middle process which would have to be reaped.
//!
//! With a shared PID namespace a *holder* is its PID 1: containers come and go, and when PID 1 of a namespace ends the
//! kernel kills all the others.

pub mod sysctl;

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;

use rustix::io::Errno;

use crate::runtime::error::{Attempt, Result};
use crate::runtime::raw::sys;

/// Namespaces of its own for every container. The cgroup namespace is unshared later, from within the cgroup; the
/// network namespace is the guest's.
pub const OWN: u64 = (libc::CLONE_NEWNS | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS) as u64;

/// A PID namespace of its own.
pub const OWN_PID: u64 = libc::CLONE_NEWPID as u64;

/// What an exec joins, besides the PID namespace it is born into.
pub const JOINED: u32 = (libc::CLONE_NEWNS | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS | libc::CLONE_NEWCGROUP) as u32;

/// Runs `create` with the calling thread's children being born in the PID namespace of the process `member`. Answers
/// ESRCH if that process has ended.
pub fn born_beside<T>(
    member: BorrowedFd<'_>,
    create: impl FnOnce() -> std::result::Result<T, Errno>,
) -> std::result::Result<T, Errno> {
    let own = own_pid_namespace()?;
    set_pid_namespace(member)?;
    let created = create();
    // Going back to one's own namespace can only fail for want of a few bytes, which the kernel waits for. A thread that
    // stayed would put other children into the wrong container, so it does not go on.
    while set_pid_namespace(own.as_fd()).is_err() {
        std::thread::yield_now();
    }
    created
}

fn own_pid_namespace() -> std::result::Result<&'static OwnedFd, Errno> {
    use rustix::fs::{Mode, OFlags};
    static OWN_NAMESPACE: OnceLock<OwnedFd> = OnceLock::new();
    if let Some(fd) = OWN_NAMESPACE.get() {
        return Ok(fd);
    }
    let fd = rustix::fs::open("/proc/self/ns/pid", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    Ok(OWN_NAMESPACE.get_or_init(|| fd))
}

/// Says that the calling thread's children are to be born in the PID namespace of a process.
pub fn set_pid_namespace(of: BorrowedFd<'_>) -> std::result::Result<(), Errno> {
    join(of, libc::CLONE_NEWPID as u32)
}

/// For a stage: joins all namespaces of a container; its PID namespace for the children.
pub fn join_all(of: BorrowedFd<'_>) -> std::result::Result<(), Errno> {
    join(of, JOINED | libc::CLONE_NEWPID as u32)
}

/// For a stage: runs `work` among the mounts of another process, and comes back to its own.
pub fn among_mounts_of<T>(of: BorrowedFd<'_>, work: impl FnOnce() -> Result<T>) -> Result<T> {
    use rustix::fs::{Mode, OFlags};
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let own = rustix::fs::open("/proc/self/ns/mnt", flags, Mode::empty()).attempt(|| "open the mount namespace")?;
    join(of, libc::CLONE_NEWNS as u32).attempt(|| "join a mount namespace")?;
    let done = work();
    join(own.as_fd(), libc::CLONE_NEWNS as u32).attempt(|| "return to the mount namespace")?;
    done
}

fn join(of: BorrowedFd<'_>, namespaces: u32) -> std::result::Result<(), Errno> {
    // SAFETY: takes a descriptor and a number.
    let result = unsafe { sys!(libc::SYS_setns, of.as_raw_fd(), namespaces) };
    if result < 0 { Err(Errno::from_raw_os_error(-result as i32)) } else { Ok(()) }
}

/// Whether a process has ended (reaped or not).
pub fn has_ended(pidfd: BorrowedFd<'_>) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&now)).is_ok_and(|ready| ready > 0)
}
