//! A file, link or FIFO under a temporary name, until it is complete and takes its place.

use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::AtFlags;
use rustix::io::Errno;

/// How many names are tried. A container can create files of any name.
const ATTEMPTS: usize = 64;

/// The temporary name. The file is removed when this is dropped.
pub struct Temporary<'a> {
    parent: BorrowedFd<'a>,
    name: String,
}

impl<'a> Temporary<'a> {
    /// Calls `create` with a name that does not exist.
    pub fn create<T>(
        parent: BorrowedFd<'a>,
        mut create: impl FnMut(BorrowedFd<'a>, &str) -> Result<T, Errno>,
    ) -> Result<(Self, T), Errno> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let mut random = [0; 8];
        rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())?;
        for _ in 0..ATTEMPTS {
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            let name = format!(".paddock-{:016x}-{number}", u64::from_ne_bytes(random));
            match create(parent, &name) {
                Ok(made) => return Ok((Self { parent, name }, made)),
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno),
            }
        }
        Err(Errno::EXIST)
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Gives the file its name, in place of another file that is there.
    pub fn place(self, name: &[u8]) -> Result<(), Errno> {
        rustix::fs::renameat(self.parent, self.name.as_str(), self.parent, name)
    }
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        // Also after it took its place: if both names were of one file, the kernel has kept both.
        let _ = rustix::fs::unlinkat(self.parent, self.name.as_str(), AtFlags::empty());
    }
}
