//! The link to the node daemon: one virtio-serial port, HTTP/2 on it, one connection at a time.
//!
//! The port is a byte stream that outlives the daemon at its other end. When a daemon dies, QEMU closes its side
//! and the guest sees HUP; a new daemon connects to the same stream. So each connection begins with a line in
//! each direction (HELLO, READY with the same nonce), and three things can be in the way of the HELLO:
//!
//! 1. *The host left and the guest saw it* (HUP, or a read of 0). Whatever was read or is left to read is thrown
//!    away, and HELLO is searched for in all that comes. This is the common case.
//! 2. *The host left and came back before the guest looked*, as when the VM was paused meanwhile: the driver keeps
//!    no count of disconnects. Then the old connection still seems alive. If it was cut between two frames, HELLO
//!    stands where a frame header must, and no legal header looks like it: the [`scanner`] sees it at once.
//! 3. *The same, cut in the midst of a frame.* HELLO is then swallowed as payload. It must not be searched for in
//!    payloads: a tenant could write such a line to a stdin, and cut the link at will. But a daemon that said
//!    HELLO is silent until READY, and a live one finishes its frames. So a HELLO that is the last thing heard, in
//!    an unfinished frame, for 250 ms, is believed.
//!
//! And the news of a disconnect travels apart from the bytes (on the driver's control queue), so it may come late,
//! when the next host's HELLO was read already. So a disconnect does not end a connection of which nothing was heard
//! yet, and it makes a HELLO of one that was taken for payload.
//!
//! What the guest wrote for the old connection may come out before READY; the host throws away all before the
//! READY with its own nonce, which no tenant can guess. A forged HELLO costs its sender's own sandbox a reconnect.
//!
//! A port can also be [`stuck`]: its host speaks, and cannot be answered. Then its driver is bound anew, and the host, which
//! has not heard READY, says HELLO again.
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
/// Calls at one time.
const MAX_STREAMS: u32 = 1024;
/// Response bytes buffered for one stream.
const SEND_BUFFER_BYTES: usize = 256 * 1024;

/// Serves the calls of one connection after the other. Ends when a socket's peer has gone, or by an error of the
/// port; that is `TimedOut` when the port is stuck.
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
