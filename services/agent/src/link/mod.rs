//! The link to the node daemon: one virtio-serial port, HTTP/2 on it, one connection at a time.
//!
//! The port is a byte stream that outlives the daemon at its other end. When a daemon dies, QEMU closes its side
//! and the guest sees HUP; a new daemon connects to the same stream. So each connection begins with a line in
//! each direction (HELLO, READY with the same nonce). The guest finds the HELLO in one of three cases:
//!
//! 1. *The host left and the guest saw it* (HUP, or a read of 0). The guest discards what it has read or can still read, and
//!    searches all further input for HELLO. This is the common case.
//! 2. *The host left and came back before the guest looked*, for example while the VM was paused: the driver does not count
//!    disconnects. The old connection still seems alive. If it was cut between two frames, HELLO is at the position of a
//!    frame header, and no legal header looks like it: the [`scanner`] sees it at once.
//! 3. *The same, cut inside a frame.* HELLO is then read as payload. Payloads must not be searched for it: a tenant could
//!    write such a line to a stdin and cut the link at will. But a daemon that sent HELLO is silent until READY, and a live
//!    daemon finishes its frames. So a HELLO inside an unfinished frame counts once nothing has followed it for 250 ms.
//!
//! The event of a disconnect is not ordered with the bytes (it uses the driver's control queue), so it may arrive after the
//! next host's HELLO was read. So a disconnect does not end a connection that has not received a byte yet, and it turns a
//! HELLO that was taken for payload into a HELLO.
//!
//! Bytes that the guest wrote for the old connection may come out before READY. The host discards everything before the
//! READY with its own nonce, which no tenant can guess. A forged HELLO costs its sender's own sandbox a reconnect.
//!
//! A port can also be [`stuck`]: its host sends, and cannot be answered. Then the agent rebinds its driver, and the host, which
//! has not received READY, sends HELLO again.
//!
//! Back-pressure is end to end: the connection reads and writes the port directly ([`stream`]), with no queue
//! between, so a slow host fills the virtio queue, then HTTP/2's send window, then the streams' channels.

mod discover;
mod link_state;
mod port;
mod scanner;
mod stream;
mod stuck;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};

pub use discover::{open_port, rebind};

use crate::rpc::Dispatch;
use link_state::Link;
use port::Port;
use scanner::MAX_FRAME_BYTES;
use stream::LinkStream;

/// Bytes of one request stream that may be in flight.
const STREAM_WINDOW_BYTES: u32 = 1024 * 1024;
/// Bytes of all request streams that may be in flight.
const CONNECTION_WINDOW_BYTES: u32 = 8 * 1024 * 1024;
/// The most concurrent calls.
const MAX_STREAMS: u32 = 2048;
/// Response bytes buffered for one stream.
const SEND_BUFFER_BYTES: usize = 256 * 1024;

/// Serves connections one after the other. Returns when a socket's peer has closed it, or with an error of the port (`TimedOut`
/// if the port is stuck).
pub async fn serve(fd: OwnedFd, once: bool, dispatch: Dispatch) -> io::Result<()> {
    let link = Link::new(Port::new(fd)?, once);
    tokio::select! {
        result = link.follow() => result,
        result = connections(&link, dispatch) => result,
        error = link.stuck(), if !once => Err(error),
    }
}

async fn connections(link: &Arc<Link>, dispatch: Dispatch) -> io::Result<()> {
    while let Some(nonce) = link.hello().await {
        if let Some(stream) = link.answer(nonce).await? {
            crate::log::info("link", "the host connected");
            connection(link, stream, dispatch.clone()).await;
        }
    }
    Ok(())
}

async fn connection(link: &Arc<Link>, stream: LinkStream, dispatch: Dispatch) {
    let serving = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(MAX_FRAME_BYTES as u32)
        .max_concurrent_streams(MAX_STREAMS)
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .serve_connection(TokioIo::new(stream), dispatch);
    tokio::select! {
        () = link.ended() => crate::log::info("link", "the host disconnected"),
        () = link.believe_stalled() => crate::log::info("link", "a new host took over"),
        result = serving => match result {
            Ok(()) => crate::log::info("link", "the connection ended"),
            Err(error) => crate::log::warn("link", &format!("the connection failed: {error}")),
        },
    }
}

#[cfg(test)]
#[path = "fuzz_test.rs"]
mod fuzz_tests;
