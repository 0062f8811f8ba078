//! The rights of a process: its user, its capabilities, its resource limits, its system calls.

pub mod capabilities;
pub mod rlimits;
pub mod seccomp;
pub mod user;
