//! Processes of real containers, through the contract.

// Tests may panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "processes/closing.rs"]
mod closing;
#[path = "processes/files.rs"]
mod files;
mod harness;
#[path = "processes/networks.rs"]
mod networks;
#[path = "processes/ports.rs"]
mod ports;

use std::io::Write;
use std::time::{Duration, Instant};

use harness::pb::process_input::Input;
use harness::pb::process_output::Output;
use harness::{Agent, Heard, pb, process, shake_hands};
use tonic::Code;

/// A process with the smallest ring.
fn small_ring(args: &[&str]) -> pb::Process {
    pb::Process { ring_bytes: 65536, ..process(args) }
}

#[tokio::test]
async fn only_get_guest_is_answered_before_the_guest_is_configured() {
    let agent = Agent::start();
    let client = agent.connect().await;
    let guest = client.sandboxes().get_guest(pb::GetGuestRequest {}).await.unwrap().into_inner().guest.unwrap();
    assert!(!guest.configured && guest.memory_total_bytes > 0);
    let refused = client.containers().list_containers(pb::ListContainersRequest::default()).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    client.configure().await;
    client.containers().list_containers(pb::ListContainersRequest::default()).await.unwrap();
}

#[tokio::test]
async fn an_exec_ends_with_both_outputs_and_then_its_exit() {
    let agent = Agent::start();
    let client = agent.with_container().await;
    let mut stream = client.exec("e1", process(&["sh", "-c", "echo out; echo err >&2; exit 3"])).await;
    let heard = stream.finish(Heard::default(), 0).await;
    assert_eq!((heard.text().as_str(), heard.stderr.as_slice()), ("out\n", b"err\n".as_slice()));
    assert_eq!((heard.ends.len(), heard.code()), (2, Some(3)));
    assert_eq!(client.wait("e1").await.code, 3, "the status is remembered");
}

#[tokio::test]
async fn a_missing_command_exits_127_with_a_reason() {
    let agent = Agent::start();
    let client = agent.with_container().await;
    let heard = client.exec("e1", process(&["no-such-command"])).await.finish(Heard::default(), 0).await;
    let exit = heard.exit.unwrap();
    assert_eq!(exit.code, 127);
    assert!(!exit.reason.is_empty());
}

#[tokio::test]
async fn an_output_continues_on_a_new_connection_without_lost_or_repeated_bytes() {
    let agent = Agent::start();
    let client = agent.with_container().await;
    let script = "seq 1 200000";
    let mut stream = client.exec("e1", process(&["sh", "-c", script])).await;
    let mut heard = Heard::default();
    stream.read(&mut heard, 300_000).await;
    stream.acknowledge(heard.stdout.len() as u64).await;
    drop(stream);
    client.cut();
    let client = agent.connect().await;
    let from = heard.stdout.len() as u64;
    let mut stream = client.attach("e1", Some(from), true).await.unwrap();
    let rest = stream.finish(Heard::default(), from).await;
    let whole = heard.text() + &rest.text();
    let expected: String = (1..=200_000).map(|number| format!("{number}\n")).collect();
    assert!(whole == expected, "{} of {} bytes", whole.len(), expected.len());
    assert_eq!(rest.code(), Some(0));
}

#[tokio::test]
async fn a_holder_gets_half_a_ring_beyond_its_acknowledgement_and_the_process_waits() {
    let agent = Agent::start();
    let client = agent.with_container().await;
    let mut stream = client.exec("e1", small_ring(&["head", "-c", "3000000", "/dev/zero"])).await;
    let mut heard = Heard::default();
    stream.read(&mut heard, 32768).await;
    let more = tokio::time::timeout(Duration::from_millis(300), stream.read(&mut heard, 32769)).await;
    assert!(more.is_err(), "{} bytes came without an acknowledgement", heard.stdout.len());
    stream.acknowledge(32768).await;
    let heard = stream.finish(heard, 0).await;
    assert_eq!((heard.stdout.len(), heard.gaps, heard.code()), (3_000_000, 0, Some(0)));
}

#[tokio::test]
async fn a_process_without_a_client_waits_for_one() {
    let agent = Agent::start();
    let client = agent.with_container().await;
    drop(client.exec("e1", small_ring(&["head", "-c", "3000000", "/dev/zero"])).await);
    let waiting = tokio::time::timeout(Duration::from_millis(300), client.wait("e1")).await;
    assert!(waiting.is_err(), "it must not end while the ring has no room for its output");
    let heard = client.attach("e1", None, true).await.unwrap().finish(Heard::default(), 0).await;
    assert_eq!((heard.stdout.len(), heard.code()), (3_000_000, Some(0)));
}

#[tokio::test]
async fn a_ring_that_drops_lets_the_process_exit_and_reports_the_gap() {
    let agent = Agent::start();
    let client = agent.with_container().await;
    let dropping = pb::Process {
        overflow: pb::OverflowPolicy::DropOldest as i32,
        ..small_ring(&["head", "-c", "3000000", "/dev/zero"])
    };
    let mut stream = client.exec("e1", dropping).await;
    assert_eq!(client.wait("e1").await.code, 0);
    let heard = stream.finish(Heard::default(), 0).await;
    assert!(heard.gaps > 0);
    assert_eq!(heard.stdout.len() as u64 + heard.gaps, 3_000_000);
    let refused = client.attach("e1", Some(0), false).await.err().unwrap();
    assert_eq!(refused.code(), Code::OutOfRange);
}

