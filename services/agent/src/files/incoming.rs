//! Bytes on their way from a client to a container.
//!
//! The client's stream puts chunks into a queue, and a thread takes them out and writes files. The queue has room for all that the
//! client may send, so a message is always taken at once, and a thread that waits for a disk does not hold up the link. The thread
//! waits for a stream that continues, until the transfer is cancelled.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use bytes::{Buf, Bytes};
use sha2::{Digest, Sha256};
use tokio::sync::Notify;

use super::cancel::Cancel;
use super::error::{FileError, Result};
use crate::pb;
use crate::pb::copy_to_response::Message;
use crate::sync::{lock, until};

/// Bytes that a client may send beyond the last acknowledgement.
pub const WINDOW_BYTES: u64 = 1024 * 1024;
/// Most bytes of a chunk.
pub const CHUNK_BYTES: usize = 256 * 1024;
/// Taken bytes are acknowledged in steps of this size, or when none wait.
const ACK_BYTES: u64 = WINDOW_BYTES / 8;

/// The bytes. See the module's text.
pub struct Incoming {
    state: Mutex<State>,
    filled: Condvar,
    changed: Notify,
    pub cancel: Cancel,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Bytes>,
    /// Bytes that came from the client, and those that the thread has taken.
    received: u64,
    taken: u64,
    eof: Option<pb::CopyToEof>,
    outcome: Option<Result<pb::CopyEnd>>,
    /// Number of the stream that brings bytes.
    stream: u64,
}

impl Incoming {
    /// A transfer without bytes.
    pub fn new(cancel: Cancel) -> Arc<Self> {
        let incoming = Arc::new(Self {
            state: Mutex::default(),
            filled: Condvar::new(),
            changed: Notify::new(),
            cancel: cancel.clone(),
        });
        let waiting = Arc::downgrade(&incoming);
        cancel.when_cancelled(move || {
            if let Some(incoming) = waiting.upgrade() {
                // With the lock held, so that a thread that is about to wait sees it.
                let _state = lock(&incoming.state);
                incoming.filled.notify_all();
                incoming.changed.notify_waiters();
            }
        });
        incoming
    }

    /// Begins a stream. An earlier stream ends. Returns the stream's number, and the offset of the first byte to send: bytes that the
    /// thread has not taken are sent again, so that the queue has room for the whole window.
    pub fn join(&self) -> (u64, u64) {
        let mut state = lock(&self.state);
        state.stream += 1;
        if state.taken < state.received {
            state.queue.clear();
            state.received = state.taken;
            state.eof = None;
        }
        let joined = (state.stream, state.received);
        drop(state);
        self.changed.notify_waiters();
        joined
    }

    /// Whether the client has sent all bytes.
    pub fn has_eof(&self) -> bool {
        lock(&self.state).eof.is_some()
    }

    /// Whether the thread has ended.
    pub fn has_ended(&self) -> bool {
        lock(&self.state).outcome.is_some()
    }

    /// Whether no later stream has joined.
    pub fn is_last(&self, stream: u64) -> bool {
        lock(&self.state).stream == stream
    }

    /// Takes a chunk from a stream.
    pub fn put(&self, stream: u64, chunk: pb::CopyChunk) -> Result<()> {
        let mut state = lock(&self.state);
        if state.stream != stream {
            return Err(FileError::TakenOver);
        }
        if state.outcome.is_some() {
            // The client is told of the outcome.
            return Ok(());
        }
        let length = chunk.data.len();
        if length == 0 || length > CHUNK_BYTES {
            return Err(FileError::Invalid(format!("a chunk has 1 to {CHUNK_BYTES} bytes, not {length}")));
        }
        if chunk.offset != state.received || state.eof.is_some() {
            let text = format!("a chunk begins at {}, not at {}", chunk.offset, state.received);
            return Err(FileError::Invalid(text));
        }
        if state.received + length as u64 > state.taken + WINDOW_BYTES {
            return Err(FileError::Invalid("chunks must fit in the window".to_owned()));
        }
        state.received += length as u64;
        state.queue.push_back(chunk.data);
        drop(state);
        self.filled.notify_all();
        Ok(())
    }

