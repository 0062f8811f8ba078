//! Why a request about the network fails.

use std::io;

use rtnetlink::Error as Netlink;

use crate::pb::FailureReason;

/// The result of a change, or of a look at the network.
pub type Result<T> = std::result::Result<T, NetworkError>;

/// A refused call.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    #[error("{0}")]
    Invalid(String),
    #[error("there is no network interface {0}")]
    NotFound(String),
    #[error("cannot {0}: no address of the interface leads to the gateway; is it on the link, or is onlink missing?")]
    GatewayUnreachable(String),
    #[error("cannot {attempt}: {source}")]
    Refused { attempt: String, source: io::Error },
    #[error("cannot {attempt}: {source}")]
    Kernel { attempt: String, source: io::Error },
}

impl NetworkError {
    /// The reason that is sent to the node.
    pub fn reason(&self) -> FailureReason {
        match self {
            Self::Invalid(_) | Self::Refused { .. } => FailureReason::Invalid,
            Self::NotFound(_) => FailureReason::InterfaceNotFound,
            Self::GatewayUnreachable(_) => FailureReason::GatewayUnreachable,
            Self::Kernel { source, .. } => match source.raw_os_error() {
                Some(libc::ENOMEM | libc::ENOBUFS | libc::ENOSPC | libc::EMFILE) => FailureReason::Exhausted,
                _ => FailureReason::Internal,
            },
        }
    }

    /// The kernel's answer to an attempt. Values that the kernel rejects are the request's fault.
    pub fn answered(attempt: String, error: Netlink) -> Self {
        let source = match error {
            Netlink::NetlinkError(message) => message.to_io(),
            // Not the error's own text: it can print every kind of message, which would double the size of the netlink code in
            // the binary.
            _ => io::Error::other("the kernel sent an invalid answer"),
        };
        match source.raw_os_error() {
            Some(libc::ENODEV) => Self::NotFound(format!("to {attempt}")),
            Some(libc::ENETUNREACH | libc::EHOSTUNREACH) => Self::GatewayUnreachable(attempt),
            Some(
                libc::EINVAL | libc::ERANGE | libc::EADDRNOTAVAIL | libc::EEXIST | libc::ENETDOWN | libc::EOPNOTSUPP,
            ) => Self::Refused { attempt, source },
            _ => Self::Kernel { attempt, source },
        }
    }
}

/// A request that is invalid, or does not fit the network as it is.
pub fn invalid(text: impl Into<String>) -> NetworkError {
    NetworkError::Invalid(text.into())
}
