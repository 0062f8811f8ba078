//! The mounts of a request, in its order.
//!
//! A destination is resolved inside the container's root. Device files do not work on these mounts, regardless of the contents of
//! the disk or of another container.

use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::Mode;
use rustix::io::Errno;

use super::disk_mounts;
use super::file_mounts::{self, Files};
use super::in_root::{self, Target};
use super::mount_api::{self, Flags};
use super::spec::FilesystemSpec;
use crate::pb::{self, mount::Source};
use crate::runtime::error::{Attempt, Result, RuntimeError};
use crate::runtime::layout::check_id;

const MOUNTS: usize = 128;
const DEFAULT_TMPFS_BYTES: u64 = 64 * 1024 * 1024;

/// Refuses invalid mounts, before anything is created.
pub fn check(mounts: &[pb::Mount]) -> Result<()> {
    if mounts.len() > MOUNTS {
        return Err(RuntimeError::InvalidSpec(format!("a container has at most {MOUNTS} mounts")));
    }
    for mount in mounts {
        let path = &mount.destination;
        let inside = path.split('/').any(|part| !part.is_empty() && part != "." && part != "..");
        if !path.starts_with('/') || path.len() > 4095 || path.contains('\0') || !inside {
            let shown: String = path.chars().take(256).collect();
            return Err(RuntimeError::InvalidSpec(format!(
                "mount destination {shown:?} is not an absolute path below /"
            )));
        }
        flags(mount)?;
        match &mount.source {
            Some(Source::Tmpfs(tmpfs)) if tmpfs.mode > 0o7777 => {
                return Err(RuntimeError::InvalidSpec("the mode of a tmpfs is at most 07777".into()));
            }
            Some(Source::Tmpfs(_)) => {}
            Some(Source::Shared(shared)) => check_id("name of a shared directory", &shared.name)?,
            Some(Source::File(file)) => file_mounts::check(file)?,
            Some(Source::Disk(disk)) if matches!(disk.fstype.as_str(), "ext4" | "squashfs") => {}
            Some(Source::Disk(_)) => {
                return Err(RuntimeError::InvalidSpec("the fstype of a disk is ext4 or squashfs".into()));
            }
            Some(Source::Virtiofs(share)) => check_id("tag of a host directory", &share.tag)?,
            None => {
                return Err(RuntimeError::InvalidSpec(format!("the mount at {path:?} has no source")));
            }
        }
    }
    Ok(())
}

/// Mounts them below `root`.
pub fn mount(root: &OwnedFd, spec: &FilesystemSpec, files: &Files) -> Result<()> {
    for (number, mount) in spec.mounts.iter().enumerate() {
        let flags = flags(mount)?;
        let device = spec.mount_devices.get(number).map_or("", String::as_str);
        let (detached, target) = match &mount.source {
            Some(Source::Tmpfs(tmpfs)) => (new_tmpfs(tmpfs, flags)?, Target::Directory),
            Some(Source::Shared(shared)) => (shared_directory(spec, &shared.name, flags)?, Target::Directory),
            Some(Source::File(file)) => (files.clone_of(number, file, flags)?, Target::File),
            Some(Source::Disk(disk)) => {
                (disk_mounts::mount(Path::new(device), &disk.fstype, flags)?, Target::Directory)
            }
            Some(Source::Virtiofs(share)) => {
                (mount_api::new_filesystem("virtiofs", &[("source", &share.tag)], flags)?, Target::Directory)
            }
            None => continue,
        };
        let place = in_root::open_or_create(root, &mount.destination, target)?;
        mount_api::attach(&detached, &place, &mount.destination)?;
    }
    Ok(())
}

fn flags(mount: &pb::Mount) -> Result<Flags> {
    let mut flags = Flags::MOUNT_ATTR_NODEV;
    flags.set(Flags::MOUNT_ATTR_RDONLY, mount.read_only);
    for option in &mount.options {
        flags |= match option.as_str() {
            "nosuid" => Flags::MOUNT_ATTR_NOSUID,
            "nodev" => Flags::MOUNT_ATTR_NODEV,
            "noexec" => Flags::MOUNT_ATTR_NOEXEC,
            other => {
                let shown: String = other.chars().take(40).collect();
                return Err(RuntimeError::InvalidSpec(format!(
                    "mount option {shown:?} is not one of nosuid, nodev, noexec"
                )));
            }
        };
    }
    Ok(flags)
}

fn new_tmpfs(tmpfs: &pb::TmpfsMount, flags: Flags) -> Result<OwnedFd> {
    let size = if tmpfs.size_bytes == 0 { DEFAULT_TMPFS_BYTES } else { tmpfs.size_bytes }.to_string();
    let mode = format!("{:o}", if tmpfs.mode == 0 { 0o1777 } else { tmpfs.mode });
    mount_api::new_filesystem("tmpfs", &[("size", &size), ("mode", &mode)], flags)
}

/// Containers that share the directory may run as any user, so all users may write to it.
fn shared_directory(spec: &FilesystemSpec, name: &str, flags: Flags) -> Result<OwnedFd> {
    let path = Path::new(&spec.shared_root).join(name);
    match rustix::fs::mkdir(&path, Mode::from_raw_mode(0o777)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(errno).attempt(|| format!("create the shared directory {name}")),
    }
    mount_api::clone_of(rustix::fs::CWD, &path.to_string_lossy(), flags)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(destination: &str, source: Option<Source>) -> pb::Mount {
        pb::Mount { destination: destination.into(), source, ..Default::default() }
    }

    fn tmpfs() -> Option<Source> {
        Some(Source::Tmpfs(pb::TmpfsMount::default()))
    }

    #[test]
    fn a_mount_needs_a_destination_below_the_root_and_a_source() {
        assert!(check(&[mount("/data", tmpfs())]).is_ok());
        for bad in ["", "data", "/", "//", "/..", "/.", "/a\0"] {
            assert!(check(&[mount(bad, tmpfs())]).is_err(), "{bad:?}");
        }
        assert!(check(&[mount("/data", None)]).is_err());
    }

    #[test]
    fn names_file_systems_and_options_are_closed_sets() {
        let shared = |name: &str| Some(Source::Shared(pb::SharedDirectory { name: name.into() }));
        assert!(check(&[mount("/s", shared("cache"))]).is_ok());
        assert!(check(&[mount("/s", shared("../x"))]).is_err());
        let disk = |fstype: &str| Some(Source::Disk(pb::DiskMount { disk: None, fstype: fstype.into() }));
        assert!(check(&[mount("/d", disk("ext4"))]).is_ok());
        assert!(check(&[mount("/d", disk("proc"))]).is_err());
        let mut odd = mount("/d", tmpfs());
        odd.options = vec!["suid".into()];
        assert!(check(&[odd]).is_err());
    }
}
