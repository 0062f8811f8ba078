//! StartContainer.

use std::sync::Arc;
use std::time::Duration;

use super::{blocking, detached};
use crate::agent::Agent;
use crate::container::error::ContainerError;
use crate::container::{Container, Phase};
use crate::pb::ContainerState;
use crate::runtime::Started;

/// How long an init that could not execute its command may take to exit.
const END_WAIT: Duration = Duration::from_secs(5);

/// Makes init execute its command.
pub async fn start(agent: Arc<Agent>, id: String) -> Result<Arc<Container>, ContainerError> {
    agent.sandbox()?;
    detached("start a container", run(agent, id)).await
}

async fn run(agent: Arc<Agent>, id: String) -> Result<Arc<Container>, ContainerError> {
    let container = agent.containers.get(&id)?;
    let _operation = container.operation.lock().await;
    container.require("start", ContainerState::Created)?;
    container.enter(Phase::Starting);
    let runtime = container.runtime.clone();
    let started = blocking("start", &id, move || runtime.start()).await;
    match &started {
        Ok(Started::Running) => {}
        Ok(Started::Failed { reason, .. }) => container.set_reason(reason),
        Err(error) => container.set_reason(&error.to_string()),
    }
    container.enter(Phase::Running);
    // If init has exited, its exit was not published until the reason was known.
    agent.publish_end(&container, &container.init);
    match started? {
        Started::Running => {}
        Started::Failed { code, reason } => {
            let _ = tokio::time::timeout(END_WAIT, container.init.wait()).await;
            return Err(ContainerError::CannotExecute { id, code, reason });
        }
    }
    drop(_operation);
    Ok(container)
}
