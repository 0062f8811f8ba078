//! NetworkService.

use std::sync::Arc;

use tonic::{Request, Response, Status, Streaming};

use super::port_forward::{self, PortForwardStream};
use super::status::invalid;
use crate::agent::Agent;
use crate::container::error::ContainerError;
use crate::operations::network;
use crate::pb;
use crate::pb::network_service_server::NetworkService;

/// The service.
pub struct Networks(pub Arc<Agent>);

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl NetworkService for Networks {
    type PortForwardStream = PortForwardStream;

    async fn update_interface(
        &self,
        request: Request<pb::UpdateInterfaceRequest>,
    ) -> Answer<pb::UpdateInterfaceResponse> {
        self.0.sandbox()?;
        let pb::UpdateInterfaceRequest { interface, device_timeout } = request.into_inner();
        let interface = interface.ok_or_else(|| invalid("interface is missing"))?;
        let interface = network::update_interface(self.0.clone(), interface, device_timeout).await?;
        Ok(Response::new(pb::UpdateInterfaceResponse { interface: Some(interface) }))
    }

    async fn remove_interface(
        &self,
        request: Request<pb::RemoveInterfaceRequest>,
    ) -> Answer<pb::RemoveInterfaceResponse> {
        self.0.sandbox()?;
        network::remove_interface(self.0.clone(), request.into_inner()).await?;
        Ok(Response::new(pb::RemoveInterfaceResponse {}))
    }

    async fn list_interfaces(&self, _: Request<pb::ListInterfacesRequest>) -> Answer<pb::ListInterfacesResponse> {
        self.0.require_configured()?;
        let interfaces = self.0.network.interfaces().await.map_err(ContainerError::from)?;
        Ok(Response::new(pb::ListInterfacesResponse { interfaces }))
    }

    async fn update_routes(&self, request: Request<pb::UpdateRoutesRequest>) -> Answer<pb::UpdateRoutesResponse> {
        self.0.sandbox()?;
        let routes = network::update_routes(self.0.clone(), request.into_inner().routes).await?;
        Ok(Response::new(pb::UpdateRoutesResponse { routes }))
    }

    async fn list_routes(&self, _: Request<pb::ListRoutesRequest>) -> Answer<pb::ListRoutesResponse> {
        self.0.require_configured()?;
        let routes = self.0.network.routes().await.map_err(ContainerError::from)?;
        Ok(Response::new(pb::ListRoutesResponse { routes }))
    }

    async fn update_dns(&self, request: Request<pb::UpdateDnsRequest>) -> Answer<pb::UpdateDnsResponse> {
        self.0.sandbox()?;
        network::update_dns(self.0.clone(), request.into_inner()).await?;
        Ok(Response::new(pb::UpdateDnsResponse {}))
    }

    async fn port_forward(&self, request: Request<Streaming<pb::PortForwardRequest>>) -> Answer<PortForwardStream> {
        port_forward::serve(&self.0, request.into_inner()).await
    }
}
