//! From the agent's errors to gRPC's.

use tonic::{Code, Status};

use crate::container::error::ContainerError;
use crate::machine::identity::IdentityError;
use crate::process::ProcessError;
use crate::process::ring::RingError;
use crate::process::session::SessionError;
use crate::runtime::{ErrorKind, RuntimeError};

impl From<ContainerError> for Status {
    fn from(error: ContainerError) -> Self {
        let code = match &error {
            ContainerError::NotFound(_) | ContainerError::ProcessNotFound { .. } => Code::NotFound,
            ContainerError::Exists(_) | ContainerError::ProcessExists { .. } => Code::AlreadyExists,
            ContainerError::WrongState { .. } | ContainerError::NotConfigured | ContainerError::Stopping => {
                Code::FailedPrecondition
            }
            ContainerError::TooManyProcesses { .. } | ContainerError::TooManyContainers { .. } => {
                Code::ResourceExhausted
            }
            ContainerError::CannotExecute { .. } | ContainerError::Invalid(_) => Code::InvalidArgument,
            ContainerError::Runtime { source, .. } => runtime_code(source),
            ContainerError::Process { source, .. } => process_code(source),
            ContainerError::Session { source, .. } => session_code(source),
            ContainerError::Failed(_) => Code::Internal,
        };
        Self::new(code, error.to_string())
    }
}

impl From<IdentityError> for Status {
    fn from(error: IdentityError) -> Self {
        let code = match error {
            IdentityError::Invalid(_) => Code::InvalidArgument,
            IdentityError::System { .. } => Code::Internal,
        };
        Self::new(code, error.to_string())
    }
}

fn runtime_code(error: &RuntimeError) -> Code {
    match error.kind() {
        ErrorKind::InvalidArgument => Code::InvalidArgument,
        ErrorKind::NotFound => Code::NotFound,
        ErrorKind::FailedPrecondition => Code::FailedPrecondition,
        ErrorKind::ResourceExhausted => Code::ResourceExhausted,
        ErrorKind::DeadlineExceeded => Code::DeadlineExceeded,
        ErrorKind::Internal => Code::Internal,
    }
}

fn process_code(error: &ProcessError) -> Code {
    match error {
        ProcessError::NoTerminal => Code::FailedPrecondition,
        ProcessError::BadSize { .. } | ProcessError::BadSignal(_) => Code::InvalidArgument,
        ProcessError::System {
            source: nix::Error::EMFILE | nix::Error::ENFILE | nix::Error::ENOMEM | nix::Error::ENOSPC,
            ..
        } => Code::ResourceExhausted,
        ProcessError::System { .. } => Code::Internal,
    }
}

fn session_code(error: &SessionError) -> Code {
    match error {
        SessionError::Output(RingError::NotHeld { .. }) => Code::OutOfRange,
        SessionError::Output(RingError::Ahead { .. }) | SessionError::Stdin(_) | SessionError::Invalid(_) => {
            Code::InvalidArgument
        }
        SessionError::Process(error) => process_code(error),
    }
}
