//! CopyTo: writes a file from its bytes, or hands an archive to its extraction.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use rustix::fs::{FileType, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;

use super::archive::extract;
use super::error::{Attempt, FileError, Result, shown};
use super::incoming::{Incoming, Intake, Source};
use super::info;
use super::path;
use super::temporary::Temporary;
use super::warnings::Tally;
use crate::pb;

const DEFAULT_MODE: u32 = 0o644;
const WRITE_BYTES: usize = 64 * 1024;

/// Writes what a request names, in a thread.
pub fn copy_to(root: BorrowedFd<'_>, start: &pb::CopyToStart, incoming: &Arc<Incoming>) -> Result<pb::CopyEnd> {
    let mut intake = Intake::new(incoming.clone());
    let mut tally = Tally::default();
    let (total_bytes, sha256) = if start.format() == pb::CopyFormat::Tar {
        let what = || format!("open directory {}", shown(start.path.as_bytes()));
        let target = path::open(root, &start.path, path::LIST).attempt(what)?;
        refuse_kernel(target.as_fd(), &start.path)?;
        extract::extract(target.as_fd(), &mut intake, start.owner, &mut tally)?;
        let verified = intake.verify();
        // Entries that were written before a failure are written to the disk, too.
        rustix::fs::syncfs(&target).attempt(|| "write to the disk")?;
        verified?
    } else {
        tally.entries = 1;
        write_file(root, start, intake)?
    };
    let Tally { entries, skipped, warnings } = tally;
    Ok(pb::CopyEnd { total_bytes, sha256: sha256.into(), entries, skipped, warnings })
}

/// Refuses to write to a file system of the kernel.
fn refuse_kernel(directory: BorrowedFd<'_>, path: &str) -> Result<()> {
    if path::is_of_kernel(directory).attempt(|| format!("look at {}", shown(path.as_bytes())))? {
        return Err(FileError::Refused(format!("{} is in a file system of the kernel", shown(path.as_bytes()))));
    }
    Ok(())
}

fn write_file(root: BorrowedFd<'_>, start: &pb::CopyToStart, mut intake: Intake) -> Result<(u64, Vec<u8>)> {
    let what = || format!("write {}", shown(start.path.as_bytes()));
    let place = path::place_to_write(root, &start.path)?;
    refuse_kernel(place.parent.as_fd(), &start.path)?;
    let replaced = place.stat().attempt(what)?;
    if let Some(stat) = &replaced
        && path::kind(stat) != FileType::RegularFile
    {
        return Err(FileError::Refused(format!("{} is not a regular file", shown(start.path.as_bytes()))));
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let (temporary, file) = Temporary::create(place.parent.as_fd(), |parent, name| {
        rustix::fs::openat(parent, name, flags, Mode::from_raw_mode(0o600))
    })
    .attempt(what)?;
    let mut buffer = vec![0; WRITE_BYTES];
    loop {
        let count = intake.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        write_all(file.as_fd(), buffer.get(..count).unwrap_or_default()).attempt(what)?;
    }
    let verified = intake.verify()?;
    if let Some(stat) = &replaced {
        rustix::fs::fchown(&file, Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid))).attempt(what)?;
    }
    let kept = replaced.as_ref().map_or(DEFAULT_MODE, info::permissions);
    let mode = if start.mode == 0 { kept } else { start.mode };
    rustix::fs::fchmod(&file, Mode::from_raw_mode(mode)).attempt(what)?;
    rustix::fs::fsync(&file).attempt(what)?;
    temporary.place(&place.name).attempt(what)?;
    rustix::fs::syncfs(&file).attempt(what)?;
    Ok(verified)
}

/// Writes all bytes at the file's position.
pub fn write_all(file: BorrowedFd<'_>, mut data: &[u8]) -> std::result::Result<(), Errno> {
    while !data.is_empty() {
        match rustix::io::write(file, data) {
            Ok(count) => data = data.get(count..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}
