//! The file systems of a container to build. The agent has checked all values, and has waited for the disks.

use crate::pb;

/// The file systems to build.
#[derive(Clone, PartialEq, prost::Message)]
pub struct FilesystemSpec {
    /// The container's own directory, with the mount points `layers`, `files` and `root`.
    #[prost(string, tag = "1")]
    pub directory: String,
    /// Text of /etc/resolv.conf.
    #[prost(string, tag = "2")]
    pub resolv_conf: String,
    /// Text of /etc/hosts.
    #[prost(string, tag = "11")]
    pub hosts: String,
    /// Directory to show as /dev/shm.
    #[prost(string, tag = "3")]
    pub shm_dir: String,
    /// Directory of the sandbox's shared directories.
    #[prost(string, tag = "4")]
    pub shared_root: String,
    /// The image.
    #[prost(message, required, tag = "5")]
    pub lower: Layer,
    /// The writable layer; none means a tmpfs.
    #[prost(message, optional, tag = "6")]
    pub upper: Option<Layer>,
    /// Size of a tmpfs writable layer; 0 means the kernel's default, half the memory.
    #[prost(uint64, tag = "7")]
    pub tmpfs_size_bytes: u64,
    /// Whether the root is read-only to the container.
    #[prost(bool, tag = "8")]
    pub read_only: bool,
    /// Mounts of the request.
    #[prost(message, repeated, tag = "9")]
    pub mounts: Vec<pb::Mount>,
    /// For each mount the device file, or "".
    #[prost(string, repeated, tag = "10")]
    pub mount_devices: Vec<String>,
}

/// Where a layer of the root comes from.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Layer {
    /// A device file, or a directory.
    #[prost(string, tag = "1")]
    pub source: String,
    /// File system of the device; empty for a directory.
    #[prost(string, tag = "2")]
    pub fstype: String,
}
