//! Opens terminals of a container's own devpts, so that their names are valid inside it.

use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::pty::OpenptFlags;

use crate::runtime::error::{Attempt, Result};

const DEVPTS_MAGIC: i64 = 0x1cd1;

/// The two ends of a terminal.
pub struct Terminal {
    pub master: OwnedFd,
    pub slave: OwnedFd,
}

/// Opens a terminal of the devpts mounted in `root`. A container that may mount could have mounted something else there, so the
/// result is checked.
pub fn open(root: &OwnedFd) -> Result<Terminal> {
    let what = || "open a terminal of the container";
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let master = rustix::fs::openat2(root, "dev/pts/ptmx", flags, Mode::empty(), resolve).attempt(what)?;
    let number = rustix::fs::fstat(&master).attempt(what)?.st_rdev;
    let filesystem = rustix::fs::fstatfs(&master).attempt(what)?.f_type as i64;
    if number != rustix::fs::makedev(5, 2) || filesystem != DEVPTS_MAGIC {
        return Err(Errno::NODEV).attempt(what);
    }
    rustix::fs::fcntl_setfl(&master, OFlags::RDWR).attempt(what)?;
    rustix::pty::unlockpt(&master).attempt(what)?;
    let open = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let slave = rustix::pty::ioctl_tiocgptpeer(&master, open).attempt(what)?;
    Ok(Terminal { master, slave })
}
