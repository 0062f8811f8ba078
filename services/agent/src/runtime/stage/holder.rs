//! The holder: PID 1 of a PID namespace that containers share. It does nothing. It ignores SIGCHLD, so the kernel reaps the
//! orphans that it inherits. It exits when the agent does.
//!
//! Containers see it, and may trace it with CAP_SYS_PTRACE, so it drops everything before the first container exists: its root is
//! a read-only file system with only /proc, it has one descriptor, and no capability.

use std::os::fd::{FromRawFd, OwnedFd};
use std::path::Path;

use rustix::fs::Mode;
use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::thread::{UnshareFlags, unshare_unsafe};

use super::descriptors::CHANNEL;
use crate::runtime::error::{Attempt, Result, RuntimeError};
use crate::runtime::filesystem::mount_api::{self, Flags, NO_PRIVILEGES};
use crate::runtime::filesystem::pivot;
use crate::runtime::launch::channel;

/// Runs the stage.
pub fn run() -> ! {
    rustix::thread::set_name(c"paddock-holder").ok();
    rustix::process::setsid().ok();
    // SAFETY: sets a signal's action in a process with one thread; the channel is open, and nothing else owns it.
    let agent = unsafe {
        libc::signal(libc::SIGCHLD, libc::SIG_IGN);
        OwnedFd::from_raw_fd(CHANNEL)
    };
    if let Err(error) = drop_rights() {
        channel::send_failure(&agent, &error);
        std::process::exit(126);
    }
    channel::send_ready(&agent, &[]).ok();
    while channel::wait_go(&agent) {}
    std::process::exit(0)
}

fn drop_rights() -> Result<()> {
    const CLOSE: i32 = 0;
    // SAFETY: this process has one thread; nothing in it owns the closed descriptors.
    unsafe {
        for (first, last) in [(0, CHANNEL - 1), (CHANNEL + 1, i32::MAX)] {
            crate::runtime::raw::sys!(libc::SYS_close_range, first, last, CLOSE);
        }
        unshare_unsafe(UnshareFlags::NEWNS).attempt(|| "create a mount namespace")?;
    }
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", private).attempt(|| "make mounts private")?;
    let empty = mount_api::new_filesystem("tmpfs", &[("mode", "0555"), ("size", "4k")], NO_PRIVILEGES)?;
    mount_api::attach_at(&empty, Path::new("/tmp"))?;
    pivot::into(&empty)?;
    // The containers' init stages are outside this PID namespace, and could not mount its /proc.
    rustix::fs::mkdir("/proc", Mode::from_raw_mode(0o555)).attempt(|| "create /proc")?;
    mount_api::attach_at(&mount_api::new_filesystem("proc", &[], NO_PRIVILEGES)?, Path::new("/proc"))?;
    mount_api::set_flags(&empty, Flags::MOUNT_ATTR_RDONLY).attempt(|| "make the root read-only")?;
    drop(empty);
    let none = || -> std::result::Result<(), caps::errors::CapsError> {
        caps::clear(None, caps::CapSet::Bounding)?;
        caps::clear(None, caps::CapSet::Inheritable)?;
        caps::clear(None, caps::CapSet::Effective)?;
        caps::clear(None, caps::CapSet::Permitted)
    };
    none().map_err(|error| RuntimeError::Stage(format!("drop the holder's capabilities: {error}")))
}
