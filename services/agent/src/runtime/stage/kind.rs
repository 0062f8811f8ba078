//! The kinds of stages, and the argument that names each.

use std::ffi::CStr;

/// A kind of stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StageKind {
    /// Becomes a container's init.
    Init,
    /// Prepares an exec.
    Exec,
    /// Is PID 1 of a shared PID namespace.
    Holder,
}

impl StageKind {
    /// The argument that makes the agent's program this stage.
    pub fn name(self) -> &'static CStr {
        match self {
            Self::Init => c"stage-init",
            Self::Exec => c"stage-exec",
            Self::Holder => c"stage-holder",
        }
    }

    /// The kind that an argument names.
    pub fn of(name: &[u8]) -> Option<Self> {
        [Self::Init, Self::Exec, Self::Holder].into_iter().find(|kind| kind.name().to_bytes() == name)
    }
}
