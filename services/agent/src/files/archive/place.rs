//! Puts one entry of an archive into an open directory.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT, Uid};
use rustix::io::Errno;

use super::attributes;
use super::header::{Entry, Kind};
use super::holes::{Map, Part};
use super::reader::Reader;
use crate::files::directory;
use crate::files::error::{Attempt, FileError, Result, shown};
use crate::files::incoming::Source;
use crate::files::path;
use crate::files::temporary::Temporary;
use crate::files::warnings::Tally;

const WRITE_BYTES: usize = 64 * 1024;
const CREATE: OFlags =
    OFlags::WRONLY.union(OFlags::CREATE).union(OFlags::EXCL).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const OPEN_DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Times with a given time of the last change. That of the last access stays.
pub fn times((seconds, nanoseconds): (i64, u32)) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: seconds, tv_nsec: nanoseconds.into() },
    }
}

/// Creates a directory, or keeps one that is there, and sets its owner, permissions and attributes.
pub fn directory(parent: BorrowedFd<'_>, name: &[u8], entry: &Entry, tally: &mut Tally) -> Result<()> {
    let what = || format!("extract directory {}", shown(&entry.path));
    let made = match directory::create(parent, name, 0o700) {
        Err(Errno::EXIST) => match rustix::fs::openat(parent, name, OPEN_DIRECTORY, Mode::empty()) {
            Err(Errno::NOTDIR | Errno::LOOP) => {
                return Err(FileError::Refused(format!("{} exists and is not a directory", shown(&entry.path))));
            }
            other => other,
        },
        other => other,
    };
    let made = made.attempt(what)?;
    set_owner_and_mode(made.as_fd(), entry).attempt(what)?;
    attributes::write(made.as_fd(), &entry.path, &entry.xattrs, tally);
    Ok(())
}

/// Creates a file with the content that follows in the archive.
pub fn file<S: Source>(
    parent: BorrowedFd<'_>,
    name: &[u8],
    entry: &Entry,
    reader: &mut Reader<'_, S>,
    tally: &mut Tally,
) -> Result<()> {
    let what = || format!("extract {}", shown(&entry.path));
    let (temporary, file) =
        Temporary::create(parent, |parent, name| rustix::fs::openat(parent, name, CREATE, Mode::from_raw_mode(0o600)))
            .attempt(what)?;
    let file_fd = file.as_fd();
    match entry.kind {
        Kind::Sparse(size) => {
            let mut map = Map::new();
            let parts = map.parts(size, |map| reader.map_number(map))?;
            rustix::fs::ftruncate(&file, size).attempt(what)?;
            for part in parts {
                write_part(file_fd, part, reader, &entry.path)?;
            }
        }
        _ => write_part(file_fd, Part { offset: 0, length: entry.size }, reader, &entry.path)?,
    }
    set_owner_and_mode(file_fd, entry).attempt(what)?;
    attributes::write(file_fd, &entry.path, &entry.xattrs, tally);
    rustix::fs::futimens(&file, &times(entry.modified)).attempt(what)?;
    temporary.place(name).attempt(what)
}

fn write_part<S: Source>(file: BorrowedFd<'_>, part: Part, reader: &mut Reader<'_, S>, path: &[u8]) -> Result<()> {
    let mut buffer = vec![0; usize::try_from(part.length).map_or(WRITE_BYTES, |length| length.min(WRITE_BYTES))];
    let (mut offset, end) = (part.offset, part.offset + part.length);
    while offset < end {
        let room = buffer.len().min(usize::try_from(end - offset).unwrap_or(usize::MAX));
        let count = reader.read(buffer.get_mut(..room).unwrap_or_default())?;
        if count == 0 {
            return Err(FileError::Invalid(format!("the data of {} in the archive is too short", shown(path))));
        }
        let mut data = buffer.get(..count).unwrap_or_default();
        while !data.is_empty() {
            match rustix::io::pwrite(file, data, offset) {
                Ok(written) => {
                    offset += written as u64;
                    data = data.get(written..).unwrap_or_default();
                }
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno).attempt(|| format!("write {}", shown(path))),
            }
        }
    }
    Ok(())
}

/// Creates a symbolic link.
pub fn symlink(parent: BorrowedFd<'_>, name: &[u8], to: &[u8], entry: &Entry) -> std::result::Result<(), Errno> {
    let (temporary, ()) = Temporary::create(parent, |parent, name| rustix::fs::symlinkat(to, parent, name))?;
    // The container may have put another file there, whose owner must not change.
    let link = rustix::fs::openat(parent, temporary.name(), path::LOOK | OFlags::NOFOLLOW, Mode::empty())?;
    if path::kind(&rustix::fs::fstat(&link)?) != FileType::Symlink {
        return Err(Errno::BUSY);
    }
    let (owner, group) = owner(entry);
    rustix::fs::chownat(&link, c"", owner, group, AtFlags::EMPTY_PATH)?;
    rustix::fs::utimensat(parent, temporary.name(), &times(entry.modified), AtFlags::SYMLINK_NOFOLLOW)?;
    temporary.place(name)
}

/// Creates a FIFO.
pub fn fifo(parent: BorrowedFd<'_>, name: &[u8], entry: &Entry) -> std::result::Result<(), Errno> {
    let (temporary, ()) = Temporary::create(parent, |parent, name| {
        rustix::fs::mknodat(parent, name, FileType::Fifo, Mode::from_raw_mode(0o600), 0)
    })?;
    let fifo = rustix::fs::openat(parent, temporary.name(), path::LOOK | OFlags::NOFOLLOW, Mode::empty())?;
    if path::kind(&rustix::fs::fstat(&fifo)?) != FileType::Fifo {
        return Err(Errno::BUSY);
    }
    let (owner, group) = owner(entry);
    rustix::fs::chownat(&fifo, c"", owner, group, AtFlags::EMPTY_PATH)?;
    rustix::fs::chmod(format!("/proc/self/fd/{}", fifo.as_raw_fd()), Mode::from_raw_mode(entry.mode))?;
    rustix::fs::utimensat(parent, temporary.name(), &times(entry.modified), AtFlags::SYMLINK_NOFOLLOW)?;
    temporary.place(name)
}

/// Creates a hard link. A symbolic link is not followed.
pub fn link(
    parent: BorrowedFd<'_>,
    name: &[u8],
    directory: BorrowedFd<'_>,
    old: &[u8],
) -> std::result::Result<(), Errno> {
    let (temporary, ()) =
        Temporary::create(parent, |parent, name| rustix::fs::linkat(directory, old, parent, name, AtFlags::empty()))?;
    temporary.place(name)
}

/// The permissions come last: a change of the owner clears setuid and setgid.
fn set_owner_and_mode(file: BorrowedFd<'_>, entry: &Entry) -> std::result::Result<(), Errno> {
    let (owner, group) = owner(entry);
    rustix::fs::fchown(file, owner, group)?;
    rustix::fs::fchmod(file, Mode::from_raw_mode(entry.mode))
}

fn owner(entry: &Entry) -> (Option<Uid>, Option<Gid>) {
    (Some(Uid::from_raw(entry.uid)), Some(Gid::from_raw(entry.gid)))
}
