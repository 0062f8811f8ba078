//! Writes the queued stdin to the process in its own task, so that a process that does not read its stdin blocks nothing else.

use std::io;
use std::sync::Arc;

use nix::sys::termios::{SpecialCharacterIndices, tcgetattr};
use tokio::net::unix::pipe;

use super::Process;
use super::stdin::Next;
use crate::sync::{lock, until};

/// Where stdin goes.
pub enum Sink {
    Pipe(pipe::Sender),
    /// The process's terminal.
    Terminal,
}

/// Starts the writer.
pub fn start(process: &Arc<Process>, sink: Sink) {
    tokio::spawn(run(process.clone(), sink));
}

async fn run(process: Arc<Process>, sink: Sink) {
    let mut line_open = false;
    loop {
        let mut changed = std::pin::pin!(process.stdin_changed.notified());
        changed.as_mut().enable();
        let next = lock(&process.state).stdin.next();
        match next {
            Next::Wait => changed.await,
            Next::Close => return close(&process, &sink, line_open).await,
            Next::Write(bytes) => {
                let written = tokio::select! {
                    written = write(&process, &sink, &bytes) => written,
                    // The process has ended, or its container is removed.
                    () = broken(&process) => return,
                };
                match written {
                    Ok(count) => {
                        line_open = count > 0 && bytes.get(count - 1) != Some(&b'\n');
                        lock(&process.state).stdin.wrote(count);
                    }
                    Err(_closed) => lock(&process.state).stdin.break_off(),
                }
                process.stdin_changed.notify_waiters();
                process.changed.notify_waiters();
            }
        }
    }
}

async fn broken(process: &Process) {
    let has_ended = || {
        let state = lock(&process.state);
        (state.reaped.is_some() || state.abandoned).then_some(())
    };
    until(&process.stdin_changed, has_ended).await;
}

async fn write(process: &Process, sink: &Sink, bytes: &[u8]) -> io::Result<usize> {
    match sink {
        Sink::Pipe(pipe) => loop {
            pipe.writable().await?;
            match pipe.try_write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return written,
            }
        },
        Sink::Terminal => {
            let interest = tokio::io::Interest::WRITABLE;
            process.terminal()?.async_io(interest, |fd| Ok(nix::unistd::write(fd, bytes)?)).await
        }
    }
}

/// Ends stdin. A pipe is closed by dropping it. A terminal stays open for its output: it gets the end-of-file character, twice
/// after an unfinished line, because the first one only delivers that line.
async fn close(process: &Process, sink: &Sink, line_open: bool) {
    if let (Sink::Terminal, Some(terminal)) = (sink, &process.terminal) {
        let settings = tcgetattr(terminal.get_ref());
        let character =
            settings.map(|settings| settings.control_chars[SpecialCharacterIndices::VEOF as usize]).unwrap_or(4);
        let count = if line_open { 2 } else { 1 };
        // A terminal that accepts no more bytes has no reader.
        let _ = write(process, sink, &[character; 2][..count]).await;
    }
}
