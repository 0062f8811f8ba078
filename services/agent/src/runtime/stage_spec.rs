//! What the agent hands to an init stage: one message in a memfd. The agent has checked everything in it, and has waited
//! for the disks.

use std::collections::HashMap;

use crate::pb;

/// A container to build.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct StageSpec {
    /// The container's own directory, with `layers`, `files` and `root` in it to mount on.
    #[prost(string, tag = "1")]
    pub(super) directory: String,
    /// Hostname of its UTS namespace.
    #[prost(string, tag = "2")]
    pub(super) hostname: String,
    /// Text of /etc/resolv.conf.
    #[prost(string, tag = "3")]
    pub(super) resolv_conf: String,
    /// Directory to show as /dev/shm.
    #[prost(string, tag = "4")]
    pub(super) shm_dir: String,
    /// Directory of the sandbox's shared directories.
    #[prost(string, tag = "5")]
    pub(super) shared_root: String,
    /// The image.
    #[prost(message, optional, tag = "6")]
    pub(super) lower: Option<Layer>,
    /// The writable layer; none is a tmpfs.
    #[prost(message, optional, tag = "7")]
    pub(super) upper: Option<Layer>,
    /// Size of a tmpfs writable layer; 0 is the kernel's default, half the memory.
    #[prost(uint64, tag = "8")]
    pub(super) tmpfs_size_bytes: u64,
    /// Whether the root is read-only to the container.
    #[prost(bool, tag = "9")]
    pub(super) read_only: bool,
    /// Mounts of the request.
    #[prost(message, repeated, tag = "10")]
    pub(super) mounts: Vec<pb::Mount>,
    /// For each mount the device file, or "".
    #[prost(string, repeated, tag = "11")]
    pub(super) mount_devices: Vec<String>,
    /// Kernel parameters.
    #[prost(map = "string, string", tag = "12")]
    pub(super) sysctls: HashMap<String, String>,
    /// The process to become.
    #[prost(message, optional, tag = "13")]
    pub(super) process: Option<pb::Process>,
    /// Whether the stage makes the terminal, of the container's own devpts, and hands out its master.
    #[prost(bool, tag = "14")]
    pub(super) own_terminal: bool,
    /// The compiled filter; empty for none.
    #[prost(bytes = "vec", tag = "15")]
    pub(super) filter: Vec<u8>,
    /// Whether the process is to be born in the PID namespace of the process whose pidfd the stage has, apart from the stage.
    #[prost(bool, tag = "16")]
    pub(super) apart: bool,
}

/// Where a layer of the root comes from.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Layer {
    /// A device file, or a directory.
    #[prost(string, tag = "1")]
    pub(super) source: String,
    /// File system of the device; empty for a directory.
    #[prost(string, tag = "2")]
    pub(super) fstype: String,
}
