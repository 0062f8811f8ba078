//! The mounts that every container has: /proc, /sys, /dev and those below.

use std::os::fd::OwnedFd;

use rustix::fs::{FileType, Mode, OFlags};

use super::in_root::{self, Target};
use super::mount_api::{self, Flags, NO_PRIVILEGES};
use crate::runtime::error::{Attempt, Result};

const DEVICES: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

const LINKS: [(&str, &str); 5] = [
    ("ptmx", "pts/ptmx"),
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
];

/// Mounts all of them below `root`. The calling process must be in the container's namespaces.
pub fn mount(root: &OwnedFd, shm_dir: &str, proc: &OwnedFd) -> Result<()> {
    mount_api::attach(proc, &in_root::open_or_replace(root, "", "proc", Target::Directory)?, "/proc")?;
    sys(root)?;
    dev(root, shm_dir)
}

fn sys(root: &OwnedFd) -> Result<()> {
    let read_only = NO_PRIVILEGES | Flags::MOUNT_ATTR_RDONLY;
    let sys = mount_api::new_filesystem("sysfs", &[], read_only)?;
    mount_api::attach(&sys, &in_root::open_or_replace(root, "", "sys", Target::Directory)?, "/sys")?;
    let cgroup = mount_api::new_filesystem("cgroup2", &[], read_only)?;
    let target = in_root::open_or_create(root, "sys/fs/cgroup", Target::Directory)?;
    mount_api::attach(&cgroup, &target, "/sys/fs/cgroup")
}

fn dev(root: &OwnedFd, shm_dir: &str) -> Result<()> {
    let target = in_root::open_or_replace(root, "", "dev", Target::Directory)?;
    let options = [("mode", "0755"), ("size", "64m"), ("nr_inodes", "65536")];
    let flags = Flags::MOUNT_ATTR_NOSUID | Flags::MOUNT_ATTR_STRICTATIME;
    let dev = mount_api::new_filesystem("tmpfs", &options, flags)?;
    fill(&dev)?;
    mount_api::attach(&dev, &target, "/dev")?;
    let options = [("newinstance", ""), ("ptmxmode", "0666"), ("mode", "0620"), ("gid", "5")];
    let pts_flags = Flags::MOUNT_ATTR_NOSUID | Flags::MOUNT_ATTR_NOEXEC;
    let pts = mount_api::new_filesystem("devpts", &options, pts_flags)?;
    let mqueue = mount_api::new_filesystem("mqueue", &[], NO_PRIVILEGES)?;
    let shm = mount_api::clone_of(rustix::fs::CWD, shm_dir, NO_PRIVILEGES)?;
    for (mount, name) in [(pts, "pts"), (mqueue, "mqueue"), (shm, "shm")] {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let target = rustix::fs::openat(&dev, name, flags, Mode::empty()).attempt(|| format!("open /dev/{name}"))?;
        mount_api::attach(&mount, &target, name)?;
    }
    Ok(())
}

fn fill(dev: &OwnedFd) -> Result<()> {
    for (name, major, minor) in DEVICES {
        let number = rustix::fs::makedev(major, minor);
        rustix::fs::mknodat(dev, name, FileType::CharacterDevice, Mode::from_raw_mode(0o666), number)
            .attempt(|| format!("create /dev/{name}"))?;
    }
    for (name, target) in LINKS {
        rustix::fs::symlinkat(target, dev, name).attempt(|| format!("create /dev/{name}"))?;
    }
    for name in ["pts", "shm", "mqueue"] {
        rustix::fs::mkdirat(dev, name, Mode::from_raw_mode(0o755)).attempt(|| format!("create /dev/{name}"))?;
    }
    Ok(())
}
