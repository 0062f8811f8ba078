//! CopyFrom: reads a file as its bytes, or hands a tree to the archive.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{FileType, OFlags, Stat};

use super::archive::walk;
use super::content::{note_change, read_range};
use super::error::{Attempt, FileError, Result, shown};
use super::outgoing::Outgoing;
use super::sink::Sink;
use super::warnings::Tally;
use super::{info, path};
use crate::pb;

/// Reads what a request names, in a thread.
pub fn copy_from(root: BorrowedFd<'_>, request: &pb::CopyFromRequest, outgoing: &Arc<Outgoing>) -> Result<pb::CopyEnd> {
    let what = || format!("open {}", shown(request.path.as_bytes()));
    let follow = if request.follow { OFlags::empty() } else { OFlags::NOFOLLOW };
    let file = path::open(root, &request.path, path::LOOK | follow).attempt(what)?;
    let stat = rustix::fs::fstat(&file).attempt(what)?;
    let target = info::link_target(file.as_fd(), &stat).attempt(what)?;
    let name = path::name_of(&request.path);
    let described = info::describe(name, &stat, &target);
    let mut sink = Sink::new(outgoing.clone(), request.offset);
    let mut tally = Tally::default();
    if request.format() == pb::CopyFormat::Tar {
        outgoing.start(described);
        walk::archive(file, name, &mut sink, &mut tally, &outgoing.cancel)?;
        return sink.end(tally);
    }
    let file = open_regular(file.as_fd(), &stat, &request.path)?;
    if request.offset > described.size_bytes {
        return Err(FileError::NotKept { wanted: request.offset, base: 0, end: described.size_bytes });
    }
    let size = described.size_bytes;
    outgoing.start(described);
    tally.entries = 1;
    let read = read_range(&file, request.offset, size - request.offset, &mut sink).attempt(what)??;
    note_change(&file, size, read, request.path.as_bytes(), &mut tally);
    sink.end(tally)
}

/// Opens a regular file for reading. Refuses others, without opening them.
fn open_regular(file: BorrowedFd<'_>, stat: &Stat, shown_path: &str) -> Result<OwnedFd> {
    let what = || format!("open {}", shown(shown_path.as_bytes()));
    if path::kind(stat) != FileType::RegularFile {
        return Err(FileError::Refused(format!("{} is not a regular file", shown(shown_path.as_bytes()))));
    }
    if path::is_of_kernel(file).attempt(what)? {
        return Err(FileError::Refused(format!("{} is a file of the kernel", shown(shown_path.as_bytes()))));
    }
    path::reopen_to_read(file).attempt(what)
}
