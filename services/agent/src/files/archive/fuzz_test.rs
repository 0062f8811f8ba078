//! Archives with any content.

use super::header::BLOCK;
use super::holes::Map;
use super::reader::Reader;
use crate::files::archive::header::Kind;
use crate::files::error::Result;
use crate::files::incoming::Source;
use crate::fuzzing::fuzz;

struct Bytes<'a>(&'a [u8]);

impl Source for Bytes<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let count = buffer.len().min(self.0.len()).min(700);
        let (now, later) = self.0.split_at(count);
        buffer[..count].copy_from_slice(now);
        self.0 = later;
        Ok(count)
    }
}

/// Reads every entry and its content, as an extraction does.
fn read_all(archive: &[u8]) -> Result<u64> {
    let mut source = Bytes(archive);
    let mut reader = Reader::new(&mut source);
    let (mut bytes, mut buffer) = (0, [0; 100]);
    while let Some(entry) = reader.next()? {
        assert!(entry.path.len() <= 64 * 1024 && entry.mode <= 0o7777 && entry.modified.1 < 1_000_000_000);
        if let Kind::Sparse(size) = entry.kind {
            let parts = Map::new().parts(size, |map| reader.map_number(map))?;
            assert!(parts.iter().all(|part| part.offset + part.length <= size));
        }
        loop {
            match reader.read(&mut buffer)? {
                0 => break,
                count => bytes += count as u64,
            }
        }
    }
    Ok(bytes)
}

/// Gives each block the sum that a header needs, so that its other fields are looked at.
fn with_sums(archive: &[u8]) -> Vec<u8> {
    let mut archive = archive.to_vec();
    for block in archive.chunks_exact_mut(BLOCK).filter(|block| block.iter().any(|byte| *byte != 0)) {
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
    archive
}

#[test]
fn any_text_is_an_archive_or_refused() {
    fuzz("tar", |archive| {
        for archive in [archive.to_vec(), with_sums(archive)] {
            if let Ok(bytes) = read_all(&archive) {
                assert!(bytes <= archive.len() as u64);
            }
        }
    });
}
