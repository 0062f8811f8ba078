//! Why a connection to a port is refused.

use std::io;

use crate::pb::FailureReason;

/// A refused call.
#[derive(Debug, thiserror::Error)]
pub enum ForwardError {
    #[error("{0}")]
    Invalid(&'static str),
    #[error("nothing listens on port {0}")]
    Refused(u16),
    #[error("cannot connect to port {port} within {seconds} s")]
    TimedOut { port: u16, seconds: u64 },
    #[error("cannot connect to port {port}: {source}")]
    Failed { port: u16, source: io::Error },
}

impl ForwardError {
    /// The reason that the node is given.
    pub fn reason(&self) -> FailureReason {
        match self {
            Self::Invalid(_) => FailureReason::Invalid,
            Self::Refused(_) => FailureReason::PortRefused,
            Self::TimedOut { .. } => FailureReason::TimedOut,
            Self::Failed { source, .. } => match source.raw_os_error() {
                Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::ENOBUFS | libc::EADDRNOTAVAIL) => {
                    FailureReason::Exhausted
                }
                _ => FailureReason::Internal,
            },
        }
    }
}
