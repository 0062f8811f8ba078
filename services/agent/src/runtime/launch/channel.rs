//! The socket between the agent and a stage. Each message is one packet:
//!
//! - stage -> agent `R`: ready, waiting to start; an init stage sends the directory of the container's files, and the terminal's
//!   master if it made one.
//! - stage -> agent `F<kind><text>`: building the container failed.
//! - stage -> agent `B<pid>`: the process was created in its PID namespace; carries its pidfd.
//! - stage -> agent `L…`: a step of the launch failed ([`super::report`]).
//! - agent -> stage `G`: go.
//!
//! A successful `execve` closes the stage's end without a message.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType,
};

use super::report::{self, Report};
use crate::runtime::error::{Attempt, Result, RuntimeError};

const GO: &[u8] = b"G";
const MESSAGE_BYTES: usize = 4096;
/// The most descriptors of a message.
const DESCRIPTORS: usize = 2;

/// A message from a stage, or its end.
#[derive(Debug)]
pub enum Message {
    /// The stage waits to start.
    Ready(Vec<OwnedFd>),
    /// The container could not be built.
    Failed(RuntimeError),
    /// The process exists and waits to start. The PID is not checked.
    Born(i32, OwnedFd),
    /// A step of the launch failed.
    Launch(Report),
    /// The stage's end is closed: the command runs, or the stage was killed.
    Closed,
}

/// A pair of connected ends.
pub fn pair() -> Result<(OwnedFd, OwnedFd)> {
    rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
        .attempt(|| "create a stage's channel")
}

/// Waits for the next message.
pub fn receive(channel: &OwnedFd, timeout: Duration, what: &str) -> Result<Message> {
    wait_readable(channel.as_fd(), timeout, what)?;
    let mut bytes = [0u8; MESSAGE_BYTES];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut slices = [IoSliceMut::new(&mut bytes)];
    let received = rustix::net::recvmsg(channel, &mut slices, &mut ancillary, RecvFlags::CMSG_CLOEXEC);
    let count = match received {
        Ok(message) => message.bytes,
        Err(Errno::CONNRESET) => 0,
        Err(errno) => return Err(errno).attempt(|| format!("receive from {what}")),
    };
    let mut descriptors: Vec<OwnedFd> = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(fds) = message {
            descriptors.extend(fds);
        }
    }
    let message = bytes.get(..count).unwrap_or_default();
    Ok(match message {
        [] => Message::Closed,
        [b'R'] => Message::Ready(descriptors),
        [b'B', a, b, c, d] if let Some(pidfd) = descriptors.pop() => {
            Message::Born(i32::from_le_bytes([*a, *b, *c, *d]), pidfd)
        }
        [b'F', kind, text @ ..] => Message::Failed(failure(*kind, &String::from_utf8_lossy(text))),
        [report::TAG, ..] if let Some(report) = Report::decode(message) => Message::Launch(report),
        _ => Message::Failed(RuntimeError::Stage(format!("{what} sent an unexpected message"))),
    })
}

/// Waits until there is something to read or the other end is closed.
pub fn wait_readable(fd: BorrowedFd<'_>, timeout: Duration, what: &str) -> Result<()> {
    let began = Instant::now();
    loop {
        let left = timeout.saturating_sub(began.elapsed());
        let timespec = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
        match rustix::event::poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&timespec)) {
            Ok(0) => {
                let waited_ms = timeout.as_millis() as u64;
                return Err(RuntimeError::TimedOut { attempt: what.to_owned(), waited_ms });
            }
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno).attempt(|| format!("wait for {what}")),
        }
    }
}

/// Sends the go message to a stage. Returns whether the stage's end was open.
pub fn send_go(channel: &OwnedFd) -> bool {
    rustix::net::send(channel, GO, SendFlags::NOSIGNAL).is_ok()
}

/// For a stage: waits for the go message. Returns false if the channel was closed instead.
pub fn wait_go(channel: &OwnedFd) -> bool {
    let mut bytes = [0u8; 8];
    loop {
        match rustix::net::recv(channel, &mut bytes, RecvFlags::empty()) {
            Err(Errno::INTR) => {}
            Ok((_, count)) => return bytes.get(..count) == Some(GO),
            Err(_) => return false,
        }
    }
}

/// For a stage: reports that it is ready.
pub fn send_ready(channel: &OwnedFd, descriptors: &[BorrowedFd<'_>]) -> Result<()> {
    send(channel, b"R", descriptors).attempt(|| "report to the agent")
}

/// For a stage: hands over the process that it created.
pub fn send_born(channel: &OwnedFd, pid: i32, pidfd: BorrowedFd<'_>) -> std::result::Result<(), Errno> {
    let [a, b, c, d] = pid.to_le_bytes();
    send(channel, &[b'B', a, b, c, d], &[pidfd])
}

fn send(channel: &OwnedFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> std::result::Result<(), Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() {
        ancillary.push(SendAncillaryMessage::ScmRights(fds));
    }
    rustix::net::sendmsg(channel, &[IoSlice::new(bytes)], &mut ancillary, SendFlags::NOSIGNAL).map(drop)
}

/// For a stage: reports why it failed.
pub fn send_failure(channel: &OwnedFd, error: &RuntimeError) {
    let (kind, text) = match error {
        RuntimeError::InvalidSpec(text) => (b'i', text.clone()),
        RuntimeError::Exhausted { .. } => (b'e', error.to_string()),
        RuntimeError::BadFilesystem(text) => (b'b', text.clone()),
        other => (b's', other.to_string()),
    };
    let mut message = vec![b'F', kind];
    message.extend(text.bytes().take(MESSAGE_BYTES - 2));
    // If this fails, the agent treats the closed channel as a failure.
    rustix::net::send(channel, &message, SendFlags::NOSIGNAL).ok();
}

fn failure(kind: u8, text: &str) -> RuntimeError {
    match kind {
        b'i' => RuntimeError::InvalidSpec(text.to_owned()),
        b'e' => RuntimeError::Exhausted { attempt: text.to_owned(), errno: Errno::NOSPC },
        b'b' => RuntimeError::BadFilesystem(text.to_owned()),
        _ => RuntimeError::Stage(text.to_owned()),
    }
}
