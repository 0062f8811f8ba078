//! Files given by content: /etc/hosts and the like, and the files of a request.
//!
//! They are in one small tmpfs of the container, and each is mounted at its path. A container that writes to them without end
//! fills that tmpfs, not the agent's.

use std::borrow::Cow;
use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{Gid, Mode, OFlags, Uid};

use super::in_root::{self, Target};
use super::mount_api::{self, Flags, NO_PRIVILEGES};
use super::spec::FilesystemSpec;
use crate::pb;
use crate::runtime::error::{Attempt, Result, RuntimeError};

const ROOM_BYTES: usize = 1024 * 1024;
const FILE_BYTES: usize = 1024 * 1024;

/// The tmpfs with the container's files.
pub struct Files {
    directory: OwnedFd,
}

impl Files {
    /// Mounts the tmpfs at `<directory>/files`, with room for the files of the request.
    pub fn mount(spec: &FilesystemSpec) -> Result<Self> {
        let content = |mount: &pb::Mount| match &mount.source {
            Some(pb::mount::Source::File(file)) => file.content.len() + 4096,
            _ => 0,
        };
        let size = (spec.mounts.iter().map(content).sum::<usize>() + ROOM_BYTES).to_string();
        let mount = mount_api::new_filesystem("tmpfs", &[("mode", "0755"), ("size", &size)], NO_PRIVILEGES)?;
        // Only an attached mount can be cloned.
        mount_api::attach_at(&mount, &Path::new(&spec.directory).join("files"))?;
        Ok(Self { directory: mount })
    }

    /// Mounts /etc/hosts, /etc/hostname and /etc/resolv.conf.
    pub fn mount_identity(&self, root: &OwnedFd, hostname: &str, hosts: &str, resolv_conf: &str) -> Result<()> {
        for (name, content) in identity_files(hostname, hosts, resolv_conf) {
            self.write(name, content.as_bytes(), 0o644, None)?;
            let target = in_root::open_or_replace(root, "etc", name, Target::File)?;
            let flags = NO_PRIVILEGES;
            mount_api::attach(&mount_api::clone_of(&self.directory, name, flags)?, &target, name)?;
        }
        Ok(())
    }

    /// The directory of the files. No path in the container leads to it.
    pub fn directory(&self) -> &OwnedFd {
        &self.directory
    }

    /// A detached mount of a file of the request. `number` is part of its name.
    pub fn clone_of(&self, number: usize, file: &pb::FileMount, flags: Flags) -> Result<OwnedFd> {
        let name = format!("mount-{number}");
        let mode = if file.mode == 0 { 0o644 } else { file.mode & 0o7777 };
        self.write(&name, &file.content, mode, Some((file.uid, file.gid)))?;
        mount_api::clone_of(&self.directory, &name, flags)
    }

    fn write(&self, name: &str, content: &[u8], mode: u32, owner: Option<(u32, u32)>) -> Result<()> {
        let what = || format!("write the file {name}");
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.directory, name, flags, Mode::from_raw_mode(0o600)).attempt(what)?;
        let mut file = File::from(file);
        file.write_all(content).attempt(what)?;
        if let Some((uid, gid)) = owner {
            rustix::fs::fchown(&file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid))).attempt(what)?;
        }
        rustix::fs::fchmod(&file, Mode::from_raw_mode(mode)).attempt(what)
    }
}

fn identity_files<'a>(hostname: &str, hosts: &'a str, resolv_conf: &'a str) -> [(&'static str, Cow<'a, str>); 3] {
    [("hosts", hosts.into()), ("hostname", format!("{hostname}\n").into()), ("resolv.conf", resolv_conf.into())]
}

/// Writes /etc/hosts, /etc/hostname and /etc/resolv.conf of a running container again, in place, because they are mounted.
/// `directory` is that of [`Files::directory`].
pub fn rewrite_identity(directory: &OwnedFd, hostname: &str, hosts: &str, resolv_conf: &str) -> Result<()> {
    for (name, content) in identity_files(hostname, hosts, resolv_conf) {
        let what = || format!("write the file {name}");
        let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(rustix::fs::openat(directory, name, flags, Mode::empty()).attempt(what)?);
        // A reader sees the old text or the new one, except for the moment until the rest of a longer old text is cut off.
        file.write_all(content.as_bytes()).and_then(|()| file.set_len(content.len() as u64)).attempt(what)?;
    }
    Ok(())
}

/// Refuses a file mount that is too large, or whose owner is not a valid id.
pub fn check(file: &pb::FileMount) -> Result<()> {
    let id = |id: u32| id <= i32::MAX as u32;
    if file.content.len() > FILE_BYTES || !id(file.uid) || !id(file.gid) || file.mode > 0o7777 {
        return Err(RuntimeError::InvalidSpec(
            "a file mount has at most 1 MiB of content, a mode up to 07777, and ids up to 2147483647".into(),
        ));
    }
    Ok(())
}
