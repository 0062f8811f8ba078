//! Outputs that a client closes.

use crate::harness::pb::process_input::Input;
use crate::harness::{Agent, Heard, pb, process};
use crate::small_ring;

fn close(stream: pb::Stream) -> Input {
    Input::OutputClose(pb::OutputClose { stream: stream as i32 })
}

#[tokio::test]
async fn the_next_write_of_a_process_whose_output_is_closed_gets_sigpipe() {
    let agent = Agent::start();
    let client = agent.with_container().await;
    let mut stream = client.exec("e1", small_ring(&["sh", "-c", "while echo y; do :; done"])).await;
    let mut heard = Heard::default();
    stream.read(&mut heard, 10).await;
    stream.send(close(pb::Stream::Stdout)).await;
    stream.send(close(pb::Stream::Stdout)).await;
    let exit = client.wait("e1").await;
    assert_eq!((exit.code, exit.signal), (128 + libc::SIGPIPE, libc::SIGPIPE));
    let heard = stream.finish(heard, 0).await;
    assert_eq!(heard.ends.len(), 2);
}

#[tokio::test]
async fn an_output_that_is_closed_leaves_the_other_open() {
    let agent = Agent::start();
    let client = agent.with_container().await;
    let script = "cat; trap '' PIPE; echo lost 2>/dev/null || echo told >&2; exit 5";
    let mut stream = client.exec("e1", pb::Process { stdin: true, ..process(&["sh", "-c", script]) }).await;
    stream.stdin(0, "heard").await;
    let mut heard = Heard::default();
    stream.read(&mut heard, 5).await;
    stream.send(close(pb::Stream::Stdout)).await;
    while heard.ends.is_empty() {
        let output = stream.next().await.unwrap().unwrap();
        heard.add(output);
    }
    stream.send(Input::StdinEof(pb::StdinEof { offset: 5 })).await;
    let heard = stream.finish(heard, 0).await;
    assert_eq!((heard.text().as_str(), heard.stderr.as_slice()), ("heard", b"told\n".as_slice()));
    assert_eq!(heard.code(), Some(5));
}

#[tokio::test]
async fn a_terminal_whose_output_is_closed_is_hung_up() {
    let agent = Agent::start();
    let client = agent.with_container().await;
    let terminal = |args: &[&str]| pb::Process { terminal: true, stdin: true, ..small_ring(args) };
    let mut stream = client.exec("e1", terminal(&["sh", "-c", "while echo y; do :; done"])).await;
    let mut heard = Heard::default();
    stream.read(&mut heard, 10).await;
    stream.send(close(pb::Stream::Stdout)).await;
    let exit = client.wait("e1").await;
    assert_eq!(exit.signal, libc::SIGHUP);
    // A process that ignores SIGHUP can neither read nor write.
    let script = "trap '' HUP; echo ready; cat; echo lost || exit 6";
    let mut stream = client.exec("e2", terminal(&["sh", "-c", script])).await;
    let mut heard = Heard::default();
    stream.read(&mut heard, 7).await;
    stream.send(close(pb::Stream::Stdout)).await;
    assert_eq!(client.wait("e2").await.code, 6);
}

#[tokio::test]
async fn a_client_that_disconnects_closes_no_output() {
    let agent = Agent::start();
    let client = agent.with_container().await;
    let mut stream = client.exec("e1", process(&["sh", "-c", "echo first; sleep 0.3; echo second"])).await;
    let mut heard = Heard::default();
    stream.read(&mut heard, 6).await;
    drop(stream);
    client.cut();
    let client = agent.connect().await;
    assert_eq!(client.wait("e1").await.code, 0);
    let heard = client.attach("e1", Some(0), true).await.unwrap().finish(Heard::default(), 0).await;
    assert_eq!(heard.text(), "first\nsecond\n");
}
