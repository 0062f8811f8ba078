//! The request of the agent to a stage: one message in a memfd.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::OwnedFd;

use prost::Message as _;
use rustix::fs::MemfdFlags;

use crate::pb;
use crate::runtime::error::{Attempt, Result, RuntimeError};
use crate::runtime::filesystem::spec::FilesystemSpec;

/// A container to build, or a process to create in one.
#[derive(Clone, PartialEq, prost::Message)]
pub struct StageSpec {
    /// Hostname of the container's UTS namespace.
    #[prost(string, tag = "1")]
    pub hostname: String,
    /// The file systems of a container to build.
    #[prost(message, required, tag = "2")]
    pub filesystem: FilesystemSpec,
    /// Kernel parameters of a container to build.
    #[prost(map = "string, string", tag = "3")]
    pub sysctls: HashMap<String, String>,
    /// The process to become.
    #[prost(message, optional, tag = "4")]
    pub process: Option<pb::Process>,
    /// Whether the stage opens the terminal, on the container's own devpts, and sends its master to the agent.
    #[prost(bool, tag = "5")]
    pub own_terminal: bool,
    /// The compiled system call filter; empty for none.
    #[prost(bytes = "vec", tag = "6")]
    pub filter: Vec<u8>,
    /// Whether the stage creates the process in the PID namespace of the process whose pidfd it has, without being in it.
    #[prost(bool, tag = "7")]
    pub apart: bool,
}

impl StageSpec {
    /// Returns a file in memory with the spec, positioned at its beginning.
    pub(super) fn write(&self) -> Result<OwnedFd> {
        let what = || "write a stage's spec";
        let mut file = File::from(rustix::fs::memfd_create("spec", MemfdFlags::CLOEXEC).attempt(what)?);
        file.write_all(&self.encode_to_vec()).and_then(|()| file.rewind()).attempt(what)?;
        Ok(file.into())
    }

    /// Reads the spec from a file that [`Self::write`] returned.
    pub(super) fn read(file: OwnedFd) -> Result<Self> {
        let mut bytes = Vec::new();
        File::from(file).read_to_end(&mut bytes).attempt(|| "read the spec")?;
        Self::decode(bytes.as_slice()).map_err(|error| RuntimeError::Stage(format!("the spec is broken: {error}")))
    }

    /// The process to become.
    pub fn process(&self) -> Result<&pb::Process> {
        self.process.as_ref().ok_or_else(|| RuntimeError::InvalidSpec("there is no process".into()))
    }
}
