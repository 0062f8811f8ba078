//! Tells the link handshake and HTTP/2 apart in the host's bytes.
//!
//! A pure state machine over the bytes: no clock, no I/O. It follows HTTP/2 frame by frame (it reads only the
//! nine-byte headers), because a HELLO line must not be looked for inside frames: there it may be a tenant's stdin.
//!
//! ```text
//!             HELLO line                  24 bytes of preface            length, type, flags, stream
//!  Searching ------------> (answer) ----> Preface ------------> Header <----------------> Payload
//!      ^                                     |  mismatch           |  impossible length
//!      +-------------------------------------+---------------------+
//! ```
//!
//! Every mismatch leads back to Searching, and the bytes that did not fit are searched too. "PADDOCK/1" read as a
//! frame header announces 5 259 588 bytes, far above the frame size we allow, so a HELLO at a frame boundary is
//! never taken for a frame. [`Scanner::stalled_hello`] finds a HELLO inside a frame that an old daemon left unfinished.

/// Bytes of a HELLO or READY line, with its newline.
pub const LINE_BYTES: usize = HELLO.len() + NONCE_BYTES + 1;
/// Hex digits of a nonce.
pub const NONCE_BYTES: usize = 32;
/// The largest HTTP/2 frame payload we allow the host to send, in bytes.
pub const MAX_FRAME_BYTES: usize = 256 * 1024;

const HELLO: &[u8] = b"PADDOCK/1 HELLO ";
const READY: &[u8] = b"PADDOCK/1 READY ";
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADER_BYTES: usize = 9;
const LENGTH_BYTES: usize = 3;

/// The nonce of a HELLO: 32 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Nonce([u8; NONCE_BYTES]);

impl Nonce {
    /// The READY line that answers it.
    pub fn ready_line(&self) -> [u8; LINE_BYTES] {
        let mut line = [b'\n'; LINE_BYTES];
        line[..READY.len()].copy_from_slice(READY);
        line[READY.len()..READY.len() + NONCE_BYTES].copy_from_slice(&self.0);
        line
    }

    fn parse(line: &[u8]) -> Option<Self> {
        let rest = line.strip_prefix(HELLO)?.strip_suffix(b"\n")?;
        let digits: [u8; NONCE_BYTES] = rest.try_into().ok()?;
        let hex = digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
        hex.then_some(Self(digits))
    }
}

/// The meaning of a run of bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Found {
    /// The first `used` bytes are consumed. They belong to the connection, or are discarded.
    Bytes { used: usize, connection: bool },
    /// A HELLO ended at byte `used`. The connection before it has ended.
    Hello { used: usize, nonce: Nonce },
    /// The connection has ended: these bytes cannot belong to it. They are searched; feed the bytes after `used`.
    Broken { used: usize },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Searching,
    Preface { seen: usize },
    Header { seen: usize },
    Payload { left: usize },
}

/// The state machine.
#[derive(Debug)]
pub struct Scanner {
    state: State,
    header: [u8; HEADER_BYTES],
    /// The last bytes seen, oldest first: enough for one line.
    tail: Vec<u8>,
}

impl Scanner {
    /// A scanner that searches for HELLO.
    pub fn new() -> Self {
        Self { state: State::Searching, header: [0; HEADER_BYTES], tail: Vec::with_capacity(2 * LINE_BYTES) }
    }

    /// Returns to searching after a disconnect. Keeps the last bytes: they may be the beginning of a HELLO that arrived before
    /// the disconnect event.
    pub fn reset(&mut self) {
        self.state = State::Searching;
    }

    /// Whether READY was sent and no byte was received since.
    pub fn is_fresh(&self) -> bool {
        self.state == State::Preface { seen: 0 }
    }

    /// Continues with HTTP/2 after READY was sent.
    pub fn expect_preface(&mut self) {
        self.state = State::Preface { seen: 0 };
        self.tail.clear();
    }

