//! Bytes on their way from a container to a client.
//!
//! A thread reads files and pushes; the client's stream takes. The thread waits when it is [`AHEAD_BYTES`] ahead of the stream.
//! The last [`KEPT_BYTES`] that the stream has taken are kept, so that another stream can continue at one of them.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

use super::cancel::Cancel;
use super::error::{FileError, Result};
use crate::pb;
use crate::pb::copy_from_response::Message;
use crate::sync::{lock, until};

/// How far the thread may be ahead of the stream.
const AHEAD_BYTES: u64 = 512 * 1024;
/// Taken bytes that are kept for a stream that continues. As many may be on their way to the client when a part of the way breaks.
const KEPT_BYTES: u64 = 2 * 1024 * 1024;

/// The bytes. See the module's text.
pub struct Outgoing {
    state: Mutex<State>,
    room: Condvar,
    changed: Notify,
    pub cancel: Cancel,
    /// Whether another stream may continue.
    resumable: bool,
}

struct State {
    chunks: VecDeque<Bytes>,
    /// Offset of the oldest byte that is kept, and that after the newest.
    base: u64,
    end: u64,
    /// Offset of the next byte for the stream.
    taken: u64,
    started: Option<pb::FileInfo>,
    outcome: Option<Result<pb::CopyEnd>>,
    /// Number of the stream that takes.
    stream: u64,
}

impl Outgoing {
    /// A transfer that begins at `offset`.
    pub fn new(offset: u64, resumable: bool, cancel: Cancel) -> Arc<Self> {
        let state = State {
            chunks: VecDeque::new(),
            base: offset,
            end: offset,
            taken: offset,
            started: None,
            outcome: None,
            stream: 0,
        };
        let outgoing = Arc::new(Self {
            state: Mutex::new(state),
            room: Condvar::new(),
            changed: Notify::new(),
            cancel: cancel.clone(),
            resumable,
        });
        let waiting = Arc::downgrade(&outgoing);
        cancel.when_cancelled(move || {
            if let Some(outgoing) = waiting.upgrade() {
                // With the lock held, so that a thread that is about to wait sees it.
                let _state = lock(&outgoing.state);
                outgoing.room.notify_all();
                outgoing.changed.notify_waiters();
            }
        });
        outgoing
    }

    /// Tells the stream what is read.
    pub fn start(&self, file: pb::FileInfo) {
        lock(&self.state).started = Some(file);
        self.changed.notify_waiters();
    }

    /// Adds bytes. Waits while the stream is behind.
    pub fn push(&self, data: Bytes) -> Result<()> {
        let mut state = lock(&self.state);
        while state.end - state.taken >= AHEAD_BYTES {
            self.cancel.check()?;
            state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        self.cancel.check()?;
        state.end += data.len() as u64;
        state.chunks.push_back(data);
        drop(state);
        self.changed.notify_waiters();
        Ok(())
    }

    /// Ends the transfer.
    pub fn finish(&self, outcome: Result<pb::CopyEnd>) {
        lock(&self.state).outcome = Some(outcome);
        self.changed.notify_waiters();
    }

    /// Begins a stream at an offset. An earlier stream ends. Returns the stream's number.
    pub fn join(&self, offset: u64) -> Result<u64> {
        let mut state = lock(&self.state);
        if offset < state.base || offset > state.end {
            return Err(FileError::NotKept { wanted: offset, base: state.base, end: state.end });
        }
        state.taken = offset;
        state.stream += 1;
        let stream = state.stream;
        drop(state);
        self.room.notify_all();
        self.changed.notify_waiters();
        Ok(stream)
    }

    /// Bytes that the transfer keeps in memory.
    #[cfg(test)]
    pub fn kept_bytes(&self) -> u64 {
        let state = lock(&self.state);
        state.end - state.base
    }

    /// Whether the thread has ended.
    pub fn has_ended(&self) -> bool {
        lock(&self.state).outcome.is_some()
    }

    /// Whether no later stream has joined.
    pub fn is_last(&self, stream: u64) -> bool {
        lock(&self.state).stream == stream
    }

    /// The file of the transfer, for the stream's first message.
    pub async fn started(&self, stream: u64) -> Result<pb::FileInfo> {
        until(&self.changed, || {
            let state = lock(&self.state);
            match (&state.started, &state.outcome) {
                _ if state.stream != stream => Some(Err(FileError::TakenOver)),
                (Some(file), _) => Some(Ok(file.clone())),
                (None, Some(Err(error))) => Some(Err(error.clone())),
                (None, _) if self.cancel.is_cancelled() => Some(Err(FileError::Closed)),
                (None, _) => None,
            }
        })
        .await
    }

    /// The stream's next message: a chunk, or the end.
    pub async fn next(&self, stream: u64) -> Result<Message> {
        until(&self.changed, || self.poll(stream)).await
    }

    fn poll(&self, stream: u64) -> Option<Result<Message>> {
        let mut state = lock(&self.state);
        if state.stream != stream {
            return Some(Err(FileError::TakenOver));
        }
        if let Some(chunk) = state.take() {
            let kept = if self.resumable { KEPT_BYTES } else { 0 };
            state.forget(kept);
            drop(state);
            self.room.notify_all();
            return Some(Ok(Message::Chunk(chunk)));
        }
        match state.outcome.clone() {
            Some(outcome) => Some(outcome.map(Message::End)),
            None if self.cancel.is_cancelled() => Some(Err(FileError::Closed)),
            None => None,
        }
    }
}

impl State {
    fn take(&mut self) -> Option<pb::CopyChunk> {
        let mut at = self.base;
        for chunk in &self.chunks {
            let after = at + chunk.len() as u64;
            if self.taken < after {
                let offset = self.taken;
                let data = chunk.slice((offset - at) as usize..);
                self.taken = after;
                return Some(pb::CopyChunk { offset, data });
            }
            at = after;
        }
        None
    }

    /// Drops chunks, except for the last `kept` bytes before the position of the stream.
    fn forget(&mut self, kept: u64) {
        while let Some(first) = self.chunks.front()
            && self.base + first.len() as u64 + kept <= self.taken
        {
            self.base += first.len() as u64;
            self.chunks.pop_front();
        }
    }
}
