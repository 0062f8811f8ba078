//! The agent's side of a terminal.

use std::os::fd::{AsRawFd, OwnedFd};

use rustix::pty::OpenptFlags;
use rustix::termios::{Winsize, tcsetwinsize};
use tokio::io::unix::AsyncFd;

use super::error::ProcessError;
use crate::pb;

/// The master of a terminal.
pub type Master = AsyncFd<OwnedFd>;

/// Checks rows and columns of a terminal.
pub fn check_size(size: &pb::TtySize) -> Result<(u16, u16), ProcessError> {
    match (u16::try_from(size.rows), u16::try_from(size.columns)) {
        (Ok(rows @ 1..), Ok(columns @ 1..)) => Ok((rows, columns)),
        _ => Err(ProcessError::BadSize { rows: size.rows, columns: size.columns }),
    }
}

/// Hangs a terminal up: its session gets SIGHUP, and processes that have it open read end-of-file and cannot write.
pub fn hang_up(terminal: &OwnedFd) -> Result<(), ProcessError> {
    /// `asm-generic/ioctls.h`.
    const TIOCVHANGUP: libc::Ioctl = 0x5437;
    let open = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let slave = rustix::pty::ioctl_tiocgptpeer(terminal, open).map_err(ProcessError::system("open the terminal"))?;
    // SAFETY: no argument.
    let result = unsafe { libc::ioctl(slave.as_raw_fd(), TIOCVHANGUP) };
    nix::Error::result(result).map_err(ProcessError::system("hang up the terminal"))?;
    Ok(())
}

/// Sets a terminal's size; the kernel notifies the foreground processes.
pub fn set_size(terminal: &OwnedFd, size: &pb::TtySize) -> Result<(), ProcessError> {
    let (rows, columns) = check_size(size)?;
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(terminal, size).map_err(ProcessError::system("resize the terminal"))
}
