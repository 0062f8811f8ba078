//! Shutdown: ends every container, then the machine.

use std::sync::Arc;
use std::time::Duration;

use super::{control, remove};
use crate::agent::Agent;
use crate::pb;
use crate::pb::watch_events_response::Event;

/// The longest grace period.
const GRACE_LIMIT: Duration = Duration::from_secs(60);
/// How long the machine waits before it powers off, so that the answer is sent.
const ANSWER_TIME: Duration = Duration::from_millis(50);

/// Ends the containers, syncs, and powers the machine off a moment later. A second call does nothing.
pub async fn shutdown(agent: Arc<Agent>, grace: Duration) {
    if !agent.begin_stopping() {
        return;
    }
    agent.events.push(Event::GuestStopping(pb::GuestStopping {}));
    let grace = grace.min(GRACE_LIMIT);
    if !grace.is_zero() {
        let _ = tokio::time::timeout(grace, ask_to_end(&agent)).await;
    }
    let removals = agent.containers.all().into_iter().map(|container| {
        let agent = agent.clone();
        tokio::spawn(async move { (container.id.clone(), remove::remove(agent, container.id.clone()).await) })
    });
    for removal in removals.collect::<Vec<_>>() {
        if let Ok((id, Err(error))) = removal.await {
            crate::log::warn("shutdown", &format!("container {id}: {error}"));
        }
    }
    let _ = tokio::task::spawn_blocking(nix::unistd::sync).await;
    tokio::spawn(async move {
        tokio::time::sleep(ANSWER_TIME).await;
        agent.machine.power_off();
    });
}

async fn ask_to_end(agent: &Arc<Agent>) {
    let containers = agent.containers.all();
    for container in &containers {
        let request = pb::KillContainerRequest { container_id: container.id.clone(), signal: libc::SIGTERM, all: true };
        if let Err(error) = control::kill(agent.clone(), request).await {
            crate::log::warn("shutdown", &error.to_string());
        }
    }
    for container in containers {
        container.init.wait().await;
    }
}
