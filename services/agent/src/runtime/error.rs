//! Errors of the runtime, a closed set.

use rustix::io::Errno;

use crate::pb::FailureReason;

/// The result of a runtime call.
pub type Result<T> = std::result::Result<T, RuntimeError>;

/// A failed runtime call. The text states what was attempted on which object.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The request is invalid, such as one with an unknown user or a limit out of range.
    #[error("{0}")]
    InvalidSpec(String),
    /// A disk did not appear on the SCSI bus in time.
    #[error("SCSI disk {target}:{lun} did not appear within {waited_ms} ms; was it plugged in before the request?")]
    DiskNotFound {
        /// SCSI target.
        target: u32,
        /// Logical unit.
        lun: u32,
        /// Time waited, in milliseconds.
        waited_ms: u64,
    },
    /// The container's init has exited.
    #[error("container {0} is not running")]
    NotRunning(String),
    /// The container has stopped, and its writable layer was in memory.
    #[error("container {0} has stopped, and its files were in memory")]
    LayerGone(String),
    /// The container was started already.
    #[error("container {0} was started already")]
    AlreadyStarted(String),
    /// A limit is below the usage, which cannot be reclaimed.
    #[error("{field} is {limit}, but {used} are in use and cannot be reclaimed")]
    BelowUse {
        /// Name of the field of the request.
        field: &'static str,
        /// What was asked for.
        limit: u64,
        /// What is in use.
        used: u64,
    },
    /// The kernel refused another process or page.
    #[error("{attempt}: {errno}; the container's pids or memory limit may be reached")]
    Exhausted {
        /// What was attempted.
        attempt: String,
        /// The kernel's answer.
        errno: Errno,
    },
    /// The path of a device file is taken.
    #[error("{0:?} exists in the container, and is not this device")]
    PathTaken(String),
    /// A disk is in use.
    #[error("SCSI disk {target}:{lun} is in use: {by}")]
    DiskBusy {
        /// SCSI target.
        target: u32,
        /// Logical unit.
        lun: u32,
        /// The user of the disk.
        by: String,
    },
    /// Something did not happen in time.
    #[error("{attempt} took more than {waited_ms} ms")]
    TimedOut {
        /// What was attempted.
        attempt: String,
        /// The deadline.
        waited_ms: u64,
    },
    /// The file system of a disk is damaged, or is not of the expected type.
    #[error("{0}")]
    BadFilesystem(String),
    /// A system call failed.
    #[error("{attempt}: {errno}")]
    System {
        /// What was attempted.
        attempt: String,
        /// The kernel's answer.
        errno: Errno,
    },
    /// A stage failed.
    #[error("{0}")]
    Stage(String),
}

impl RuntimeError {
    /// The reason that is sent to the node.
    pub fn reason(&self) -> FailureReason {
        match self {
            Self::InvalidSpec(_) => FailureReason::Invalid,
            Self::DiskNotFound { .. } => FailureReason::DiskNotFound,
            Self::NotRunning(_) | Self::LayerGone(_) | Self::AlreadyStarted(_) => FailureReason::WrongState,
            Self::BelowUse { .. } => FailureReason::LimitBelowUse,
            Self::Exhausted { .. } => FailureReason::Exhausted,
            Self::PathTaken(_) => FailureReason::FileRefused,
            Self::DiskBusy { .. } => FailureReason::DeviceBusy,
            Self::TimedOut { .. } => FailureReason::TimedOut,
            Self::BadFilesystem(_) => FailureReason::BadFilesystem,
            Self::System { .. } | Self::Stage(_) => FailureReason::Internal,
        }
    }

    /// A failed system call; [`RuntimeError::Exhausted`] if the error means that a limit is reached.
    pub fn system(attempt: impl Into<String>, errno: Errno) -> Self {
        let attempt = attempt.into();
        match errno {
            Errno::AGAIN | Errno::NOMEM | Errno::NOSPC => Self::Exhausted { attempt, errno },
            _ => Self::System { attempt, errno },
        }
    }
}

/// Adds the attempted action to a system call's error.
pub trait Attempt<T> {
    /// Names the attempted action. `what` is evaluated only on failure.
    fn attempt<S: Into<String>>(self, what: impl FnOnce() -> S) -> Result<T>;
}

impl<T> Attempt<T> for std::result::Result<T, Errno> {
    fn attempt<S: Into<String>>(self, what: impl FnOnce() -> S) -> Result<T> {
        self.map_err(|errno| RuntimeError::system(what(), errno))
    }
}

impl<T> Attempt<T> for std::io::Result<T> {
    fn attempt<S: Into<String>>(self, what: impl FnOnce() -> S) -> Result<T> {
        self.map_err(|error| {
            let errno = Errno::from_io_error(&error).unwrap_or(Errno::IO);
            RuntimeError::system(what(), errno)
        })
    }
}
