//! One client's stream with a process: chooses the next message to send, and handles the client's messages.

use std::sync::Arc;

use bytes::Bytes;

use super::ring::{HolderId, Ring, RingError};
use super::stdin::StdinError;
use super::{Output, Process, ProcessError};
use crate::pb::process_input::Input;
use crate::pb::process_output::Output as Message;
use crate::pb::{self, FailureReason};
use crate::sync::{lock, until};

/// The most bytes in one chunk.
const CHUNK_BYTES: usize = 64 * 1024;
/// The most bytes of stdin in one message.
const STDIN_MESSAGE_BYTES: usize = 1024 * 1024;

/// Why a client's stream ends early.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    #[error("{0}")]
    Stdin(#[from] StdinError),
    #[error("{0}")]
    Output(#[from] RingError),
    #[error("{0}")]
    Process(#[from] ProcessError),
    #[error("{0}")]
    Invalid(&'static str),
}

impl SessionError {
    /// The reason that is sent to the node.
    pub fn reason(&self) -> FailureReason {
        match self {
            Self::Output(RingError::NotHeld { .. }) => FailureReason::OffsetNotHeld,
            Self::Output(RingError::Ahead { .. }) | Self::Stdin(_) | Self::Invalid(_) => FailureReason::Invalid,
            Self::Process(error) => error.reason(),
        }
    }

    /// The offset of the oldest byte held, if the error is about an offset that is not held.
    pub fn earliest_offset(&self) -> Option<u64> {
        match self {
            Self::Output(RingError::NotHeld { base, .. }) => Some(*base),
            _ => None,
        }
    }
}

/// Where a client starts to read; without an offset, at the oldest byte held.
#[derive(Clone, Copy, Debug, Default)]
pub struct Start {
    pub stdout: Option<u64>,
    pub stderr: Option<u64>,
    pub hold: bool,
    /// Whether bytes that were dropped are reported as a gap instead of an error.
    pub gaps: bool,
}

/// A client's position in the streams of a process. Dropping it releases its hold.
pub struct Session {
    process: Arc<Process>,
    holder: Option<HolderId>,
    stdout: Cursor,
    stderr: Cursor,
    turn: Output,
    finished: bool,
    stdin_told: u64,
}

#[derive(Default)]
struct Cursor {
    offset: u64,
    ended: bool,
}

impl Session {
    /// Attaches to a process. Returns the session and the first message.
    pub fn join(process: Arc<Process>, start: Start) -> Result<(Self, pb::ProcessOutput), SessionError> {
        let mut state = lock(&process.state);
        let stdout = start.stdout.unwrap_or_else(|| state.stdout.base());
        let stderr = start.stderr.unwrap_or_else(|| state.stderr.base());
        if !start.gaps {
            state.stdout.check(stdout)?;
            state.stderr.check(stderr)?;
        }
        let holder = start.hold.then(|| {
            state.next_holder += 1;
            HolderId(state.next_holder)
        });
        if let Some(holder) = holder {
            state.stdout.hold(holder, stdout);
            state.stderr.hold(holder, stderr);
        }
        let stdin_offset = state.stdin.accepted();
        let started = pb::ProcessStarted {
            exec_id: process.exec_id.clone(),
            pid: state.pid.max(0) as u32,
            stdin_offset,
            stdout_offset: stdout,
            stderr_offset: stderr,
            terminal: process.options.terminal,
        };
        state.sessions += 1;
        drop(state);
        process.room.notify_waiters();
        let cursor = |offset| Cursor { offset, ended: false };
        let session = Self {
            process,
            holder,
            stdout: cursor(stdout),
            stderr: cursor(stderr),
            turn: Output::Stdout,
            finished: false,
            stdin_told: stdin_offset,
        };
        Ok((session, message(Message::Started(started))))
    }

    /// A handle for the client's messages, usable while [`Session::next`] waits.
    pub fn input(&self) -> SessionInput {
        SessionInput { process: self.process.clone(), holder: self.holder }
    }

    /// Waits for the next message to the client. None after the last.
    pub async fn next(&mut self) -> Option<pb::ProcessOutput> {
        let process = self.process.clone();
        if self.finished {
            return None;
        }
        Some(message(until(&process.changed, || self.poll(&process)).await))
    }

    fn poll(&mut self, process: &Process) -> Option<Message> {
        let mut state = lock(&process.state);
        let accepted = state.stdin.accepted();
        if accepted > self.stdin_told {
            self.stdin_told = accepted;
            return Some(Message::StdinAck(pb::StdinAck { offset: accepted }));
        }
        for output in self.order() {
            let cursor = match output {
                Output::Stdout => &mut self.stdout,
                Output::Stderr => &mut self.stderr,
            };
            let found = cursor.advance(state.ring(output), output, self.holder);
            if found.is_some() {
                self.turn = output.other();
                return found;
            }
        }
        if self.stdout.ended && self.stderr.ended {
            let status = state.ended.clone()?;
            self.finished = true;
            return Some(Message::Exited(status));
        }
        None
    }

    /// The outputs take turns, regardless of how much each has.
    fn order(&self) -> [Output; 2] {
        [self.turn, self.turn.other()]
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let mut state = lock(&self.process.state);
        if let Some(holder) = self.holder {
            state.stdout.release(holder);
            state.stderr.release(holder);
        }
        state.sessions -= 1;
        let unread = state.retired && state.sessions == 0;
        drop(state);
        self.process.room.notify_waiters();
        if unread {
            self.process.abandon();
        }
    }
}

impl Cursor {
    fn advance(&mut self, ring: &Ring, output: Output, holder: Option<HolderId>) -> Option<Message> {
        if self.ended {
            return None;
        }
        let stream = output.stream() as i32;
        if self.offset < ring.base() {
            let gap = pb::OutputGap { stream, from_offset: self.offset, to_offset: ring.base() };
            self.offset = ring.base();
            return Some(Message::Gap(gap));
        }
        if ring.is_closed() && self.offset == ring.end() {
            self.ended = true;
            let offset = ring.end();
            return Some(Message::Eof(pb::OutputEof { stream, offset }));
        }
        let most = match holder.and_then(|holder| ring.acknowledged(holder)) {
            Some(acknowledged) => {
                // Dropped bytes can no longer be acknowledged.
                let limit = acknowledged.max(ring.base()) + (ring.capacity() / 2) as u64;
                limit.saturating_sub(self.offset).min(CHUNK_BYTES as u64) as usize
            }
            None => CHUNK_BYTES,
        };
        let data = ring.read(self.offset, most);
        if data.is_empty() {
            return None;
        }
        let offset = self.offset;
        self.offset += data.len() as u64;
        Some(Message::Chunk(pb::OutputChunk { stream, offset, data }))
    }
}

/// Handles the messages that a client sends to a process.
pub struct SessionInput {
    process: Arc<Process>,
    holder: Option<HolderId>,
}

impl SessionInput {
    /// Handles one message. Waits while stdin's queue is full.
    pub async fn take(&self, input: pb::ProcessInput) -> Result<(), SessionError> {
        match input.input {
            Some(Input::Stdin(stdin)) => self.stdin(stdin.offset, stdin.data).await,
            Some(Input::StdinEof(end)) => Ok(self.process.finish_stdin(end.offset)?),
            Some(Input::Resize(size)) => Ok(self.process.resize(&size)?),
            Some(Input::Signal(number)) => Ok(self.process.signal(number)?),
            Some(Input::Ack(ack)) => self.acknowledge(&ack),
            Some(Input::OutputClose(close)) => {
                self.process.close_output(Output::named(close.stream())?);
                Ok(())
            }
            None => Err(SessionError::Invalid("an input message is empty")),
        }
    }

    async fn stdin(&self, offset: u64, data: Bytes) -> Result<(), SessionError> {
        if data.len() > STDIN_MESSAGE_BYTES {
            return Err(SessionError::Invalid("a message holds at most 1 MiB of stdin"));
        }
        Ok(self.process.feed(offset, data).await?)
    }

    fn acknowledge(&self, ack: &pb::OutputAck) -> Result<(), SessionError> {
        let Some(holder) = self.holder else {
            return Ok(());
        };
        let mut state = lock(&self.process.state);
        state.stdout.acknowledge(holder, ack.stdout_offset)?;
        state.stderr.acknowledge(holder, ack.stderr_offset)?;
        drop(state);
        self.process.room.notify_waiters();
        self.process.changed.notify_waiters();
        Ok(())
    }
}

impl Output {
    fn named(stream: pb::Stream) -> Result<Self, SessionError> {
        match stream {
            pb::Stream::Stdout => Ok(Self::Stdout),
            pb::Stream::Stderr => Ok(Self::Stderr),
            pb::Stream::Unspecified => Err(SessionError::Invalid("an output to close must be named")),
        }
    }

    fn other(self) -> Self {
        match self {
            Self::Stdout => Self::Stderr,
            Self::Stderr => Self::Stdout,
        }
    }

    fn stream(self) -> pb::Stream {
        match self {
            Self::Stdout => pb::Stream::Stdout,
            Self::Stderr => pb::Stream::Stderr,
        }
    }
}

fn message(output: Message) -> pb::ProcessOutput {
    pb::ProcessOutput { output: Some(output) }
}
