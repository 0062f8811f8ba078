//! Paths inside a container's root. A tenant controls the root, so it may contain any symlink.
//!
//! Reads follow symlinks as the container would see them (`RESOLVE_IN_ROOT`). Mount destinations are walked here, component by
//! component on open descriptors, because missing components are created on the way. The kernel follows no symlink in a
//! component, and ".." pops the stack of walked directories. So another container that shares a directory and renames its entries
//! cannot lead the walk out of the root.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::runtime::error::{Attempt, Result, RuntimeError};

const SYMLINKS: usize = 40;
const COMPONENTS: usize = 256;

/// Reads the first `limit` bytes of a regular file below `root`.
pub fn read_file(root: &OwnedFd, path: &str, limit: u64) -> io::Result<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let file = File::from(rustix::fs::openat2(root, path, flags, Mode::empty(), resolve)?);
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(Errno::INVAL.into());
    }
    let mut bytes = Vec::new();
    file.take(limit.min(metadata.len())).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The kind of a mount destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A directory.
    Directory,
    /// Anything else.
    File,
}

/// Opens `path` below `root` as a mount destination. Creates missing components, and resolves symlinks inside `root`.
pub fn open_or_create(root: &OwnedFd, path: &str, target: Target) -> Result<OwnedFd> {
    Walk::new(root, path, "mount destination")?.run(target)
}

/// Opens the parent of `path` below `root` and creates missing directories; also returns the last name, which is not followed. The
/// path must name something below the root.
pub fn open_or_create_parent<'a>(root: &OwnedFd, path: &'a str) -> Result<(OwnedFd, &'a str)> {
    let (parent, name) = parent_and_name(path)?;
    let opened = Walk::new(root, parent, "directory").and_then(|walk| walk.run(Target::Directory));
    let opened = opened.map_err(|error| match error {
        RuntimeError::System { attempt, errno } => RuntimeError::InvalidSpec(format!("{attempt}: {errno}")),
        other => other,
    })?;
    Ok((opened, name))
}

/// As [`open_or_create_parent`], but creates nothing: none if there is no such directory.
pub fn open_parent<'a>(root: &OwnedFd, path: &'a str) -> Result<Option<(OwnedFd, &'a str)>> {
    let (parent, name) = parent_and_name(path)?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    Ok(rustix::fs::openat2(root, parent, flags, Mode::empty(), resolve).ok().map(|parent| (parent, name)))
}

fn parent_and_name(path: &str) -> Result<(&str, &str)> {
    let (parent, name) = path.rsplit_once('/').unwrap_or_default();
    let valid = path.starts_with('/') && path.len() < 4096 && !path.contains('\0');
    if !valid || matches!(name, "" | "." | "..") {
        let shown: String = path.chars().take(256).collect();
        return Err(RuntimeError::InvalidSpec(format!("{shown:?} is not an absolute path of a file")));
    }
    Ok((if parent.is_empty() { "/" } else { parent }, name))
}

/// Creates a missing working directory below `root`. Refuses a path through a magic link of /proc: the text of such a link is not
/// its target.
pub fn ensure_directory(root: &OwnedFd, path: &str) -> Result<()> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let made = match rustix::fs::openat2(root, path, flags, Mode::empty(), resolve) {
        Ok(_) => return Ok(()),
        Err(Errno::NOENT) => Walk::new(root, path, "working directory").and_then(|walk| walk.run(Target::Directory)),
        Err(errno) => return Err(RuntimeError::InvalidSpec(directory_failure(path, errno))),
    };
    made.map(drop).map_err(|error| match error {
        RuntimeError::System { errno, .. } => RuntimeError::InvalidSpec(directory_failure(path, errno)),
        other => other,
    })
}

/// Why a working directory cannot be entered.
pub fn directory_failure(path: &str, errno: Errno) -> String {
    let path: String = path.chars().take(256).collect();
    let why = match errno {
        Errno::NOENT => "there is no such directory".to_owned(),
        Errno::NOTDIR => "it is not a directory".to_owned(),
        Errno::LOOP => "it leads through a link of /proc or too many symlinks".to_owned(),
        Errno::XDEV => "it is outside the container's root".to_owned(),
        errno => errno.to_string(),
    };
    format!("cannot enter the working directory {path:?}: {why}")
}

