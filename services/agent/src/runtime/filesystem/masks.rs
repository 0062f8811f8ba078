//! Paths in the kernel's file systems that a container must not read, or not write, because they affect the whole guest.
//! Container engines share this list.

use std::os::fd::OwnedFd;

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

use super::mount_api::{self, Flags, NO_PRIVILEGES};
use crate::runtime::error::{Attempt, Result};

const MASKED: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Masks and protects the paths. The root of the calling process must be the container's.
pub fn apply() -> Result<()> {
    let read_only = NO_PRIVILEGES | Flags::MOUNT_ATTR_RDONLY;
    for path in READ_ONLY {
        if let Some(target) = open(path)? {
            mount_api::attach(&mount_api::clone_of(&target, "", read_only)?, &target, path)?;
        }
    }
    for path in MASKED {
        let Some(target) = open(path)? else { continue };
        let stat = rustix::fs::fstat(&target).attempt(|| format!("look at {path}"))?;
        let mask = if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            mount_api::new_filesystem("tmpfs", &[("size", "4k"), ("mode", "0555")], read_only)?
        } else {
            // A device file needs a mount without nodev.
            mount_api::clone_of(rustix::fs::CWD, "/dev/null", Flags::empty())?
        };
        mount_api::attach(&mask, &target, path)?;
    }
    Ok(())
}

fn open(path: &str) -> Result<Option<OwnedFd>> {
    match rustix::fs::open(path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()) {
        Err(Errno::NOENT) => Ok(None),
        other => other.map(Some).attempt(|| format!("open {path}")),
    }
}
