//! StatFile and ListFiles.

use std::os::fd::BorrowedFd;

use prost::Message as _;
use rustix::fs::{AtFlags, Dir, OFlags};
use rustix::io::Errno;

use super::error::{Attempt, FileError, Result, shown};
use super::{info, path};
use crate::pb;

/// Number of files in a page if the request gives none, and the most.
const PAGE: u32 = 100;
const LARGEST_PAGE: u32 = 1000;
/// A page ends when its files have so many bytes, so that an answer always fits a message of the link.
const PAGE_BYTES: usize = 128 * 1024;

/// The attributes of a file.
pub fn stat(root: BorrowedFd<'_>, request: &pb::StatFileRequest) -> Result<pb::StatFileResponse> {
    path::check(&request.path)?;
    let what = || format!("look at {}", shown(request.path.as_bytes()));
    let follow = if request.follow { OFlags::empty() } else { OFlags::NOFOLLOW };
    let file = path::open(root, &request.path, path::LOOK | follow).attempt(what)?;
    let stat = rustix::fs::fstat(&file).attempt(what)?;
    let target = info::link_target(std::os::fd::AsFd::as_fd(&file), &stat).attempt(what)?;
    Ok(pb::StatFileResponse { file: Some(info::describe(path::name_of(&request.path), &stat, &target)) })
}

/// One page of a directory. The token is the directory's own position.
pub fn list(root: BorrowedFd<'_>, request: &pb::ListFilesRequest) -> Result<pb::ListFilesResponse> {
    path::check(&request.path)?;
    let most = match request.page_size {
        0 => PAGE,
        1..=LARGEST_PAGE => request.page_size,
        other => return Err(FileError::Invalid(format!("page_size must be 0 to {LARGEST_PAGE}, not {other}"))),
    };
    let what = || format!("list {}", shown(request.path.as_bytes()));
    let directory = path::open(root, &request.path, path::LIST).attempt(what)?;
    let mut directory = Dir::new(directory).attempt(what)?;
    if !request.page_token.is_empty() {
        let position = request.page_token.parse::<i64>().ok().filter(|position| *position >= 0);
        let position = position.ok_or_else(|| FileError::Invalid("page_token is not one of a page".to_owned()))?;
        directory.seek(position).attempt(what)?;
    }
    let (mut page, mut bytes) = (pb::ListFilesResponse::default(), 0);
    while let Some(entry) = directory.read() {
        let entry = entry.attempt(what)?;
        let name = entry.file_name().to_bytes();
        if name == b"." || name == b".." {
            continue;
        }
        let fd = directory.fd().attempt(what)?;
        let Some(file) = describe_entry(fd, name).attempt(what)? else {
            continue;
        };
        bytes += file.encoded_len() + 8;
        page.files.push(file);
        if page.files.len() >= most as usize || bytes >= PAGE_BYTES {
            page.next_page_token = entry.offset().to_string();
            break;
        }
    }
    Ok(page)
}

/// None if the file was removed in the meantime.
fn describe_entry(directory: BorrowedFd<'_>, name: &[u8]) -> std::result::Result<Option<pb::FileInfo>, Errno> {
    let found = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW).and_then(|stat| {
        let is_link = path::kind(&stat) == rustix::fs::FileType::Symlink;
        let read = || rustix::fs::readlinkat(directory, name, Vec::new()).map(std::ffi::CString::into_bytes);
        Ok(info::describe(name, &stat, &if is_link { read()? } else { Vec::new() }))
    });
    match found {
        Ok(file) => Ok(Some(file)),
        // INVAL: a link was replaced by another file.
        Err(Errno::NOENT | Errno::INVAL) => Ok(None),
        Err(errno) => Err(errno),
    }
}
