//! Why a call about a container or process is refused.

use crate::files::FileError;
use crate::forward::ForwardError;
use crate::machine::identity::IdentityError;
use crate::network::NetworkError;
use crate::pb::FailureReason;
use crate::process::session::SessionError;
use crate::runtime::RuntimeError;

/// A refused call.
#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    #[error("container {0:?} does not exist")]
    NotFound(String),
    #[error(
        "container {container:?} has no process {exec:?}; it never existed, or it ended and is no longer remembered"
    )]
    ProcessNotFound { container: String, exec: String },
    #[error("container {0:?} exists already")]
    Exists(String),
    #[error("container {container:?} already has a process {exec:?}; attach to it instead")]
    ProcessExists { container: String, exec: String },
    #[error("cannot {action} container {id:?}: it is {actual}, not {allowed}")]
    WrongState { action: &'static str, id: String, actual: &'static str, allowed: &'static str },
    #[error("container {id:?} already runs {limit} exec processes; wait until one has ended")]
    TooManyProcesses { id: String, limit: usize },
    #[error("the guest already has {limit} containers; remove one")]
    TooManyContainers { limit: usize },
    #[error("container {id:?} exited with code {code} while starting: {reason}")]
    CannotExecute { id: String, code: i32, reason: String },
    #[error("{0}")]
    Invalid(String),
    #[error("the guest is not configured; call ConfigureSandbox first")]
    NotConfigured,
    #[error("the guest is shutting down")]
    Stopping,
    #[error("cannot {action} container {id:?}: {source}")]
    Runtime { action: &'static str, id: String, source: RuntimeError },
    #[error("disk {target}: {source}")]
    Disk { target: u32, source: RuntimeError },
    #[error("process {exec:?} of container {container:?}: {source}")]
    Process { container: String, exec: String, source: SessionError },
    #[error("{0}")]
    Network(#[from] NetworkError),
    #[error("{0}")]
    Forward(#[from] ForwardError),
    #[error("{0}")]
    File(#[from] FileError),
    #[error("{0}")]
    Identity(#[from] IdentityError),
    #[error("cannot {0}: internal error of the agent")]
    Failed(&'static str),
}

impl ContainerError {
    /// Adds the process to an error.
    pub fn of_process<E: Into<SessionError>>(container: &str, exec: &str) -> impl Fn(E) -> Self {
        move |error| Self::Process { container: container.to_owned(), exec: exec.to_owned(), source: error.into() }
    }

    /// The reason that is sent to the node.
    pub fn reason(&self) -> FailureReason {
        match self {
            Self::NotFound(_) => FailureReason::ContainerNotFound,
            Self::ProcessNotFound { .. } => FailureReason::ProcessNotFound,
            Self::Exists(_) => FailureReason::ContainerExists,
            Self::ProcessExists { .. } => FailureReason::ProcessExists,
            Self::WrongState { .. } => FailureReason::WrongState,
            Self::TooManyProcesses { .. } | Self::TooManyContainers { .. } => FailureReason::Exhausted,
            Self::CannotExecute { .. } => FailureReason::CannotExecute,
            Self::Invalid(_) => FailureReason::Invalid,
            Self::NotConfigured => FailureReason::NotConfigured,
            Self::Stopping => FailureReason::Stopping,
            Self::Runtime { source, .. } | Self::Disk { source, .. } => source.reason(),
            Self::Process { source, .. } => source.reason(),
            Self::Network(error) => error.reason(),
            Self::Forward(error) => error.reason(),
            Self::File(error) => error.reason(),
            Self::Identity(error) => error.reason(),
            Self::Failed(_) => FailureReason::Internal,
        }
    }

    /// The offset of the oldest byte held, if the error is about an offset that is not held.
    pub fn earliest_offset(&self) -> Option<u64> {
        match self {
            Self::Process { source, .. } => source.earliest_offset(),
            Self::File(error) => error.earliest_offset(),
            _ => None,
        }
    }
}
