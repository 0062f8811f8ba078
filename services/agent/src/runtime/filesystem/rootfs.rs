//! A container's root: the image below, a writable layer above, joined by overlayfs.
//!
//! All of it is mounted only in the container's own mount namespace. It ends with the container's last process, and the agent's
//! namespace never contains a tenant's file system.
//!
//! A directory of the image can be renamed (`redirect_dir=on`): the writable layer records its origin in an extended attribute.
//! Such attributes in an image have no effect: the kernel reads none in the lowest layer, and there is one image below. In the
//! writable layer only the kernel writes them: a container cannot set `trusted.overlay.*` through the overlay, regardless of its
//! capabilities, and a redirect only names directories of the same image.
//!
//! A read-only root also has a small upper layer, since mount points may be missing in the image. It becomes read-only once they
//! are created.

use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use super::mount_api::{self, Flags};
use super::spec::{FilesystemSpec, Layer};
use crate::runtime::error::{Attempt, Result};

const DIRECTORIES: Mode = Mode::from_raw_mode(0o755);

/// Mounts the root at `<directory>/root` and opens it.
pub fn mount(spec: &FilesystemSpec) -> Result<OwnedFd> {
    let layers = Path::new(&spec.directory).join("layers");
    let lower = mount_lower(&spec.lower, &layers.join("lower"))?;
    let upper = layers.join("upper");
    mount_api::attach_at(&upper_filesystem(spec)?, &upper)?;
    let (data, work) = (upper.join("data"), upper.join("work"));
    for directory in [&data, &work] {
        match rustix::fs::mkdir(directory, DIRECTORIES) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(errno) => {
                return Err(errno).attempt(|| format!("create {}", directory.display()))?;
            }
        }
    }
    let options = [
        ("source", "paddock"),
        ("lowerdir", lower.as_str()),
        ("upperdir", &data.to_string_lossy()),
        ("workdir", &work.to_string_lossy()),
        ("index", "off"),
        ("metacopy", "off"),
        ("redirect_dir", "on"),
    ];
    let overlay = mount_api::new_filesystem("overlay", &options, Flags::MOUNT_ATTR_NODEV)?;
    let root = Path::new(&spec.directory).join("root");
    mount_api::attach_at(&overlay, &root)?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(&root, flags, Mode::empty()).attempt(|| "open the root")
}

/// Makes the root read-only, once everything is mounted.
pub fn make_read_only(root: &OwnedFd) -> Result<()> {
    mount_api::set_flags(root, Flags::MOUNT_ATTR_RDONLY).attempt(|| "make the root read-only")
}

fn mount_lower(layer: &Layer, target: &Path) -> Result<String> {
    if layer.fstype.is_empty() {
        return Ok(layer.source.clone());
    }
    let options = [("source", layer.source.as_str()), ("ro", "")];
    let flags = Flags::MOUNT_ATTR_RDONLY | Flags::MOUNT_ATTR_NODEV;
    let mount = mount_api::new_filesystem(&layer.fstype, &options, flags)?;
    mount_api::attach_at(&mount, target)?;
    Ok(target.to_string_lossy().into_owned())
}

fn upper_filesystem(spec: &FilesystemSpec) -> Result<OwnedFd> {
    let flags = Flags::MOUNT_ATTR_NODEV;
    if spec.read_only {
        let options = [("mode", "0755"), ("size", "1m"), ("nr_inodes", "1024")];
        return mount_api::new_filesystem("tmpfs", &options, flags);
    }
    match &spec.upper {
        Some(layer) if layer.fstype.is_empty() => mount_api::clone_of(rustix::fs::CWD, &layer.source, flags),
        // The disk is a sparse file, whose inode tables read as zeros already: writing them would take 16 MiB of the host's disk
        // for each GiB of the layer.
        Some(layer) => {
            // The host reclaims the blocks of removed files.
            let options = [("source", layer.source.as_str()), ("noinit_itable", ""), ("discard", "")];
            mount_api::new_filesystem(&layer.fstype, &options, flags)
        }
        None => {
            let size = match spec.tmpfs_size_bytes {
                0 => "50%".to_owned(),
                bytes => bytes.to_string(),
            };
            mount_api::new_filesystem("tmpfs", &[("mode", "0755"), ("size", &size)], flags)
        }
    }
}
