//! The stdin of a process, with offsets.
//!
//! Clients number the bytes of stdin from the start of the process, so that they can send bytes again after a lost connection:
//! bytes that were accepted before are skipped, and a gap is an error. There are three offsets: `next` (queued), `accepted`
//! (written to the pipe or terminal, and reported to clients) and the declared end. The queue is bounded: when it is full, the
//! stream of requests waits. A client that keeps at most [`QUEUE_BYTES`] beyond the last acknowledgement in flight never waits,
//! so its output acknowledgements, which use the same stream, are never stuck behind stdin.

use std::collections::VecDeque;

use bytes::{Buf, Bytes};

/// Bytes of stdin that are queued before [`Stdin::offer`] returns [`Offer::Full`].
pub const QUEUE_BYTES: usize = 1024 * 1024;

/// Why stdin was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StdinError {
    /// The bytes in between are missing.
    #[error("stdin continues at offset {expected}, but {offset} was sent")]
    Gap { expected: u64, offset: u64 },
    /// Bytes beyond the declared end.
    #[error("stdin ended at offset {end}, but bytes up to {offset} were sent")]
    AfterEnd { end: u64, offset: u64 },
    /// An end before bytes that were queued already, or a second, different end.
    #[error("stdin cannot end at offset {offset}: it has reached {reached}")]
    EndBehind { offset: u64, reached: u64 },
    /// The process was started without a stdin.
    #[error("the process was started without a stdin")]
    None,
}

/// The result of an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// The bytes are queued, now or earlier.
    Taken,
    /// There is no room: wait, and offer again.
    Full,
}

/// The writer's next action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Write these bytes.
    Write(Bytes),
    /// Close stdin.
    Close,
    /// Wait for more.
    Wait,
}

/// Queue and offsets of one stdin.
#[derive(Debug)]
pub struct Stdin {
    queue: VecDeque<Bytes>,
    next: u64,
    accepted: u64,
    end: Option<u64>,
    /// The process no longer reads: bytes are accepted and discarded, so that no client waits.
    broken: bool,
    present: bool,
}

impl Stdin {
    /// The stdin of a new process; `present` when it has one.
    pub fn new(present: bool) -> Self {
        Self {
            queue: VecDeque::new(),
            next: 0,
            accepted: 0,
            end: if present { None } else { Some(0) },
            broken: !present,
            present,
        }
    }

    /// Bytes written so far.
    pub fn accepted(&self) -> u64 {
        self.accepted
    }

    /// Queues bytes at an offset.
    pub fn offer(&mut self, offset: u64, mut data: Bytes) -> Result<Offer, StdinError> {
        if !self.present {
            return Err(StdinError::None);
        }
        if offset > self.next {
            return Err(StdinError::Gap { expected: self.next, offset });
        }
        let upto = offset.saturating_add(data.len() as u64);
        if let Some(end) = self.end.filter(|end| upto > *end) {
            return Err(StdinError::AfterEnd { end, offset: upto });
        }
        if upto <= self.next {
            return Ok(Offer::Taken);
        }
        if self.next - self.accepted >= QUEUE_BYTES as u64 && !self.broken {
            return Ok(Offer::Full);
        }
        data.advance((self.next - offset) as usize);
        self.next = upto;
        if self.broken {
            self.accepted = self.next;
        } else {
            self.queue.push_back(data);
        }
        Ok(Offer::Taken)
    }

    /// Declares the end.
    pub fn finish(&mut self, offset: u64) -> Result<(), StdinError> {
        if !self.present {
            return if offset == 0 { Ok(()) } else { Err(StdinError::None) };
        }
        if offset > self.next {
            return Err(StdinError::Gap { expected: self.next, offset });
        }
        if offset < self.next {
            return Err(StdinError::EndBehind { offset, reached: self.next });
        }
        self.end = Some(offset);
        Ok(())
    }

    /// The writer's next action.
    pub fn next(&self) -> Next {
        match self.queue.front() {
            Some(bytes) => Next::Write(bytes.clone()),
            None if self.broken || self.end == Some(self.accepted) => Next::Close,
            None => Next::Wait,
        }
    }

    /// Records that the first `count` bytes of the queue were written.
    pub fn wrote(&mut self, count: usize) {
        let Some(front) = self.queue.front_mut() else {
            return;
        };
        let count = count.min(front.len());
        front.advance(count);
        if front.is_empty() {
            self.queue.pop_front();
        }
        self.accepted += count as u64;
    }

    /// Records that the process no longer reads: queued and further bytes are discarded.
    pub fn break_off(&mut self) {
        self.broken = true;
        self.queue.clear();
        self.accepted = self.next;
    }
}

#[cfg(test)]
#[path = "stdin_test.rs"]
mod tests;
