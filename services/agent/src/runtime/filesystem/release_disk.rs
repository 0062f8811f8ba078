//! Removes a disk from the kernel, before the host unplugs it.

use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, StatxFlags};
use rustix::io::Errno;

use crate::pb;
use crate::runtime::error::{Attempt, Result, RuntimeError};

/// Removes a disk from the kernel. Unless `force` is set, refuses a disk that is mounted or open. Succeeds if there is none.
pub fn release_disk(disk: &pb::ScsiDisk, force: bool) -> Result<()> {
    let Some((directory, node)) = find(Path::new("/sys/bus/scsi/devices"), disk) else { return Ok(()) };
    if let Some(by) = if force { None } else { user_of(&node)? } {
        return Err(RuntimeError::DiskBusy { target: disk.target, lun: disk.lun, by });
    }
    match std::fs::write(directory.join("delete"), "1") {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other.attempt(|| format!("remove SCSI disk {}:{}", disk.target, disk.lun)),
    }
}

fn find(devices: &Path, disk: &pb::ScsiDisk) -> Option<(PathBuf, PathBuf)> {
    let suffix = format!(":0:{}:{}", disk.target, disk.lun);
    let mut entries = std::fs::read_dir(devices).ok()?.flatten();
    let directory = entries.find(|entry| entry.file_name().to_string_lossy().ends_with(&suffix))?.path();
    let name = std::fs::read_dir(directory.join("block")).ok()?.flatten().next()?.file_name();
    Some((directory, Path::new("/dev").join(name)))
}

/// Describes a user of a block device: the kernel, such as for a mount, or a process that has it open.
fn user_of(node: &Path) -> Result<Option<String>> {
    let what = || format!("look at {}", node.display());
    let number = match rustix::fs::stat(node) {
        Ok(stat) => stat.st_rdev,
        Err(Errno::NOENT) => return Ok(None),
        Err(errno) => return Err(errno).attempt(what),
    };
    let flags = OFlags::RDONLY | OFlags::EXCL | OFlags::NONBLOCK | OFlags::CLOEXEC;
    match rustix::fs::open(node, flags, Mode::empty()) {
        Ok(_) | Err(Errno::NXIO | Errno::NOENT) => {}
        Err(Errno::BUSY) => return Ok(Some("it is mounted".into())),
        Err(errno) => return Err(errno).attempt(what),
    }
    Ok(opener_of(number).map(|pid| format!("process {pid} of the guest has it open")))
}

/// A process that has the block device open.
fn opener_of(number: u64) -> Option<i32> {
    let processes = std::fs::read_dir("/proc").ok()?.flatten();
    let mut pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.find(|pid| {
        let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd"));
        descriptors.into_iter().flatten().flatten().any(|descriptor| is_device(&descriptor.path(), number))
    })
}

/// Whether a descriptor is of this block device. Does not ask a file system that a process of the guest serves.
fn is_device(descriptor: &Path, number: u64) -> bool {
    let flags = AtFlags::from_bits_retain(libc::AT_STATX_DONT_SYNC as u32);
    rustix::fs::statx(CWD, descriptor, flags, StatxFlags::TYPE).is_ok_and(|stat| {
        FileType::from_raw_mode(stat.stx_mode.into()) == FileType::BlockDevice
            && rustix::fs::makedev(stat.stx_rdev_major, stat.stx_rdev_minor) == number
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_is_not_there_is_released_already() {
        assert!(release_disk(&pb::ScsiDisk { target: 255, lun: 16383 }, false).is_ok());
    }

    #[test]
    fn a_disk_is_found_by_its_address_with_its_device_file() {
        let dir = std::env::temp_dir().join(format!("paddock-release-{}", std::process::id()));
        for (address, name) in [("2:0:11:0", "sdb"), ("2:0:1:0", "sda")] {
            std::fs::create_dir_all(dir.join(address).join("block").join(name)).unwrap();
        }
        let (directory, node) = find(&dir, &pb::ScsiDisk { target: 1, lun: 0 }).unwrap();
        assert_eq!((directory, node), (dir.join("2:0:1:0"), PathBuf::from("/dev/sda")));
        assert!(find(&dir, &pb::ScsiDisk { target: 2, lun: 0 }).is_none());
        std::fs::remove_dir_all(dir).unwrap();
    }
}
