//! The stream of NetworkService.PortForward.

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Response, Status, Streaming};

use super::status::invalid;
use crate::agent::Agent;
use crate::container::error::ContainerError;
use crate::forward::{Connection, Input, Output};
use crate::pb;
use crate::pb::port_forward_request::Message as Request;
use crate::pb::port_forward_response::Message as Answer;

/// Messages that are queued for the host, beside those in HTTP/2's own buffer.
const MESSAGES_AHEAD: usize = 2;

pub type PortForwardStream = ReceiverStream<Result<pb::PortForwardResponse, Status>>;

/// Connects to the port that the first request names, and carries the connection.
pub async fn serve(
    agent: &Agent,
    mut requests: Streaming<pb::PortForwardRequest>,
) -> Result<Response<PortForwardStream>, Status> {
    let Some(Request::Start(start)) = requests.message().await?.and_then(|first| first.message) else {
        return Err(invalid("the first message must be start"));
    };
    agent.sandbox()?;
    let connection = Connection::dial(start.port).await.map_err(ContainerError::from)?;
    let (sender, receiver) = mpsc::channel(MESSAGES_AHEAD);
    tokio::spawn(async move {
        tokio::select! {
            // The host has left: the connection is reset.
            () = sender.closed() => {}
            () = send_all(&connection, &sender) => {}
            status = take_all(&connection, requests) => {
                let _ = sender.send(Err(status)).await;
            }
        }
    });
    Ok(Response::new(ReceiverStream::new(receiver)))
}

async fn send_all(connection: &Connection, sender: &mpsc::Sender<Result<pb::PortForwardResponse, Status>>) {
    let connected = Answer::Connected(pb::PortForwardConnected { address: connection.address.to_string() });
    let mut next = Some(connected);
    while let Some(message) = next {
        if sender.send(Ok(pb::PortForwardResponse { message: Some(message) })).await.is_err() {
            return;
        }
        next = connection.next().await.map(|output| match output {
            Output::Data(data) => Answer::Data(data),
            Output::Eof => Answer::Eof(pb::PortForwardEof {}),
            Output::Ack(offset) => Answer::Ack(pb::PortForwardAck { offset }),
            Output::Reset(reason) => Answer::Reset(pb::PortForwardReset { reason }),
        });
    }
}

/// Takes what the host sends. Returns only with an error: a host that sends nothing more may still listen.
async fn take_all(connection: &Connection, mut requests: Streaming<pb::PortForwardRequest>) -> Status {
    loop {
        let message = match requests.message().await {
            Ok(Some(request)) => request.message,
            Ok(None) => return std::future::pending().await,
            Err(status) => return status,
        };
        let input = match message {
            Some(Request::Data(data)) => Input::Data(data),
            Some(Request::Eof(_)) => Input::Eof,
            Some(Request::Ack(ack)) => Input::Ack(ack.offset),
            Some(Request::Start(_)) | None => return invalid("a message after the first must be data, eof or ack"),
        };
        if let Err(error) = connection.take(input) {
            return ContainerError::from(error).into();
        }
    }
}