/// Opens a standard path such as "dev" or "etc/hosts". Replaces a symlink there instead of following it, because the container's
/// programs open this path.
pub fn open_or_replace(root: &OwnedFd, parent: &str, name: &str, target: Target) -> Result<OwnedFd> {
    let parent = open_or_create(root, parent, Target::Directory)?;
    let kind = kind_at(parent.as_fd(), name).attempt(|| format!("look at /{name} of the rootfs"))?;
    let fits = match (kind, target) {
        (Some(FileType::Directory), Target::Directory) => true,
        (Some(FileType::Directory), Target::File) => {
            return Err(RuntimeError::InvalidSpec(format!("{name:?} is a directory in the rootfs, not a file")));
        }
        (Some(FileType::RegularFile), Target::File) => true,
        _ => false,
    };
    if kind.is_some() && !fits {
        rustix::fs::unlinkat(&parent, name, AtFlags::empty()).attempt(|| format!("replace /{name} of the rootfs"))?;
    }
    if !fits {
        create(parent.as_fd(), name, target).attempt(|| format!("create /{name} in the rootfs"))?;
    }
    open_path(parent.as_fd(), name).attempt(|| format!("open /{name} of the rootfs"))
}

fn open_path(parent: BorrowedFd<'_>, name: &str) -> std::result::Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty())
}

fn kind_at(parent: BorrowedFd<'_>, name: &str) -> std::result::Result<Option<FileType>, Errno> {
    match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(FileType::from_raw_mode(stat.st_mode))),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno),
    }
}

fn create(parent: BorrowedFd<'_>, name: &str, target: Target) -> std::result::Result<(), Errno> {
    let made = match target {
        Target::Directory => rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o755)),
        Target::File => {
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::WRONLY | OFlags::CLOEXEC;
            rustix::fs::openat(parent, name, flags, Mode::from_raw_mode(0o644)).map(drop)
        }
    };
    match made {
        Err(Errno::EXIST) => Ok(()),
        other => other,
    }
}

struct Walk<'a> {
    root: &'a OwnedFd,
    shown: &'a str,
    /// The role of the path, for messages.
    role: &'static str,
    walked: Vec<OwnedFd>,
    ahead: VecDeque<String>,
    symlinks: usize,
}

impl<'a> Walk<'a> {
    fn new(root: &'a OwnedFd, path: &'a str, role: &'static str) -> Result<Self> {
        let mut walk = Self { root, shown: path, role, walked: Vec::new(), ahead: VecDeque::new(), symlinks: 0 };
        walk.push_front(path)?;
        Ok(walk)
    }

    fn push_front(&mut self, path: &str) -> Result<()> {
        let components = path.split('/').filter(|part| !part.is_empty() && *part != ".");
        for component in components.rev() {
            self.ahead.push_front(component.to_owned());
        }
        if path.contains('\0') || self.ahead.len() > COMPONENTS {
            return Err(self.refuse("is not a valid path"));
        }
        Ok(())
    }

    fn refuse(&self, why: &str) -> RuntimeError {
        let shown: String = self.shown.chars().take(256).collect();
        RuntimeError::InvalidSpec(format!("{} {shown:?} {why}", self.role))
    }

    fn run(mut self, target: Target) -> Result<OwnedFd> {
        let shown = self.shown;
        while let Some(component) = self.ahead.pop_front() {
            if component == ".." {
                self.walked.pop();
                continue;
            }
            self.step(&component, target)?;
        }
        let end = match self.walked.pop() {
            Some(fd) => fd,
            None => self.root.try_clone().attempt(|| "duplicate the root's descriptor")?,
        };
        let stat = rustix::fs::fstat(&end).attempt(|| format!("look at {shown:?} of the rootfs"))?;
        let is_directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        if is_directory != (target == Target::Directory) {
            let why = if is_directory { "is a directory, not a file" } else { "is not a directory" };
            self.walked.clear();
            return Err(self.refuse(why));
        }
        Ok(end)
    }

    fn step(&mut self, component: &str, target: Target) -> Result<()> {
        let (shown, role) = (self.shown, self.role);
        let parent = self.walked.last().unwrap_or(self.root).as_fd();
        let what = || format!("walk to {component:?} of {role} {shown:?}");
        let kind = kind_at(parent, component).attempt(what)?;
        if kind == Some(FileType::Symlink) {
            let link = rustix::fs::readlinkat(parent, component, Vec::new()).attempt(what)?;
            return self.follow(&link.to_string_lossy());
        }
        if kind.is_none() {
            let last = self.ahead.is_empty();
            create(parent, component, if last { target } else { Target::Directory }).attempt(what)?;
        }
        let next = open_path(parent, component).attempt(what)?;
        let stat = rustix::fs::fstat(&next).attempt(what)?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
            return Err(self.refuse("was changed while it was opened"));
        }
        self.walked.push(next);
        Ok(())
    }

    fn follow(&mut self, link: &str) -> Result<()> {
        self.symlinks += 1;
        if self.symlinks > SYMLINKS {
            return Err(self.refuse("has too many symlinks"));
        }
        if link.starts_with('/') {
            self.walked.clear();
        }
        self.push_front(link)
    }
}
