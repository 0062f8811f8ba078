//! What a transfer leaves out or finds changed, for people.

/// Most lines.
const LINES: usize = 100;
/// Most bytes of a line.
const LINE_BYTES: usize = 512;

/// The counts and warnings of a transfer.
#[derive(Default)]
pub struct Tally {
    /// Files, directories and links.
    pub entries: u64,
    /// Entries that were left out or that changed.
    pub skipped: u64,
    pub warnings: Vec<String>,
}

impl Tally {
    /// Notes something.
    pub fn warn(&mut self, text: String) {
        if self.warnings.len() < LINES {
            let mut text = text;
            text.truncate(text.floor_char_boundary(LINE_BYTES));
            self.warnings.push(text);
        }
    }

    /// Notes an entry that is left out or incomplete.
    pub fn skip(&mut self, text: String) {
        self.skipped += 1;
        self.warn(text);
    }
}
