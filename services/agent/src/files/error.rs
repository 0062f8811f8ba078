//! Why a call about files is refused.

use rustix::io::Errno;

use crate::pb::FailureReason;

/// The result of a call about files.
pub type Result<T> = std::result::Result<T, FileError>;

/// Most characters of a path in a message.
const SHOWN: usize = 256;

/// A refused call.
#[derive(Clone, Debug, thiserror::Error)]
pub enum FileError {
    #[error("{0}")]
    Invalid(String),
    #[error("{0}")]
    Refused(String),
    #[error("cannot {attempt}: {errno}")]
    System { attempt: String, errno: Errno },
    #[error("byte {wanted} of the transfer is not kept; bytes from {base} to {end} are")]
    NotKept { wanted: u64, base: u64, end: u64 },
    #[error("transfer {0:?} does not exist; it has ended, or its stream broke more than 60 s ago")]
    TransferNotFound(String),
    #[error("the bytes of the transfer do not have the given size and digest")]
    DigestMismatch,
    #[error("the guest already has {limit} {what}; wait until one has ended")]
    TooMany { what: &'static str, limit: usize },
    #[error("another stream continues the transfer")]
    TakenOver,
    #[error("the container is being removed, or the transfer was given up")]
    Closed,
    #[error("more than {0} directories would be watched")]
    TooManyDirectories(usize),
    #[error("cannot work on files: internal error of the agent")]
    Panicked,
}

impl FileError {
    /// The reason that is sent to the node.
    pub fn reason(&self) -> FailureReason {
        match self {
            Self::Invalid(_) => FailureReason::Invalid,
            Self::Refused(_) => FailureReason::FileRefused,
            Self::System { errno, .. } => reason_of(*errno),
            Self::NotKept { .. } => FailureReason::OffsetNotHeld,
            Self::TransferNotFound(_) => FailureReason::TransferNotFound,
            Self::DigestMismatch => FailureReason::DigestMismatch,
            Self::TooMany { .. } | Self::TooManyDirectories(_) => FailureReason::Exhausted,
            Self::TakenOver | Self::Closed => FailureReason::WrongState,
            Self::Panicked => FailureReason::Internal,
        }
    }

    /// The offset of the oldest byte that is kept, if the error is about one that is not.
    pub fn earliest_offset(&self) -> Option<u64> {
        match self {
            Self::NotKept { base, .. } => Some(*base),
            _ => None,
        }
    }
}

fn reason_of(errno: Errno) -> FailureReason {
    match errno {
        Errno::NOENT => FailureReason::FileNotFound,
        Errno::NOSPC | Errno::DQUOT => FailureReason::DiskFull,
        Errno::MFILE | Errno::NFILE | Errno::NOMEM => FailureReason::Exhausted,
        Errno::INVAL | Errno::NAMETOOLONG => FailureReason::Invalid,
        Errno::NOTDIR
        | Errno::ISDIR
        | Errno::EXIST
        | Errno::NOTEMPTY
        | Errno::ROFS
        | Errno::LOOP
        | Errno::XDEV
        | Errno::BUSY
        | Errno::TXTBSY
        | Errno::ACCESS
        | Errno::PERM
        | Errno::MLINK
        | Errno::FBIG
        | Errno::AGAIN
        | Errno::OPNOTSUPP => FailureReason::FileRefused,
        _ => FailureReason::Internal,
    }
}

/// Adds the attempted action to a system call's error.
pub trait Attempt<T> {
    /// Names the attempted action, as in "cannot ...". `what` is evaluated only on failure.
    fn attempt<S: Into<String>>(self, what: impl FnOnce() -> S) -> Result<T>;
}

impl<T> Attempt<T> for std::result::Result<T, Errno> {
    fn attempt<S: Into<String>>(self, what: impl FnOnce() -> S) -> Result<T> {
        self.map_err(|errno| FileError::System { attempt: what().into(), errno })
    }
}

/// A path for a message.
pub fn shown(path: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(path).chars().take(SHOWN).collect();
    format!("{text:?}")
}
