//! Makes the container's root the root of its mount namespace, without the agent's mounts.
//!
//! `pivot_root` refuses to replace the initial ramfs, on which a guest's agent runs. There the new root is moved over the old
//! one, and the other mounts are unmounted. The result is the same as after a pivot on a machine that was booted through an
//! initramfs: the ramfs stays at the bottom, covered at its root, so no ".." leads there, not even for a process that may chroot.

use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::mount::{MoveMountFlags, UnmountFlags, move_mount, unmount};

use crate::runtime::error::{Attempt, Result};

/// Makes `root`, an attached mount, the root and working directory of this process.
pub fn into(root: &OwnedFd) -> Result<()> {
    rustix::process::fchdir(root).attempt(|| "enter the new root")?;
    match rustix::process::pivot_root(".", ".") {
        // The old root is now on top of the new one.
        Ok(()) => unmount(".", UnmountFlags::DETACH).attempt(|| "unmount the old root")?,
        Err(Errno::INVAL) => cover(root)?,
        Err(errno) => return Err(errno).attempt(|| "pivot into the new root"),
    }
    rustix::process::chdir("/").attempt(|| "enter the root")
}

fn cover(root: &OwnedFd) -> Result<()> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").attempt(|| "read the mounts")?;
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    move_mount(root, c"", rustix::fs::CWD, c"/", flags).attempt(|| "move the new root over the old one")?;
    // Until the chroot below, "/" still means the old root. A mount below another one is unmounted with it.
    for path in mounts.lines().filter_map(|line| line.split(' ').nth(4)).filter(|path| *path != "/") {
        unmount(path, UnmountFlags::DETACH).ok();
    }
    rustix::process::chroot(".").attempt(|| "make the new root the root")
}
