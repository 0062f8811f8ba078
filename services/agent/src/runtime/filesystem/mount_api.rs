//! Mounts by descriptor: a mount is created detached, then attached to an open file or directory. No path is resolved twice, so
//! none can be exchanged in between.

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags};

use crate::runtime::error::{Attempt, Result};

/// Flags of a mount.
pub type Flags = MountAttrFlags;

/// The flags of a mount that holds only data.
pub const NO_PRIVILEGES: Flags =
    Flags::MOUNT_ATTR_NOSUID.union(Flags::MOUNT_ATTR_NODEV).union(Flags::MOUNT_ATTR_NOEXEC);

/// A detached mount of a new file system. An option with an empty value is a flag.
pub fn new_filesystem(fstype: &str, options: &[(&str, &str)], flags: Flags) -> Result<OwnedFd> {
    let mount = || {
        let context = rustix::mount::fsopen(fstype, FsOpenFlags::FSOPEN_CLOEXEC)?;
        for (key, value) in options {
            if value.is_empty() {
                rustix::mount::fsconfig_set_flag(&context, *key)?;
            } else {
                rustix::mount::fsconfig_set_string(&context, *key, *value)?;
            }
        }
        rustix::mount::fsconfig_create(&context)?;
        rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, flags)
    };
    mount().attempt(|| {
        let source = options.iter().find(|(key, _)| *key == "source").map_or("", |(_, value)| value);
        format!("mount {fstype} {source}")
    })
}

/// A detached mount of an existing directory or file.
pub fn clone_of(at: impl AsFd, path: &str, flags: Flags) -> Result<OwnedFd> {
    let tree = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    let mount = rustix::mount::open_tree(at, path, tree).attempt(|| format!("clone a mount of {path:?}"))?;
    if !flags.is_empty() {
        set_flags(&mount, flags).attempt(|| format!("set flags of a mount of {path:?}"))?;
    }
    Ok(mount)
}

/// Attaches a detached mount to an open directory or file.
pub fn attach(mount: &OwnedFd, target: &OwnedFd, shown: &str) -> Result<()> {
    let empty = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(mount, c"", target, c"", empty).attempt(|| format!("attach a mount at {shown}"))
}

/// Attaches a detached mount to a directory of the agent.
pub fn attach_at(mount: &OwnedFd, path: &Path) -> Result<()> {
    let empty = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    rustix::mount::move_mount(mount, c"", rustix::fs::CWD, path, empty)
        .attempt(|| format!("attach a mount at {}", path.display()))
}

/// Adds flags to a mount.
pub fn set_flags(mount: &OwnedFd, flags: Flags) -> std::result::Result<(), Errno> {
    /// `struct mount_attr` of `linux/mount.h`.
    #[repr(C)]
    struct MountAttr {
        set: u64,
        clear: u64,
        propagation: u64,
        user_namespace: u64,
    }
    let attributes = MountAttr { set: flags.bits().into(), clear: 0, propagation: 0, user_namespace: 0 };
    let path: &CStr = c"";
    // SAFETY: the layout above is the kernel's, and its size is given.
    let result = unsafe {
        crate::runtime::raw::sys!(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            path.as_ptr(),
            libc::AT_EMPTY_PATH,
            &raw const attributes,
            size_of::<MountAttr>()
        )
    };
    if result < 0 { Err(Errno::from_raw_os_error(-result as i32)) } else { Ok(()) }
}
