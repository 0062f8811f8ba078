//! Mounts of disks with a file system of their own, such as volumes.
//!
//! The content of a disk is not trusted: a file system that the kernel refuses is told as damaged. All mounts of a disk in the guest
//! share one superblock, so it is read-only only if the host lets the guest only read the disk; a mount that a container may only
//! read is a read-only mount of a writable superblock.
//!
//! The journal of a disk that can only be read cannot be replayed. Without it the newest files may be missing or torn, so such a
//! mount is refused until the disk was mounted for writing.

use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::io::Errno;

use super::ext4_size;
use super::mount_api::{self, Flags};
use crate::runtime::error::{Result, RuntimeError};

/// A detached mount of the file system of a disk. An ext4 that is smaller than its disk grows.
pub fn mount(device: &Path, fstype: &str, flags: Flags) -> Result<OwnedFd> {
    let source = device.to_string_lossy();
    if fstype != "ext4" {
        return new_filesystem(fstype, &[("source", &source), ("ro", "")], flags);
    }
    if ext4_size::is_read_only(device)? {
        return new_filesystem(fstype, &[("source", &source), ("ro", "")], flags);
    }
    let mount = mount_writable(device, flags - Flags::MOUNT_ATTR_RDONLY)?;
    ext4_size::grow(&mount, device)?;
    if flags.contains(Flags::MOUNT_ATTR_RDONLY) {
        mount_api::set_flags(&mount, Flags::MOUNT_ATTR_RDONLY)
            .map_err(|errno| RuntimeError::system(format!("make the mount of {source} read-only"), errno))?;
    }
    Ok(mount)
}

/// A detached writable mount of the ext4 of a disk. The disk is a sparse file: the kernel does not write its empty inode tables, and
/// the host reclaims the blocks of removed files. After an error of the file system nothing more is written to it.
pub fn mount_writable(device: &Path, flags: Flags) -> Result<OwnedFd> {
    let source = device.to_string_lossy();
    let options = [("source", source.as_ref()), ("noinit_itable", ""), ("discard", ""), ("errors", "remount-ro")];
    new_filesystem("ext4", &options, flags)
}

fn new_filesystem(fstype: &str, options: &[(&str, &str)], flags: Flags) -> Result<OwnedFd> {
    mount_api::new_filesystem(fstype, options, flags).map_err(|error| match error {
        RuntimeError::System { attempt, errno: Errno::ROFS } => RuntimeError::BadFilesystem(format!(
            "{attempt}: its journal has changes that can only be written back by a mount for writing"
        )),
        RuntimeError::System { attempt, errno } if is_damage(errno) => {
            RuntimeError::BadFilesystem(format!("{attempt}: {errno}; it is damaged, or no {fstype}"))
        }
        other => other,
    })
}

/// The kernel's answers about a superblock, journal or root directory that it cannot use.
fn is_damage(errno: Errno) -> bool {
    const ANSWERS: [Errno; 10] = [
        Errno::INVAL,
        Errno::UCLEAN,
        Errno::BADMSG,
        Errno::IO,
        Errno::FBIG,
        Errno::OVERFLOW,
        Errno::OPNOTSUPP,
        Errno::NODEV,
        Errno::NXIO,
        Errno::DOM,
    ];
    ANSWERS.contains(&errno)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_system_that_the_kernel_refuses_is_told_as_damaged_and_a_lack_of_memory_is_not() {
        assert!(is_damage(Errno::UCLEAN) && is_damage(Errno::INVAL));
        assert!(!is_damage(Errno::NOMEM) && !is_damage(Errno::BUSY) && !is_damage(Errno::PERM));
    }
}
