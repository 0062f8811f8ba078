//! The connection's end of the link.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::link_state::{Filled, Link};
use super::scanner::Nonce;
use crate::sync::lock;

/// The most bytes in one write: the kernel's driver takes no more.
const WRITE_BYTES: usize = 32 * 1024;

/// The connection's end of the link. After the connection has ended, reads return end-of-file and writes fail.
pub struct LinkStream {
    link: Arc<Link>,
    generation: u64,
}

impl Link {
    /// Answers a HELLO and opens a connection. None if the host has disconnected.
    pub async fn open(self: &Arc<Self>, nonce: Nonce) -> Option<LinkStream> {
        let stream = LinkStream { link: self.clone(), generation: self.begin() };
        let line = nonce.ready_line();
        let mut sent = 0;
        while sent < line.len() {
            let write = std::future::poll_fn(|context| stream.poll_send(context, &line[sent..]));
            sent += write.await.ok()?;
        }
        Some(stream)
    }
}

impl LinkStream {
    /// Writes once. Fails after the connection has ended.
    pub fn poll_send(&self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = lock(&self.link.state);
        loop {
            if state.over || state.generation != self.generation {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            if !state.writable {
                state.writer = Some(context.waker().clone());
                return Poll::Pending;
            }
            match self.link.port.write(&bytes[..bytes.len().min(WRITE_BYTES)]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    state.writable = false;
                    self.link.blocked.notify_one();
                }
                other => return Poll::Ready(other),
            }
        }
    }
}

impl AsyncRead for LinkStream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut state = lock(&self.link.state);
        if state.over || state.generation != self.generation {
            return Poll::Ready(Ok(()));
        }
        match self.link.fill(&mut state, buffer.initialize_unfilled()) {
            Filled::Bytes(count) => {
                buffer.advance(count);
                Poll::Ready(Ok(()))
            }
            Filled::Over => Poll::Ready(Ok(())),
            Filled::Blocked => {
                state.reader = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl AsyncWrite for LinkStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_send(context, bytes)
    }

    /// Joins the slices first: the driver has no writev, and each write costs an exit to the host.
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut joined = Vec::with_capacity(WRITE_BYTES);
        for slice in slices {
            let space = WRITE_BYTES - joined.len();
            joined.extend_from_slice(&slice[..slice.len().min(space)]);
        }
        self.poll_send(context, &joined)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
