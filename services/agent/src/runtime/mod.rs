//! Containers inside the guest, as an OCI runtime makes them, without a runtime's binary.
//!
//! A call here blocks, so call it from a blocking thread. Nothing here waits for a child: only the agent's reaper does, and
//! a process is followed on its way to its command by descriptors that close. Returned PIDs are the guest's, and the
//! processes are children of the agent.
//!
//! The rooms, from the top; each uses only those below it:
//!
//! - [`container`] checks a request, creates the container, and acts on it: start, exec, signals, limits, removal.
//! - [`stage`] starts the agent's own program again, inside a container's namespaces, to build the container there.
//! - [`launch`] turns a fresh process into the command, in memory shared with the agent.
//! - [`rights`] are what a process may do: user, capabilities, resource limits, system calls.
//! - [`filesystem`] mounts the root and everything in it.
//! - [`namespaces`] joins namespaces and sets their kernel parameters.
//! - [`cgroup`] bounds, counts, freezes and kills.
//!
//! [`container::create`] waits for disks, makes the cgroup, and starts an init stage in it, which builds root and mounts
//! and waits. [`Container::start`] lets it execute the command. [`Container::exec`] makes a process directly. Both end in
//! [`launch::run`]. [`Container::remove`] kills the cgroup; mounts end with the last process.

mod cgroup;
mod container;
mod error;
mod filesystem;
mod launch;
mod layout;
mod namespaces;
mod raw;
mod rights;
pub mod stage;

#[cfg(test)]
mod tests;

pub use container::create::create;
pub use container::exec::ExecOutcome;
pub use container::{Container, SandboxContext, Started};
pub use error::RuntimeError;
pub use filesystem::names::Names;
pub use launch::plan::{Stdio, warm_up};
pub use layout::{Layout, check_id};
