//! Why something cannot be done to a process.

use crate::pb::FailureReason;

/// A refused action on a process.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    #[error("the process has no terminal")]
    NoTerminal,
    #[error("a terminal has 1 to 65535 rows and columns, not {rows} and {columns}")]
    BadSize { rows: u32, columns: u32 },
    #[error("{0} is no signal; signals are 1 to 64")]
    BadSignal(i32),
    #[error("cannot {action}: {source}")]
    System { action: &'static str, source: nix::Error },
}

impl ProcessError {
    /// The reason that the node is given.
    pub fn reason(&self) -> FailureReason {
        match self {
            Self::NoTerminal => FailureReason::NoTerminal,
            Self::BadSize { .. } | Self::BadSignal(_) => FailureReason::Invalid,
            Self::System {
                source: nix::Error::EMFILE | nix::Error::ENFILE | nix::Error::ENOMEM | nix::Error::ENOSPC,
                ..
            } => FailureReason::Exhausted,
            Self::System { .. } => FailureReason::Internal,
        }
    }
}
