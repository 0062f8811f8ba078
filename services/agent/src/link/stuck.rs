//! Distinguishes a stuck port from a slow host.
//!
//! A stuck port delivers the host's bytes and never accepts an answer:
//!
//! - QEMU sometimes keeps a buffer of the output queue when its peer disconnects. Once it has kept all of them, nothing can be
//!   written.
//! - A connect event may be lost when the control queue is full, for example after many connects in a row. The driver then
//!   believes that no host is connected and refuses to write.
//!
//! HTTP/2 does not notice: it reads nothing while it has something to write. A slow host is silent, too: it sends nothing while
//! it reads nothing. A slow host that is mistaken for a stuck port reconnects. Only a reset of the device frees a stuck port; see
//! [`super::rebind`].

use std::io;
use std::time::Duration;

use super::link_state::Link;
use super::scanner::Nonce;
use super::stream::LinkStream;
use crate::sync::lock;

/// The time between two checks of a port that accepts no output, and how long READY may wait for room.
const PATIENCE: Duration = Duration::from_secs(1);

impl Link {
    /// Waits until the port is stuck during a connection.
    pub async fn stuck(&self) -> io::Error {
        loop {
            self.blocked.notified().await;
            let mut before = false;
            while !lock(&self.state).writable {
                tokio::time::sleep(PATIENCE).await;
                let now = match self.port.is_one_way() {
                    Ok(now) => now,
                    Err(error) => return error,
                };
                if before && now {
                    return stuck();
                }
                before = now;
            }
        }
    }

    /// Answers a HELLO and opens a connection. None if the host has disconnected, or has sent HELLO again inside a frame.
    pub async fn answer(self: &std::sync::Arc<Self>, nonce: Nonce) -> io::Result<Option<LinkStream>> {
        tokio::select! {
            opened = self.open(nonce) => Ok(opened),
            () = self.believe_stalled() => Ok(None),
            () = tokio::time::sleep(PATIENCE) => Err(stuck()),
        }
    }
}

fn stuck() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the port accepts no output while the host sends")
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;
    use std::sync::Arc;

    use super::super::port::Port;
    use super::*;

    /// A link whose output is full, with its peer and the HELLO that it received.
    async fn full() -> (Arc<Link>, UnixStream, Nonce) {
        let (port, mut host) = UnixStream::pair().unwrap();
        port.set_nonblocking(true).unwrap();
        while (&port).write(&[0; 4096]).is_ok() {}
        host.write_all(format!("PADDOCK/1 HELLO {}\n", "0a".repeat(16)).as_bytes()).unwrap();
        let link = Link::new(Port::new(port.into()).unwrap(), false);
        let nonce = link.hello().await.unwrap();
        (link, host, nonce)
    }

    #[tokio::test(start_paused = true)]
    async fn a_port_with_no_room_for_the_answer_to_a_hello_is_stuck() {
        let (link, _host, nonce) = full().await;
        assert_eq!(link.answer(nonce).await.err().unwrap().kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_port_is_stuck_when_its_host_sends_and_nothing_can_be_written() {
        let (link, mut host, nonce) = full().await;
        let _opening = tokio::time::timeout(PATIENCE / 2, link.open(nonce)).await;
        host.write_all(b"x").unwrap();
        assert_eq!(link.stuck().await.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_that_reads_nothing_and_sends_nothing_is_slow() {
        let (link, _host, nonce) = full().await;
        let _opening = tokio::time::timeout(PATIENCE / 2, link.open(nonce)).await;
        assert!(tokio::time::timeout(PATIENCE * 100, link.stuck()).await.is_err());
    }

    #[tokio::test]
    async fn a_host_that_reads_is_answered() {
        let (link, mut host, nonce) = full().await;
        let reading = std::thread::spawn(move || {
            let (mut all, mut chunk) = (Vec::new(), [0; 65536]);
            while !all.ends_with(&nonce.ready_line()) {
                let count = host.read(&mut chunk).unwrap();
                all.extend_from_slice(&chunk[..count]);
            }
        });
        tokio::select! {
            opened = link.answer(nonce) => assert!(opened.unwrap().is_some()),
            _ = link.follow() => panic!("the port failed"),
        }
        reading.join().unwrap();
    }
}
