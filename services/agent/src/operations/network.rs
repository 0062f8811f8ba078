//! Changes the network and the names, which the files of all containers show.

use std::net::IpAddr;
use std::sync::Arc;

use super::{blocking, detached};
use crate::agent::Agent;
use crate::container::Container;
use crate::container::error::ContainerError;
use crate::machine::identity;
use crate::pb;
use crate::runtime::Names;

/// Applies a whole configuration, and returns the addresses that the sandbox's hostname resolves to.
pub async fn configure(agent: Arc<Agent>, config: pb::NetworkConfig) -> Result<Vec<IpAddr>, ContainerError> {
    detached("configure the network", async move {
        // The driver of the devices is one of them.
        agent.machine.modules_loaded().await;
        agent.network.configure(&config).await?;
        Ok(agent.network.own_addresses().await?)
    })
    .await
}

/// Configures one interface.
pub async fn update_interface(
    agent: Arc<Agent>,
    interface: pb::Interface,
    timeout: Option<prost_types::Duration>,
) -> Result<pb::InterfaceStatus, ContainerError> {
    detached("update an interface", async move {
        let status = agent.network.update_interface(&interface, timeout).await?;
        follow_addresses(&agent).await?;
        Ok(status)
    })
    .await
}

/// Prepares an interface for its removal.
pub async fn remove_interface(agent: Arc<Agent>, request: pb::RemoveInterfaceRequest) -> Result<(), ContainerError> {
    detached("remove an interface", async move {
        agent.network.remove_interface(&request.pci_address, &request.permanent_mac).await?;
        follow_addresses(&agent).await
    })
    .await
}

/// Replaces the routes.
pub async fn update_routes(agent: Arc<Agent>, routes: Vec<pb::Route>) -> Result<Vec<pb::Route>, ContainerError> {
    detached("update the routes", async move { Ok(agent.network.update_routes(&routes).await?) }).await
}

/// Replaces the names that containers see.
pub async fn update_dns(agent: Arc<Agent>, request: pb::UpdateDnsRequest) -> Result<(), ContainerError> {
    let names = identity::names(&request.hostname, request.dns.as_ref(), &request.extra_hosts)?;
    detached("update the names", async move {
        if !names.hostname.is_empty() {
            identity::set_hostname(&agent.machine, &names.hostname)?;
        }
        let update = |now: &mut Names| {
            let hostname = if names.hostname.is_empty() { now.hostname.clone() } else { names.hostname.clone() };
            *now = Names { hostname, addresses: now.addresses.clone(), ..names.clone() };
        };
        follow(&agent, update).await
    })
    .await
}

async fn follow_addresses(agent: &Arc<Agent>) -> Result<(), ContainerError> {
    let addresses = agent.network.own_addresses().await?;
    follow(agent, |names| names.addresses = addresses).await
}

/// Changes the sandbox's names, and updates all containers.
async fn follow(agent: &Arc<Agent>, change: impl FnOnce(&mut Names)) -> Result<(), ContainerError> {
    if agent.change_names(change)? {
        follow_all(agent).await;
    }
    Ok(())
}

/// Writes the names into all containers again.
pub async fn follow_all(agent: &Arc<Agent>) {
    let _one_at_a_time = agent.following.lock().await;
    for container in agent.containers.all() {
        follow_one(agent, &container).await;
    }
}

/// Writes the names into a container that was created while they changed.
pub async fn follow_late(agent: &Arc<Agent>, container: &Arc<Container>, created_with: &Names) {
    let _one_at_a_time = agent.following.lock().await;
    if agent.sandbox().is_ok_and(|sandbox| sandbox.names != *created_with) {
        follow_one(agent, container).await;
    }
}

/// A container can fill the file system of its files. The failure does not affect other containers.
async fn follow_one(agent: &Arc<Agent>, container: &Arc<Container>) {
    let Ok(sandbox) = agent.sandbox() else { return };
    let runtime = container.runtime.clone();
    let followed = blocking("update the names of", &container.id, move || runtime.follow(&sandbox.names)).await;
    if let Err(error) = followed {
        crate::log::warn("names", &error.to_string());
    }
}
