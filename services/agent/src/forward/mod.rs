//! A TCP connection to a port of the guest, which one stream of the link carries.
//!
//! ```text
//!   host --take--> waiting ---> socket        acknowledged when the socket has taken it
//!   host <--next-- (window) <--- socket       read only as far as the host's last acknowledgement allows
//! ```
//!
//! Each direction has a window, so that the agent can take every message at once: a socket that takes nothing blocks neither the
//! acknowledgements of the other direction nor, through the link's own flow control, other calls. A connection takes at most one
//! window of memory.
//!
//! Each direction ends by itself. A connection that did not end in both directions is reset when it is dropped, so that the server
//! does not take a lost client for one that has said everything.

mod dial;
mod error;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::sync::lock;
pub use error::ForwardError;

/// Bytes of one direction that may be on their way.
pub const WINDOW_BYTES: usize = 128 * 1024;
/// Taken bytes are acknowledged in steps of this size, or larger ones.
const ACK_BYTES: u64 = WINDOW_BYTES as u64 / 4;
/// The most that is read at once.
const READ_BYTES: usize = 64 * 1024;

thread_local! {
    /// What is read is copied before the connection yields, so one buffer serves all connections.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES]);
}

/// What the host sends.
#[derive(Debug)]
pub enum Input {
    Data(Bytes),
    /// No more data follows.
    Eof,
    /// The host has taken so many bytes.
    Ack(u64),
}

/// What the host is sent.
#[derive(Debug)]
pub enum Output {
    Data(Bytes),
    /// No more data follows.
    Eof,
    /// The socket has taken so many bytes.
    Ack(u64),
    /// The connection was reset. Nothing follows.
    Reset(String),
}

/// A connection. See the module's text.
pub struct Connection {
    /// The address that was connected to.
    pub address: IpAddr,
    socket: TcpStream,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    /// Bytes from the host that the socket has not taken.
    waiting: VecDeque<u8>,
    /// How many bytes the socket has taken, and how many of them are acknowledged.
    written: u64,
    acknowledged: u64,
    /// The host sends no more.
    ended: bool,
    /// The socket knows that no more follows.
    shut: bool,
    /// Why the socket takes nothing any more.
    broken: Option<String>,
    /// How many bytes the host was sent, and how many of them it has taken.
    sent: u64,
    taken: u64,
    /// The socket has no more bytes.
    exhausted: bool,
    /// The host was told of a reset.
    reset: bool,
}

enum Step {
    Output(Output),
    /// Nothing can be done before the socket is ready for this, if anything, or the host has sent something.
    Wait(Option<Interest>),
    Over,
}

impl Connection {
    /// Connects to a port.
    pub async fn dial(port: u32) -> Result<Self, ForwardError> {
        let (address, socket) = dial::dial(port).await?;
        Ok(Self { address, socket, state: Mutex::default(), changed: Notify::new() })
    }

    /// Takes a message from the host.
    pub fn take(&self, input: Input) -> Result<(), ForwardError> {
        let mut state = lock(&self.state);
        match input {
            Input::Data(data) => self.take_data(&mut state, &data)?,
            Input::Eof if state.ended => return Err(ForwardError::Invalid("eof was sent before")),
            Input::Eof => state.ended = true,
            Input::Ack(offset) if offset < state.taken || offset > state.sent => {
                return Err(ForwardError::Invalid("an ack must be for bytes that were sent"));
            }
            Input::Ack(offset) => state.taken = offset,
        }
        drop(state);
        self.changed.notify_waiters();
        Ok(())
    }

