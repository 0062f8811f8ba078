//! Takes over the new size of a disk that the host has made larger.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::disks::Disks;
use super::mount_api::Flags;
use super::{disk_mounts, ext4_size};
use crate::pb;
use crate::runtime::error::{Attempt, Result, RuntimeError};

/// Time for the kernel to read the new size; it takes some milliseconds.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Waits until the kernel has the new size of a disk, and grows its file system if that is mounted. Returns the size of the file
/// system in bytes; 0 if it is not mounted.
pub fn grow_disk(disk: &pb::ScsiDisk, size_bytes: u64) -> Result<u64> {
    let mut disks = Disks::within(TIMEOUT);
    let device = disks.present(disk)?;
    loop {
        disks.rescan(disk)?;
        if ext4_size::disk_bytes(&device)? >= size_bytes {
            break;
        }
        if !disks.wait_change()? {
            let attempt = format!("the growth of {} to {size_bytes} bytes", device.display());
            return Err(RuntimeError::TimedOut { attempt, waited_ms: TIMEOUT.as_millis() as u64 });
        }
    }
    match mounted(&device)? {
        Some(mount) => Ok(ext4_size::grow(&mount, &device)?.bytes()),
        None => Ok(0),
    }
}

/// Another mount of the file system of a disk, if it is mounted in any container. It ends with the descriptor.
fn mounted(device: &Path) -> Result<Option<OwnedFd>> {
    // A mount claims its disk, as an exclusive open does.
    let flags = OFlags::RDONLY | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NONBLOCK;
    match rustix::fs::open(device, flags, Mode::empty()) {
        Ok(_) => return Ok(None),
        Err(Errno::BUSY) => {}
        Err(errno) => return Err(errno).attempt(|| format!("open {}", device.display())),
    }
    match disk_mounts::mount_writable(device, Flags::MOUNT_ATTR_NODEV) {
        Ok(mount) => Ok(Some(mount)),
        // A process of a container has it open.
        Err(RuntimeError::System { errno: Errno::BUSY, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
