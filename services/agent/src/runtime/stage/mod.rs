//! Stages: the agent's own program, started again as a single thread to do what a process with many threads cannot.
//!
//! - The init stage becomes a container's init: it builds the container from inside its namespaces, waits, and executes the
//!   command ([`init`]).
//! - The exec stage prepares an exec that a container could trace ([`exec`]).
//! - The holder stage is PID 1 of a shared PID namespace ([`holder`]).
//!
//! [`start`] is the agent's side of all three. Any other exec needs no stage.

mod descriptors;
mod exec;
mod holder;
mod init;
mod names;
mod shared_pid;
mod spec;
mod start;

use std::ffi::OsString;

use names::{EXEC, HOLDER, INIT};
pub use shared_pid::with_shared_pid_namespace;
pub use spec::StageSpec;
pub use start::{BUILD_TIMEOUT, spawn_exec, spawn_init};

/// If this process is a stage, runs it and never returns. Call it first in `main`.
pub fn dispatch(arguments: &[OsString]) {
    if let Some(name) = arguments.get(1) {
        run(name.as_encoded_bytes());
    }
}

/// Runs the stage with this name and never returns; does nothing if there is none.
pub fn run(name: &[u8]) {
    let stages: [(_, fn() -> !); 3] = [(INIT, init::run), (EXEC, exec::run), (HOLDER, holder::run)];
    if let Some((_, run)) = stages.iter().find(|(stage, _)| stage.to_bytes() == name) {
        run()
    }
}
