//! The ring that holds the bytes a process wrote to one of its output streams.
//!
//! Every byte has an absolute offset, counted from the first byte that the process wrote. The ring holds the bytes `base..end`.
//! There are two kinds of readers:
//!
//! - A **holder** acknowledges the bytes that it has kept. The ring keeps bytes that a holder has not acknowledged, including
//!   those that another holder acknowledged before this one attached.
//! - Any other reader reads the bytes that are held, and gets a gap if it is too slow.
//!
//! Bytes leave the ring only when room is needed, and only up to `released`: the highest offset that all holders at some time had
//! acknowledged. So a late reader still finds acknowledged bytes as long as newer ones do not need their room. Without a holder
//! nothing is released: a full ring has no room, its pump stops reading the pipe, and the process blocks in its write until a
//! client attaches. With [`Overflow::DropOldest`] every byte counts as released.
//!
//! Memory grows on demand, in steps that a [`Budget`] grants.

use std::collections::VecDeque;

use bytes::Bytes;

use super::budget::Budget;

/// Memory that a ring may always use, in bytes.
pub const FLOOR_BYTES: usize = 64 * 1024;

/// What a ring does when it is full of unacknowledged bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    /// The process blocks.
    Block,
    /// The oldest bytes are dropped.
    DropOldest,
}

/// Names a holder of a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HolderId(pub u64);

/// Why an offset was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RingError {
    /// The byte was dropped, or is not written yet.
    #[error("offset {wanted} is not held; {base} to {end} are")]
    NotHeld { wanted: u64, base: u64, end: u64 },
    /// More was acknowledged than was written.
    #[error("{acknowledged} bytes were acknowledged, but only {end} were written")]
    Ahead { acknowledged: u64, end: u64 },
}

/// A bounded window over an output stream. See the module's text.
#[derive(Debug)]
pub struct Ring {
    base: u64,
    released: u64,
    data: VecDeque<u8>,
    /// Bytes the ring may hold now; grows from the floor to `capacity`.
    limit: usize,
    capacity: usize,
    overflow: Overflow,
    holders: Vec<(HolderId, u64)>,
    closed: bool,
    budget: Budget,
}

impl Ring {
    /// An empty ring that may grow to `capacity` bytes.
    pub fn new(capacity: usize, overflow: Overflow, budget: Budget) -> Self {
        let limit = capacity.min(FLOOR_BYTES);
        budget.take(limit);
        Self {
            base: 0,
            released: 0,
            data: VecDeque::new(),
            limit,
            capacity,
            overflow,
            holders: Vec::new(),
            closed: false,
            budget,
        }
    }

    /// Offset of the oldest byte held.
    pub fn base(&self) -> u64 {
        self.base
    }

    /// Offset after the newest byte: the length of the stream so far.
    pub fn end(&self) -> u64 {
        self.base + self.data.len() as u64
    }

    /// The most bytes that the ring may hold.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Whether the stream has ended.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Ends the stream at [`Ring::end`].
    pub fn close(&mut self) {
        self.closed = true;
    }

    /// How many bytes may be pushed now. A ring with fewer than `wanted` free bytes grows before it drops released ones.
    pub fn room(&mut self, wanted: usize) -> usize {
        if self.closed {
            return 0;
        }
        while self.limit - self.data.len() < wanted && self.limit < self.capacity {
            let step = self.limit.min(self.capacity - self.limit);
            if !self.budget.try_take(step) {
                break;
            }
            self.limit += step;
        }
        self.available()
    }

    fn available(&self) -> usize {
        match self.overflow {
            Overflow::DropOldest => self.limit,
            Overflow::Block => (self.limit - self.data.len()) + self.evictable(),
        }
    }

    /// Released bytes, except those that a later holder has not acknowledged.
    fn evictable(&self) -> usize {
        let upto = self.least_acknowledged().map_or(self.released, |least| least.min(self.released));
        let count = upto.saturating_sub(self.base) as usize;
        count.min(self.data.len())
    }

