//! The agent's ends of a process's streams.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};
use tokio::io::Interest;
use tokio::net::unix::pipe;

use super::terminal::{self, Master};
use super::{Output, Process, ProcessError, feed, pump};
use crate::pb;
use crate::runtime::Stdio;
use crate::sync::watch_fd;

/// Capacity of an output pipe in the kernel. A larger pipe needs fewer reads.
const PIPE_BYTES: usize = 1024 * 1024;
/// Capacity of a stdin pipe in the kernel.
const STDIN_PIPE_BYTES: usize = 256 * 1024;

/// The agent's ends of the streams, before they are started.
pub struct Ends {
    stdin: Option<feed::Sink>,
    stdout: pump::Source,
    stderr: Option<pump::Source>,
    /// The terminal, which the process keeps.
    pub terminal: Option<Master>,
}

impl Ends {
    /// Creates three pipes. Without stdin, the process reads end-of-file at once.
    pub fn pipes(with_stdin: bool) -> Result<(Self, Stdio), ProcessError> {
        let make = || pipe_with(PipeFlags::CLOEXEC).map_err(ProcessError::system("create a pipe"));
        let (stdin_read, stdin_write) = make()?;
        let (stdout_read, stdout_write) = make()?;
        let (stderr_read, stderr_write) = make()?;
        // A smaller pipe only means more reads.
        let _ = fcntl_setpipe_size(&stdout_read, PIPE_BYTES);
        let _ = fcntl_setpipe_size(&stderr_read, PIPE_BYTES);
        let _ = fcntl_setpipe_size(&stdin_write, STDIN_PIPE_BYTES);
        let failed = ProcessError::system("register a pipe");
        let source = |fd| pipe::Receiver::from_owned_fd(fd).map(pump::Source::Pipe).map_err(&failed);
        let sink = |fd| pipe::Sender::from_owned_fd(fd).map(feed::Sink::Pipe).map_err(&failed);
        let ends = Self {
            stdin: with_stdin.then(|| sink(stdin_write)).transpose()?,
            stdout: source(stdout_read)?,
            stderr: Some(source(stderr_read)?),
            terminal: None,
        };
        let child = Stdio { stdin: stdin_read, stdout: stdout_write, stderr: stderr_write, terminal: false };
        Ok((ends, child))
    }

    /// Takes the master of a terminal, and sets its size.
    pub fn terminal(master: OwnedFd, size: Option<&pb::TtySize>) -> Result<Self, ProcessError> {
        if let Some(size) = size {
            terminal::set_size(&master, size)?;
        }
        rustix::io::ioctl_fionbio(&master, true).map_err(ProcessError::system("make a terminal non-blocking"))?;
        let master = watch_fd(master, Interest::READABLE | Interest::WRITABLE);
        Ok(Self {
            stdin: Some(feed::Sink::Terminal),
            stdout: pump::Source::Terminal,
            stderr: None,
            terminal: Some(master.map_err(ProcessError::system("register a terminal"))?),
        })
    }

    /// Starts the tasks that move the bytes, once the process exists.
    pub fn start(self, process: &Arc<Process>) {
        if let Some(sink) = self.stdin {
            feed::start(process, sink);
        }
        pump::start(process, Output::Stdout, self.stdout);
        if let Some(source) = self.stderr {
            pump::start(process, Output::Stderr, source);
        }
    }
}

/// The process's descriptors of a terminal.
pub fn terminal_stdio(slave: OwnedFd) -> Result<Stdio, ProcessError> {
    let again = || slave.try_clone().map_err(ProcessError::system("copy a terminal"));
    Ok(Stdio { stdin: again()?, stdout: again()?, stderr: slave, terminal: true })
}
