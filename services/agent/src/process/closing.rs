//! Closes the read end of an output at a client's request.
//!
//! The process notices as with any reader that ends: its next write gets SIGPIPE or EPIPE; a terminal gets SIGHUP. A client that
//! disconnects closes nothing: it may reconnect and continue.

use super::{Output, Process, terminal};
use crate::sync::{lock, until};

impl Process {
    /// Closes the read end of an output. On a terminal, only stdout can be closed, which hangs the terminal up.
    pub fn close_output(&self, output: Output) {
        if let (Some(terminal), Output::Stdout) = (&self.terminal, output)
            && let Err(error) = terminal::hang_up(terminal.get_ref())
        {
            // A terminal that no process has open is hung up already.
            crate::log::info("process", &format!("{}: {error}", self.exec_id));
        }
        let mut state = lock(&self.state);
        if !state.cut.contains(&output) {
            state.cut.push(output);
        }
        drop(state);
        self.cut.notify_waiters();
    }

    /// Waits until an output is closed.
    pub(super) async fn cut_off(&self, output: Output) {
        until(&self.cut, || lock(&self.state).cut.contains(&output).then_some(())).await;
    }
}
