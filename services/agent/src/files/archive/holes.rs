//! The holes of a file, and the map of its data in an archive: decimal numbers, one a line, padded to a block.

use std::os::fd::BorrowedFd;

use rustix::fs::SeekFrom;
use rustix::io::Errno;

use super::header::BLOCK;
use super::pax;
use crate::files::error::{FileError, Result};
use crate::files::incoming::Source;

/// Most parts of a file whose holes are kept. What follows is archived as data.
const PARTS: usize = 8192;
/// Most parts of a file in an archive that is read.
const MOST_PARTS: u64 = 64 * 1024;
/// Smaller holes are not worth a map.
const SMALLEST: u64 = 64 * 1024;
/// Most bytes of a line of a map.
const LINE_BYTES: usize = 21;

/// A part with data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    pub offset: u64,
    pub length: u64,
}

/// The parts of a file that have data. None if it has no holes that matter.
pub fn find(file: BorrowedFd<'_>, size: u64) -> Option<Vec<Part>> {
    let (mut parts, mut at, mut data) = (Vec::new(), 0, 0);
    while at < size {
        let begin = match rustix::fs::seek(file, SeekFrom::Data(at)) {
            Ok(begin) => begin.min(size),
            Err(Errno::NXIO) => size,
            Err(_) => return None,
        };
        if begin >= size {
            break;
        }
        let last = parts.len() + 1 == PARTS;
        let hole = if last { Ok(size) } else { rustix::fs::seek(file, SeekFrom::Hole(begin)) };
        let end = hole.ok()?.clamp(begin, size);
        if end == begin {
            // The file changes.
            return None;
        }
        parts.push(Part { offset: begin, length: end - begin });
        data += end - begin;
        at = end;
    }
    (size - data >= SMALLEST).then_some(parts)
}

/// The map of a file, padded to a block. A last part without data marks the end of the file.
pub fn encode(parts: &[Part], size: u64) -> Vec<u8> {
    let end = Part { offset: size, length: 0 };
    let mut map = format!("{}\n", parts.len() + 1).into_bytes();
    for part in parts.iter().chain([&end]) {
        map.extend_from_slice(format!("{}\n{}\n", part.offset, part.length).as_bytes());
    }
    map.resize(map.len().next_multiple_of(BLOCK), 0);
    map
}

/// Reads a map.
pub struct Map {
    block: [u8; BLOCK],
    at: usize,
}

impl Map {
    /// A map of which nothing was read.
    pub fn new() -> Self {
        Self { block: [0; BLOCK], at: BLOCK }
    }

    /// All parts. They follow each other inside a file of the given size.
    pub fn parts(&mut self, size: u64, mut number: impl FnMut(&mut Self) -> Result<u64>) -> Result<Vec<Part>> {
        let count = number(self)?;
        if count > MOST_PARTS {
            return Err(FileError::Invalid(format!("a file in the archive has more than {MOST_PARTS} parts")));
        }
        let (mut parts, mut end) = (Vec::new(), 0);
        for _ in 0..count {
            let part = Part { offset: number(self)?, length: number(self)? };
            let after = part.offset.checked_add(part.length).filter(|after| *after <= size && part.offset >= end);
            end = after.ok_or_else(broken)?;
            parts.push(part);
        }
        Ok(parts)
    }

    /// The next number. `read` fills a block from the archive.
    pub fn number(&mut self, mut read: impl FnMut(&mut [u8; BLOCK]) -> Result<()>) -> Result<u64> {
        let mut line = Vec::with_capacity(LINE_BYTES);
        loop {
            if self.at == BLOCK {
                read(&mut self.block)?;
                self.at = 0;
            }
            let byte = self.block.get(self.at).copied().unwrap_or_default();
            self.at += 1;
            match byte {
                b'\n' => return pax::decimal(&line).ok_or_else(broken),
                _ if line.len() >= LINE_BYTES => return Err(broken()),
                byte => line.push(byte),
            }
        }
    }
}

/// The error for a map that is not one.
pub fn broken() -> FileError {
    FileError::Invalid("the archive has a broken map of holes".to_owned())
}

/// Fills a buffer. Fails at the end of the source.
pub fn read_exactly(source: &mut impl Source, mut buffer: &mut [u8]) -> Result<()> {
    while !buffer.is_empty() {
        let count = source.read(buffer)?;
        if count == 0 {
            return Err(FileError::Invalid("the archive ends too early".to_owned()));
        }
        buffer = buffer.get_mut(count..).unwrap_or_default();
    }
    Ok(())
}
