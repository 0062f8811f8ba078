//! Connections to ports of the guest, through the contract.

use std::io::Read;
use std::net::TcpListener;

use tokio::sync::mpsc;
use tonic::{Code, Status, Streaming};

use super::harness::{Agent, Client, pb};
use pb::port_forward_request::Message as Request;
use pb::port_forward_response::Message as Answer;

const WINDOW_BYTES: usize = 128 * 1024;

/// A stream with a port.
struct Port {
    requests: mpsc::Sender<pb::PortForwardRequest>,
    answers: Streaming<pb::PortForwardResponse>,
}

impl Port {
    async fn open(client: &Client, first: Request) -> Result<Self, Status> {
        let (requests, receiver) = mpsc::channel(16);
        requests.send(pb::PortForwardRequest { message: Some(first) }).await.unwrap();
        let receiver = tokio_stream::wrappers::ReceiverStream::new(receiver);
        let answers = client.networks().port_forward(receiver).await?.into_inner();
        Ok(Self { requests, answers })
    }

    async fn connect(client: &Client, listener: &TcpListener) -> Self {
        let port = listener.local_addr().unwrap().port().into();
        let mut opened = Self::open(client, Request::Start(pb::PortForwardStart { port })).await.unwrap();
        let connected = pb::PortForwardConnected { address: "127.0.0.1".to_owned() };
        assert_eq!(opened.next().await.unwrap(), Some(Answer::Connected(connected)));
        opened
    }

    async fn send(&self, message: Option<Request>) {
        self.requests.send(pb::PortForwardRequest { message }).await.unwrap();
    }

    async fn next(&mut self) -> Result<Option<Answer>, Status> {
        Ok(self.answers.message().await?.and_then(|answer| answer.message))
    }
}

fn start(port: u32) -> Request {
    Request::Start(pb::PortForwardStart { port })
}

fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

#[tokio::test]
async fn a_stream_carries_a_connection_to_its_end() {
    let agent = Agent::start();
    let client = agent.connect().await;
    let refused = Port::open(&client, start(1)).await.err().unwrap();
    assert_eq!(refused.code(), Code::FailedPrecondition, "the guest is not configured");
    client.configure().await;
    let listener = listener();
    let mut port = Port::connect(&client, &listener).await;
    let mut server = listener.accept().unwrap().0;
    port.send(Some(Request::Data("hello".into()))).await;
    port.send(Some(Request::Eof(pb::PortForwardEof {}))).await;
    let server = tokio::task::spawn_blocking(move || {
        std::io::copy(&mut server.try_clone().unwrap(), &mut server).unwrap();
    });
    assert_eq!(port.next().await.unwrap(), Some(Answer::Data("hello".into())));
    server.await.unwrap();
    assert_eq!(port.next().await.unwrap(), Some(Answer::Eof(pb::PortForwardEof {})));
    assert_eq!(port.next().await.unwrap(), None);
}

#[tokio::test]
async fn what_cannot_be_connected_and_what_may_not_be_sent_is_refused() {
    let agent = Agent::start();
    let client = agent.connect().await;
    client.configure().await;
    let listener = listener();
    let unused = {
        let unused = TcpListener::bind("127.0.0.1:0").unwrap();
        u32::from(unused.local_addr().unwrap().port())
    };
    let refused = Port::open(&client, start(unused)).await.err().unwrap();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
    for first in [start(0), start(65536), Request::Data("early".into()), Request::Eof(pb::PortForwardEof {})] {
        let refused = Port::open(&client, first).await.err().unwrap();
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
    }
    let ack = |offset| Some(Request::Ack(pb::PortForwardAck { offset }));
    let too_much = Some(Request::Data(vec![1; WINDOW_BYTES + 1].into()));
    for message in [Some(start(80)), None, ack(1), ack(u64::MAX), too_much, Some(Request::Data("".into()))] {
        let mut port = Port::connect(&client, &listener).await;
        port.send(message).await;
        assert_eq!(port.next().await.unwrap_err().code(), Code::InvalidArgument);
        // The server hears of it by a reset.
        let reset = listener.accept().unwrap().0.read(&mut [0]).unwrap_err();
        assert_eq!(reset.kind(), std::io::ErrorKind::ConnectionReset);
    }
}

#[tokio::test]
async fn servers_that_read_nothing_block_no_other_call_and_a_lost_host_resets_them() {
    let agent = Agent::start();
    let client = agent.connect().await;
    client.configure().await;
    let listener = listener();
    rustix::net::sockopt::set_socket_recv_buffer_size(&listener, 4096).unwrap();
    let mut open = Vec::new();
    // Together they keep more than the flow control window of the link holds.
    for _ in 0..192 {
        let port = Port::connect(&client, &listener).await;
        port.send(Some(Request::Data(vec![1; WINDOW_BYTES].into()))).await;
        open.push((port, listener.accept().unwrap().0));
    }
    client.sandboxes().get_guest(pb::GetGuestRequest {}).await.unwrap();
    client.cut();
    let (ports, servers): (Vec<_>, Vec<_>) = open.into_iter().unzip();
    drop(ports);
    let servers = tokio::task::spawn_blocking(move || {
        for mut server in servers {
            let reset = server.read_to_end(&mut Vec::new()).unwrap_err();
            assert_eq!(reset.kind(), std::io::ErrorKind::ConnectionReset);
        }
    });
    servers.await.unwrap();
}
