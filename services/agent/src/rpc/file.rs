//! FileService.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::status::invalid;
use crate::agent::Agent;
use crate::container::error::ContainerError;
use crate::files::incoming::Incoming;
use crate::files::{directory, list, remove};
use crate::operations::files;
use crate::pb;
use crate::pb::copy_from_response::Message as FromMessage;
use crate::pb::copy_to_request::Message as ToRequest;
use crate::pb::copy_to_response::Message as ToMessage;
use crate::pb::file_service_server::FileService;
use crate::pb::watch_files_response::Message as WatchMessage;

/// Messages that are queued for a client, beside those in HTTP/2's own buffer.
const MESSAGES_AHEAD: usize = 2;

/// The service.
pub struct Files(pub Arc<Agent>);

type Sent<T> = ReceiverStream<Result<T, Status>>;

#[tonic::async_trait]
impl FileService for Files {
    async fn stat_file(&self, request: Request<pb::StatFileRequest>) -> Result<Response<pb::StatFileResponse>, Status> {
        self.0.require_configured()?;
        let request = request.into_inner();
        let container = request.container_id.clone();
        let answer = files::call(&self.0, &container, move |root, _| list::stat(root, &request)).await?;
        Ok(Response::new(answer))
    }

    async fn list_files(
        &self,
        request: Request<pb::ListFilesRequest>,
    ) -> Result<Response<pb::ListFilesResponse>, Status> {
        self.0.require_configured()?;
        let request = request.into_inner();
        let container = request.container_id.clone();
        let answer = files::call(&self.0, &container, move |root, _| list::list(root, &request)).await?;
        Ok(Response::new(answer))
    }

    async fn remove_file(
        &self,
        request: Request<pb::RemoveFileRequest>,
    ) -> Result<Response<pb::RemoveFileResponse>, Status> {
        self.0.sandbox()?;
        let request = request.into_inner();
        let container = request.container_id.clone();
        let work = files::call(&self.0, &container, move |root, cancel| remove::remove(root, &request, cancel));
        Ok(Response::new(work.await?))
    }

    async fn make_directory(
        &self,
        request: Request<pb::MakeDirectoryRequest>,
    ) -> Result<Response<pb::MakeDirectoryResponse>, Status> {
        self.0.sandbox()?;
        let request = request.into_inner();
        let container = request.container_id.clone();
        let answer = files::call(&self.0, &container, move |root, _| directory::make(root, &request)).await?;
        Ok(Response::new(answer))
    }

    type CopyFromStream = Sent<pb::CopyFromResponse>;

    async fn copy_from(&self, request: Request<pb::CopyFromRequest>) -> Result<Response<Self::CopyFromStream>, Status> {
        self.0.require_configured()?;
        let (bytes, stream) = files::copy_from(&self.0, request.into_inner()).await?;
        let file = bytes.started(stream.number).await.map_err(ContainerError::from)?;
        let (sender, receiver) = mpsc::channel(MESSAGES_AHEAD);
        tokio::spawn(async move {
            let number = stream.number;
            let mut next = Ok(FromMessage::Started(pb::CopyFromStarted { file: Some(file) }));
            loop {
                let is_last = matches!(next, Err(_) | Ok(FromMessage::End(_)));
                let message = next.map(|message| pb::CopyFromResponse { message: Some(message) });
                if sender.send(message.map_err(status)).await.is_err() || is_last {
                    break;
                }
                next = tokio::select! {
                    // The client has left.
                    () = sender.closed() => break,
                    next = bytes.next(number) => next,
                };
            }
            drop(stream);
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    type CopyToStream = Sent<pb::CopyToResponse>;

    async fn copy_to(
        &self,
        request: Request<Streaming<pb::CopyToRequest>>,
    ) -> Result<Response<Self::CopyToStream>, Status> {
        let mut requests = request.into_inner();
        self.0.sandbox()?;
        let Some(ToRequest::Start(start)) = requests.message().await?.and_then(|first| first.message) else {
            return Err(invalid("the first message must be start"));
        };
        let (bytes, stream, offset) = files::copy_to(&self.0, start).await?;
        let (sender, receiver) = mpsc::channel(MESSAGES_AHEAD);
        tokio::spawn(async move {
            let number = stream.number;
            tokio::select! {
                // The client has left.
                () = sender.closed() => {}
                () = send_acks(&bytes, number, offset, &sender) => {}
                status = take_all(&bytes, number, requests) => {
                    let _ = sender.send(Err(status)).await;
                }
            }
            drop(stream);
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    type WatchFilesStream = Sent<pb::WatchFilesResponse>;

    async fn watch_files(
        &self,
        request: Request<pb::WatchFilesRequest>,
    ) -> Result<Response<Self::WatchFilesStream>, Status> {
        self.0.require_configured()?;
        let (changes, watch) = files::watch(&self.0, request.into_inner()).await?;
        let (sender, receiver) = mpsc::channel(MESSAGES_AHEAD);
        tokio::spawn(async move {
            let mut next = Ok(WatchMessage::Started(pb::WatchFilesStarted {}));
            loop {
                let is_last = next.is_err();
                let message = next.map(|message| pb::WatchFilesResponse { message: Some(message) });
                if sender.send(message.map_err(status)).await.is_err() || is_last {
                    break;
                }
                next = tokio::select! {
                    () = sender.closed() => break,
                    next = changes.next() => next,
                };
            }
            drop(watch);
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}

fn status(error: crate::files::FileError) -> Status {
    ContainerError::from(error).into()
}

/// Tells the client what was taken, and at last how the transfer has ended.
async fn send_acks(
    bytes: &Incoming,
    stream: u64,
    offset: u64,
    sender: &mpsc::Sender<Result<pb::CopyToResponse, Status>>,
) {
    let mut acknowledged = 0;
    let mut next = Ok(ToMessage::Started(pb::CopyToStarted { offset }));
    loop {
        let is_last = matches!(next, Err(_) | Ok(ToMessage::End(_)));
        let message = next.map(|message| pb::CopyToResponse { message: Some(message) });
        if sender.send(message.map_err(status)).await.is_err() || is_last {
            return;
        }
        next = bytes.next(stream, &mut acknowledged).await;
    }
}

/// Takes what the client sends. Returns only with an error: a client that has sent all waits for the end.
async fn take_all(bytes: &Incoming, stream: u64, mut requests: Streaming<pb::CopyToRequest>) -> Status {
    loop {
        let message = match requests.message().await {
            Ok(Some(request)) => request.message,
            Ok(None) if bytes.has_eof() => return std::future::pending().await,
            Ok(None) => return invalid("the last message must be eof"),
            Err(status) => return status,
        };
        let taken = match message {
            Some(ToRequest::Chunk(chunk)) => bytes.put(stream, chunk),
            Some(ToRequest::Eof(eof)) => bytes.put_eof(stream, eof),
            Some(ToRequest::Start(_)) | None => return invalid("a message after the first must be chunk or eof"),
        };
        if let Err(error) = taken {
            return status(error);
        }
    }
}
