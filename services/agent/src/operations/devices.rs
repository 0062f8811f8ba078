//! Device files of containers, and the release of disks.

use std::sync::Arc;

use super::{blocking, detached};
use crate::agent::Agent;
use crate::container::error::ContainerError;
use crate::pb;
use crate::runtime;

/// Creates a device file in a container.
pub async fn add(agent: Arc<Agent>, request: pb::AddContainerDeviceRequest) -> Result<(), ContainerError> {
    let device = request.device.ok_or_else(missing)?;
    detached("add a device", async move {
        let container = agent.containers.get(&request.container_id)?;
        let operation = container.operation.lock().await;
        let runtime = container.runtime.clone();
        let add = move || runtime.add_device(&device, request.disk_timeout.as_ref());
        blocking("add a device to", &container.id, add).await?;
        drop(operation);
        Ok(())
    })
    .await
}

/// Removes a device file from a container. Succeeds if there is no such file or container.
pub async fn remove(agent: Arc<Agent>, request: pb::RemoveContainerDeviceRequest) -> Result<(), ContainerError> {
    let device = request.device.ok_or_else(missing)?;
    detached("remove a device", async move {
        let Some(container) = agent.containers.settled(&request.container_id).await else { return Ok(()) };
        let operation = container.operation.lock().await;
        let runtime = container.runtime.clone();
        blocking("remove a device from", &container.id, move || runtime.remove_device(&device.path)).await?;
        drop(operation);
        Ok(())
    })
    .await
}

/// Removes a disk from the kernel. A borrowed machine's disks are not the agent's.
pub async fn release(agent: Arc<Agent>, request: pb::ReleaseDiskRequest) -> Result<(), ContainerError> {
    let disk = request.disk.ok_or_else(|| ContainerError::Invalid("disk is missing".to_owned()))?;
    if !agent.machine.is_owned() {
        return Ok(());
    }
    detached("release a disk", async move {
        let target = disk.target;
        let released = tokio::task::spawn_blocking(move || runtime::release_disk(&disk, request.force)).await;
        released
            .map_err(|_| ContainerError::Failed("release a disk"))?
            .map_err(|source| ContainerError::Disk { target, source })
    })
    .await
}

fn missing() -> ContainerError {
    ContainerError::Invalid("device is missing".to_owned())
}
