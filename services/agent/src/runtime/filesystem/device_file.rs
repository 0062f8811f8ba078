//! Device files of containers, for disks that the host plugs in.
//!
//! The agent creates them through the container's root, which the container may change at the same time: the file is opened once,
//! and then only its descriptor is used.

use std::os::fd::{AsRawFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, StatVfsMountFlags, Uid};
use rustix::io::Errno;

use super::disks::Disks;
use super::in_root;
use crate::pb;
use crate::runtime::error::{Attempt, Result, RuntimeError};

/// The most device files of a container.
pub const LIMIT: usize = 64;
const DEFAULT_MODE: u32 = 0o660;

/// A device file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceFile {
    /// Absolute path in the container.
    pub path: String,
    /// Device number of the disk.
    pub number: u64,
    pub read_only: bool,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
}

impl DeviceFile {
    /// The device file of a request. Waits for its disk.
    pub fn of(device: &pb::ContainerDevice, disks: &mut Disks) -> Result<Self> {
        let missing = || RuntimeError::InvalidSpec("a device needs a disk".into());
        if device.mode > 0o777 {
            return Err(RuntimeError::InvalidSpec("the mode of a device is at most 0777".into()));
        }
        let node = disks.wait(device.disk.as_ref().ok_or_else(missing)?)?;
        let stat = rustix::fs::stat(&node).attempt(|| format!("look at {}", node.display()))?;
        Ok(Self {
            path: device.path.clone(),
            number: stat.st_rdev,
            read_only: device.read_only,
            mode: if device.mode == 0 { DEFAULT_MODE } else { device.mode },
            uid: device.uid,
            gid: device.gid,
        })
    }

    /// Creates the file below a container's root, with missing directories. If it exists already, sets owner and mode.
    pub fn create(&self, root: &OwnedFd) -> Result<()> {
        let (parent, name) = in_root::open_or_create_parent(root, &self.path)?;
        let what = || format!("create the device file {:?}", self.path);
        let flags = rustix::fs::fstatvfs(&parent).attempt(what)?.f_flag;
        if flags.contains(StatVfsMountFlags::NODEV) {
            let text = format!("device files do not work at {:?}; use a path below /dev", self.path);
            return Err(RuntimeError::InvalidSpec(text));
        }
        match rustix::fs::mknodat(&parent, name, FileType::BlockDevice, Mode::empty(), self.number) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno).attempt(what),
        }
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&parent, name, flags, Mode::empty()).attempt(what)?;
        if !self.is_of(&rustix::fs::fstat(&file).attempt(what)?) {
            return Err(RuntimeError::PathTaken(self.path.clone()));
        }
        let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
        rustix::fs::chownat(&file, "", Some(uid), Some(gid), AtFlags::EMPTY_PATH).attempt(what)?;
        // A descriptor of this kind has no fchmod.
        rustix::fs::chmod(format!("/proc/self/fd/{}", file.as_raw_fd()), Mode::from_raw_mode(self.mode)).attempt(what)
    }

    /// Removes the file from below a container's root, if it still is this device.
    pub fn remove(&self, root: &OwnedFd) -> Result<()> {
        let Some((parent, name)) = in_root::open_parent(root, &self.path)? else { return Ok(()) };
        match rustix::fs::statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if self.is_of(&stat) => {}
            _ => return Ok(()),
        }
        match rustix::fs::unlinkat(&parent, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(errno).attempt(|| format!("remove the device file {:?}", self.path)),
        }
    }

    fn is_of(&self, stat: &rustix::fs::Stat) -> bool {
        FileType::from_raw_mode(stat.st_mode) == FileType::BlockDevice && stat.st_rdev == self.number
    }
}
