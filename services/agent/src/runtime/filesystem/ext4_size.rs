//! The size of an ext4 file system and that of its disk, and how the first becomes the second.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::runtime::error::{Attempt, Result, RuntimeError};

/// Where the superblock begins, and the fields that are read of it (`struct ext4_super_block`).
const SUPERBLOCK: u64 = 1024;
const SUPERBLOCK_BYTES: usize = 1024;
const BLOCKS_LOW: usize = 0x4;
const LOG_BLOCK_SIZE: usize = 0x18;
const MAGIC: usize = 0x38;
const FEATURES_INCOMPATIBLE: usize = 0x60;
const BLOCKS_HIGH: usize = 0x150;
const EXT4_MAGIC: u32 = 0xef53;
const FEATURE_64BIT: u32 = 0x80;
/// 64 KiB blocks, the largest.
const MOST_LOG_BLOCK_SIZE: u32 = 6;

nix::ioctl_read!(block_device_bytes, 0x12, 114, u64);
nix::ioctl_read_bad!(block_device_read_only, 0x125e, libc::c_int);
nix::ioctl_write_ptr!(ext4_resize, b'f', 16, u64);

/// Size of a file system.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Size {
    blocks: u64,
    block_bytes: u64,
}

impl Size {
    /// In bytes.
    pub fn bytes(self) -> u64 {
        self.blocks.saturating_mul(self.block_bytes)
    }

    /// The size that fills a disk.
    fn filling(self, disk_bytes: u64) -> Self {
        Self { blocks: disk_bytes / self.block_bytes, ..self }
    }
}

/// Size of the file system on a disk, from its superblock.
pub fn filesystem_size(device: &Path) -> Result<Size> {
    let mut block = [0u8; SUPERBLOCK_BYTES];
    let read = File::open(device).and_then(|file| file.read_exact_at(&mut block, SUPERBLOCK));
    read.attempt(|| format!("read the superblock of {}", device.display()))?;
    parse(&block).ok_or_else(|| RuntimeError::BadFilesystem(format!("{} has no ext4 file system", device.display())))
}

fn parse(block: &[u8]) -> Option<Size> {
    let word = |at: usize| block.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_le_bytes);
    let log = word(LOG_BLOCK_SIZE)?;
    if word(MAGIC)? & 0xffff != EXT4_MAGIC || log > MOST_LOG_BLOCK_SIZE {
        return None;
    }
    let high = if word(FEATURES_INCOMPATIBLE)? & FEATURE_64BIT == 0 { 0 } else { word(BLOCKS_HIGH)? };
    Some(Size { blocks: u64::from(high) << 32 | u64::from(word(BLOCKS_LOW)?), block_bytes: 1024 << log })
}

/// Size of a disk, in bytes.
pub fn disk_bytes(device: &Path) -> Result<u64> {
    let file = open(device)?;
    let mut bytes = 0u64;
    // SAFETY: the kernel writes 64 bits.
    unsafe { block_device_bytes(file.as_raw_fd(), &mut bytes) }
        .map_err(errno_of)
        .attempt(|| format!("read the size of {}", device.display()))?;
    Ok(bytes)
}

/// Whether the host lets the guest only read a disk.
pub fn is_read_only(device: &Path) -> Result<bool> {
    let file = open(device)?;
    let mut flag: libc::c_int = 0;
    // SAFETY: the kernel writes an int.
    unsafe { block_device_read_only(file.as_raw_fd(), &mut flag) }
        .map_err(errno_of)
        .attempt(|| format!("read whether {} is read-only", device.display()))?;
    Ok(flag != 0)
}

/// Grows a mounted file system to the size of its disk. `mount` is a writable mount of it.
pub fn grow(mount: &OwnedFd, device: &Path) -> Result<Size> {
    let size = filesystem_size(device)?;
    let full = size.filling(disk_bytes(device)?);
    if full.blocks <= size.blocks {
        return Ok(size);
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::openat(mount.as_fd(), ".", flags, Mode::empty())
        .attempt(|| format!("open the file system of {}", device.display()))?;
    // SAFETY: the kernel reads 64 bits.
    let grown = unsafe { ext4_resize(root.as_raw_fd(), &full.blocks) }.map_err(errno_of);
    match grown {
        Ok(_) => filesystem_size(device),
        Err(Errno::NOMEM) => grown.attempt(|| format!("grow the file system of {}", device.display())).map(|_| size),
        Err(errno) => {
            Err(RuntimeError::BadFilesystem(format!("cannot grow the file system of {}: {errno}", device.display())))
        }
    }
}

fn open(device: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    rustix::fs::open(device, flags, Mode::empty()).attempt(|| format!("open {}", device.display()))
}

fn errno_of(errno: nix::Error) -> Errno {
    Errno::from_raw_os_error(errno as i32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn the_size_of_a_file_system_is_read_from_its_superblock() {
        let path = std::env::temp_dir().join(format!("paddock-ext4-{}", std::process::id()));
        File::create(&path).unwrap().set_len(32 << 20).unwrap();
        assert!(matches!(filesystem_size(&path), Err(RuntimeError::BadFilesystem(_))));
        let made = Command::new("mke2fs").args(["-q", "-F", "-t", "ext4", "-b", "4096"]).arg(&path).status().unwrap();
        assert!(made.success());
        File::options().write(true).open(&path).unwrap().set_len(64 << 20).unwrap();
        let size = filesystem_size(&path).unwrap();
        assert_eq!((size.bytes(), size.filling(64 << 20).bytes()), (32 << 20, 64 << 20));
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_superblock_with_impossible_values_has_no_size() {
        let mut block = [0u8; SUPERBLOCK_BYTES];
        assert_eq!(parse(&block), None);
        block[MAGIC..MAGIC + 2].copy_from_slice(&[0x53, 0xef]);
        assert_eq!(parse(&block), Some(Size { blocks: 0, block_bytes: 1024 }));
        block[LOG_BLOCK_SIZE] = 7;
        assert_eq!(parse(&block), None);
        assert_eq!(parse(&block[..100]), None);
    }
}
