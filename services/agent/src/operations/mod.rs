//! What the calls do to containers, one file for each. An operation that has begun continues when its caller disconnects, so that
//! no container is left half created.

pub mod control;
pub mod create;
pub mod exec;
pub mod remove;
pub mod shutdown;
pub mod start;

use std::future::Future;

use crate::container::error::ContainerError;
use crate::process::stdio::{Ends, check_size};
use crate::process::{Options, Output, Process, feed, pump, ring::Overflow};
use crate::{pb, runtime};

/// Default size of a ring.
const RING_BYTES: u32 = 4 * 1024 * 1024;

/// Runs `work` to its end, also if the caller disconnects.
pub async fn detached<T: Send + 'static>(
    action: &'static str,
    work: impl Future<Output = Result<T, ContainerError>> + Send + 'static,
) -> Result<T, ContainerError> {
    match tokio::spawn(work).await {
        Ok(result) => result,
        Err(error) => Err(failed(action, &error)),
    }
}

/// Runs a call of the runtime on a thread that may block.
pub async fn blocking<T: Send + 'static>(
    action: &'static str,
    id: &str,
    work: impl FnOnce() -> Result<T, runtime::RuntimeError> + Send + 'static,
) -> Result<T, ContainerError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result.map_err(|source| ContainerError::Runtime { action, id: id.to_owned(), source }),
        Err(error) => Err(failed(action, &error)),
    }
}

fn failed(action: &'static str, error: &tokio::task::JoinError) -> ContainerError {
    crate::log::warn("operation", &format!("{action}: {error}"));
    ContainerError::Failed(action)
}

/// Reads from a process's specification what the agent itself needs.
pub fn options(process: &pb::Process) -> Result<Options, ContainerError> {
    let ring_bytes = match process.ring_bytes {
        0 => RING_BYTES,
        65_536..=16_777_216 => process.ring_bytes,
        other => {
            let text = format!("ring_bytes must be 65536 to 16777216, or 0 for 4 MiB, not {other}");
            return Err(ContainerError::Invalid(text));
        }
    };
    if process.args.is_empty() {
        return Err(ContainerError::Invalid("process.args must name a command".to_owned()));
    }
    if let Some(size) = &process.tty_size {
        check_size(size).map_err(|error| ContainerError::Invalid(error.to_string()))?;
    }
    let overflow = match process.overflow() {
        pb::OverflowPolicy::Unspecified | pb::OverflowPolicy::Block => Overflow::Block,
        pb::OverflowPolicy::DropOldest => Overflow::DropOldest,
    };
    Ok(Options { terminal: process.terminal, stdin: process.stdin, ring_bytes: ring_bytes as usize, overflow })
}

/// The tasks that move a process's bytes, to be started once the process exists.
pub struct Tasks {
    stdin: Option<feed::Sink>,
    stdout: pump::Source,
    stderr: Option<pump::Source>,
}

impl Tasks {
    /// Splits the agent's ends into the tasks and the terminal that the process keeps.
    pub fn new(ends: Ends) -> (Self, Option<crate::process::stdio::Master>) {
        match ends {
            Ends::Pipes { stdin, stdout, stderr } => {
                let tasks = Self {
                    stdin: stdin.map(feed::Sink::Pipe),
                    stdout: pump::Source::Pipe(stdout),
                    stderr: Some(pump::Source::Pipe(stderr)),
                };
                (tasks, None)
            }
            Ends::Terminal(master) => {
                let tasks = Self { stdin: Some(feed::Sink::Terminal), stdout: pump::Source::Terminal, stderr: None };
                (tasks, Some(master))
            }
        }
    }

    /// Starts them.
    pub fn start(self, process: &std::sync::Arc<Process>) {
        if let Some(sink) = self.stdin {
            feed::start(process, sink);
        }
        pump::start(process, Output::Stdout, self.stdout);
        if let Some(source) = self.stderr {
            pump::start(process, Output::Stderr, source);
        }
    }
}
