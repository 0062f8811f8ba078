//! The holder: PID 1 of a PID namespace that containers share. It reaps orphans and does nothing else, until it is killed.

use std::os::fd::{FromRawFd, OwnedFd};

use super::channel;
use super::stage::CHANNEL;

/// Runs the stage.
pub(super) fn run() -> ! {
    rustix::thread::set_name(c"paddock-holder").ok();
    rustix::process::setsid().ok();
    // SAFETY: the stage was started with its channel there, and nothing else owns it.
    let agent = unsafe { OwnedFd::from_raw_fd(CHANNEL) };
    channel::send_ready(&agent, None).ok();
    drop(agent);
    let mut signals = std::mem::MaybeUninit::<libc::sigset_t>::zeroed();
    loop {
        // SAFETY: plain libc calls of a process with one thread; signals are blocked since its creation.
        unsafe {
            while libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) > 0 {}
            libc::sigemptyset(signals.as_mut_ptr());
            libc::sigaddset(signals.as_mut_ptr(), libc::SIGCHLD);
            libc::sigwaitinfo(signals.as_ptr(), std::ptr::null_mut());
        }
    }
}
