//! The services of the contract, one file per service, and the dispatch of calls to them.

mod container;
mod file;
mod network;
mod port_forward;
mod process;
mod sandbox;
mod status;

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use http::{Request, Response};
use hyper::body::Incoming;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::server::NamedService;

use crate::agent::Agent;
use crate::pb::container_service_server::ContainerServiceServer;
use crate::pb::file_service_server::FileServiceServer;
use crate::pb::network_service_server::NetworkServiceServer;
use crate::pb::process_service_server::ProcessServiceServer;
use crate::pb::sandbox_service_server::SandboxServiceServer;

/// The largest message that is accepted or sent, in bytes.
const MESSAGE_BYTES: usize = 4 * 1024 * 1024;

/// Dispatches a call to its service.
#[derive(Clone)]
pub struct Dispatch {
    sandbox: SandboxServiceServer<sandbox::Sandboxes>,
    network: NetworkServiceServer<network::Networks>,
    container: ContainerServiceServer<container::Containers>,
    process: ProcessServiceServer<process::Processes>,
    file: FileServiceServer<file::Files>,
}

impl Dispatch {
    /// The services of an agent.
    pub fn new(agent: &Arc<Agent>) -> Self {
        Self {
            sandbox: SandboxServiceServer::new(sandbox::Sandboxes(agent.clone()))
                .max_decoding_message_size(MESSAGE_BYTES)
                .max_encoding_message_size(MESSAGE_BYTES),
            network: NetworkServiceServer::new(network::Networks(agent.clone()))
                .max_decoding_message_size(MESSAGE_BYTES)
                .max_encoding_message_size(MESSAGE_BYTES),
            container: ContainerServiceServer::new(container::Containers(agent.clone()))
                .max_decoding_message_size(MESSAGE_BYTES)
                .max_encoding_message_size(MESSAGE_BYTES),
            process: ProcessServiceServer::new(process::Processes(agent.clone()))
                .max_decoding_message_size(MESSAGE_BYTES)
                .max_encoding_message_size(MESSAGE_BYTES),
            file: FileServiceServer::new(file::Files(agent.clone()))
                .max_decoding_message_size(MESSAGE_BYTES)
                .max_encoding_message_size(MESSAGE_BYTES),
        }
    }
}

type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

fn serves<S: NamedService>(_service: &S, path: &str) -> bool {
    let rest = path.strip_prefix('/').and_then(|path| path.strip_prefix(S::NAME));
    rest.is_some_and(|rest| rest.starts_with('/'))
}

impl hyper::service::Service<Request<Incoming>> for Dispatch {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn call(&self, request: Request<Incoming>) -> Answer {
        let path = request.uri().path();
        if serves(&self.sandbox, path) {
            return self.sandbox.clone().call(request);
        }
        if serves(&self.network, path) {
            return self.network.clone().call(request);
        }
        if serves(&self.container, path) {
            return self.container.clone().call(request);
        }
        if serves(&self.process, path) {
            return self.process.clone().call(request);
        }
        if serves(&self.file, path) {
            return self.file.clone().call(request);
        }
        let status = tonic::Status::unimplemented("no such service");
        Box::pin(async move { Ok(status.into_http()) })
    }
}
