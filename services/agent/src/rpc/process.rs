//! ProcessService.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::status::invalid;
use crate::agent::Agent;
use crate::container::error::ContainerError;
use crate::operations::exec;
use crate::pb;
use crate::pb::process_service_server::ProcessService;
use crate::pb::{attach_request, exec_request};
use crate::process::Process;
use crate::process::session::{Session, SessionError, SessionInput, Start};

/// Messages that are queued for one client, in addition to HTTP/2's own buffer.
const MESSAGES_AHEAD: usize = 2;

/// The service.
pub struct Processes(pub Arc<Agent>);

impl Processes {
    fn process(&self, container: &str, exec: &str) -> Result<Arc<Process>, ContainerError> {
        self.0.require_configured()?;
        self.0.containers.get(container)?.process(exec)
    }
}

#[tonic::async_trait]
impl ProcessService for Processes {
    type ExecStream = ReceiverStream<Result<pb::ExecResponse, Status>>;
    type AttachStream = ReceiverStream<Result<pb::AttachResponse, Status>>;

    async fn exec(&self, request: Request<Streaming<pb::ExecRequest>>) -> Result<Response<Self::ExecStream>, Status> {
        let mut requests = request.into_inner();
        let first = requests.message().await?.and_then(|first| first.message);
        let Some(exec_request::Message::Start(start)) = first else {
            return Err(invalid("the first message must be start"));
        };
        let process = exec::exec(self.0.clone(), start).await?;
        let from_beginning = Start { stdout: Some(0), stderr: Some(0), hold: true, gaps: true };
        let wrap = |output| pb::ExecResponse { output: Some(output) };
        let unwrap = |request: pb::ExecRequest| match request.message {
            Some(exec_request::Message::Input(input)) => Ok(input),
            Some(exec_request::Message::Start(_)) | None => Err(not_input()),
        };
        join(process, from_beginning, requests, unwrap, wrap)
    }

    async fn attach(
        &self,
        request: Request<Streaming<pb::AttachRequest>>,
    ) -> Result<Response<Self::AttachStream>, Status> {
        let mut requests = request.into_inner();
        let first = requests.message().await?.and_then(|first| first.message);
        let Some(attach_request::Message::Start(start)) = first else {
            return Err(invalid("the first message must be start"));
        };
        let process = self.process(&start.container_id, &start.exec_id)?;
        let begin = Start { stdout: start.stdout_offset, stderr: start.stderr_offset, hold: start.hold, gaps: false };
        let wrap = |output| pb::AttachResponse { output: Some(output) };
        let unwrap = |request: pb::AttachRequest| match request.message {
            Some(attach_request::Message::Input(input)) => Ok(input),
            Some(attach_request::Message::Start(_)) | None => Err(not_input()),
        };
        join(process, begin, requests, unwrap, wrap)
    }

    async fn wait_process(
        &self,
        request: Request<pb::WaitProcessRequest>,
    ) -> Result<Response<pb::WaitProcessResponse>, Status> {
        let request = request.into_inner();
        let process = self.process(&request.container_id, &request.exec_id)?;
        let status = Some(process.wait().await);
        Ok(Response::new(pb::WaitProcessResponse { status }))
    }

    async fn signal_process(
        &self,
        request: Request<pb::SignalProcessRequest>,
    ) -> Result<Response<pb::SignalProcessResponse>, Status> {
        let request = request.into_inner();
        let process = self.process(&request.container_id, &request.exec_id)?;
        process.signal(request.signal).map_err(failed(&process))?;
        Ok(Response::new(pb::SignalProcessResponse {}))
    }

    async fn resize_tty(
        &self,
        request: Request<pb::ResizeTtyRequest>,
    ) -> Result<Response<pb::ResizeTtyResponse>, Status> {
        let request = request.into_inner();
        let process = self.process(&request.container_id, &request.exec_id)?;
        let size = request.size.ok_or_else(|| invalid("size is missing"))?;
        process.resize(&size).map_err(failed(&process))?;
        Ok(Response::new(pb::ResizeTtyResponse {}))
    }
}

fn not_input() -> SessionError {
    SessionError::Invalid("a message after the first must be input")
}

fn failed<E: Into<SessionError>>(process: &Process) -> impl Fn(E) -> ContainerError {
    ContainerError::of_process(&process.container_id, &process.exec_id)
}

/// Connects a client's two streams with a process.
fn join<In, Out>(
    process: Arc<Process>,
    start: Start,
    requests: Streaming<In>,
    unwrap: fn(In) -> Result<pb::ProcessInput, SessionError>,
    wrap: fn(pb::ProcessOutput) -> Out,
) -> Result<Response<ReceiverStream<Result<Out, Status>>>, Status>
where
    In: Send + 'static,
    Out: Send + 'static,
{
    let joined = Session::join(process.clone(), start);
    let (mut session, started) = joined.map_err(failed(&process))?;
    let (sender, receiver) = mpsc::channel(MESSAGES_AHEAD);
    let input = session.input();
    tokio::spawn(async move {
        if sender.send(Ok(wrap(started))).await.is_err() {
            return;
        }
        tokio::select! {
            // The client disconnected: its hold ends with the session.
            () = sender.closed() => {}
            () = async {
                while let Some(output) = session.next().await {
                    if sender.send(Ok(wrap(output))).await.is_err() {
                        return;
                    }
                }
            } => {}
            error = take_all(&process, input, requests, unwrap) => {
                let _ = sender.send(Err(error)).await;
            }
        }
    });
    Ok(Response::new(ReceiverStream::new(receiver)))
}

/// Handles the client's messages. Returns only an error: a client that sends nothing more may still read.
async fn take_all<In>(
    process: &Process,
    input: SessionInput,
    mut requests: Streaming<In>,
    unwrap: fn(In) -> Result<pb::ProcessInput, SessionError>,
) -> Status {
    loop {
        let taken = match requests.message().await {
            Ok(Some(request)) => match unwrap(request) {
                Ok(message) => input.take(message).await,
                Err(error) => Err(error),
            },
            Ok(None) => return std::future::pending().await,
            Err(status) => return status,
        };
        if let Err(error) = taken {
            return failed(process)(error).into();
        }
    }
}