    /// The next message for the host; none when the connection is over.
    pub async fn next(&self) -> Option<Output> {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            // A message that is taken after this line is not missed.
            changed.as_mut().enable();
            match self.step() {
                Step::Output(output) => return Some(output),
                Step::Over => return None,
                Step::Wait(None) => changed.await,
                Step::Wait(Some(interest)) => tokio::select! {
                    () = changed => {}
                    _ = self.socket.ready(interest) => {}
                },
            }
        }
    }

    fn take_data(&self, state: &mut State, data: &[u8]) -> Result<(), ForwardError> {
        if data.is_empty() {
            return Err(ForwardError::Invalid("data must not be empty"));
        }
        if state.ended {
            return Err(ForwardError::Invalid("data must not follow eof"));
        }
        if state.waiting.len() + data.len() > WINDOW_BYTES {
            return Err(ForwardError::Invalid("data must fit in the window"));
        }
        if state.broken.is_some() {
            return Ok(());
        }
        let written = if state.waiting.is_empty() { state.note_written(self.socket.try_write(data)) } else { 0 };
        state.waiting.extend(data.get(written..).unwrap_or_default());
        Ok(())
    }

    fn step(&self) -> Step {
        let mut state = lock(&self.state);
        if state.reset {
            return Step::Over;
        }
        self.flush(&mut state);
        if state.written - state.acknowledged >= ACK_BYTES {
            state.acknowledged = state.written;
            return Step::Output(Output::Ack(state.written));
        }
        if state.exhausted {
            return match (state.broken.take(), state.shut) {
                (Some(reason), _) => state.reset(reason),
                (None, true) => Step::Over,
                (None, false) => Step::Wait(state.writable()),
            };
        }
        let credit = WINDOW_BYTES.saturating_sub((state.sent - state.taken) as usize);
        if credit == 0 {
            return Step::Wait(state.writable());
        }
        self.read(&mut state, credit.min(READ_BYTES))
    }

    /// Gives the socket what waits for it, and then the end.
    fn flush(&self, state: &mut State) {
        while state.broken.is_none() && !state.waiting.is_empty() {
            let result = self.socket.try_write(state.waiting.as_slices().0);
            let written = state.note_written(result);
            state.waiting.drain(..written);
            if written == 0 {
                break;
            }
        }
        if state.broken.is_some() || state.waiting.is_empty() {
            // An idle connection keeps no memory.
            state.waiting = VecDeque::new();
        }
        if state.ended && state.waiting.is_empty() && !state.shut && state.broken.is_none() {
            match rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Write) {
                Ok(()) => state.shut = true,
                Err(error) => state.broken = Some(io::Error::from(error).to_string()),
            }
        }
    }

    fn read(&self, state: &mut State, limit: usize) -> Step {
        let read = SCRATCH.with_borrow_mut(|scratch| {
            let room = scratch.get_mut(..limit).unwrap_or_default();
            self.socket.try_read(room).map(|count| Bytes::copy_from_slice(room.get(..count).unwrap_or_default()))
        });
        match read {
            Ok(data) if data.is_empty() => {
                state.exhausted = true;
                match state.broken.take() {
                    Some(reason) => state.reset(reason),
                    None => Step::Output(Output::Eof),
                }
            }
            Ok(data) => {
                state.sent += data.len() as u64;
                Step::Output(Output::Data(data))
            }
            Err(error) if is_not_now(&error) => {
                let readable = Interest::READABLE;
                Step::Wait(Some(state.writable().map_or(readable, |writable| writable | readable)))
            }
            Err(error) => {
                let reason = state.broken.take().unwrap_or_else(|| error.to_string());
                state.reset(reason)
            }
        }
    }
}

impl State {
    /// Notes how much the socket has taken. An error ends this direction, and the connection when all is read: the server may have
    /// answered before it closed.
    fn note_written(&mut self, result: io::Result<usize>) -> usize {
        match result {
            Ok(written) => {
                self.written += written as u64;
                written
            }
            Err(error) if is_not_now(&error) => 0,
            Err(error) => {
                self.broken = Some(error.to_string());
                0
            }
        }
    }

    fn reset(&mut self, reason: String) -> Step {
        self.reset = true;
        Step::Output(Output::Reset(reason))
    }

    fn writable(&self) -> Option<Interest> {
        (!self.waiting.is_empty() && self.broken.is_none()).then_some(Interest::WRITABLE)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let state = lock(&self.state);
        if !(state.exhausted && state.shut) {
            // The socket is reset when it closes.
            let _ = rustix::net::sockopt::set_socket_linger(&self.socket, Some(Duration::ZERO));
        }
    }
}

fn is_not_now(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests;
