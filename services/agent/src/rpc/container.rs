//! ContainerService.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::status::invalid;
use crate::agent::Agent;
use crate::operations::{control, create, devices, remove, start};
use crate::pb;
use crate::pb::container_service_server::ContainerService;

/// The service.
pub struct Containers(pub Arc<Agent>);

/// The most containers in one GetContainersStats call.
const STATS_LIMIT: usize = 128;

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl ContainerService for Containers {
    async fn create_container(
        &self,
        request: Request<pb::CreateContainerRequest>,
    ) -> Answer<pb::CreateContainerResponse> {
        let container = create::create(self.0.clone(), request.into_inner()).await?;
        let container = Some(container.describe(false));
        Ok(Response::new(pb::CreateContainerResponse { container }))
    }

    async fn start_container(&self, request: Request<pb::StartContainerRequest>) -> Answer<pb::StartContainerResponse> {
        let container = start::start(self.0.clone(), request.into_inner().container_id).await?;
        let container = Some(container.describe(false));
        Ok(Response::new(pb::StartContainerResponse { container }))
    }

    async fn remove_container(
        &self,
        request: Request<pb::RemoveContainerRequest>,
    ) -> Answer<pb::RemoveContainerResponse> {
        self.0.require_configured()?;
        remove::remove(self.0.clone(), request.into_inner().container_id).await?;
        Ok(Response::new(pb::RemoveContainerResponse {}))
    }

    async fn get_container(&self, request: Request<pb::GetContainerRequest>) -> Answer<pb::GetContainerResponse> {
        self.0.require_configured()?;
        let request = request.into_inner();
        let container = self.0.containers.get(&request.container_id)?;
        let container = Some(container.describe(request.without_execs));
        Ok(Response::new(pb::GetContainerResponse { container }))
    }

    async fn list_containers(&self, request: Request<pb::ListContainersRequest>) -> Answer<pb::ListContainersResponse> {
        self.0.require_configured()?;
        let briefly = request.into_inner().without_execs;
        let all = self.0.containers.all();
        let containers = all.iter().map(|container| container.describe(briefly)).collect();
        Ok(Response::new(pb::ListContainersResponse { containers }))
    }

    async fn kill_container(&self, request: Request<pb::KillContainerRequest>) -> Answer<pb::KillContainerResponse> {
        self.0.require_configured()?;
        control::kill(self.0.clone(), request.into_inner()).await?;
        Ok(Response::new(pb::KillContainerResponse {}))
    }

    async fn pause_container(&self, request: Request<pb::PauseContainerRequest>) -> Answer<pb::PauseContainerResponse> {
        self.0.sandbox()?;
        control::pause(self.0.clone(), request.into_inner().container_id).await?;
        Ok(Response::new(pb::PauseContainerResponse {}))
    }

    async fn resume_container(
        &self,
        request: Request<pb::ResumeContainerRequest>,
    ) -> Answer<pb::ResumeContainerResponse> {
        self.0.sandbox()?;
        control::resume(self.0.clone(), request.into_inner().container_id).await?;
        Ok(Response::new(pb::ResumeContainerResponse {}))
    }

    async fn update_container(
        &self,
        request: Request<pb::UpdateContainerRequest>,
    ) -> Answer<pb::UpdateContainerResponse> {
        self.0.sandbox()?;
        control::update(self.0.clone(), request.into_inner()).await?;
        Ok(Response::new(pb::UpdateContainerResponse {}))
    }

    async fn get_container_stats(
        &self,
        request: Request<pb::GetContainerStatsRequest>,
    ) -> Answer<pb::GetContainerStatsResponse> {
        self.0.require_configured()?;
        let container = self.0.containers.get(&request.into_inner().container_id)?;
        Ok(Response::new(control::stats(container).await?))
    }

    async fn list_container_stats(
        &self,
        request: Request<pb::ListContainerStatsRequest>,
    ) -> Answer<pb::ListContainerStatsResponse> {
        self.0.require_configured()?;
        let pb::ListContainerStatsRequest { container_ids, with_guest } = request.into_inner();
        if container_ids.len() > STATS_LIMIT {
            return Err(invalid(format!("more than {STATS_LIMIT} container_ids")));
        }
        let mut containers = Vec::with_capacity(container_ids.len());
        for container_id in container_ids {
            let Ok(container) = self.0.containers.get(&container_id) else { continue };
            // Containers that are being removed are left out, too.
            if let Ok(figures) = control::stats(container).await {
                containers.push(pb::ContainerFigures { container_id, figures: Some(figures) });
            }
        }
        let guest = with_guest.then(|| super::sandbox::Sandboxes(self.0.clone()).guest());
        Ok(Response::new(pb::ListContainerStatsResponse { containers, guest }))
    }

    async fn list_processes(&self, request: Request<pb::ListProcessesRequest>) -> Answer<pb::ListProcessesResponse> {
        self.0.require_configured()?;
        let container = self.0.containers.get(&request.into_inner().container_id)?;
        let processes = control::processes(container).await?;
        Ok(Response::new(pb::ListProcessesResponse { processes }))
    }

    async fn add_container_device(
        &self,
        request: Request<pb::AddContainerDeviceRequest>,
    ) -> Answer<pb::AddContainerDeviceResponse> {
        self.0.sandbox()?;
        devices::add(self.0.clone(), request.into_inner()).await?;
        Ok(Response::new(pb::AddContainerDeviceResponse {}))
    }

    async fn remove_container_device(
        &self,
        request: Request<pb::RemoveContainerDeviceRequest>,
    ) -> Answer<pb::RemoveContainerDeviceResponse> {
        self.0.sandbox()?;
        devices::remove(self.0.clone(), request.into_inner()).await?;
        Ok(Response::new(pb::RemoveContainerDeviceResponse {}))
    }
}
