//! Paths in a container, which controls everything below its root and changes it at any time.
//!
//! A path is resolved once, by the kernel, below the container's root. What follows uses the descriptor that this gave. A file is
//! opened without rights first, which neither blocks nor touches a device, and is opened again through /proc only if it is a
//! regular file: that names the same file, not the same path.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use super::error::{Attempt, FileError, Result, shown};

/// Most bytes of a path.
pub const PATH_BYTES: usize = 4096;
/// How often a path is resolved while the container renames directories in it.
const ATTEMPTS: usize = 256;
/// Most symbolic links at the end of a path to write to.
const SYMLINKS: usize = 40;
/// Opens a file without rights to it.
pub const LOOK: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);
/// Opens a directory to list it.
pub const LIST: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC).union(OFlags::NONBLOCK);
/// File systems of the kernel: their files have no size, and reading or writing them has effects.
const KERNEL_FILE_SYSTEMS: [u32; 14] = [
    0x0000_9fa0, // proc
    0x6265_6572, // sysfs
    0x6367_7270, // cgroup2
    0x0027_e0eb, // cgroup
    0x6462_6720, // debugfs
    0x7472_6163, // tracefs
    0x7363_6673, // securityfs
    0xcafe_4a11, // bpf
    0x6165_676c, // pstore
    0xde5e_81e4, // efivarfs
    0x4249_4e4d, // binfmt_misc
    0x6265_6570, // configfs
    0x0000_1cd1, // devpts
    0x1980_0202, // mqueue
];

/// Refuses a path that the kernel would not take.
pub fn check(path: &str) -> Result<()> {
    if path.is_empty() || path.len() > PATH_BYTES || path.contains('\0') {
        return Err(FileError::Invalid(format!("a path has 1 to {PATH_BYTES} bytes, and none is 0")));
    }
    Ok(())
}

/// Opens a path below `root`.
pub fn open(root: BorrowedFd<'_>, path: &str, flags: OFlags) -> std::result::Result<OwnedFd, Errno> {
    let path = if path.trim_matches('/').is_empty() { "." } else { path };
    resolve(root, path.as_bytes(), flags, ResolveFlags::IN_ROOT)
}

/// Opens a path below `directory` that has no symbolic link and no "..".
pub fn open_beneath(directory: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> std::result::Result<OwnedFd, Errno> {
    let path = if path.is_empty() { b".".as_slice() } else { path };
    resolve(directory, path, flags, ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS)
}

fn resolve(
    at: BorrowedFd<'_>,
    path: &[u8],
    flags: OFlags,
    resolve: ResolveFlags,
) -> std::result::Result<OwnedFd, Errno> {
    let resolve = resolve | ResolveFlags::NO_MAGICLINKS;
    for _ in 1..ATTEMPTS {
        match rustix::fs::openat2(at, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
            // A directory was renamed while ".." was resolved.
            Err(Errno::AGAIN | Errno::INTR) => {}
            other => return other,
        }
    }
    Err(Errno::AGAIN)
}

/// Opens what a descriptor without rights refers to.
pub fn reopen(fd: BorrowedFd<'_>, flags: OFlags) -> std::result::Result<OwnedFd, Errno> {
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    rustix::fs::open(path, flags | OFlags::CLOEXEC | OFlags::NOCTTY, Mode::empty())
}

/// Opens the regular file that a descriptor without rights refers to, for reading.
pub fn reopen_to_read(fd: BorrowedFd<'_>) -> std::result::Result<OwnedFd, Errno> {
    match reopen(fd, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOATIME) {
        // Not every file system lets the agent ask for this.
        Err(Errno::PERM) => reopen(fd, OFlags::RDONLY | OFlags::NONBLOCK),
        other => other,
    }
}

/// Type of a file.
pub fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// Whether a file is one of the kernel's, which is neither read nor written.
pub fn is_of_kernel(fd: BorrowedFd<'_>) -> std::result::Result<bool, Errno> {
    let found = rustix::fs::fstatfs(fd)?.f_type as u32;
    Ok(KERNEL_FILE_SYSTEMS.contains(&found))
}

/// A name in an open directory.
pub struct Place {
    pub parent: OwnedFd,
    pub name: Vec<u8>,
}

impl Place {
    /// The attributes of what is there. Links are not followed.
    pub fn stat(&self) -> std::result::Result<Option<Stat>, Errno> {
        match rustix::fs::statat(&self.parent, self.name.as_slice(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno),
        }
    }
}

/// The part before the last component, and the last component, if it is a name.
pub fn split(path: &[u8]) -> (&[u8], Option<&[u8]>) {
    let end = path.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
    let path = path.get(..end).unwrap_or_default();
    let at = path.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
    let (parent, name) = path.split_at(at);
    match name {
        b"" | b"." | b".." => (path, None),
        name => (parent, Some(name)),
    }
}

/// The name of a file for clients; "." if the path does not end in a name.
pub fn name_of(path: &str) -> &[u8] {
    split(path.as_bytes()).1.unwrap_or(b".")
}

/// The place of a path's last component. A link there is not followed.
pub fn place(root: BorrowedFd<'_>, path: &str) -> Result<Place> {
    let (parent, name) = split(path.as_bytes());
    let Some(name) = name else {
        return Err(FileError::Invalid(format!("path {} does not end in a name", shown(path.as_bytes()))));
    };
    place_in(root, parent, name).attempt(|| format!("open the directory of {}", shown(path.as_bytes())))
}

fn place_in(root: BorrowedFd<'_>, parent: &[u8], name: &[u8]) -> std::result::Result<Place, Errno> {
    let parent = if parent.iter().all(|byte| *byte == b'/') { b".".as_slice() } else { parent };
    let parent = resolve(root, parent, LOOK | OFlags::DIRECTORY, ResolveFlags::IN_ROOT)?;
    Ok(Place { parent, name: name.to_vec() })
}

/// The place of a file to write: links at the end of the path are followed, inside the root.
pub fn place_to_write(root: BorrowedFd<'_>, path: &str) -> Result<Place> {
    let (mut path, what) = (path.as_bytes().to_vec(), || format!("open the place of {}", shown(path.as_bytes())));
    for _ in 0..SYMLINKS {
        let (parent, name) = split(&path);
        let Some(name) = name else {
            return Err(FileError::Refused(format!("{} is a directory", shown(&path))));
        };
        let found = place_in(root, parent, name).attempt(what)?;
        let is_link = found.stat().attempt(what)?.is_some_and(|stat| kind(&stat) == FileType::Symlink);
        if !is_link {
            return Ok(found);
        }
        let link = rustix::fs::readlinkat(&found.parent, name, Vec::new()).attempt(what)?.into_bytes();
        path = if link.starts_with(b"/") { link } else { [parent, b"/".as_slice(), &link].concat() };
    }
    Err(FileError::System { attempt: what(), errno: Errno::LOOP })
}

/// A second descriptor of a directory or file.
pub fn duplicate(fd: &impl AsFd) -> Result<OwnedFd> {
    rustix::io::fcntl_dupfd_cloexec(fd, 3).attempt(|| "duplicate a descriptor")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_splits_into_a_directory_and_a_name() {
        let name = |path: &'static str| split(path.as_bytes());
        assert_eq!(name("/a/b"), (b"/a/".as_slice(), Some(b"b".as_slice())));
        assert_eq!(name("a//"), (b"".as_slice(), Some(b"a".as_slice())));
        for path in ["/", "", ".", "/a/..", "/a/.", "//"] {
            assert_eq!(name(path).1, None, "{path:?}");
        }
    }
}
