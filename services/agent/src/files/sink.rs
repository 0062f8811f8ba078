//! The thread's end of a transfer from a container: collects bytes to chunks, and computes their digest.

use std::sync::Arc;

use bytes::BytesMut;
use sha2::{Digest, Sha256};

use super::error::Result;
use super::outgoing::Outgoing;
use super::warnings::Tally;
use crate::pb;

/// Bytes of a chunk: less than the contract allows, so that other calls get their turn on the link.
const CHUNK_BYTES: usize = 64 * 1024;

/// Where the bytes go.
pub struct Sink {
    outgoing: Arc<Outgoing>,
    buffer: BytesMut,
    digest: Sha256,
    /// Offset of the next byte.
    offset: u64,
}

impl Sink {
    /// A sink whose first byte has the given offset.
    pub fn new(outgoing: Arc<Outgoing>, offset: u64) -> Self {
        Self { outgoing, buffer: BytesMut::new(), digest: Sha256::new(), offset }
    }

    /// Adds bytes. Waits while the client is behind.
    pub fn write(&mut self, mut data: &[u8]) -> Result<()> {
        while !data.is_empty() {
            if self.buffer.capacity() == 0 {
                self.buffer.reserve(CHUNK_BYTES);
            }
            let (now, later) = data.split_at(data.len().min(CHUNK_BYTES - self.buffer.len()));
            self.buffer.extend_from_slice(now);
            data = later;
            if self.buffer.len() >= CHUNK_BYTES {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Adds zeros.
    pub fn write_zeros(&mut self, mut count: u64) -> Result<()> {
        const ZEROS: [u8; 4096] = [0; 4096];
        while count > 0 {
            let now = count.min(ZEROS.len() as u64);
            self.write(ZEROS.get(..now as usize).unwrap_or_default())?;
            count -= now;
        }
        Ok(())
    }

    /// Sends what is left, and returns the end of the transfer.
    pub fn end(mut self, tally: Tally) -> Result<pb::CopyEnd> {
        self.flush()?;
        Ok(pb::CopyEnd {
            total_bytes: self.offset,
            sha256: self.digest.finalize().to_vec().into(),
            entries: tally.entries,
            skipped: tally.skipped,
            warnings: tally.warnings,
        })
    }

    fn flush(&mut self) -> Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let data = std::mem::take(&mut self.buffer).freeze();
        self.digest.update(&data);
        self.offset += data.len() as u64;
        self.outgoing.push(data)
    }
}