#[tokio::test]
async fn stdin_sent_twice_arrives_once_and_ends_at_its_eof() {
    let agent = Agent::start();
    let client = agent.with_container().await;
    let mut stream = client.exec("e1", pb::Process { stdin: true, ..process(&["cat"]) }).await;
    stream.stdin(0, "abc").await;
    stream.stdin(0, "abcdef").await;
    let mut heard = Heard::default();
    stream.read(&mut heard, 6).await;
    stream.stdin(3, "defg").await;
    stream.send(Input::StdinEof(pb::StdinEof { offset: 7 })).await;
    let heard = stream.finish(heard, 0).await;
    assert_eq!((heard.text().as_str(), heard.code()), ("abcdefg", Some(0)));
}

#[tokio::test]
async fn a_gap_in_stdin_ends_the_stream_but_not_the_process() {
    let agent = Agent::start();
    let client = agent.with_container().await;
    let mut stream = client.exec("e1", pb::Process { stdin: true, ..process(&["cat"]) }).await;
    stream.stdin(5, "abc").await;
    let error = loop {
        match stream.next().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the stream ended without an error"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.code(), Code::InvalidArgument);
    let mut again = client.attach("e1", None, true).await.unwrap();
    let Ok(Some(Output::Started(started))) = again.next().await else { panic!("no start") };
    assert!(started.pid > 0 && started.stdin_offset == 0);
}

#[tokio::test]
async fn unread_stdin_does_not_delay_output() {
    let agent = Agent::start();
    let client = agent.with_container().await;
    let script = "head -c 2000000 /dev/zero; cat >/dev/null; echo end";
    let mut stream = client.exec("e1", pb::Process { stdin: true, ..small_ring(&["sh", "-c", script]) }).await;
    let block = "x".repeat(500_000);
    stream.stdin(0, &block).await;
    stream.stdin(500_000, &block).await;
    let mut heard = Heard::default();
    while heard.stdout.len() < 2_000_000 {
        let upto = heard.stdout.len() + 1;
        stream.read(&mut heard, upto).await;
        stream.acknowledge(heard.stdout.len() as u64).await;
    }
    stream.send(Input::StdinEof(pb::StdinEof { offset: 1_000_000 })).await;
    let heard = stream.finish(heard, 0).await;
    assert!(heard.text().ends_with("end\n"));
}

#[tokio::test]
async fn an_orphan_that_keeps_an_output_open_delays_the_exit_by_half_a_second() {
    let agent = Agent::start();
    let client = agent.with_container().await;
    let begun = Instant::now();
    let mut stream = client.exec("e1", process(&["sh", "-c", "sleep 30 & echo done"])).await;
    let heard = stream.finish(Heard::default(), 0).await;
    assert_eq!((heard.text().as_str(), heard.code()), ("done\n", Some(0)));
    assert!(begun.elapsed() >= Duration::from_millis(500) && begun.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_terminal_has_its_size_and_ends_on_the_end_of_stdin() {
    let agent = Agent::start();
    let client = agent.with_container().await;
    let size = Some(pb::TtySize { rows: 33, columns: 77 });
    let terminal = pb::Process { terminal: true, stdin: true, tty_size: size, ..process(&["cat"]) };
    let mut stream = client.exec("e1", terminal).await;
    stream.stdin(0, "hello").await;
    stream.send(Input::StdinEof(pb::StdinEof { offset: 5 })).await;
    let heard = stream.finish(Heard::default(), 0).await;
    assert_eq!((heard.text().as_str(), heard.code()), ("hellohello", Some(0)), "an echo and a copy");
}

#[tokio::test]
async fn an_exec_id_is_taken_once_and_an_unknown_one_is_not_found() {
    let agent = Agent::start();
    let client = agent.with_container().await;
    client.exec("e1", process(&["true"])).await.finish(Heard::default(), 0).await;
    let unknown = client.attach("e2", None, false).await.err().unwrap();
    assert_eq!(unknown.code(), Code::NotFound);
    let request =
        pb::ExecStart { container_id: client.container(), exec_id: "e1".to_owned(), process: Some(process(&["true"])) };
    let message = Some(pb::exec_request::Message::Start(request));
    let requests = tokio_stream::iter([pb::ExecRequest { message }]);
    let taken = client.processes().exec(requests).await.unwrap_err();
    assert_eq!(taken.code(), Code::AlreadyExists);
}

#[tokio::test]
async fn every_exit_is_an_event_that_can_be_replayed() {
    let agent = Agent::start();
    let client = agent.with_container().await;
    client.exec("e1", process(&["sh", "-c", "kill -9 $$"])).await.finish(Heard::default(), 0).await;
    let remove = pb::RemoveContainerRequest { container_id: client.container() };
    client.containers().remove_container(remove.clone()).await.unwrap();
    client.containers().remove_container(remove).await.expect("removing a missing container succeeds");
    let watch = client.sandboxes().watch_events(pb::WatchEventsRequest { after_sequence: 0 }).await;
    let mut events = watch.unwrap().into_inner();
    for (sequence, exec_id, signal) in [(1, "e1".to_owned(), 9), (2, client.container(), 9)] {
        let event = events.message().await.unwrap().unwrap();
        let Some(pb::watch_events_response::Event::ProcessExited(exited)) = event.event else {
            panic!("not an exit: {event:?}")
        };
        assert_eq!((event.sequence, exited.exec_id), (sequence, exec_id));
        assert_eq!(exited.instance, "i1", "the instance given at the creation");
        assert_eq!(exited.status.unwrap().signal, signal);
    }
}

#[tokio::test]
async fn a_new_hello_inside_a_frame_of_an_older_connection_is_answered() {
    let agent = Agent::start();
    let mut socket = agent.raw(&"1".repeat(32));
    let half_a_frame =
        [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(), &[0, 16, 0, 0, 0, 0, 0, 0, 1], &[5; 100]].concat();
    socket.write_all(&half_a_frame).unwrap();
    shake_hands(&mut socket, &"2".repeat(32));
    shake_hands(&mut socket, &"3".repeat(32));
}
