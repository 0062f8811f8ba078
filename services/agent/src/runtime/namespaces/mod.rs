//! Namespaces: those that a container has, and how a process is created in the PID namespace of another.
//!
//! A process never changes its PID namespace: `setns(CLONE_NEWPID)` sets the PID namespace of the caller's next children. So the
//! thread that creates a process enters that namespace during the `clone3`, and returns. That needs no process in between, which
//! would have to be reaped.
//!
//! In a shared PID namespace, a *holder* is PID 1: when PID 1 of a namespace exits, the kernel kills all its other processes, but
//! containers come and go.

pub mod sysctl;

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;

use rustix::io::Errno;

use crate::runtime::error::{Attempt, Result};
use crate::runtime::raw::sys;

/// The namespaces of every container. The cgroup namespace is unshared later, from inside the cgroup; the network namespace is
/// the guest's.
pub const OWN: u64 = (libc::CLONE_NEWNS | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS) as u64;

/// A new PID namespace.
pub const OWN_PID: u64 = libc::CLONE_NEWPID as u64;

/// The namespaces that an exec joins, besides the PID namespace in which it is created.
pub const JOINED: u32 = (libc::CLONE_NEWNS | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS | libc::CLONE_NEWCGROUP) as u32;

/// Runs `create` so that children of the calling thread are created in the PID namespace of the process `member`. Fails with ESRCH
/// if that process has exited.
pub fn born_beside<T>(
    member: BorrowedFd<'_>,
    create: impl FnOnce() -> std::result::Result<T, Errno>,
) -> std::result::Result<T, Errno> {
    let own = own_pid_namespace()?;
    set_pid_namespace(member)?;
    let created = create();
    // Returning to the own namespace fails only when the kernel is out of memory. A thread that did not return would create
    // children in the wrong container, so it does not continue.
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

/// Sets the PID namespace of the calling thread's next children to that of a process.
pub fn set_pid_namespace(of: BorrowedFd<'_>) -> std::result::Result<(), Errno> {
    join(of, libc::CLONE_NEWPID as u32)
}

/// For a stage: joins all namespaces of a container. The PID namespace applies to the stage's children.
pub fn join_all(of: BorrowedFd<'_>) -> std::result::Result<(), Errno> {
    join(of, JOINED | libc::CLONE_NEWPID as u32)
}

/// For a stage: runs `work` in the mount namespace of another process, and returns to its own.
pub fn among_mounts_of<T>(of: BorrowedFd<'_>, work: impl FnOnce() -> Result<T>) -> Result<T> {
    within(of, libc::CLONE_NEWNS, "/proc/self/ns/mnt", work)
}

/// Sets the hostname of the UTS namespace of a process. The thread enters it for that call only.
pub fn set_hostname(of: BorrowedFd<'_>, hostname: &str) -> Result<()> {
    within(of, libc::CLONE_NEWUTS, "/proc/thread-self/ns/uts", || {
        rustix::system::sethostname(hostname.as_bytes()).attempt(|| "set the hostname")
    })
}

fn within<T>(of: BorrowedFd<'_>, kind: i32, own: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    use rustix::fs::{Mode, OFlags};
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let own = rustix::fs::open(own, flags, Mode::empty()).attempt(|| "open the own namespace")?;
    join(of, kind as u32).attempt(|| "join a namespace")?;
    let done = work();
    join(own.as_fd(), kind as u32).attempt(|| "return to the own namespace")?;
    done
}

fn join(of: BorrowedFd<'_>, namespaces: u32) -> std::result::Result<(), Errno> {
    // SAFETY: takes a descriptor and a number.
    let result = unsafe { sys!(libc::SYS_setns, of.as_raw_fd(), namespaces) };
    if result < 0 { Err(Errno::from_raw_os_error(-result as i32)) } else { Ok(()) }
}

/// Whether a process has exited (reaped or not).
pub fn has_ended(pidfd: BorrowedFd<'_>) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&now)).is_ok_and(|ready| ready > 0)
}
