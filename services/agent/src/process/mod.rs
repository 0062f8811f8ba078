//! A process that the agent started, with its input and output.
//!
//! ```text
//!   pipe or terminal --pump--> Ring --session--> client          (two of them, each with offsets)
//!   pipe or terminal <-feed--- Stdin <-session-- client
//!   waitpid --reaper--> reaped --(once its starter is done)--> ended
//! ```
//!
//! A process outlives the streams of its clients, which attach and detach at any offset.

pub mod budget;
mod closing;
pub mod ends;
mod error;
pub mod feed;
pub mod pump;
pub mod reaper;
pub mod ring;
pub mod session;
pub mod signal;
pub mod stdin;
pub mod terminal;

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::sync::Notify;

use crate::pb;
use crate::sync::{lock, until};
use budget::Budget;
pub use error::ProcessError;
use reaper::Exit;
use ring::{Overflow, Ring};
use stdin::{Offer, Stdin, StdinError};
use terminal::Master;

/// Names one of the two output streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    Stdout,
    Stderr,
}

/// The options that the agent itself needs, as opposed to the runtime.
#[derive(Clone, Debug)]
pub struct Options {
    pub terminal: bool,
    pub stdin: bool,
    pub ring_bytes: usize,
    pub overflow: Overflow,
}

/// A process. See the module's text.
pub struct Process {
    pub container_id: String,
    pub exec_id: String,
    pub options: Options,
    state: Mutex<State>,
    /// Notifies of a change that a client may wait for: output, exit, stdin.
    changed: Notify,
    /// A ring may have room.
    room: Notify,
    /// Stdin may have bytes to write, or room.
    stdin_changed: Notify,
    /// The read end of an output was closed.
    cut: Notify,
    terminal: Option<Master>,
}

struct State {
    pid: i32,
    reaped: Option<Exit>,
    ended: Option<pb::ExitStatus>,
    /// The agent itself sent SIGKILL, so the OOM killer is not to blame.
    kill_sent: bool,
    stdout: Ring,
    stderr: Ring,
    stdin: Stdin,
    /// Outputs whose read end a client has closed.
    cut: Vec<Output>,
    abandoned: bool,
    /// The container is removed: once no client is attached, the remaining output is dropped.
    retired: bool,
    sessions: usize,
    next_holder: u64,
}

impl State {
    fn ring(&mut self, output: Output) -> &mut Ring {
        match output {
            Output::Stdout => &mut self.stdout,
            Output::Stderr => &mut self.stderr,
        }
    }
}

impl Process {
    /// A process that is about to be started. `terminal` is the master side of its terminal.
    pub fn new(
        container_id: &str,
        exec_id: &str,
        options: Options,
        budget: &Budget,
        terminal: Option<Master>,
    ) -> Arc<Self> {
        let ring = || Ring::new(options.ring_bytes, options.overflow, budget.clone());
        let mut stderr = ring();
        if options.terminal {
            stderr.close();
        }
        let state = State {
            pid: 0,
            reaped: None,
            ended: None,
            kill_sent: false,
            stdout: ring(),
            stderr,
            stdin: Stdin::new(options.stdin),
            cut: Vec::new(),
            abandoned: false,
            retired: false,
            sessions: 0,
            next_holder: 0,
        };
        Arc::new(Self {
            container_id: container_id.to_owned(),
            exec_id: exec_id.to_owned(),
            options,
            state: Mutex::new(state),
            changed: Notify::new(),
            room: Notify::new(),
            stdin_changed: Notify::new(),
            cut: Notify::new(),
            terminal,
        })
    }

    /// PID in the guest; 0 before the start and after the end.
    pub fn pid(&self) -> i32 {
        lock(&self.state).pid
    }

    /// Records the PID of the started process.
    pub fn started(&self, pid: i32) {
        let mut state = lock(&self.state);
        if state.reaped.is_none() {
            state.pid = pid;
        }
    }

    /// Records that waitpid has returned the process. From now on its PID may belong to another process.
    pub fn reaped(&self, exit: Exit) {
        let mut state = lock(&self.state);
        state.pid = 0;
        state.reaped = Some(exit);
        // Stdin no longer has a reader.
        state.stdin.break_off();
        drop(state);
        self.stdin_changed.notify_waiters();
        self.changed.notify_waiters();
    }

