//! Files of containers, through the contract.

use std::time::Duration;

use tokio::sync::mpsc;
use tonic::{Code, Status, Streaming};

use super::harness::{Agent, Client, Heard, pb, process};
use pb::copy_from_response::Message as From;
use pb::copy_to_request::Message as Request;
use pb::copy_to_response::Message as To;
use pb::watch_files_response::Message as Change;

const CHUNK_BYTES: usize = 256 * 1024;

/// A copy to the container.
struct Upload {
    requests: mpsc::Sender<pb::CopyToRequest>,
    answers: Streaming<pb::CopyToResponse>,
}

impl Upload {
    async fn open(client: &Client, path: &str, id: &str, resume: bool) -> Result<(Self, u64), Status> {
        let (requests, receiver) = mpsc::channel(8);
        let start = pb::CopyToStart {
            container_id: client.container(),
            path: path.to_owned(),
            format: pb::CopyFormat::File.into(),
            transfer_id: id.to_owned(),
            resume,
            ..Default::default()
        };
        requests.send(pb::CopyToRequest { message: Some(Request::Start(start)) }).await.unwrap();
        let receiver = tokio_stream::wrappers::ReceiverStream::new(receiver);
        let mut answers = client.files().copy_to(receiver).await?.into_inner();
        let Some(To::Started(started)) = answers.message().await?.and_then(|answer| answer.message) else {
            panic!("no start")
        };
        Ok((Self { requests, answers }, started.offset))
    }

    async fn send(&self, message: Request) {
        self.requests.send(pb::CopyToRequest { message: Some(message) }).await.unwrap();
    }

    /// Sends bytes, as far as the window allows, up to `upto`.
    async fn chunks(&mut self, bytes: &[u8], from: u64, upto: u64) {
        let (mut sent, mut told) = (from, from);
        while sent < upto {
            while sent + CHUNK_BYTES as u64 > told + (1 << 20) {
                match self.answers.message().await.unwrap().unwrap().message {
                    Some(To::Ack(ack)) => told = ack.offset,
                    other => panic!("{other:?}"),
                }
            }
            let end = upto.min(sent + CHUNK_BYTES as u64);
            let data = bytes[sent as usize..end as usize].to_vec().into();
            self.send(Request::Chunk(pb::CopyChunk { offset: sent, data })).await;
            sent = end;
        }
    }

    async fn end(mut self, eof: pb::CopyToEof) -> Result<pb::CopyEnd, Status> {
        self.send(Request::Eof(eof)).await;
        loop {
            match self.answers.message().await?.and_then(|answer| answer.message) {
                Some(To::Ack(_)) => {}
                Some(To::End(end)) => return Ok(end),
                other => panic!("{other:?}"),
            }
        }
    }
}

fn download(client: &Client, path: &str, id: &str, offset: u64) -> pb::CopyFromRequest {
    pb::CopyFromRequest {
        container_id: client.container(),
        path: path.to_owned(),
        format: pb::CopyFormat::File.into(),
        transfer_id: id.to_owned(),
        offset,
        ..Default::default()
    }
}

/// Reads bytes until there are `upto`, or until the end.
async fn read(answers: &mut Streaming<pb::CopyFromResponse>, upto: usize) -> (Vec<u8>, Option<pb::CopyEnd>) {
    let mut bytes = Vec::new();
    while bytes.len() < upto {
        match answers.message().await.unwrap().and_then(|answer| answer.message) {
            Some(From::Started(_)) => {}
            Some(From::Chunk(chunk)) => bytes.extend_from_slice(&chunk.data),
            Some(From::End(end)) => return (bytes, Some(end)),
            None => panic!("the stream ended without an end"),
        }
    }
    (bytes, None)
}

async fn sh(client: &Client, id: &str, script: &str) -> String {
    let heard = client.exec(id, process(&["sh", "-c", script])).await.finish(Heard::default(), 0).await;
    assert_eq!(heard.code(), Some(0), "{script}");
    heard.text()
}