    /// Takes the end of the bytes. A stream that continues may repeat it.
    pub fn put_eof(&self, stream: u64, eof: pb::CopyToEof) -> Result<()> {
        let mut state = lock(&self.state);
        if state.stream != stream {
            return Err(FileError::TakenOver);
        }
        if state.eof.as_ref().is_some_and(|before| *before != eof) {
            return Err(FileError::Invalid("eof was sent before, and differs".to_owned()));
        }
        state.eof = Some(eof);
        drop(state);
        self.filled.notify_all();
        Ok(())
    }

    /// Ends the transfer.
    pub fn finish(&self, outcome: Result<pb::CopyEnd>) {
        let mut state = lock(&self.state);
        state.outcome = Some(outcome);
        state.queue.clear();
        drop(state);
        self.changed.notify_waiters();
    }

    /// The stream's next message: an acknowledgement beyond `acknowledged`, or the end.
    pub async fn next(&self, stream: u64, acknowledged: &mut u64) -> Result<Message> {
        until(&self.changed, || self.poll(stream, acknowledged)).await
    }

    fn poll(&self, stream: u64, acknowledged: &mut u64) -> Option<Result<Message>> {
        let state = lock(&self.state);
        if state.stream != stream {
            return Some(Err(FileError::TakenOver));
        }
        if let Some(outcome) = &state.outcome {
            return Some(outcome.clone().map(Message::End));
        }
        if self.cancel.is_cancelled() {
            return Some(Err(FileError::Closed));
        }
        let news = state.taken.saturating_sub(*acknowledged);
        if news >= ACK_BYTES || (news > 0 && state.queue.is_empty()) {
            *acknowledged = state.taken;
            return Some(Ok(Message::Ack(pb::CopyAck { offset: state.taken })));
        }
        None
    }

    /// Waits for bytes. None at the end of the bytes.
    fn take(&self) -> Result<Option<Bytes>> {
        let mut state = lock(&self.state);
        loop {
            self.cancel.check()?;
            if let Some(data) = state.queue.pop_front() {
                state.taken += data.len() as u64;
                drop(state);
                self.changed.notify_waiters();
                return Ok(Some(data));
            }
            if state.eof.is_some() {
                return Ok(None);
            }
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn eof(&self) -> Option<pb::CopyToEof> {
        lock(&self.state).eof.clone()
    }
}

/// Where the bytes of a file or archive come from.
pub trait Source {
    /// Reads up to `buffer.len()` bytes. Waits for them. 0 at the end.
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize>;
}

/// The thread's end of the queue. It computes the digest of all bytes.
pub struct Intake {
    incoming: Arc<Incoming>,
    current: Bytes,
    digest: Sha256,
    total: u64,
}

impl Intake {
    pub fn new(incoming: Arc<Incoming>) -> Self {
        Self { incoming, current: Bytes::new(), digest: Sha256::new(), total: 0 }
    }

    /// Reads to the end, and compares number and digest of the bytes. Returns both.
    pub fn verify(mut self) -> Result<(u64, Vec<u8>)> {
        self.current.clear();
        while self.fill()? {}
        let digest = self.digest.finalize().to_vec();
        let Some(eof) = self.incoming.eof() else { return Err(FileError::Closed) };
        if eof.total_bytes != self.total || eof.sha256 != digest {
            return Err(FileError::DigestMismatch);
        }
        Ok((self.total, digest))
    }

    /// Gets the next chunk. False at the end.
    fn fill(&mut self) -> Result<bool> {
        let Some(data) = self.incoming.take()? else { return Ok(false) };
        self.digest.update(&data);
        self.total += data.len() as u64;
        self.current = data;
        Ok(true)
    }
}

impl Source for Intake {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        if self.current.is_empty() && !self.fill()? {
            return Ok(0);
        }
        let count = buffer.len().min(self.current.len());
        if let Some(target) = buffer.get_mut(..count) {
            self.current.copy_to_slice(target);
        }
        Ok(count)
    }
}
