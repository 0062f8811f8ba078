//! Why an action on a process is refused.

use std::io;

use crate::pb::FailureReason;

/// A refused action on a process.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    #[error("the process has no terminal")]
    NoTerminal,
    #[error("a terminal has 1 to 65535 rows and columns, not {rows} and {columns}")]
    BadSize { rows: u32, columns: u32 },
    #[error("{0} is not a signal; signals are 1 to 64")]
    BadSignal(i32),
    #[error("cannot {action}: {source}")]
    System { action: &'static str, source: io::Error },
}

impl From<ProcessError> for io::Error {
    fn from(error: ProcessError) -> Self {
        Self::other(error)
    }
}

impl ProcessError {
    /// Adds the name of the action to a system call's error.
    pub fn system<E: Into<io::Error>>(action: &'static str) -> impl Fn(E) -> Self {
        move |error| Self::System { action, source: error.into() }
    }

    /// The reason that is sent to the node.
    pub fn reason(&self) -> FailureReason {
        match self {
            Self::NoTerminal => FailureReason::NoTerminal,
            Self::BadSize { .. } | Self::BadSignal(_) => FailureReason::Invalid,
            Self::System { source, .. } => match source.raw_os_error() {
                Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::ENOSPC) => FailureReason::Exhausted,
                _ => FailureReason::Internal,
            },
        }
    }
}
