//! The holder: PID 1 of a PID namespace that containers share. It does nothing, and orphans it inherits are reaped by the
//! kernel, since it ignores SIGCHLD. It ends when the agent does.

use std::os::fd::{FromRawFd, OwnedFd};

use super::channel;
use super::stage::CHANNEL;

/// Runs the stage.
pub(super) fn run() -> ! {
    rustix::thread::set_name(c"paddock-holder").ok();
    rustix::process::setsid().ok();
    // SAFETY: sets a signal's action in a process with one thread; the channel is there, and nothing else owns it.
    let agent = unsafe {
        libc::signal(libc::SIGCHLD, libc::SIG_IGN);
        OwnedFd::from_raw_fd(CHANNEL)
    };
    channel::send_ready(&agent, None).ok();
    while channel::wait_go(&agent) {}
    std::process::exit(0)
}
