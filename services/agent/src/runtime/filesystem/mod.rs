//! A container's file systems: its root, its mounts, and the disks and files that they come from.

pub mod device_file;
pub mod disk_growth;
pub mod disk_mounts;
pub mod disks;
pub mod ext4_size;
pub mod file_mounts;
pub mod in_root;
pub mod masks;
pub mod mount_api;
pub mod names;
pub mod pivot;
pub mod release_disk;
pub mod request_mounts;
pub mod rootfs;
pub mod spec;
pub mod standard_mounts;
