//! Reading and writing the small files of a cgroup.

use std::fs::File;
use std::io::{self, Read};
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
pub(super) fn read_text(path: &Path) -> io::Result<String> {
    read_start(path, FILE_BYTES)
}

/// Reads at most `limit` bytes of a file.
pub(in crate::runtime) fn read_start(path: &Path, limit: usize) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(limit as u64).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
