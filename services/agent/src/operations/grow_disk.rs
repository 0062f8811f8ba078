//! GrowDisk.

use super::failed;
use crate::container::error::ContainerError;
use crate::{pb, runtime};

/// Takes over the new size of a disk, and grows its file system if that is mounted. Returns the size of the file system in bytes.
pub async fn grow_disk(request: pb::GrowDiskRequest) -> Result<u64, ContainerError> {
    let Some(disk) = request.disk else {
        return Err(ContainerError::Invalid("disk is missing".to_owned()));
    };
    match tokio::task::spawn_blocking(move || runtime::grow_disk(&disk, request.size_bytes)).await {
        Ok(grown) => grown.map_err(|source| ContainerError::Disk { target: disk.target, source }),
        Err(error) => Err(failed("grow a disk", &error)),
    }
}
