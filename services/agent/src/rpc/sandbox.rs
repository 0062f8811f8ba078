//! SandboxService.

use std::sync::Arc;
use std::time::Duration;

use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::status::{invalid, refused};
use crate::agent::Agent;
use crate::container::error::ContainerError;
use crate::machine::{cpus, facts, identity};
use crate::network::Network;
use crate::operations::{devices, grow_disk, network, shutdown};
use crate::pb;
use crate::pb::sandbox_service_server::SandboxService;

/// Events that are queued for one watcher.
const EVENTS_AHEAD: usize = 16;

/// The service.
pub struct Sandboxes(pub Arc<Agent>);

impl Sandboxes {
    /// The agent's facts about its machine.
    pub(super) fn guest(&self) -> pb::Guest {
        let memory = facts::memory();
        pb::Guest {
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            kernel_release: facts::kernel_release(),
            boot_id: facts::boot_id(),
            online_cpus: facts::online_cpus(),
            memory_total_bytes: memory.total_bytes,
            memory_available_bytes: memory.available_bytes,
            configured: self.0.configured(),
            uptime: facts::uptime().try_into().ok(),
            agent_memory_bytes: facts::agent_memory_bytes(),
        }
    }
}

#[tonic::async_trait]
impl SandboxService for Sandboxes {
    async fn configure_sandbox(
        &self,
        request: Request<pb::ConfigureSandboxRequest>,
    ) -> Result<Response<pb::ConfigureSandboxResponse>, Status> {
        let request = request.into_inner();
        if let Some(config) = &request.network {
            Network::check(config).map_err(ContainerError::from)?;
        }
        // Not on another thread: the clock would run on while the request waits for one. None of this blocks.
        let context = identity::apply(&self.0.machine, &request).map_err(ContainerError::from)?;
        let addresses = match request.network {
            Some(config) => Some(network::configure(self.0.clone(), config).await?),
            None => None,
        };
        if self.0.configure(context, addresses) {
            network::follow_all(&self.0).await;
        }
        crate::log::info("sandbox", &format!("configured as {}", request.sandbox_id));
        let guest = Some(self.guest());
        Ok(Response::new(pb::ConfigureSandboxResponse { guest }))
    }

    async fn get_guest(&self, _: Request<pb::GetGuestRequest>) -> Result<Response<pb::GetGuestResponse>, Status> {
        let guest = Some(self.guest());
        Ok(Response::new(pb::GetGuestResponse { guest }))
    }

    async fn set_online_cpus(
        &self,
        request: Request<pb::SetOnlineCpusRequest>,
    ) -> Result<Response<pb::SetOnlineCpusResponse>, Status> {
        let count = request.into_inner().cpus;
        if count == 0 {
            return Err(invalid("cpus is 0; CPU 0 is always online"));
        }
        if self.0.machine.is_owned() {
            // The panic hook logs a panic of the thread; the answer contains the resulting number in any case.
            let _ = tokio::task::spawn_blocking(move || cpus::set_online(count)).await;
        }
        Ok(Response::new(pb::SetOnlineCpusResponse { online_cpus: facts::online_cpus() }))
    }

    async fn shutdown(&self, request: Request<pb::ShutdownRequest>) -> Result<Response<pb::ShutdownResponse>, Status> {
        let grace = request.into_inner().grace.unwrap_or_default();
        let grace = Duration::try_from(grace).map_err(|_| invalid("grace must not be negative"))?;
        // In a task of its own, so that it continues if the caller disconnects.
        let work = tokio::spawn(shutdown::shutdown(self.0.clone(), grace));
        let _ = work.await;
        Ok(Response::new(pb::ShutdownResponse {}))
    }

    async fn release_disk(
        &self,
        request: Request<pb::ReleaseDiskRequest>,
    ) -> Result<Response<pb::ReleaseDiskResponse>, Status> {
        self.0.sandbox()?;
        devices::release(self.0.clone(), request.into_inner()).await?;
        Ok(Response::new(pb::ReleaseDiskResponse {}))
    }

    async fn grow_disk(&self, request: Request<pb::GrowDiskRequest>) -> Result<Response<pb::GrowDiskResponse>, Status> {
        self.0.require_configured()?;
        let filesystem_bytes = grow_disk::grow_disk(request.into_inner()).await?;
        Ok(Response::new(pb::GrowDiskResponse { filesystem_bytes }))
    }

    type WatchEventsStream = ReceiverStream<Result<pb::WatchEventsResponse, Status>>;

    async fn watch_events(
        &self,
        request: Request<pb::WatchEventsRequest>,
    ) -> Result<Response<Self::WatchEventsStream>, Status> {
        let mut sequence = request.into_inner().after_sequence;
        let agent = self.0.clone();
        let last = agent.events.last();
        if sequence > last {
            let text = format!("after_sequence is {sequence}, but the last event since boot is {last}");
            return Err(refused(pb::FailureReason::EventNotReached, text));
        }
        let (sender, receiver) = tokio::sync::mpsc::channel(EVENTS_AHEAD);
        tokio::spawn(async move {
            loop {
                let event = tokio::select! {
                    event = agent.events.after(sequence) => event,
                    () = sender.closed() => return,
                };
                sequence = event.sequence;
                if sender.send(Ok(event)).await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}
