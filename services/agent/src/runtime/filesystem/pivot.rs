//! Making the container's root the root of its mount namespace, and letting go of the agent's.
//!
//! `pivot_root` refuses to replace the initial ramfs, and a guest's agent runs on just that. There the new root is moved
//! over the old one, whose other mounts are taken off first. The end is the same as after a pivot on any machine
//! that was booted through an initramfs: the ramfs stays at the bottom, covered at its very root, so no ".." leads
//! there, not even for a process that may chroot.

use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::mount::{MoveMountFlags, UnmountFlags, move_mount, unmount};

use crate::runtime::error::{Attempt, Result};

/// Makes `root`, an attached mount, this process's root and working directory.
pub fn into(root: &OwnedFd) -> Result<()> {
    rustix::process::fchdir(root).attempt(|| "enter the new root")?;
    match rustix::process::pivot_root(".", ".") {
        // The old root is now on top of the new one.
        Ok(()) => unmount(".", UnmountFlags::DETACH).attempt(|| "let go of the old root")?,
        Err(Errno::INVAL) => cover(root)?,
        Err(errno) => return Err(errno).attempt(|| "pivot into the new root"),
    }
    rustix::process::chdir("/").attempt(|| "enter the root")
}

fn cover(root: &OwnedFd) -> Result<()> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").attempt(|| "read the mounts")?;
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    move_mount(root, c"", rustix::fs::CWD, c"/", flags).attempt(|| "move the new root over the old one")?;
    // Until the chroot below, "/" still means the old root. What was mounted below another one goes with it.
    for path in mounts.lines().filter_map(|line| line.split(' ').nth(4)).filter(|path| *path != "/") {
        unmount(path, UnmountFlags::DETACH).ok();
    }
    rustix::process::chroot(".").attempt(|| "make the new root the root")
}
