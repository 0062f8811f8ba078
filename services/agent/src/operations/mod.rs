//! What the calls do to containers, one file per call. An operation that has begun continues when its caller disconnects, so that
//! no container is left half created.

pub mod control;
pub mod create;
pub mod devices;
pub mod exec;
pub mod files;
pub mod grow_disk;
pub mod network;
pub mod remove;
pub mod shutdown;
pub mod start;

use std::future::Future;

use crate::container::error::ContainerError;
use crate::process::terminal::check_size;
use crate::process::{Options, ring::Overflow};
use crate::{pb, runtime};

/// Default size of a ring.
const RING_BYTES: u32 = 4 * 1024 * 1024;

/// Runs `work` to its end, even if the caller disconnects.
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

/// Refuses a text that is not an id, because ids become part of paths.
pub fn check_id(what: &str, id: &str) -> Result<(), ContainerError> {
    runtime::check_id(what, id).map_err(|error| ContainerError::Invalid(error.to_string()))
}

/// Returns the options of a process's specification that the agent itself needs.
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
