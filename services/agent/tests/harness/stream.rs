//! A stream with a process, as a client sees it.

use std::time::Duration;

use tokio::sync::mpsc;
use tonic::Streaming;

use super::pb;
use super::pb::process_input::Input;
use super::pb::process_output::Output;

/// Where requests go.
pub enum Requests {
    Exec(mpsc::Sender<pb::ExecRequest>),
    Attach(mpsc::Sender<pb::AttachRequest>),
}

/// A client's stream with a process.
pub struct Stream<T> {
    pub responses: Streaming<T>,
    pub requests: Requests,
}

/// A message that carries a process's output.
pub trait Response {
    fn output(self) -> Option<pb::ProcessOutput>;
}

impl Response for pb::ExecResponse {
    fn output(self) -> Option<pb::ProcessOutput> {
        self.output
    }
}

impl Response for pb::AttachResponse {
    fn output(self) -> Option<pb::ProcessOutput> {
        self.output
    }
}

/// The messages that a stream has received.
#[derive(Default, Debug)]
pub struct Heard {
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    pub ends: Vec<i32>,
    pub gaps: u64,
    pub exit: Option<pb::ExitStatus>,
}

impl<T: Response> Stream<T> {
    pub async fn send(&self, input: Input) {
        assert!(self.try_send(input).await, "the stream is closed");
    }

    async fn try_send(&self, input: Input) -> bool {
        let input = pb::ProcessInput { input: Some(input) };
        match &self.requests {
            Requests::Exec(sender) => {
                let message = Some(pb::exec_request::Message::Input(input));
                sender.send(pb::ExecRequest { message }).await.is_ok()
            }
            Requests::Attach(sender) => {
                let message = Some(pb::attach_request::Message::Input(input));
                sender.send(pb::AttachRequest { message }).await.is_ok()
            }
        }
    }

    pub async fn stdin(&self, offset: u64, text: &str) {
        let data = text.as_bytes().to_vec().into();
        self.send(Input::Stdin(pb::StdinData { offset, data })).await;
    }

    pub async fn acknowledge(&self, stdout_offset: u64) {
        self.send(Input::Ack(pb::OutputAck { stdout_offset, stderr_offset: 0 })).await;
    }

    pub async fn next(&mut self) -> Result<Option<Output>, tonic::Status> {
        let next = tokio::time::timeout(Duration::from_secs(20), self.responses.message());
        let message = next.await.expect("nothing comes")?;
        Ok(message.and_then(Response::output).and_then(|output| output.output))
    }

    /// Reads until `stdout` has this many bytes.
    pub async fn read(&mut self, heard: &mut Heard, stdout: usize) {
        while heard.stdout.len() < stdout {
            let output = self.next().await.unwrap().expect("the stream ended too early");
            heard.add(output);
        }
    }

    /// Reads to the end, acknowledging everything.
    pub async fn finish(&mut self, mut heard: Heard, from: u64) -> Heard {
        while let Some(output) = self.next().await.unwrap() {
            let is_chunk = matches!(output, Output::Chunk(_));
            heard.add(output);
            if is_chunk && heard.exit.is_none() {
                let stdout_offset = from + heard.gaps + heard.stdout.len() as u64;
                // The agent may have sent everything and closed the stream already.
                self.try_send(Input::Ack(pb::OutputAck { stdout_offset, stderr_offset: 0 })).await;
            }
        }
        heard
    }
}

impl Heard {
    pub fn add(&mut self, output: Output) {
        assert!(self.exit.is_none(), "exited is the last message");
        match output {
            Output::Chunk(chunk) => {
                assert!(!self.ends.contains(&chunk.stream), "bytes after their end");
                assert!((1..=65536).contains(&chunk.data.len()));
                let kept = if chunk.stream() == pb::Stream::Stdout { &mut self.stdout } else { &mut self.stderr };
                kept.extend_from_slice(&chunk.data);
            }
            Output::Eof(eof) => self.ends.push(eof.stream),
            Output::Gap(gap) => self.gaps += gap.to_offset - gap.from_offset,
            Output::Exited(status) => self.exit = Some(status),
            Output::Started(_) | Output::StdinAck(_) => {}
        }
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    pub fn code(&self) -> Option<i32> {
        self.exit.as_ref().map(|exit| exit.code)
    }
}
