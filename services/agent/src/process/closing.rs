//! Closing the reading end of an output: its readers have said that they read no more.
//!
//! A process learns of that as from any reader that ends: SIGPIPE or EPIPE by its next write, or SIGHUP from a terminal. Only an
//! explicit word closes; a client that is merely gone may come back and read on.

use super::{Output, Process, stdio};
use crate::sync::lock;

impl Process {
    /// Closes the reading end of an output. A terminal's is that of its one output, and hangs it up.
    pub fn close_output(&self, output: Output) {
        if let (Some(terminal), Output::Stdout) = (&self.terminal, output)
            && let Err(error) = stdio::hang_up(terminal.get_ref())
        {
            // A terminal that nobody has open is hung up already.
            crate::log::info("process", &format!("{}: {error}", self.exec_id));
        }
        let mut state = lock(&self.state);
        if !state.cut.contains(&output) {
            state.cut.push(output);
        }
        drop(state);
        self.cut.notify_waiters();
    }

    /// Waits until an output is cut off.
    pub(super) async fn cut_off(&self, output: Output) {
        loop {
            let mut cut = std::pin::pin!(self.cut.notified());
            cut.as_mut().enable();
            if lock(&self.state).cut.contains(&output) {
                return;
            }
            cut.await;
        }
    }
}
