//! Reading and writing the small files of a cgroup.

use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

const FILE_BYTES: usize = 256 * 1024;

/// Writes `value` in one call: the kernel takes each write as one command.
pub(super) fn write(path: &Path, value: &str) -> Result<(), Errno> {
    let fd = rustix::fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::io::write(&fd, value.as_bytes()).map(drop)
}

/// Reads a file, at most 256 KiB of it.
pub(in crate::runtime) fn read_text(path: &Path) -> Result<String, Errno> {
    let fd = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut bytes = Vec::new();
    let mut chunk = [0u8; 4096];
    while bytes.len() < FILE_BYTES {
        match rustix::io::read(&fd, &mut chunk)? {
            0 => break,
            count => bytes.extend_from_slice(chunk.get(..count).unwrap_or_default()),
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
