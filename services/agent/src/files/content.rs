//! The content of a regular file on its way to a client.

use std::os::fd::OwnedFd;

use rustix::io::Errno;

use super::error::{Result, shown};
use super::sink::Sink;
use super::warnings::Tally;

const READ_BYTES: usize = 64 * 1024;

/// Sends a range of a file. What the file has lost is sent as zeros. Returns whether all of it was there; the outer result is the
/// kernel's, the inner one that of the transfer.
pub fn read_range(
    file: &OwnedFd,
    mut offset: u64,
    mut left: u64,
    sink: &mut Sink,
) -> std::result::Result<Result<bool>, Errno> {
    let mut buffer = vec![0; left.min(READ_BYTES as u64) as usize];
    while left > 0 {
        let room = buffer.get_mut(..left.min(READ_BYTES as u64) as usize).unwrap_or_default();
        let count = match rustix::io::pread(file, &mut *room, offset) {
            Ok(0) => return Ok(sink.write_zeros(left).map(|()| false)),
            Ok(count) => count,
            Err(Errno::INTR) => continue,
            Err(errno) => return Err(errno),
        };
        if let Err(error) = sink.write(room.get(..count).unwrap_or_default()) {
            return Ok(Err(error));
        }
        offset += count as u64;
        left -= count as u64;
    }
    Ok(Ok(true))
}

/// Notes whether a file has changed its size since it was `size`. `whole` is whether all its bytes could be read.
pub fn note_change(file: &OwnedFd, size: u64, whole: bool, path: &[u8], tally: &mut Tally) {
    let now = rustix::fs::fstat(file).map_or(size, |stat| u64::try_from(stat.st_size).unwrap_or(0));
    if !whole || now < size {
        tally.skip(format!("{} shrank while it was read; zeros replace what is missing", shown(path)));
    } else if now > size {
        tally.skip(format!("{} grew while it was read; only its first {size} bytes are included", shown(path)));
    }
}
