//! A byte stream to the host, as a non-blocking descriptor with edge-triggered readiness.
//!
//! A virtio port reports HUP while no host is connected, and works again when one is. tokio's own registration treats HUP as
//! final, so the port has its own epoll instance, edge-triggered, and tokio watches that instance: it becomes readable once
//! for each change of the port.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::sync::watch_fd;

/// The descriptor and its epoll instance.
pub struct Port {
    fd: OwnedFd,
    epoll: Epoll,
    readiness: AsyncFd<OwnedFd>,
}

/// Changes of the port.
#[derive(Clone, Copy, Debug, Default)]
pub struct Change {
    pub readable: bool,
    pub writable: bool,
    /// The host disconnected.
    pub hung_up: bool,
}

impl Port {
    /// Takes a non-blocking descriptor. Must be called in a runtime.
    pub fn new(fd: OwnedFd) -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let interest = EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT | EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLET;
        epoll.add(fd.as_fd(), EpollEvent::new(interest, 0))?;
        let readiness = watch_fd(epoll.0.try_clone()?, Interest::READABLE)?;
        Ok(Self { fd, epoll, readiness })
    }

    /// Waits for the next change.
    pub async fn changed(&self) -> io::Result<Change> {
        loop {
            let mut guard = self.readiness.readable().await?;
            let mut events = [EpollEvent::empty()];
            let count = self.epoll.wait(&mut events, EpollTimeout::ZERO)?;
            guard.clear_ready();
            if count == 0 {
                continue;
            }
            let flags = events[0].events();
            let gone = EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR;
            return Ok(Change {
                readable: flags.intersects(EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP | gone),
                writable: flags.contains(EpollFlags::EPOLLOUT),
                hung_up: flags.intersects(gone),
            });
        }
    }

    /// Whether the port has input and accepts no output, now.
    pub fn is_one_way(&self) -> io::Result<bool> {
        let mut fds = [PollFd::new(self.fd.as_fd(), PollFlags::POLLIN | PollFlags::POLLOUT)];
        poll(&mut fds, PollTimeout::ZERO)?;
        let events = fds[0].revents().unwrap_or(PollFlags::empty());
        Ok(events.contains(PollFlags::POLLIN) && !events.contains(PollFlags::POLLOUT))
    }

    /// read(2)
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(nix::unistd::read(&self.fd, buffer)?)
    }

    /// write(2)
    pub fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        Ok(nix::unistd::write(&self.fd, bytes)?)
    }
}
