//! Converts the agent's errors to gRPC statuses: a code, a text for people, and in the details a reason for the node.

use prost::Message;
use tonic::{Code, Status};

use crate::container::error::ContainerError;
use crate::pb::{Failure, FailureReason};

/// Full name of [`Failure`].
const FAILURE_URL: &str = "type.googleapis.com/paddock.agent.v1.Failure";
/// The most bytes of a text: it is sent in two headers, percent-encoded and in base64, and the node bounds headers at 16 KiB.
const TEXT_BYTES: usize = 2048;

/// `google.rpc.Status`, the content of `grpc-status-details-bin`.
#[derive(Clone, PartialEq, Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<prost_types::Any>,
}

/// The status of a refused call.
pub fn refused(reason: FailureReason, text: impl Into<String>) -> Status {
    status(&Failure { reason: reason.into(), earliest_offset: 0 }, text.into())
}

/// The status of an invalid request.
pub fn invalid(text: impl Into<String>) -> Status {
    refused(FailureReason::Invalid, text)
}

impl From<ContainerError> for Status {
    fn from(error: ContainerError) -> Self {
        let earliest_offset = error.earliest_offset().unwrap_or(0);
        status(&Failure { reason: error.reason().into(), earliest_offset }, error.to_string())
    }
}

fn status(failure: &Failure, mut text: String) -> Status {
    text.truncate(text.floor_char_boundary(TEXT_BYTES));
    let code = code(failure.reason());
    let detail = prost_types::Any { type_url: FAILURE_URL.to_owned(), value: failure.encode_to_vec() };
    let details = RpcStatus { code: code.into(), message: text.clone(), details: vec![detail] };
    Status::with_details(code, text, details.encode_to_vec().into())
}

fn code(reason: FailureReason) -> Code {
    match reason {
        FailureReason::Invalid | FailureReason::CannotExecute => Code::InvalidArgument,
        FailureReason::NotConfigured
        | FailureReason::Stopping
        | FailureReason::WrongState
        | FailureReason::NoTerminal
        | FailureReason::LimitBelowUse
        | FailureReason::GatewayUnreachable
        | FailureReason::PortRefused
        | FailureReason::FileRefused
        | FailureReason::DeviceBusy
        | FailureReason::BadFilesystem => Code::FailedPrecondition,
        FailureReason::ContainerNotFound
        | FailureReason::ProcessNotFound
        | FailureReason::DiskNotFound
        | FailureReason::InterfaceNotFound
        | FailureReason::FileNotFound
        | FailureReason::TransferNotFound => Code::NotFound,
        FailureReason::ContainerExists | FailureReason::ProcessExists => Code::AlreadyExists,
        FailureReason::OffsetNotHeld | FailureReason::EventNotReached => Code::OutOfRange,
        FailureReason::Exhausted | FailureReason::DiskFull => Code::ResourceExhausted,
        FailureReason::DigestMismatch => Code::DataLoss,
        FailureReason::TimedOut => Code::DeadlineExceeded,
        FailureReason::Internal | FailureReason::Unspecified => Code::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::ProcessError;
    use crate::process::ring::RingError;
    use crate::process::session::SessionError;
    use crate::runtime::RuntimeError;

    /// Reads the failure from a status, as a node does.
    fn read(status: &Status) -> Failure {
        let details = RpcStatus::decode(status.details()).unwrap();
        assert_eq!((details.code, details.message.as_str()), (status.code().into(), status.message()));
        let [detail] = details.details.as_slice() else { panic!("one detail, not {}", details.details.len()) };
        assert_eq!(detail.type_url, FAILURE_URL);
        Failure::decode(detail.value.as_slice()).unwrap()
    }

    fn container_error(source: RuntimeError) -> ContainerError {
        ContainerError::Runtime { action: "update", id: "c1".into(), source }
    }

    #[test]
    fn a_status_has_the_reason_of_the_refusal_in_its_details() {
        let below_use = RuntimeError::BelowUse { field: "memory_bytes", limit: 1, used: 2 };
        let no_terminal = ContainerError::Process {
            container: "c1".into(),
            exec: "e1".into(),
            source: ProcessError::NoTerminal.into(),
        };
        let cases = [
            (container_error(below_use), FailureReason::LimitBelowUse, Code::FailedPrecondition),
            (
                container_error(RuntimeError::NotRunning("c1".into())),
                FailureReason::WrongState,
                Code::FailedPrecondition,
            ),
            (no_terminal, FailureReason::NoTerminal, Code::FailedPrecondition),
            (ContainerError::Stopping, FailureReason::Stopping, Code::FailedPrecondition),
            (ContainerError::NotFound("c1".into()), FailureReason::ContainerNotFound, Code::NotFound),
            (ContainerError::TooManyContainers { limit: 1 }, FailureReason::Exhausted, Code::ResourceExhausted),
        ];
        for (error, reason, code) in cases {
            let status = Status::from(error);
            assert_eq!((read(&status).reason(), status.code()), (reason, code), "{status}");
        }
    }

    #[test]
    fn an_error_about_a_dropped_offset_names_the_oldest_byte_held() {
        let source = SessionError::Output(RingError::NotHeld { wanted: 1, base: 70_000, end: 90_000 });
        let status = Status::from(ContainerError::Process { container: "c1".into(), exec: "e1".into(), source });
        let expected = Failure { reason: FailureReason::OffsetNotHeld.into(), earliest_offset: 70_000 };
        assert_eq!(read(&status), expected);
    }

    #[test]
    fn a_long_text_is_cut_between_two_characters() {
        let status = invalid("é".repeat(TEXT_BYTES));
        assert_eq!(status.message().len(), TEXT_BYTES);
        assert_eq!(read(&status).reason(), FailureReason::Invalid);
        assert_eq!(invalid(format!("a{}", "é".repeat(TEXT_BYTES))).message().len(), TEXT_BYTES - 1);
    }
}
