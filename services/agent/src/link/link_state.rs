//! The state of the link: the port, the scanner over its input, and which connection the bytes belong to.

use std::io;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;

use tokio::sync::Notify;

use super::port::{Change, Port};
use super::scanner::{Found, Nonce, Scanner};
use crate::sync::lock;

/// How long a HELLO inside an unfinished frame must be followed by nothing before it counts.
const STALL: Duration = Duration::from_millis(250);

/// The link: one port, and at most one live connection on it.
pub struct Link {
    pub(super) port: Port,
    once: bool,
    pub(super) state: Mutex<State>,
    /// The connection ended, or a HELLO came.
    ended: Notify,
    /// The input ends with a HELLO inside a frame.
    stalled: Notify,
    /// A write found no room.
    pub(super) blocked: Notify,
}

/// State that the link's tasks share.
pub(super) struct State {
    scanner: Scanner,
    readable: bool,
    pub(super) writable: bool,
    /// Counts connections; 0 before the first.
    pub(super) generation: u64,
    /// Whether the connection of this generation is over.
    pub(super) over: bool,
    /// The peer of a socket has closed it.
    finished: bool,
    hello: Option<Nonce>,
    /// Bytes read after a HELLO or after the end of a connection.
    rest: Vec<u8>,
    received: u64,
    pub(super) reader: Option<Waker>,
    pub(super) writer: Option<Waker>,
}

/// The result of filling a buffer.
pub(super) enum Filled {
    /// Bytes for the connection.
    Bytes(usize),
    /// Nothing to read now.
    Blocked,
    /// The host is disconnected, or its connection ended.
    Over,
}

impl Link {
    /// Creates a link on a port. A socket, unlike a virtio port, is `once`: its peer does not reconnect.
    pub fn new(port: Port, once: bool) -> Arc<Self> {
        Arc::new(Self {
            port,
            once,
            state: Mutex::new(State {
                scanner: Scanner::new(),
                readable: true,
                writable: true,
                generation: 0,
                over: true,
                finished: false,
                hello: None,
                rest: Vec::new(),
                received: 0,
                reader: None,
                writer: None,
            }),
            ended: Notify::new(),
            stalled: Notify::new(),
            blocked: Notify::new(),
        })
    }

    /// Follows the port's changes. Runs beside the connection and returns only an error.
    pub async fn follow(&self) -> io::Result<()> {
        loop {
            let change = self.port.changed().await?;
            self.note(change);
        }
    }

    fn note(&self, change: Change) {
        let mut state = lock(&self.state);
        state.readable |= change.readable;
        state.writable |= change.writable;
        if change.hung_up {
            self.host_left(&mut state);
        }
        let wakers =
            [state.reader.take_if(|_| change.readable), state.writer.take_if(|_| change.writable || change.hung_up)];
        drop(state);
        wakers.into_iter().flatten().for_each(Waker::wake);
    }

    fn end(&self, state: &mut State) {
        state.over = true;
        if let Some(waker) = state.writer.take() {
            waker.wake();
        }
        self.ended.notify_one();
    }

    /// Fills `buffer` with bytes of the live connection.
    pub(super) fn fill(&self, state: &mut State, buffer: &mut [u8]) -> Filled {
        let mut filled = 0;
        while filled < buffer.len() {
            let space = &mut buffer[filled..];
            let count = if state.rest.is_empty() {
                if !state.readable {
                    break;
                }
                match self.port.read(space) {
                    Ok(0) => {
                        state.readable = false;
                        self.host_left(state);
                        if state.over {
                            return Filled::Over;
                        }
                        break;
                    }
                    Ok(count) => count,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => {
                        state.readable = false;
                        if error.kind() != io::ErrorKind::WouldBlock {
                            state.finished = true;
                            self.end(state);
                            return Filled::Over;
                        }
                        break;
                    }
                }
            } else {
                let count = space.len().min(state.rest.len());
                space[..count].copy_from_slice(&state.rest[..count]);
                state.rest.drain(..count);
                count
            };
            state.received += count as u64;
            if !self.sort(state, &mut buffer[filled..filled + count], &mut filled) {
                return Filled::Over;
            }
        }
        if filled > 0 {
            return Filled::Bytes(filled);
        }
        if state.scanner.stalled_hello().is_some() {
            self.stalled.notify_one();
        }
        Filled::Blocked
    }

    /// Runs the scanner over new bytes. Returns false if no connection takes them.
    fn sort(&self, state: &mut State, fresh: &mut [u8], filled: &mut usize) -> bool {
        match state.scanner.feed(fresh) {
            Found::Bytes { used, connection } => {
                if connection && !state.over {
                    *filled += used;
                    return true;
                }
                !state.over
            }
            Found::Hello { used, nonce } => {
                state.hello = Some(nonce);
                state.rest.splice(0..0, fresh[used..].iter().copied());
                self.end(state);
                false
            }
            Found::Broken { used } => {
                state.rest.splice(0..0, fresh[used..].iter().copied());
                self.end(state);
                false
            }
        }
    }

    /// Records a disconnect. Its event is not ordered with the bytes and may arrive after the next host's HELLO. So a connection
    /// that has not received a byte yet stays open, and a HELLO that was taken for payload of the old connection counts as a
    /// HELLO.
    fn host_left(&self, state: &mut State) {
        state.finished = self.once;
        if !state.over && state.scanner.is_fresh() && !self.once {
            return;
        }
        if let Some(nonce) = state.scanner.stalled_hello() {
            state.hello = Some(nonce);
        }
        state.scanner.reset();
        self.end(state);
    }

    /// Waits for the next HELLO and discards everything else. None if a socket's peer has closed it.
    pub async fn hello(&self) -> Option<Nonce> {
        let mut buffer = vec![0; 4096];
        loop {
            let found = std::future::poll_fn(|context| {
                let mut state = lock(&self.state);
                loop {
                    if let Some(nonce) = state.hello.take() {
                        return Poll::Ready(Some(nonce));
                    }
                    if state.finished {
                        return Poll::Ready(None);
                    }
                    state.over = true;
                    if matches!(self.fill(&mut state, &mut buffer), Filled::Blocked)
                        || (!state.readable && state.rest.is_empty() && state.hello.is_none())
                    {
                        state.reader = Some(context.waker().clone());
                        return Poll::Pending;
                    }
                }
            });
            tokio::select! {
                found = found => return found,
                () = self.believe_stalled() => {}
            }
        }
    }

    /// Waits until a HELLO inside an unfinished frame has been followed by nothing for [`STALL`].
    pub async fn believe_stalled(&self) {
        loop {
            self.stalled.notified().await;
            let before = lock(&self.state).received;
            tokio::time::sleep(STALL).await;
            let mut state = lock(&self.state);
            if state.received != before {
                continue;
            }
            if let Some(nonce) = state.scanner.stalled_hello() {
                state.scanner.reset();
                state.hello = Some(nonce);
                self.end(&mut state);
                return;
            }
        }
    }

    /// Begins the next connection and returns its generation.
    pub(super) fn begin(&self) -> u64 {
        let mut state = lock(&self.state);
        state.generation += 1;
        state.over = false;
        state.scanner.expect_preface();
        state.generation
    }

    /// Waits until the connection is over.
    pub async fn ended(&self) {
        loop {
            if lock(&self.state).over {
                return;
            }
            self.ended.notified().await;
        }
    }
}
