//! Writes the archive of a tree.
//!
//! Directories are read as the walk goes, so a directory of any size takes no memory; one descriptor is open for each level. Every
//! file is opened by its name in an open directory, and without rights first, so links are not followed and devices and FIFOs are
//! not opened.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::attributes;
use super::header::{BLOCK, Entry, Kind, special};
use super::holes::{self, Part};
use super::links::{Links, Seen};
use crate::files::cancel::Cancel;
use crate::files::content::{note_change, read_range};
use crate::files::error::{Attempt, Result, shown};
use crate::files::path::{self, PATH_BYTES};
use crate::files::sink::Sink;
use crate::files::warnings::Tally;

/// Most levels of directories.
const DEPTH: usize = 512;

/// Writes the archive of the file or directory that `top` refers to, under a name.
pub fn archive(top: OwnedFd, name: &[u8], sink: &mut Sink, tally: &mut Tally, cancel: &Cancel) -> Result<()> {
    let mut walk = Walk { sink, tally, links: Links::default(), levels: Vec::new(), path: name.to_vec() };
    walk.visit(top, 0)?;
    while let Some(level) = walk.levels.last_mut() {
        cancel.check()?;
        walk.path.truncate(level.path_length);
        match level.directory.read() {
            None => drop(walk.levels.pop()),
            Some(Ok(entry)) => walk.enter(entry.file_name().to_bytes())?,
            Some(Err(errno)) => {
                walk.tally.skip(format!("cannot list the rest of {}: {errno}", shown(&walk.path)));
                walk.levels.pop();
            }
        }
    }
    walk.sink.write(&[0; 2 * BLOCK])
}

struct Walk<'a> {
    sink: &'a mut Sink,
    tally: &'a mut Tally,
    links: Links,
    levels: Vec<Level>,
    /// Path of the file that is visited, as in the archive.
    path: Vec<u8>,
}

struct Level {
    directory: Dir,
    /// Length of the directory's path, with the slash.
    path_length: usize,
    device: u64,
}

impl Walk<'_> {
    /// Visits a name in the deepest directory.
    fn enter(&mut self, name: &[u8]) -> Result<()> {
        let Some(level) = self.levels.last() else { return Ok(()) };
        if name == b"." || name == b".." {
            return Ok(());
        }
        self.path.extend_from_slice(name);
        let fd = level.directory.fd().attempt(|| "read a directory")?;
        let opened = rustix::fs::openat(fd, name, path::LOOK | OFlags::NOFOLLOW, Mode::empty());
        let device = level.device;
        match opened {
            _ if self.path.len() > PATH_BYTES => self.skip("its path is too long"),
            Ok(file) => return self.visit(file, device),
            Err(Errno::NOENT) => self.skip("it was removed while the archive was made"),
            Err(errno) => self.skip(&errno.to_string()),
        }
        Ok(())
    }

    fn skip(&mut self, why: &str) {
        self.tally.skip(format!("{} is left out: {why}", shown(&self.path)));
    }

    /// Archives a file that was opened without rights. `device` is that of the directory above.
    fn visit(&mut self, file: OwnedFd, device: u64) -> Result<()> {
        let stat = rustix::fs::fstat(&file).attempt(|| format!("look at {}", shown(&self.path)))?;
        match path::kind(&stat) {
            FileType::Directory => self.directory(file, &stat, device),
            FileType::RegularFile => self.regular(file.as_fd(), &stat),
            FileType::Symlink => match rustix::fs::readlinkat(&file, c"", Vec::new()) {
                Ok(target) => self.without_content(Kind::Symlink(target.into_bytes()), &stat),
                Err(errno) => {
                    self.skip(&errno.to_string());
                    Ok(())
                }
            },
            _ => match special(&stat) {
                Some(kind) => self.without_content(kind, &stat),
                None => {
                    self.skip("it is a socket");
                    Ok(())
                }
            },
        }
    }

    fn directory(&mut self, file: OwnedFd, stat: &Stat, device: u64) -> Result<()> {
        let opened = match rustix::fs::openat(&file, c".", path::LIST, Mode::empty()).and_then(|fd| {
            let of_kernel = stat.st_dev != device && path::is_of_kernel(fd.as_fd())?;
            Ok((fd, of_kernel))
        }) {
            Ok(opened) => opened,
            Err(errno) => {
                self.skip(&errno.to_string());
                return Ok(());
            }
        };
        let (opened, of_kernel) = opened;
        if !self.path.ends_with(b"/") {
            self.path.push(b'/');
        }
        let mut entry = Entry::new(self.path.clone(), Kind::Directory, stat);
        if of_kernel {
            self.tally.warn(format!("the content of {} is left out: it is the kernel's", shown(&self.path)));
            return self.header(&entry);
        }
        entry.xattrs = attributes::read(opened.as_fd(), &self.path, self.tally);
        self.header(&entry)?;
        if self.levels.len() >= DEPTH {
            self.tally.skip(format!("the content of {} is left out: it is too deep", shown(&self.path)));
            return Ok(());
        }
        let directory = Dir::new(opened).attempt(|| format!("list {}", shown(&self.path)))?;
        self.levels.push(Level { directory, path_length: self.path.len(), device: stat.st_dev });
        Ok(())
    }

    fn regular(&mut self, file: BorrowedFd<'_>, stat: &Stat) -> Result<()> {
        match self.links.see(stat, &self.path) {
            Seen::Before(first) => return self.without_content(Kind::Link(first), stat),
            Seen::Full => self.tally.warn(format!("{} has other names, and is copied", shown(&self.path))),
            Seen::First => {}
        }
        let file = match path::reopen_to_read(file) {
            Ok(file) => file,
            Err(errno) => {
                self.skip(&errno.to_string());
                return Ok(());
            }
        };
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        let may_have_holes = u64::try_from(stat.st_blocks).unwrap_or(0).saturating_mul(512) < size;
        let parts = if may_have_holes { holes::find(file.as_fd(), size) } else { None };
        let mut entry = Entry::new(self.path.clone(), Kind::File, stat);
        entry.xattrs = attributes::read(file.as_fd(), &self.path, self.tally);
        let whole = [Part { offset: 0, length: size }];
        let data = match &parts {
            Some(parts) => {
                let map = holes::encode(parts, size);
                entry.kind = Kind::Sparse(size);
                entry.size = map.len() as u64 + parts.iter().map(|part| part.length).sum::<u64>();
                self.header(&entry)?;
                self.sink.write(&map)?;
                parts.as_slice()
            }
            None => {
                entry.size = size;
                self.header(&entry)?;
                whole.as_slice()
            }
        };
        let mut all = true;
        for part in data {
            let what = || format!("read {}", shown(&self.path));
            all &= read_range(&file, part.offset, part.length, self.sink).attempt(what)??;
        }
        self.sink.write_zeros(entry.size.next_multiple_of(BLOCK as u64) - entry.size)?;
        note_change(&file, size, all, &self.path, self.tally);
        Ok(())
    }

    fn without_content(&mut self, kind: Kind, stat: &Stat) -> Result<()> {
        self.header(&Entry::new(self.path.clone(), kind, stat))
    }

    fn header(&mut self, entry: &Entry) -> Result<()> {
        self.tally.entries += 1;
        self.sink.write(&entry.encode())
    }
}
