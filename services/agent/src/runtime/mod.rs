//! Containers inside the guest, created as an OCI runtime does it, but without a runtime's binary.
//!
//! A call here blocks, so call it from a blocking thread. Nothing here reaps a child: only the agent's reaper does. A process is
//! followed until it executes its command through descriptors that close. Returned PIDs are the guest's, and the processes are
//! children of the agent.
//!
//! The modules, from the top; each uses only those below it:
//!
//! - [`container`] checks a request, creates the container, and acts on it: start, exec, signals, limits, removal.
//! - [`stage`] starts the agent's own program again, inside a container's namespaces, to build the container there.
//! - [`launch`] turns a new process into the command, in memory shared with the agent.
//! - [`rights`] are the rights of a process: user, capabilities, resource limits, system calls.
//! - [`filesystem`] mounts the root and everything in it.
//! - [`namespaces`] joins namespaces and sets their kernel parameters.
//! - [`cgroup`] limits, measures, freezes and kills.
//!
//! [`container::create`] waits for disks, creates the cgroup, and starts an init stage in it, which builds the root and mounts,
//! and waits. [`Container::start`] makes it execute the command. [`Container::exec`] creates a process directly. Both end in
//! [`launch::run`]. [`Container::remove`] kills the cgroup; the mounts end with the last process.

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
pub use filesystem::disk_growth::grow_disk;
pub use filesystem::names::Names;
pub use filesystem::release_disk::release_disk;
pub use launch::plan::{Stdio, warm_up};
pub use layout::{Layout, check_id};
