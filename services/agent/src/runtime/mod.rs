//! Containers inside the guest, as an OCI runtime makes them, without a runtime's binary.
//!
//! A call here blocks, so call it from a blocking thread. Nothing here waits for a child: the agent's reaper is the only
//! one who does, and a process's way to its command is followed by descriptors that close. Returned PIDs are the
//! guest's, and the processes are children of the agent.
//!
//! How it goes:
//! [`create`] checks the request, waits for disks, makes the cgroup, and starts an init stage in it ([`stage`],
//! [`stage_init`]), which builds root and mounts inside the container's namespaces and waits. [`Container::start`] lets it
//! execute the command. [`Container::exec`] makes a process directly ([`exec`]). Both end in [`launch`], which is careful
//! code in shared memory ([`spawn`]). [`Container::remove`] kills the cgroup; mounts end with the last process.

mod c_strings;
mod capabilities;
mod cgroup;
mod channel;
mod command;
mod container;
mod create;
mod disks;
mod error;
mod exec;
mod file_mounts;
mod in_root;
mod launch;
mod launch_plan;
mod layout;
mod masks;
mod mount_api;
mod namespaces;
mod pivot;
mod process_list;
mod pty;
mod raw;
mod report;
mod request_mounts;
mod rlimits;
mod rootfs;
mod seccomp;
mod spawn;
pub mod stage;
mod stage_exec;
mod stage_holder;
mod stage_init;
mod stage_spec;
mod standard_mounts;
mod sysctl;
mod user;

#[cfg(test)]
mod tests;

pub use container::{Container, ExecOutcome, SandboxContext, Started};
pub use create::{RootfsSource, create, create_from, create_with_terminal};
pub use error::{ErrorKind, RuntimeError};
pub use launch_plan::{Stdio, warm_up};
pub use layout::Layout;
