//! The files of a tree that have more than one name, so that the others become hard links in the archive.

use std::collections::HashMap;

use rustix::fs::Stat;

/// Bytes of the table: its files beyond that are archived as copies.
const LIMIT: usize = 4 * 1024 * 1024;
/// What a file takes beside its path.
const EACH: usize = 80;

/// The table.
#[derive(Default)]
pub struct Links {
    known: HashMap<(u64, u64), Known>,
    bytes: usize,
}

struct Known {
    path: Vec<u8>,
    /// Names that did not appear yet.
    left: u64,
}

/// What the table says of a file.
pub enum Seen {
    /// It has this earlier name.
    Before(Vec<u8>),
    /// This is its first name.
    First,
    /// The table is full.
    Full,
}

impl Links {
    /// Notes a name of a file.
    pub fn see(&mut self, stat: &Stat, path: &[u8]) -> Seen {
        let key = (stat.st_dev, stat.st_ino);
        if let Some(known) = self.known.get_mut(&key) {
            known.left = known.left.saturating_sub(1);
            if known.left > 0 {
                return Seen::Before(known.path.clone());
            }
            let Some(known) = self.known.remove(&key) else { return Seen::First };
            self.bytes -= known.path.len() + EACH;
            return Seen::Before(known.path);
        }
        let names = stat.st_nlink;
        if names < 2 {
            return Seen::First;
        }
        if self.bytes + path.len() + EACH > LIMIT {
            return Seen::Full;
        }
        self.bytes += path.len() + EACH;
        self.known.insert(key, Known { path: path.to_vec(), left: names - 1 });
        Seen::First
    }
}