    /// The status from waitpid, once the process is reaped.
    pub fn exit(&self) -> Option<Exit> {
        lock(&self.state).reaped
    }

    /// Whether the agent itself has sent SIGKILL.
    pub fn kill_sent(&self) -> bool {
        lock(&self.state).kill_sent
    }

    /// Records that the agent sends SIGKILL other than by [`Process::signal`].
    pub fn expect_kill(&self) {
        lock(&self.state).kill_sent = true;
    }

    /// Publishes the end.
    pub fn end(&self, status: pb::ExitStatus) {
        lock(&self.state).ended.get_or_insert(status);
        self.changed.notify_waiters();
        self.room.notify_waiters();
    }

    /// The exit status, once it is published.
    pub fn ended(&self) -> Option<pb::ExitStatus> {
        lock(&self.state).ended.clone()
    }

    /// Waits for the end.
    pub async fn wait(&self) -> pb::ExitStatus {
        until(&self.changed, || self.ended()).await
    }

    /// Ends both outputs after the bytes read so far, for a process that was not started or whose container is removed.
    pub fn abandon(&self) {
        let mut state = lock(&self.state);
        state.abandoned = true;
        state.stdout.close();
        state.stderr.close();
        state.stdin.break_off();
        drop(state);
        self.room.notify_waiters();
        self.stdin_changed.notify_waiters();
        self.changed.notify_waiters();
    }

    /// Drops output that no client reads, because the container is removed.
    pub fn retire(&self) {
        let mut state = lock(&self.state);
        state.retired = true;
        let unread = state.sessions == 0;
        drop(state);
        if unread {
            self.abandon();
        }
    }

    /// Sends a signal. Does nothing if the process has ended.
    pub fn signal(&self, number: i32) -> Result<(), ProcessError> {
        let number = signal::check_signal(number)?;
        let mut state = lock(&self.state);
        if state.pid <= 0 {
            return Ok(());
        }
        state.kill_sent |= number == libc::SIGKILL;
        // SAFETY: kill takes two integers. The PID is still this process's: only the reaper frees it, and it takes this lock.
        match unsafe { libc::kill(state.pid, number) } {
            0 => Ok(()),
            _ => match nix::Error::last() {
                nix::Error::ESRCH => Ok(()),
                source => Err(ProcessError::System { action: "send the signal", source: source.into() }),
            },
        }
    }

    fn terminal(&self) -> Result<&Master, ProcessError> {
        self.terminal.as_ref().ok_or(ProcessError::NoTerminal)
    }

    /// Sets the terminal's size.
    pub fn resize(&self, size: &pb::TtySize) -> Result<(), ProcessError> {
        terminal::set_size(self.terminal()?.get_ref(), size)
    }

    /// Queues bytes for stdin. Waits while the queue is full.
    pub async fn feed(&self, offset: u64, data: Bytes) -> Result<(), StdinError> {
        let offer = || match lock(&self.state).stdin.offer(offset, data.clone()) {
            Ok(Offer::Full) => None,
            Ok(Offer::Taken) => Some(Ok(())),
            Err(error) => Some(Err(error)),
        };
        until(&self.stdin_changed, offer).await?;
        self.stdin_changed.notify_waiters();
        self.changed.notify_waiters();
        Ok(())
    }

    /// Declares the end of stdin.
    pub fn finish_stdin(&self, offset: u64) -> Result<(), StdinError> {
        lock(&self.state).stdin.finish(offset)?;
        self.stdin_changed.notify_waiters();
        Ok(())
    }

    /// Frees the memory of acknowledged output, and returns how many bytes.
    pub fn shed(&self) -> usize {
        let mut state = lock(&self.state);
        state.stdout.shed() + state.stderr.shed()
    }

    /// Makes pumps that wait for room check again.
    pub fn retry_room(&self) {
        self.room.notify_waiters();
    }

    /// The process as clients see it.
    pub fn info(&self) -> pb::ProcessInfo {
        let state = lock(&self.state);
        pb::ProcessInfo {
            exec_id: self.exec_id.clone(),
            pid: state.pid.max(0) as u32,
            exit_status: state.ended.clone(),
            stdout_bytes: state.stdout.end(),
            stderr_bytes: state.stderr.end(),
            terminal: self.options.terminal,
        }
    }
}
