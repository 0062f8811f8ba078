//! The descriptors of a process: pipes or a terminal.

use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::pipe2;
use tokio::io::unix::AsyncFd;
use tokio::net::unix::pipe;

use super::error::ProcessError;
use crate::pb;
use crate::runtime::Stdio;
use crate::sync::watch_fd;

/// Bytes that an output pipe holds in the kernel: the more, the fewer reads.
const PIPE_BYTES: i32 = 1024 * 1024;
/// Bytes a stdin pipe holds in the kernel.
const STDIN_PIPE_BYTES: i32 = 256 * 1024;

/// The agent's side of a terminal.
pub type Master = AsyncFd<OwnedFd>;

/// The agent's ends.
pub enum Ends {
    Pipes { stdin: Option<pipe::Sender>, stdout: pipe::Receiver, stderr: pipe::Receiver },
    Terminal(Master),
}

fn system(action: &'static str) -> impl Fn(nix::Error) -> ProcessError {
    move |source| ProcessError::System { action, source }
}

fn io(action: &'static str) -> impl Fn(std::io::Error) -> ProcessError {
    move |error| ProcessError::System {
        action,
        source: nix::Error::from_raw(error.raw_os_error().unwrap_or(libc::EIO)),
    }
}

/// Creates three pipes. Without a stdin the process reads end-of-file at once.
pub fn pipes(with_stdin: bool) -> Result<(Ends, Stdio), ProcessError> {
    let make = || pipe2(OFlag::O_CLOEXEC).map_err(system("make a pipe"));
    let (stdin_read, stdin_write) = make()?;
    let (stdout_read, stdout_write) = make()?;
    let (stderr_read, stderr_write) = make()?;
    // A smaller pipe only means more reads.
    let _ = fcntl(&stdout_read, FcntlArg::F_SETPIPE_SZ(PIPE_BYTES));
    let _ = fcntl(&stderr_read, FcntlArg::F_SETPIPE_SZ(PIPE_BYTES));
    let _ = fcntl(&stdin_write, FcntlArg::F_SETPIPE_SZ(STDIN_PIPE_BYTES));
    let receiver = |fd| pipe::Receiver::from_owned_fd(fd).map_err(io("register a pipe"));
    let stdin = match with_stdin {
        true => Some(pipe::Sender::from_owned_fd(stdin_write).map_err(io("register a pipe"))?),
        false => None,
    };
    let ends = Ends::Pipes { stdin, stdout: receiver(stdout_read)?, stderr: receiver(stderr_read)? };
    let child = Stdio { stdin: stdin_read, stdout: stdout_write, stderr: stderr_write, terminal: false };
    Ok((ends, child))
}

/// The process's descriptors of a terminal.
pub fn terminal_stdio(slave: OwnedFd) -> Result<Stdio, ProcessError> {
    let again = || slave.try_clone().map_err(io("copy a terminal"));
    Ok(Stdio { stdin: again()?, stdout: again()?, stderr: slave, terminal: true })
}

/// The agent's end of a terminal.
pub fn terminal(master: OwnedFd, size: Option<&pb::TtySize>) -> Result<Ends, ProcessError> {
    if let Some(size) = size {
        set_size(&master, size)?;
    }
    set_nonblocking(&master)?;
    let both = tokio::io::Interest::READABLE | tokio::io::Interest::WRITABLE;
    let master = watch_fd(master, both).map_err(io("register a terminal"))?;
    Ok(Ends::Terminal(master))
}

fn set_nonblocking(fd: impl AsFd) -> Result<(), ProcessError> {
    let mark = system("make a terminal non-blocking");
    let flags = fcntl(&fd, FcntlArg::F_GETFL).map_err(&mark)?;
    let flags = OFlag::from_bits_truncate(flags) | OFlag::O_NONBLOCK;
    fcntl(&fd, FcntlArg::F_SETFL(flags)).map_err(&mark)?;
    Ok(())
}

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
    let failed = system("hang up the terminal");
    // SAFETY: TIOCGPTPEER takes open flags and answers a new descriptor, which is owned here.
    let slave = unsafe {
        let peer =
            libc::ioctl(terminal.as_raw_fd(), libc::TIOCGPTPEER, libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC);
        OwnedFd::from_raw_fd(nix::Error::result(peer).map_err(&failed)?)
    };
    // SAFETY: no argument.
    let result = unsafe { libc::ioctl(slave.as_raw_fd(), TIOCVHANGUP) };
    nix::Error::result(result).map_err(failed)?;
    Ok(())
}

/// Sets a terminal's size; the kernel notifies the foreground processes.
pub fn set_size(terminal: &OwnedFd, size: &pb::TtySize) -> Result<(), ProcessError> {
    let (rows, columns) = check_size(size)?;
    let size = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCSWINSZ reads one winsize, which lives on this stack.
    let result = unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) };
    nix::Error::result(result).map_err(system("resize the terminal"))?;
    Ok(())
}
