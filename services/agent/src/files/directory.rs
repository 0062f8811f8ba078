//! MakeDirectory.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::error::{Attempt, FileError, Result, shown};
use super::path;
use crate::pb;

const DEFAULT_MODE: u32 = 0o755;
const OPEN: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Creates a directory.
pub fn make(root: BorrowedFd<'_>, request: &pb::MakeDirectoryRequest) -> Result<pb::MakeDirectoryResponse> {
    path::check(&request.path)?;
    let mode = match request.mode {
        0 => DEFAULT_MODE,
        1..=0o7777 => request.mode,
        _ => return Err(FileError::Invalid("mode must be 0 to 07777".to_owned())),
    };
    let what = || format!("create directory {}", shown(request.path.as_bytes()));
    if request.parents {
        make_all(root, &request.path, mode).attempt(what)?;
    } else {
        let place = path::place(root, &request.path)?;
        create(place.parent.as_fd(), &place.name, mode).attempt(what)?;
    }
    Ok(pb::MakeDirectoryResponse {})
}

/// Creates a directory in an open one, and opens it. Its mode is exact.
pub fn create(parent: BorrowedFd<'_>, name: &[u8], mode: u32) -> std::result::Result<OwnedFd, Errno> {
    rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o700))?;
    let made = rustix::fs::openat(parent, name, OPEN, Mode::empty())?;
    rustix::fs::fchmod(&made, Mode::from_raw_mode(mode))?;
    Ok(made)
}

fn make_all(root: BorrowedFd<'_>, whole: &str, mode: u32) -> std::result::Result<(), Errno> {
    let parts: Vec<&str> = whole.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    // The longest prefix that exists. Prefixes are resolved from the root, because they may have links and "..".
    let (mut at, mut depth) = (path::open(root, "/", path::LOOK | OFlags::DIRECTORY)?, parts.len());
    while depth > 0 {
        let prefix = parts.get(..depth).unwrap_or_default().join("/");
        match path::open(root, &prefix, path::LOOK | OFlags::DIRECTORY) {
            Ok(found) => {
                at = found;
                break;
            }
            Err(Errno::NOENT) => depth -= 1,
            Err(errno) => return Err(errno),
        }
    }
    if parts.iter().skip(depth).any(|part| *part == "..") {
        return Err(Errno::NOENT);
    }
    for (index, part) in parts.iter().enumerate().skip(depth) {
        let mode = if index + 1 == parts.len() { mode } else { DEFAULT_MODE };
        at = match create(at.as_fd(), part.as_bytes(), mode) {
            // Something else has created it, or it is a link that leads nowhere, which is not followed.
            Err(Errno::EXIST) => rustix::fs::openat(&at, *part, OPEN, Mode::empty())?,
            other => other?,
        };
    }
    Ok(())
}
