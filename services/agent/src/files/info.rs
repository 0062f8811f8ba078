//! The attributes of a file for clients.

use std::os::fd::BorrowedFd;

use rustix::fs::{FileType, Stat};

use super::path;
use crate::pb;

/// Describes a file from its attributes.
pub fn describe(name: &[u8], stat: &Stat, link_target: &[u8]) -> pb::FileInfo {
    let kind = match path::kind(stat) {
        FileType::RegularFile => pb::FileType::Regular,
        FileType::Directory => pb::FileType::Directory,
        FileType::Symlink => pb::FileType::Symlink,
        _ => pb::FileType::Other,
    };
    pb::FileInfo {
        name: String::from_utf8_lossy(name).into_owned(),
        r#type: kind.into(),
        size_bytes: u64::try_from(stat.st_size).unwrap_or(0),
        mode: permissions(stat),
        uid: stat.st_uid,
        gid: stat.st_gid,
        modified_at: Some(prost_types::Timestamp {
            seconds: stat.st_mtime,
            nanos: i32::try_from(stat.st_mtime_nsec).unwrap_or(0),
        }),
        link_target: String::from_utf8_lossy(link_target).into_owned(),
    }
}

/// The permission bits with setuid, setgid and sticky.
pub fn permissions(stat: &Stat) -> u32 {
    stat.st_mode & 0o7777
}

/// Target of the symbolic link that a descriptor without rights refers to; empty for other files.
pub fn link_target(fd: BorrowedFd<'_>, stat: &Stat) -> std::result::Result<Vec<u8>, rustix::io::Errno> {
    if path::kind(stat) != FileType::Symlink {
        return Ok(Vec::new());
    }
    Ok(rustix::fs::readlinkat(fd, c"", Vec::new())?.into_bytes())
}
