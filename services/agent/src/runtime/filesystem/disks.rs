//! Finds disks on the virtio-scsi controller by target and logical unit.
//!
//! The host plugs a disk and sends the request at once, so the disk may appear later. The kernel announces every device on a
//! netlink socket: the agent waits for that, with the request's deadline, and does not poll.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::net::RecvFlags;

use crate::pb;
use crate::runtime::error::{Attempt, Result, RuntimeError};
use crate::uevent;

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
const MAX_TIMEOUT: Duration = Duration::from_secs(120);

/// Finds disks, with one deadline for all.
pub struct Disks {
    devices: PathBuf,
    nodes: PathBuf,
    announcements: Option<OwnedFd>,
    began: Instant,
    timeout: Duration,
}

impl Disks {
    /// `timeout` is that of a request: none or zero means 10 s; the maximum is 120 s.
    pub fn new(timeout: Option<&prost_types::Duration>) -> Self {
        let asked = timeout.and_then(|timeout| Duration::try_from(*timeout).ok()).filter(|timeout| !timeout.is_zero());
        Self {
            devices: "/sys/bus/scsi/devices".into(),
            nodes: "/dev".into(),
            announcements: None,
            began: Instant::now(),
            timeout: asked.unwrap_or(DEFAULT_TIMEOUT).min(MAX_TIMEOUT),
        }
    }

    /// For disks that exist, with this time to wait for changes of them.
    pub fn within(timeout: Duration) -> Self {
        Self { timeout, ..Self::new(None) }
    }

    /// The device file of a disk that exists already.
    pub fn present(&mut self, disk: &pb::ScsiDisk) -> Result<PathBuf> {
        check(disk)?;
        // Before the first look, so that no change is missed.
        self.announcements = Some(uevent::listen().attempt(|| "listen for devices")?);
        let missing = RuntimeError::DiskNotFound { target: disk.target, lun: disk.lun, waited_ms: 0 };
        self.find(disk).ok_or(missing)
    }

    /// Makes the kernel ask the disk for its size.
    pub fn rescan(&self, disk: &pb::ScsiDisk) -> Result<()> {
        let missing = RuntimeError::DiskNotFound { target: disk.target, lun: disk.lun, waited_ms: 0 };
        let path = self.entry(disk).ok_or(missing)?.join("rescan");
        std::fs::write(&path, "1").attempt(|| format!("write {}", path.display()))
    }

    /// Waits until the kernel announces a change of any device. Returns false once the time is over.
    pub fn wait_change(&self) -> Result<bool> {
        let Some((left, socket)) = self.timeout.checked_sub(self.began.elapsed()).zip(self.announcements.as_ref())
        else {
            return Ok(false);
        };
        wait_message(socket, left)?;
        Ok(true)
    }

    /// Waits for a disk, and returns its device file once it can be opened.
    pub fn wait(&mut self, disk: &pb::ScsiDisk) -> Result<PathBuf> {
        check(disk)?;
        loop {
            if let Some(node) = self.find(disk) {
                return Ok(node);
            }
            // The first time, subscribe and check again: the disk may have appeared in between.
            if self.announcements.is_none() {
                self.announcements = Some(uevent::listen().attempt(|| "listen for devices")?);
                continue;
            }
            self.wait_announcement(disk)?;
        }
    }

    fn find(&self, disk: &pb::ScsiDisk) -> Option<PathBuf> {
        let names = std::fs::read_dir(self.entry(disk)?.join("block")).ok()?;
        let node = self.nodes.join(names.flatten().next()?.file_name());
        can_open(&node).then_some(node)
    }

    /// The sysfs directory of a disk.
    fn entry(&self, disk: &pb::ScsiDisk) -> Option<PathBuf> {
        let suffix = format!(":0:{}:{}", disk.target, disk.lun);
        let entries = std::fs::read_dir(&self.devices).ok()?.flatten();
        let mut found = entries.filter(|entry| entry.file_name().to_string_lossy().ends_with(&suffix));
        Some(found.next()?.path())
    }

    fn wait_announcement(&self, disk: &pb::ScsiDisk) -> Result<()> {
        if self.wait_change()? {
            return Ok(());
        }
        Err(RuntimeError::DiskNotFound {
            target: disk.target,
            lun: disk.lun,
            waited_ms: self.timeout.as_millis() as u64,
        })
    }
}

fn check(disk: &pb::ScsiDisk) -> Result<()> {
    if disk.target > 255 || disk.lun > 16383 {
        return Err(RuntimeError::InvalidSpec("a SCSI target is 0 to 255 and a lun 0 to 16383".into()));
    }
    Ok(())
}

fn wait_message(socket: &OwnedFd, left: Duration) -> Result<()> {
    let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
    match rustix::event::poll(&mut [PollFd::new(socket, PollFlags::IN)], Some(&left)) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(errno) => return Err(RuntimeError::system("wait for devices", errno)),
    }
    // The content is not needed, and an overflow (ENOBUFS) means the same as a message.
    let mut message = [0u8; 8192];
    while rustix::net::recv(socket, &mut message, RecvFlags::DONTWAIT).is_ok() {}
    Ok(())
}

/// A disk appears in sysfs shortly before it can be opened.
fn can_open(node: &Path) -> bool {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    rustix::fs::open(node, flags, Mode::empty()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_found_by_target_and_lun() {
        let dir = std::env::temp_dir().join(format!("paddock-disks-{}", std::process::id()));
        std::fs::create_dir_all(dir.join("sys/2:0:11:1/block/sdb")).unwrap();
        std::fs::create_dir_all(dir.join("sys/2:0:1:1/block/sda")).unwrap();
        std::fs::create_dir_all(dir.join("dev")).unwrap();
        std::fs::write(dir.join("dev/sda"), "").unwrap();
        let mut disks = Disks::new(None);
        (disks.devices, disks.nodes) = (dir.join("sys"), dir.join("dev"));
        let found = disks.wait(&pb::ScsiDisk { target: 1, lun: 1 }).unwrap();
        assert_eq!(found, dir.join("dev/sda"));
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_disk_that_does_not_appear_is_reported_with_the_time_waited() {
        let timeout = prost_types::Duration { seconds: 0, nanos: 20_000_000 };
        let mut disks = Disks::new(Some(&timeout));
        disks.devices = "/nonexistent".into();
        let error = disks.wait(&pb::ScsiDisk { target: 7, lun: 3 }).unwrap_err();
        assert!(matches!(error, RuntimeError::DiskNotFound { target: 7, lun: 3, waited_ms: 20 }), "{error}");
        assert!(disks.wait(&pb::ScsiDisk { target: 256, lun: 0 }).is_err());
    }
}
