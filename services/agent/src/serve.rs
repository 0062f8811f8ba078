//! The two ways to run: as PID 1 on the guest's port, or on a socket for tests.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};

use crate::agent::Agent;
use crate::machine::{Machine, boot, modules};
use crate::process::reaper::Reaper;
use crate::rpc::Dispatch;
use crate::uevent::Uevents;
use crate::{link, log};

/// Threads for calls of the runtime, which block.
const BLOCKING_THREADS: usize = 16;
/// Delay before the port is reopened after an error.
const RETRY: Duration = Duration::from_millis(100);

/// As PID 1, serves the port and never returns. With `serve`, serves a socket, with a directory as every container's image.
pub fn run(arguments: &[OsString]) -> io::Result<()> {
    limit_malloc();
    if std::process::id() == 1 {
        return serve_guest();
    }
    match arguments {
        [_, command, socket, state, cgroup, rootfs] if command == "serve" => {
            let listener = std::os::unix::net::UnixListener::bind(socket)?;
            let rootfs = rootfs.to_string_lossy().into_owned();
            serve_socket(listener, Machine::borrowed(Path::new(state), Path::new(cgroup), rootfs))
        }
        _ => Err(io::Error::other("usage: paddock-agent serve <socket> <state> <cgroup> <rootfs>; or be PID 1")),
    }
}

/// Makes all threads use one arena: otherwise each blocking thread would have its own.
fn limit_malloc() {
    // SAFETY: mallopt takes two integers, before a second thread exists.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
}

fn executor() -> io::Result<Runtime> {
    Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_stack_size(512 * 1024)
        .build()
}

fn serve_guest() -> io::Result<()> {
    boot::prepare();
    std::panic::set_hook(Box::new(|panic| log::warn("panic", &panic.to_string())));
    let loaded = modules::load();
    let executor = executor()?;
    executor.block_on(async {
        let reaper = Reaper::default();
        start_reaping(&reaper)?;
        let uevents = Uevents::start()?;
        let agent = Agent::new(Machine::owned(loaded), reaper)?;
        let dispatch = Dispatch::new(&agent);
        loop {
            let served = match link::open_port(&uevents).await {
                // In a task of its own, so that a panic ends a connection and not the guest.
                Ok(port) => tokio::spawn(link::serve(port, false, dispatch.clone()))
                    .await
                    .unwrap_or_else(|error| Err(io::Error::other(error))),
                Err(error) => Err(error),
            };
            if let Err(error) = served {
                log::warn("link", &format!("the port failed: {error}"));
                if error.kind() == io::ErrorKind::TimedOut {
                    rebind().await;
                }
            }
            tokio::time::sleep(RETRY).await;
        }
    })
}

/// Resets a port that is stuck.
async fn rebind() {
    let rebound = tokio::task::spawn_blocking(link::rebind).await;
    if let Err(error) = rebound.unwrap_or_else(|error| Err(io::Error::other(error))) {
        log::warn("link", &format!("cannot rebind the port's driver: {error}"));
    }
}

fn serve_socket(listener: std::os::unix::net::UnixListener, machine: Machine) -> io::Result<()> {
    // Orphans of containers must become children of this process, as they do of PID 1.
    nix::sys::prctl::set_child_subreaper(true)?;
    executor()?.block_on(async {
        let reaper = Reaper::default();
        start_reaping(&reaper)?;
        let agent = Agent::new(machine, reaper)?;
        listener.set_nonblocking(true)?;
        accept(UnixListener::from_std(listener)?, Dispatch::new(&agent)).await
    })
}

async fn accept(listener: UnixListener, dispatch: Dispatch) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        let stream: OwnedFd = stream.into_std()?.into();
        let dispatch = dispatch.clone();
        tokio::spawn(async move {
            if let Err(error) = link::serve(stream, true, dispatch).await {
                log::warn("link", &error.to_string());
            }
        });
    }
}

fn start_reaping(reaper: &Reaper) -> io::Result<()> {
    let mut ended = signal(SignalKind::child())?;
    let reaper = reaper.clone();
    tokio::spawn(async move {
        loop {
            reaper.reap();
            if ended.recv().await.is_none() {
                return;
            }
        }
    });
    Ok(())
}
