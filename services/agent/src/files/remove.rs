//! RemoveFile.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, FileType, Mode, RenameFlags, ResolveFlags};
use rustix::io::Errno;

use super::cancel::Cancel;
use super::error::{Attempt, Result, shown};
use super::path;
use crate::pb;

/// Directories that are open at a time. One that is deeper is moved up first.
const DEPTH: usize = 64;

/// Removes a file, or a directory. A mount is not removed, and nothing in it.
pub fn remove(
    root: BorrowedFd<'_>,
    request: &pb::RemoveFileRequest,
    cancel: &Cancel,
) -> Result<pb::RemoveFileResponse> {
    path::check(&request.path)?;
    let what = || format!("remove {}", shown(request.path.as_bytes()));
    let place = path::place(root, &request.path)?;
    let stat = place.stat().and_then(|found| found.ok_or(Errno::NOENT)).attempt(what)?;
    let parent = place.parent.as_fd();
    if path::kind(&stat) != FileType::Directory {
        rustix::fs::unlinkat(parent, place.name.as_slice(), AtFlags::empty()).attempt(what)?;
        return Ok(pb::RemoveFileResponse {});
    }
    if request.recursive {
        let top = open(parent, &place.name).attempt(what)?;
        empty(top, cancel)?.attempt(what)?;
    }
    rustix::fs::unlinkat(parent, place.name.as_slice(), AtFlags::REMOVEDIR).attempt(what)?;
    Ok(pb::RemoveFileResponse {})
}

/// Opens a directory to empty it, unless it is a mount.
fn open(parent: BorrowedFd<'_>, name: &[u8]) -> std::result::Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    match rustix::fs::openat2(parent, name, path::LIST, Mode::empty(), resolve) {
        Err(Errno::XDEV) => Err(Errno::BUSY),
        other => other,
    }
}

/// Removes everything in a directory. Fails with the first error of the kernel; the outer result is the cancellation.
fn empty(top: OwnedFd, cancel: &Cancel) -> Result<std::result::Result<(), Errno>> {
    let mut emptying = match Dir::new(top) {
        Ok(directory) => Emptying { levels: vec![Level { directory, name: Vec::new() }], moved: 0, moved_before: 0 },
        Err(errno) => return Ok(Err(errno)),
    };
    while !emptying.levels.is_empty() {
        cancel.check()?;
        if let Err(errno) = emptying.step() {
            return Ok(Err(errno));
        }
    }
    Ok(Ok(()))
}

struct Emptying {
    /// The open directories, the deepest at the end.
    levels: Vec<Level>,
    /// How many directories were moved to the top, and how many of them its listing includes.
    moved: u64,
    moved_before: u64,
}

impl Emptying {
    /// Removes one entry of the deepest directory, enters it, or leaves the directory when it is empty.
    fn step(&mut self) -> std::result::Result<(), Errno> {
        let depth = self.levels.len();
        let Some(level) = self.levels.last_mut() else { return Ok(()) };
        let Some(entry) = level.directory.read() else {
            return self.leave();
        };
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name == b"." || name == b".." {
            return Ok(());
        }
        let fd = level.directory.fd()?;
        match rustix::fs::unlinkat(fd, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(Errno::ISDIR | Errno::PERM) => {}
            Err(errno) => return Err(errno),
        }
        match rustix::fs::unlinkat(fd, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(Errno::NOTEMPTY | Errno::EXIST) => {}
            // A file that cannot be removed.
            Err(Errno::NOTDIR) => return Err(Errno::PERM),
            Err(errno) => return Err(errno),
        }
        let inner = open(fd, name)?;
        if depth < DEPTH {
            self.levels.push(Level { directory: Dir::new(inner)?, name: name.to_vec() });
            return Ok(());
        }
        self.move_up(name)
    }

    fn leave(&mut self) -> std::result::Result<(), Errno> {
        if let [top] = self.levels.as_mut_slice()
            && self.moved > self.moved_before
        {
            self.moved_before = self.moved;
            top.directory.rewind();
            return Ok(());
        }
        let done = self.levels.pop();
        let (Some(done), Some(above)) = (done, self.levels.last()) else { return Ok(()) };
        match rustix::fs::unlinkat(above.directory.fd()?, done.name.as_slice(), AtFlags::REMOVEDIR) {
            // If the container has put something there, the top is not empty in the end.
            Ok(()) | Err(Errno::NOENT | Errno::NOTEMPTY | Errno::EXIST) => Ok(()),
            Err(errno) => Err(errno),
        }
    }

    /// Moves an entry of the deepest directory to the top, where it is found again.
    fn move_up(&mut self, name: &[u8]) -> std::result::Result<(), Errno> {
        let (Some(top), Some(deepest)) = (self.levels.first(), self.levels.last()) else { return Ok(()) };
        let (top, deepest) = (top.directory.fd()?, deepest.directory.fd()?);
        loop {
            self.moved += 1;
            let target = format!(".paddock-remove-{}", self.moved);
            match rustix::fs::renameat_with(deepest, name, top, target, RenameFlags::NOREPLACE) {
                Err(Errno::EXIST) => {}
                Err(Errno::NOENT) => return Ok(()),
                other => return other,
            }
        }
    }
}

struct Level {
    directory: Dir,
    /// Name in the level above.
    name: Vec<u8>,
}