    /// Scans the next bytes. Call again with the bytes after `used` until all are used.
    pub fn feed(&mut self, bytes: &[u8]) -> Found {
        if self.state == State::Searching {
            return self.search(bytes);
        }
        let mut used = 0;
        while used < bytes.len() {
            let rest = &bytes[used..];
            let step = match self.state {
                State::Searching => 0,
                State::Preface { seen } => self.preface(seen, rest),
                State::Header { seen } => self.frame_header(seen, rest),
                State::Payload { left } => self.payload(left, rest),
            };
            self.remember(&rest[..step]);
            used += step;
            if self.state == State::Searching {
                return Found::Broken { used };
            }
        }
        Found::Bytes { used, connection: true }
    }

    fn search(&mut self, bytes: &[u8]) -> Found {
        let mut from = 0;
        while let Some(length) = bytes[from..].iter().position(|byte| *byte == b'\n') {
            let upto = from + length + 1;
            self.remember(&bytes[from..upto]);
            from = upto;
            if let Some(nonce) = self.hello_at_tail() {
                self.tail.clear();
                return Found::Hello { used: upto, nonce };
            }
        }
        self.remember(&bytes[from..]);
        Found::Bytes { used: bytes.len(), connection: false }
    }

    fn preface(&mut self, seen: usize, bytes: &[u8]) -> usize {
        let matching = bytes.iter().zip(&PREFACE[seen..]).take_while(|(a, b)| a == b);
        let count = matching.count();
        let seen = seen + count;
        self.state = if seen == PREFACE.len() {
            State::Header { seen: 0 }
        } else if count < bytes.len() {
            // The mismatching byte is not consumed: it is searched next.
            State::Searching
        } else {
            State::Preface { seen }
        };
        count
    }

    fn frame_header(&mut self, seen: usize, bytes: &[u8]) -> usize {
        // The length first: if it is not a valid length, the rest is searched, since a HELLO may end in it.
        let wanted = if seen < LENGTH_BYTES { LENGTH_BYTES } else { HEADER_BYTES };
        let count = bytes.len().min(wanted - seen);
        self.header[seen..seen + count].copy_from_slice(&bytes[..count]);
        let seen = seen + count;
        let [high, middle, low, ..] = self.header;
        let length = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
        self.state = if seen >= LENGTH_BYTES && length > MAX_FRAME_BYTES {
            State::Searching
        } else if seen < HEADER_BYTES {
            State::Header { seen }
        } else if length == 0 {
            State::Header { seen: 0 }
        } else {
            State::Payload { left: length }
        };
        count
    }

    fn payload(&mut self, left: usize, bytes: &[u8]) -> usize {
        let count = bytes.len().min(left);
        self.state = if count == left { State::Header { seen: 0 } } else { State::Payload { left: left - count } };
        count
    }

    fn remember(&mut self, bytes: &[u8]) {
        let bytes = &bytes[bytes.len().saturating_sub(LINE_BYTES)..];
        let excess = (self.tail.len() + bytes.len()).saturating_sub(LINE_BYTES);
        self.tail.drain(..excess.min(self.tail.len()));
        self.tail.extend_from_slice(bytes);
    }

    fn hello_at_tail(&self) -> Option<Nonce> {
        Nonce::parse(&self.tail)
    }

    /// The HELLO that ends exactly here, inside an incomplete frame. A daemon that sent HELLO is silent until READY, and a live
    /// daemon finishes its frames. So if nothing follows for a while, the HELLO is from a new daemon whose predecessor died in
    /// mid-frame, not from a tenant's stdin.
    pub fn stalled_hello(&self) -> Option<Nonce> {
        match self.state {
            State::Payload { .. } => self.hello_at_tail(),
            State::Header { seen } if seen > 0 => self.hello_at_tail(),
            State::Header { .. } | State::Searching | State::Preface { .. } => None,
        }
    }
}

#[cfg(test)]
#[path = "scanner_test.rs"]
mod tests;
