//! Why something cannot be done to a process.

/// A refused action on a process.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// The node knows it by its text (services/node, guest-error.ts).
    #[error("the process has no terminal")]
    NoTerminal,
    #[error("a terminal has 1 to 65535 rows and columns, not {rows} and {columns}")]
    BadSize { rows: u32, columns: u32 },
    #[error("{0} is no signal: 1 to 64 are")]
    BadSignal(i32),
    #[error("cannot {action}: {source}")]
    System { action: &'static str, source: nix::Error },
}
