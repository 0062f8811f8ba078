//! What the agent hands to a stage: one message in a memfd.

use std::collections::HashMap;
use std::os::fd::OwnedFd;

use prost::Message as _;
use rustix::fs::{MemfdFlags, SeekFrom};

use crate::pb;
use crate::runtime::error::{Attempt, Result, RuntimeError};
use crate::runtime::filesystem::spec::FilesystemSpec;

/// A container to build, or a process to make in one.
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
    /// Whether the stage opens the terminal, on the container's own devpts, and hands out its master.
    #[prost(bool, tag = "5")]
    pub own_terminal: bool,
    /// The compiled system call filter; empty for none.
    #[prost(bytes = "vec", tag = "6")]
    pub filter: Vec<u8>,
    /// Whether the stage creates the process in the PID namespace of the process whose pidfd it has, and is not in it itself.
    #[prost(bool, tag = "7")]
    pub apart: bool,
}

impl StageSpec {
    /// A file in memory with the spec, to be read from its beginning.
    pub(super) fn write(&self) -> Result<OwnedFd> {
        let what = || "write a stage's spec";
        let file = rustix::fs::memfd_create("spec", MemfdFlags::CLOEXEC).attempt(what)?;
        let bytes = self.encode_to_vec();
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let written = rustix::io::write(&file, rest).attempt(what)?;
            rest = rest.get(written..).unwrap_or_default();
        }
        rustix::fs::seek(&file, SeekFrom::Start(0)).attempt(what)?;
        Ok(file)
    }

    /// Reads the spec from a file of [`Self::write`].
    pub(super) fn read(file: &OwnedFd) -> Result<Self> {
        let size = rustix::fs::fstat(file).attempt(|| "look at the spec")?.st_size;
        let mut bytes = vec![0; usize::try_from(size).unwrap_or(0)];
        let mut filled = 0;
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match rustix::io::read(file, rest).attempt(|| "read the spec")? {
                0 => break,
                count => filled += count,
            }
        }
        Self::decode(bytes.as_slice()).map_err(|error| RuntimeError::Stage(format!("the spec is broken: {error}")))
    }

    /// The process to become.
    pub(super) fn process(&self) -> Result<&pb::Process> {
        self.process.as_ref().ok_or_else(|| RuntimeError::InvalidSpec("there is no process".into()))
    }
}
