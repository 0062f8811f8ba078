//! The argument that makes the agent's program a stage, for each kind of stage.

use std::ffi::CStr;

/// Becomes a container's init.
pub const INIT: &CStr = c"stage-init";
/// Prepares an exec.
pub const EXEC: &CStr = c"stage-exec";
/// Is PID 1 of a shared PID namespace.
pub const HOLDER: &CStr = c"stage-holder";
