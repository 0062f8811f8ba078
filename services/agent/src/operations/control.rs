//! Signals, pausing, limits, stats.

use std::sync::Arc;

use super::{blocking, detached};
use crate::agent::Agent;
use crate::container::error::ContainerError;
use crate::container::{Container, Phase};
use crate::pb;
use crate::pb::ContainerState;
use crate::process::signal::check_signal;

/// Sends a signal to init or to every process.
pub async fn kill(agent: Arc<Agent>, request: pb::KillContainerRequest) -> Result<(), ContainerError> {
    let container = agent.containers.get(&request.container_id)?;
    let id = &container.id;
    let wrong = ContainerError::of_process(id, id);
    let signal = check_signal(request.signal).map_err(&wrong)?;
    if !request.all {
        return container.init.signal(signal).map_err(wrong);
    }
    if signal == libc::SIGKILL {
        container.processes().iter().for_each(|process| process.expect_kill());
    }
    let runtime = container.runtime.clone();
    blocking("signal", id, move || runtime.signal_all(signal)).await
}

/// Freezes every process.
pub async fn pause(agent: Arc<Agent>, id: String) -> Result<(), ContainerError> {
    change_phase(agent, id, ("pause", ContainerState::Running, Phase::Paused)).await
}

/// Thaws every process.
pub async fn resume(agent: Arc<Agent>, id: String) -> Result<(), ContainerError> {
    change_phase(agent, id, ("resume", ContainerState::Paused, Phase::Running)).await
}

async fn change_phase(
    agent: Arc<Agent>,
    id: String,
    (action, from, to): (&'static str, ContainerState, Phase),
) -> Result<(), ContainerError> {
    detached(action, async move {
        let container = agent.containers.get(&id)?;
        let operation = container.operation.lock().await;
        container.require(action, from)?;
        let runtime = container.runtime.clone();
        blocking(action, &id, move || match to {
            Phase::Paused => runtime.pause(),
            _ => runtime.resume(),
        })
        .await?;
        container.enter(to);
        drop(operation);
        Ok(())
    })
    .await
}

/// Changes limits.
pub async fn update(agent: Arc<Agent>, request: pb::UpdateContainerRequest) -> Result<(), ContainerError> {
    let missing = || ContainerError::Invalid("resources is missing".to_owned());
    let resources = request.resources.ok_or_else(missing)?;
    let id = request.container_id;
    detached("update a container", async move {
        let container = agent.containers.get(&id)?;
        let operation = container.operation.lock().await;
        let runtime = container.runtime.clone();
        blocking("update", &id, move || runtime.update(&resources)).await?;
        drop(operation);
        Ok(())
    })
    .await
}

/// Reads the stats of the container's cgroup.
pub async fn stats(container: Arc<Container>) -> Result<pb::GetContainerStatsResponse, ContainerError> {
    let runtime = container.runtime.clone();
    blocking("read the figures of", &container.id, move || runtime.stats()).await
}

/// Lists the processes of the container's cgroup.
pub async fn processes(container: Arc<Container>) -> Result<Vec<pb::ProcessEntry>, ContainerError> {
    let runtime = container.runtime.clone();
    blocking("list the processes of", &container.id, move || runtime.processes()).await
}