fn noise(count: usize) -> Vec<u8> {
    (0..count as u64).map(|number| (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as u8).collect()
}

#[tokio::test]
async fn a_file_is_copied_both_ways_although_the_connection_breaks() {
    let agent = Agent::start();
    let client = agent.with_container().await;
    let bytes = noise(5_000_000);
    let (mut upload, offset) = Upload::open(&client, "/big", "up", false).await.unwrap();
    assert_eq!(offset, 0);
    upload.chunks(&bytes, 0, 2_500_000).await;
    client.cut();
    let client = agent.connect().await;
    let (mut upload, offset) = Upload::open(&client, "/big", "up", true).await.unwrap();
    assert!(offset <= 2_500_000, "{offset}");
    upload.chunks(&bytes, offset, bytes.len() as u64).await;
    let wrong = Upload::open(&client, "/big", "other", true).await.err().unwrap();
    assert_eq!(wrong.code(), Code::NotFound);
    let end = upload.end(pb::CopyToEof { total_bytes: 5_000_000, sha256: sha256(&bytes) }).await.unwrap();
    assert_eq!((end.total_bytes, end.entries), (5_000_000, 1));
    let mut answers = client.files().copy_from(download(&client, "/big", "down", 0)).await.unwrap().into_inner();
    let (first, _) = read(&mut answers, 2_000_000).await;
    client.cut();
    let client = agent.connect().await;
    let from = first.len() as u64;
    let mut answers = client.files().copy_from(download(&client, "/big", "down", from)).await.unwrap().into_inner();
    let (rest, ended) = read(&mut answers, usize::MAX).await;
    assert!([first, rest].concat() == bytes);
    assert_eq!(ended.unwrap().sha256, end.sha256);
}

fn sha256(bytes: &[u8]) -> bytes::Bytes {
    use sha2::Digest;
    sha2::Sha256::digest(bytes).to_vec().into()
}

#[tokio::test]
async fn a_client_that_does_not_read_a_copy_does_not_stop_other_calls() {
    let agent = Agent::start();
    let client = agent.with_container().await;
    sh(&client, "e0", "head -c 12000000 /dev/zero > /big").await;
    let mut unread = Vec::new();
    for id in ["t1", "t2"] {
        unread.push(client.files().copy_from(download(&client, "/big", id, 0)).await.unwrap().into_inner());
    }
    let mut waiting = Vec::new();
    for number in 0..6 {
        waiting.push(Upload::open(&client, "/other", &format!("u{number}"), false).await.unwrap());
    }
    let more = client.files().copy_from(download(&client, "/big", "t9", 0)).await.err().unwrap();
    assert_eq!(more.code(), Code::ResourceExhausted);
    assert_eq!(sh(&client, "e1", "echo answered").await, "answered\n");
    let (bytes, _) = read(&mut unread[1], usize::MAX).await;
    assert_eq!(bytes.len(), 12_000_000);
}

#[tokio::test]
async fn files_of_mounts_are_seen_and_a_removal_ends_a_copy() {
    let agent = Agent::start();
    let client = agent.connect().await;
    client.configure().await;
    let tmpfs = pb::mount::Source::Tmpfs(pb::TmpfsMount { size_bytes: 4 << 20, mode: 0o755 });
    let mount = pb::Mount { destination: "/scratch".to_owned(), source: Some(tmpfs), ..Default::default() };
    let request =
        pb::CreateContainerRequest { mounts: vec![mount], ..client.create_request(process(&["sleep", "1000"])) };
    client.containers().create_container(request).await.unwrap();
    let container_id = client.container();
    client.containers().start_container(pb::StartContainerRequest { container_id }).await.unwrap();
    sh(&client, "e0", "head -c 3000000 /dev/zero > /scratch/f").await;
    let request =
        pb::ListFilesRequest { container_id: client.container(), path: "/scratch".to_owned(), ..Default::default() };
    let files = client.files().list_files(request).await.unwrap().into_inner().files;
    assert_eq!(files.iter().map(|file| (file.name.as_str(), file.size_bytes)).collect::<Vec<_>>(), [("f", 3_000_000)]);
    let mut copy = client.files().copy_from(download(&client, "/scratch/f", "t1", 0)).await.unwrap().into_inner();
    let watch = pb::WatchFilesRequest { container_id: client.container(), path: "/".to_owned(), recursive: false };
    let mut changes = client.files().watch_files(watch).await.unwrap().into_inner();
    let first = changes.message().await.unwrap().unwrap().message;
    assert!(matches!(first, Some(Change::Started(_))), "{first:?}");
    let make =
        pb::MakeDirectoryRequest { container_id: client.container(), path: "/new".to_owned(), ..Default::default() };
    client.files().make_directory(make).await.unwrap();
    let change = changes.message().await.unwrap().unwrap().message;
    assert!(matches!(change, Some(Change::Change(change)) if change.path == "new" && change.is_directory));
    let remove = pb::RemoveContainerRequest { container_id: client.container() };
    client.containers().remove_container(remove).await.unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(10), async {
        while changes.message().await.is_ok_and(|change| change.is_some()) {}
        while copy.message().await.is_ok_and(|answer| answer.is_some()) {}
    });
    ended.await.expect("the removal ends the streams");
    let gone = client.files().copy_from(download(&client, "/scratch/f", "t1", 1000)).await.err().unwrap();
    assert_eq!(gone.code(), Code::NotFound);
}

#[tokio::test]
async fn files_of_a_stopped_container_whose_layer_was_in_memory_are_refused() {
    let agent = Agent::start();
    let client = agent.with_container().await;
    let stat = pb::StatFileRequest { container_id: client.container(), path: "/bin".to_owned(), follow: false };
    client.files().stat_file(stat.clone()).await.unwrap();
    let kill = pb::KillContainerRequest { container_id: client.container(), signal: 9, all: true };
    client.containers().kill_container(kill).await.unwrap();
    client.wait(&client.container()).await;
    let refused = client.files().stat_file(stat).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
    let other = pb::StatFileRequest { container_id: "other".to_owned(), path: "/".to_owned(), follow: false };
    assert_eq!(client.files().stat_file(other).await.unwrap_err().code(), Code::NotFound);
}
