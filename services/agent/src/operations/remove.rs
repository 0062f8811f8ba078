//! RemoveContainer.

use std::sync::Arc;
use std::time::Duration;

use super::{blocking, detached};
use crate::agent::Agent;
use crate::container::error::ContainerError;
use crate::files::registry::Closing;

/// How long killed processes may take to be reaped, once the cgroup is empty.
const REAP_WAIT: Duration = Duration::from_secs(2);
/// How long work on files may take to end.
const FILES_WAIT: Duration = Duration::from_secs(5);

/// Kills the remaining processes of a container and forgets it. Succeeds if the container does not exist.
pub async fn remove(agent: Arc<Agent>, id: String) -> Result<(), ContainerError> {
    detached("remove a container", run(agent, id)).await
}

async fn run(agent: Arc<Agent>, id: String) -> Result<(), ContainerError> {
    let Some(container) = agent.containers.settled(&id).await else {
        return Ok(());
    };
    let operation = container.operation.lock().await;
    // Another call may have removed the container in the meantime.
    match agent.containers.get(&id) {
        Ok(current) if Arc::ptr_eq(&current, &container) => {}
        _ => return Ok(()),
    }
    let processes = container.processes();
    processes.iter().for_each(|process| process.expect_kill());
    let _closed = close_files(&agent, &id).await;
    let runtime = container.runtime.clone();
    blocking("remove", &id, move || runtime.remove()).await?;
    let reaped = async {
        for process in &processes {
            process.wait().await;
        }
    };
    if tokio::time::timeout(REAP_WAIT, reaped).await.is_err() {
        crate::log::warn("remove", &format!("a process of container {id} was not reaped in time"));
    }
    processes.iter().for_each(|process| process.retire());
    agent.containers.forget(&id);
    drop(operation);
    Ok(())
}

/// Ends the work on the container's files, which keeps its file systems mounted.
async fn close_files(agent: &Agent, id: &str) -> Option<Closing> {
    let closed = tokio::time::timeout(FILES_WAIT, agent.files.close(id)).await;
    if closed.is_err() {
        crate::log::warn("remove", &format!("work on files of container {id} did not end in time"));
    }
    closed.ok()
}
