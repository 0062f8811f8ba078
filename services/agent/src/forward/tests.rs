//! Connections to real servers on this host.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream as Peer};

use super::*;

/// A server's end and the guest's end of a connection. The server's end blocks.
async fn connected() -> (Peer, Connection) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let connection = Connection::dial(port_of(&listener)).await.unwrap();
    (listener.accept().unwrap().0, connection)
}

fn port_of(listener: &TcpListener) -> u32 {
    listener.local_addr().unwrap().port().into()
}

fn data(count: usize) -> Input {
    Input::Data(vec![7; count].into())
}

/// The bytes until the end or reset of what the host gets, each acknowledged at once, and what comes last.
async fn read_all(connection: &Connection) -> (Vec<u8>, Option<Output>) {
    let mut read = Vec::new();
    loop {
        match connection.next().await {
            Some(Output::Data(data)) => {
                read.extend_from_slice(&data);
                connection.take(Input::Ack(read.len() as u64)).unwrap();
            }
            Some(Output::Ack(_)) => {}
            last => return (read, last),
        }
    }
}

/// The error that a server's end reads at last.
fn error_of(peer: &mut Peer) -> io::ErrorKind {
    peer.read_to_end(&mut Vec::new()).unwrap_err().kind()
}

#[tokio::test]
async fn each_direction_ends_by_itself() {
    let (mut peer, connection) = connected().await;
    connection.take(Input::Data("question".into())).unwrap();
    connection.take(Input::Eof).unwrap();
    let server = tokio::task::spawn_blocking(move || {
        let mut heard = String::new();
        peer.read_to_string(&mut heard).unwrap();
        peer.write_all(b"answer").unwrap();
        heard
    });
    let (heard, last) = read_all(&connection).await;
    assert_eq!((heard.as_slice(), server.await.unwrap().as_str()), (b"answer".as_slice(), "question"));
    assert!(matches!(last, Some(Output::Eof)), "{last:?}");
    assert!(connection.next().await.is_none());
}

#[tokio::test]
async fn the_host_may_send_after_the_server_has_ended() {
    let (mut peer, connection) = connected().await;
    peer.shutdown(Shutdown::Write).unwrap();
    assert!(matches!(connection.next().await, Some(Output::Eof)));
    connection.take(Input::Data("late".into())).unwrap();
    connection.take(Input::Eof).unwrap();
    assert!(connection.next().await.is_none());
    drop(connection);
    let mut heard = String::new();
    peer.read_to_string(&mut heard).unwrap();
    assert_eq!(heard, "late");
}

#[tokio::test]
async fn a_port_without_a_server_is_refused_and_a_server_on_ipv6_is_found() {
    let listener = TcpListener::bind("[::1]:0").unwrap();
    let port = port_of(&listener);
    assert_eq!(Connection::dial(port).await.unwrap().address.to_string(), "::1");
    drop(listener);
    let refused = Connection::dial(port).await.err().unwrap();
    assert_eq!(refused.reason(), crate::pb::FailureReason::PortRefused, "{refused}");
    for port in [0, 65536, u32::MAX] {
        let refused = Connection::dial(port).await.err().unwrap();
        assert_eq!(refused.reason(), crate::pb::FailureReason::Invalid, "{refused}");
    }
}

#[tokio::test]
async fn no_more_is_read_than_the_host_acknowledges() {
    let (mut peer, connection) = connected().await;
    std::thread::spawn(move || {
        let _ = peer.write_all(&[3; 4 * WINDOW_BYTES]);
    });
    let mut sent = 0;
    while sent < WINDOW_BYTES {
        let Some(Output::Data(data)) = connection.next().await else { panic!("the server has more") };
        sent += data.len();
    }
    assert_eq!(sent, WINDOW_BYTES);
    let more = tokio::time::timeout(Duration::from_millis(200), connection.next()).await;
    assert!(more.is_err(), "{more:?}");
    connection.take(Input::Ack(1000)).unwrap();
    let Some(Output::Data(data)) = connection.next().await else { panic!("there is room for more") };
    assert_eq!(data.len(), 1000);
}

#[tokio::test]
async fn a_server_that_reads_nothing_costs_one_window() {
    let (mut peer, connection) = connected().await;
    let mut sent = 0;
    // The kernel buffers some megabytes of its own.
    while connection.take(data(WINDOW_BYTES / 2)).is_ok() {
        sent += WINDOW_BYTES / 2;
        assert!(sent < 64 << 20, "the window has no end");
    }
    assert!(lock(&connection.state).waiting.capacity() <= 2 * WINDOW_BYTES);
    connection.take(Input::Eof).unwrap();
    let server = tokio::task::spawn_blocking(move || {
        let mut heard = Vec::new();
        peer.read_to_end(&mut heard).unwrap();
        heard.len()
    });
    let mut acknowledged = 0;
    while let Some(output) = connection.next().await {
        match output {
            Output::Ack(offset) => acknowledged = offset,
            Output::Eof => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(server.await.unwrap(), sent);
    assert!(acknowledged <= sent as u64 && acknowledged + ACK_BYTES > sent as u64);
    assert_eq!(lock(&connection.state).waiting.capacity(), 0);
}

#[tokio::test]
async fn messages_that_the_host_may_not_send_are_refused() {
    let (_peer, connection) = connected().await;
    let refused = |input| {
        let error = connection.take(input).unwrap_err();
        assert_eq!(error.reason(), crate::pb::FailureReason::Invalid, "{error}");
    };
    refused(data(0));
    refused(data(WINDOW_BYTES + 1));
    refused(Input::Ack(1));
    refused(Input::Ack(u64::MAX));
    connection.take(Input::Ack(0)).unwrap();
    connection.take(Input::Eof).unwrap();
    refused(Input::Eof);
    refused(data(1));
}

#[tokio::test]
async fn a_reset_comes_after_the_answer_that_was_sent_before_it() {
    let (mut peer, connection) = connected().await;
    connection.take(data(1000)).unwrap();
    peer.write_all(b"no").unwrap();
    // To close with unread bytes resets the connection.
    drop(peer);
    let (heard, last) = read_all(&connection).await;
    assert_eq!(heard, b"no");
    assert!(matches!(last, Some(Output::Reset(_))), "{last:?}");
    assert!(connection.next().await.is_none());
    connection.take(data(1000)).unwrap();
    assert!(connection.next().await.is_none());
}

#[tokio::test]
async fn a_connection_that_is_dropped_before_its_end_is_reset() {
    let (mut peer, connection) = connected().await;
    drop(connection);
    assert_eq!(error_of(&mut peer), io::ErrorKind::ConnectionReset);
    let (mut peer, connection) = connected().await;
    connection.take(Input::Eof).unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(50), connection.next()).await.is_err());
    drop(connection);
    assert!(peer.write_all(b"more").is_err());
}
