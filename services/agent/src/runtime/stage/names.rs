//! The argument of the agent's program that selects a stage.

use std::ffi::CStr;

/// Becomes a container's init.
pub const INIT: &CStr = c"stage-init";
/// Prepares an exec.
pub const EXEC: &CStr = c"stage-exec";
/// Is PID 1 of a shared PID namespace.
pub const HOLDER: &CStr = c"stage-holder";
