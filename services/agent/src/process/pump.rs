//! Moves output from a pipe or terminal into a ring.
//!
//! A pump reads only as much as the ring has room for. A full ring leaves the bytes in the pipe, and the process blocks in its
//! write. The pump ends at end-of-file. If the process has ended and an orphan keeps the pipe open, then [`ORPHAN_GRACE`] later
//! the pump reads the rest of the pipe and ends the stream; after that it only discards, so that the orphan neither blocks nor
//! gets SIGPIPE. If a client closes the output, the pump ends at once and closes the pipe, so that the process gets SIGPIPE.

use std::cell::RefCell;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::unix::pipe;

use super::{Output, Process};
use crate::sync::lock;

/// How long an orphan may delay the end of an output.
pub const ORPHAN_GRACE: Duration = Duration::from_millis(500);
/// The most bytes per read.
const READ_BYTES: usize = 256 * 1024;
/// The most bytes that a terminal may still hold for its reader; the kernel holds fewer.
const TERMINAL_BYTES: usize = 64 * 1024;

thread_local! {
    /// A pump stores its bytes before it yields, so one buffer serves all pumps.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES]);
}

/// Where a pump reads.
pub enum Source {
    Pipe(pipe::Receiver),
    /// The process's terminal.
    Terminal,
}

impl Source {
    async fn readable(&self, process: &Process) -> io::Result<()> {
        match self {
            Self::Pipe(pipe) => pipe.readable().await,
            Self::Terminal => process.terminal()?.readable().await.map(|mut guard| guard.retain_ready()),
        }
    }

    /// Reads once without blocking. A terminal whose other side is closed answers EIO, which means end-of-file.
    fn try_read(&self, process: &Process, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Pipe(pipe) => pipe.try_read(buffer),
            Self::Terminal => {
                let read = process
                    .terminal()?
                    .try_io(tokio::io::Interest::READABLE, |fd| Ok(nix::unistd::read(fd, &mut *buffer)?));
                match read {
                    Err(error) if error.raw_os_error() == Some(libc::EIO) => Ok(0),
                    read => read,
                }
            }
        }
    }

    fn pending(&self) -> usize {
        match self {
            Self::Pipe(pipe) => rustix::io::ioctl_fionread(pipe).map_or(0, |bytes| bytes as usize),
            Self::Terminal => TERMINAL_BYTES,
        }
    }
}

enum Step {
    /// Something was read.
    Read(usize),
    /// There is nothing to read now.
    Empty,
    /// The ring is full.
    Full,
    /// No writer is left, or the container is removed.
    End,
}

/// Starts the pump of one output.
pub fn start(process: &Arc<Process>, output: Output, source: Source) {
    tokio::spawn(run(process.clone(), output, source));
}

async fn run(process: Arc<Process>, output: Output, source: Source) {
    let ending = tokio::select! {
        _ = pump(&process, output, &source, usize::MAX) => Ending::Whole,
        () = orphaned(&process) => Ending::Orphaned,
        () = process.cut_off(output) => Ending::Cut,
    };
    if ending == Ending::Orphaned {
        pump(&process, output, &source, source.pending()).await;
    }
    lock(&process.state).ring(output).close();
    process.changed.notify_waiters();
    match (ending, &source) {
        (Ending::Whole, _) | (Ending::Cut, Source::Pipe(_)) => {}
        (Ending::Orphaned, _) | (Ending::Cut, Source::Terminal) => discard(&process, &source).await,
    }
}

/// How an output has ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// At end-of-file.
    Whole,
    /// An orphan keeps it open.
    Orphaned,
    /// A client has closed it.
    Cut,
}

async fn orphaned(process: &Process) {
    process.wait().await;
    tokio::time::sleep(ORPHAN_GRACE).await;
}

/// Pumps up to `limit` bytes; with a limit, only the bytes that are available. Returns true at end-of-file.
async fn pump(process: &Process, output: Output, source: &Source, limit: usize) -> bool {
    let mut left = limit;
    while left > 0 {
        let mut room = std::pin::pin!(process.room.notified());
        room.as_mut().enable();
        match step(process, output, source, left) {
            Step::Read(count) => {
                left -= count.min(left);
                process.changed.notify_waiters();
                tokio::task::coop::consume_budget().await;
            }
            Step::End => return true,
            Step::Full => room.await,
            Step::Empty if limit < usize::MAX => return false,
            Step::Empty => {
                if source.readable(process).await.is_err() {
                    return true;
                }
            }
        }
    }
    false
}

fn step(process: &Process, output: Output, source: &Source, left: usize) -> Step {
    let mut state = lock(&process.state);
    if state.abandoned {
        return Step::End;
    }
    let room = state.ring(output).room(READ_BYTES).min(READ_BYTES).min(left);
    if room == 0 {
        return Step::Full;
    }
    SCRATCH.with_borrow_mut(|scratch| match source.try_read(process, &mut scratch[..room]) {
        Ok(0) => Step::End,
        Ok(count) => {
            state.ring(output).push(&scratch[..count]);
            Step::Read(count)
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Step::Empty,
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Step::Read(0),
        Err(_) => Step::End,
    })
}

async fn discard(process: &Process, source: &Source) {
    loop {
        if lock(&process.state).abandoned || source.readable(process).await.is_err() {
            return;
        }
        let read = SCRATCH.with_borrow_mut(|scratch| source.try_read(process, scratch));
        match read {
            Ok(0) => return,
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return,
            _ => tokio::task::coop::consume_budget().await,
        }
    }
}
