//! Extracts an archive into a directory of a container.
//!
//! The archive is as hostile as the container. The directory of an entry is opened below the target, without links and "..", so an
//! entry cannot be placed through a link that an earlier one has made. A file is written under a temporary name and then takes its
//! place, so nothing is written through a file that is there. Directories get their times when the archive leaves them, since
//! entries in them change it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::OFlags;
use rustix::io::Errno;

use super::header::{Entry, Kind};
use super::place;
use super::reader::Reader;
use crate::files::directory;
use crate::files::error::{Attempt, FileError, Result, shown};
use crate::files::incoming::Source;
use crate::files::path::{self, PATH_BYTES};
use crate::files::warnings::Tally;
use crate::pb;

/// Permissions of a directory that the archive does not have.
const DIRECTORY_MODE: u32 = 0o755;

/// Extracts an archive into `target`, up to the end of the archive. `owner` replaces the owners in the archive.
pub fn extract(
    target: BorrowedFd<'_>,
    source: &mut impl Source,
    owner: Option<pb::FileOwner>,
    tally: &mut Tally,
) -> Result<()> {
    let mut extraction = Extraction { target, owner, tally, parent: None, directories: Vec::new() };
    let mut reader = Reader::new(source);
    while let Some(mut entry) = reader.next()? {
        entry.path = clean(&entry.path)?;
        extraction.leave(Some(&entry.path));
        extraction.place(&mut entry, &mut reader)?;
    }
    extraction.leave(None);
    Ok(())
}

struct Extraction<'a> {
    target: BorrowedFd<'a>,
    owner: Option<pb::FileOwner>,
    tally: &'a mut Tally,
    /// The directory of the last entry: most entries follow one in the same directory.
    parent: Option<(Vec<u8>, OwnedFd)>,
    /// Directories that the archive is in, the deepest at the end, and their times.
    directories: Vec<(Vec<u8>, (i64, u32))>,
}

impl Extraction<'_> {
    fn place<S: Source>(&mut self, entry: &mut Entry, reader: &mut Reader<'_, S>) -> Result<()> {
        if let Some(owner) = self.owner {
            (entry.uid, entry.gid) = (owner.uid, owner.gid);
        }
        let (parent, name) = path::split(&entry.path);
        let Some(name) = name else {
            // The target itself, which stays as it is.
            self.tally.entries += u64::from(entry.kind == Kind::Directory);
            return if entry.kind == Kind::Directory { Ok(()) } else { Err(unsafe_entry(&entry.path, "has no name")) };
        };
        if matches!(entry.kind, Kind::Character(..) | Kind::Block(..)) {
            self.tally.skip(format!("{} is left out: it is a device", shown(&entry.path)));
            return Ok(());
        }
        let parent = self.open_parent(parent)?;
        let what = || format!("extract {}", shown(&entry.path));
        match &entry.kind {
            Kind::Directory => {
                place::directory(parent.as_fd(), name, entry, self.tally)?;
                self.directories.push((entry.path.clone(), entry.modified));
            }
            Kind::Symlink(to) => place::symlink(parent.as_fd(), name, to, entry).attempt(what)?,
            Kind::Fifo => place::fifo(parent.as_fd(), name, entry).attempt(what)?,
            Kind::Link(to) => self.link(parent.as_fd(), name, to, entry)?,
            Kind::File | Kind::Sparse(_) => place::file(parent.as_fd(), name, entry, reader, self.tally)?,
            Kind::Character(..) | Kind::Block(..) => {}
        }
        self.tally.entries += 1;
        Ok(())
    }

    fn link(&mut self, parent: BorrowedFd<'_>, name: &[u8], to: &[u8], entry: &Entry) -> Result<()> {
        let to = clean(to)?;
        let (directory, Some(old)) = path::split(&to) else {
            return Err(unsafe_entry(&entry.path, "is a link to nothing"));
        };
        let directory = path::open_beneath(self.target, directory, path::LOOK | OFlags::DIRECTORY);
        let directory = directory.map_err(|errno| refuse_parent(&entry.path, errno))?;
        place::link(parent, name, directory.as_fd(), old)
            .attempt(|| format!("extract {} as a link to {}", shown(&entry.path), shown(&to)))
    }

    /// Opens a directory below the target. Creates it if it is missing.
    fn open_parent(&mut self, wanted: &[u8]) -> Result<OwnedFd> {
        if let Some((known, fd)) = &self.parent
            && known == wanted
        {
            return path::duplicate(fd);
        }
        let opened = match path::open_beneath(self.target, wanted, path::LOOK | OFlags::DIRECTORY) {
            Err(Errno::NOENT) => self.create_parents(wanted),
            other => other,
        };
        let opened = opened.map_err(|errno| refuse_parent(wanted, errno))?;
        if path::is_of_kernel(opened.as_fd()).attempt(|| format!("look at {}", shown(wanted)))? {
            return Err(FileError::Refused(format!("{} is in a file system of the kernel", shown(wanted))));
        }
        self.parent = Some((wanted.to_vec(), path::duplicate(&opened)?));
        Ok(opened)
    }

    fn create_parents(&self, wanted: &[u8]) -> std::result::Result<OwnedFd, Errno> {
        let mut at = path::open_beneath(self.target, b".", path::LOOK | OFlags::DIRECTORY)?;
        for part in wanted.split(|byte| *byte == b'/').filter(|part| !part.is_empty()) {
            at = match path::open_beneath(at.as_fd(), part, path::LOOK | OFlags::DIRECTORY) {
                Err(Errno::NOENT) => directory::create(at.as_fd(), part, DIRECTORY_MODE)?,
                other => other?,
            };
        }
        Ok(at)
    }

    /// Sets the times of the directories that `next` is not in.
    fn leave(&mut self, next: Option<&[u8]>) {
        let is_in = |directory: &[u8]| {
            let rest = next.and_then(|next| next.strip_prefix(directory));
            rest.is_some_and(|rest| rest.starts_with(b"/"))
        };
        while let Some((path, modified)) = self.directories.pop_if(|(path, _)| !is_in(path)) {
            let set = path::open_beneath(self.target, &path, path::LIST)
                .and_then(|fd| rustix::fs::futimens(&fd, &place::times(modified)));
            if let Err(errno) = set {
                self.tally.warn(format!("cannot set the time of {}: {errno}", shown(&path)));
            }
        }
    }
}

/// The path of an entry, without "." and repeated slashes. Refuses one that leads elsewhere.
fn clean(path: &[u8]) -> Result<Vec<u8>> {
    if path.starts_with(b"/") {
        return Err(unsafe_entry(path, "has an absolute path"));
    }
    if path.len() > PATH_BYTES || path.contains(&0) {
        return Err(unsafe_entry(path, "has a path that is too long, or has a byte 0"));
    }
    let parts: Vec<&[u8]> = path.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".").collect();
    if parts.contains(&b"..".as_slice()) {
        return Err(unsafe_entry(path, "has \"..\" in its path"));
    }
    Ok(parts.join(&b'/'))
}

fn unsafe_entry(path: &[u8], why: &str) -> FileError {
    FileError::Invalid(format!("entry {} of the archive {why}", shown(path)))
}

fn refuse_parent(path: &[u8], errno: Errno) -> FileError {
    match errno {
        Errno::LOOP | Errno::XDEV => unsafe_entry(path, "leads through a symbolic link"),
        errno => FileError::System { attempt: format!("open the directory of {}", shown(path)), errno },
    }
}