    fn least_acknowledged(&self) -> Option<u64> {
        self.holders.iter().map(|(_, offset)| *offset).min()
    }

    /// Appends bytes, at most [`Ring::room`], and returns how many.
    pub fn push(&mut self, bytes: &[u8]) -> usize {
        let accepted = &bytes[..bytes.len().min(self.available())];
        let excess = (self.data.len() + accepted.len()).saturating_sub(self.limit);
        self.drop_front(excess);
        if self.data.capacity() < self.data.len() + accepted.len() {
            let doubled = (self.data.capacity() * 2).clamp(4096, self.limit.max(4096));
            let needed = self.data.len() + accepted.len();
            self.data.reserve_exact(doubled.max(needed) - self.data.len());
        }
        self.data.extend(accepted);
        accepted.len()
    }

    fn drop_front(&mut self, count: usize) {
        let count = count.min(self.data.len());
        self.data.drain(..count);
        self.base += count as u64;
    }

    /// Returns up to `max` bytes from `offset`; none if they are not written yet or were dropped.
    pub fn read(&self, offset: u64, max: usize) -> Bytes {
        if offset < self.base || offset >= self.end() {
            return Bytes::new();
        }
        let from = (offset - self.base) as usize;
        let to = self.data.len().min(from.saturating_add(max));
        let (front, back) = self.data.as_slices();
        if to <= front.len() {
            return Bytes::copy_from_slice(&front[from..to]);
        }
        if from >= front.len() {
            return Bytes::copy_from_slice(&back[from - front.len()..to - front.len()]);
        }
        let mut joined = Vec::with_capacity(to - from);
        joined.extend_from_slice(&front[from..]);
        joined.extend_from_slice(&back[..to - front.len()]);
        Bytes::from(joined)
    }

    /// Checks that a reader may start at `offset`.
    pub fn check(&self, offset: u64) -> Result<(), RingError> {
        if offset < self.base || offset > self.end() {
            return Err(RingError::NotHeld { wanted: offset, base: self.base, end: self.end() });
        }
        Ok(())
    }

    /// Adds a holder that has kept everything before `offset`.
    pub fn hold(&mut self, holder: HolderId, offset: u64) {
        self.holders.push((holder, offset));
    }

    /// Offset up to which a holder has acknowledged.
    pub fn acknowledged(&self, holder: HolderId) -> Option<u64> {
        let found = self.holders.iter().find(|(id, _)| *id == holder);
        found.map(|(_, offset)| *offset)
    }

    /// Records that a holder has kept everything before `offset`. Ignores an offset below an earlier one.
    pub fn acknowledge(&mut self, holder: HolderId, offset: u64) -> Result<(), RingError> {
        if offset > self.end() {
            return Err(RingError::Ahead { acknowledged: offset, end: self.end() });
        }
        for (id, kept) in &mut self.holders {
            if *id == holder {
                *kept = offset.max(*kept);
            }
        }
        self.settle();
        Ok(())
    }

    /// Removes a holder. Released bytes stay released, and bytes that all remaining holders have acknowledged are released.
    pub fn release(&mut self, holder: HolderId) {
        self.holders.retain(|(id, _)| *id != holder);
        self.settle();
    }

    fn settle(&mut self) {
        if let Some(least) = self.least_acknowledged() {
            self.released = self.released.max(least);
        }
    }

    /// Frees the memory of released bytes, and returns how many bytes.
    pub fn shed(&mut self) -> usize {
        let before = self.limit;
        let evictable = match self.overflow {
            Overflow::Block => self.evictable(),
            Overflow::DropOldest => 0,
        };
        self.drop_front(evictable);
        let least = if self.closed { 0 } else { self.capacity.min(FLOOR_BYTES) };
        self.limit = self.data.len().max(least);
        self.data.shrink_to(self.limit);
        self.budget.give_back(before.saturating_sub(self.limit));
        before.saturating_sub(self.limit)
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        self.budget.give_back(self.limit);
    }
}

#[cfg(test)]
#[path = "ring_test.rs"]
mod tests;
