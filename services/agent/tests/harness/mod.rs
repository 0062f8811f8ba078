//! Runs the agent's program on this host, as root: a socket replaces the port, and a directory with busybox the image.

use std::future::Future;
use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::sync::mpsc;
use tonic::Request;
use tonic::body::Body;

#[path = "../../src/pb.rs"]
pub mod pb;
mod stream;

use pb::container_service_client::ContainerServiceClient;
use pb::file_service_client::FileServiceClient;
use pb::network_service_client::NetworkServiceClient;
use pb::process_service_client::ProcessServiceClient;
use pb::sandbox_service_client::SandboxServiceClient;
pub use stream::Heard;
use stream::{Requests, Stream};

pub const CONTAINER: &str = "c1";

const APPLETS: &str = "sh cat echo head sleep seq true wc";

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A running agent.
pub struct Agent {
    process: Child,
    directory: PathBuf,
    id: String,
}

impl Agent {
    pub fn start() -> Self {
        let id = format!("agent-test-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let directory = std::env::temp_dir().join(&id);
        let bin = directory.join("rootfs/bin");
        std::fs::create_dir_all(&bin).unwrap();
        std::fs::create_dir_all(directory.join("rootfs/etc")).unwrap();
        std::fs::copy("/bin/busybox", bin.join("busybox")).expect("install busybox-static");
        for applet in APPLETS.split_whitespace() {
            symlink("busybox", bin.join(applet)).unwrap();
        }
        let hybrid = Path::new("/sys/fs/cgroup/unified");
        let cgroup = if hybrid.is_dir() { hybrid } else { Path::new("/sys/fs/cgroup") };
        let mut command = Command::new(env!("CARGO_BIN_EXE_paddock-agent"));
        let arguments = [&directory.join("socket"), &directory.join("state"), cgroup, &directory.join("rootfs")];
        command.arg("serve").args(arguments);
        // SAFETY: between fork and exec only two system calls are made.
        unsafe { command.pre_exec(own_mounts) };
        let process = command.spawn().unwrap();
        let agent = Self { process, directory, id };
        let deadline = Instant::now() + Duration::from_secs(20);
        while UnixStream::connect(agent.socket()).is_err() {
            assert!(Instant::now() < deadline, "the agent did not listen in time");
            std::thread::yield_now();
        }
        agent
    }

    fn socket(&self) -> PathBuf {
        self.directory.join("socket")
    }

    /// Returns a socket after the handshake.
    pub fn raw(&self, nonce: &str) -> UnixStream {
        let mut socket = UnixStream::connect(self.socket()).unwrap();
        shake_hands(&mut socket, nonce);
        socket
    }

    pub async fn connect(&self) -> Client {
        let socket = self.raw(&"a".repeat(32));
        socket.set_nonblocking(true).unwrap();
        let socket = tokio::net::UnixStream::from_std(socket).unwrap();
        let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(socket));
        let (sender, connection) = handshake.await.unwrap();
        let connection = tokio::spawn(async move {
            let _ = connection.await;
        });
        Client { channel: Channel(sender), connection, id: self.id.clone() }
    }

    /// A client of a sandbox with a container that sleeps.
    pub async fn with_container(&self) -> Client {
        let client = self.connect().await;
        client.configure().await;
        client.start_container().await;
        client
    }
}

/// Gives the agent its own mount namespace, so that its mounts end with it.
fn own_mounts() -> std::io::Result<()> {
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS)?;
    let private = nix::mount::MsFlags::MS_REC | nix::mount::MsFlags::MS_PRIVATE;
    nix::mount::mount(None::<&str>, "/", None::<&str>, private, None::<&str>)?;
    Ok(())
}

impl Drop for Agent {
    fn drop(&mut self) {
        let roots = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"].map(|root| Path::new(root).join("paddock"));
        let cgroups = roots.map(|root| root.join(container_of(&self.id)));
        for cgroup in &cgroups {
            let _ = std::fs::write(cgroup.join("cgroup.kill"), "1");
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
        cgroups.iter().for_each(|cgroup| remove_cgroup(cgroup));
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// Removes a cgroup once its killed processes have exited.
fn remove_cgroup(cgroup: &Path) {
    let deadline = Instant::now() + Duration::from_secs(5);
    while cgroup.is_dir() && std::fs::remove_dir(cgroup).is_err() && Instant::now() < deadline {
        std::thread::yield_now();
    }
}

fn container_of(id: &str) -> String {
    format!("{id}-{CONTAINER}")
}

pub fn shake_hands(socket: &mut UnixStream, nonce: &str) {
    socket.write_all(format!("PADDOCK/1 HELLO {nonce}\n").as_bytes()).unwrap();
    let wanted = format!("PADDOCK/1 READY {nonce}\n").into_bytes();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut heard = Vec::new();
    while !heard.ends_with(&wanted) {
        let mut byte = [0];
        socket.read_exact(&mut byte).expect("READY did not come");
        heard.push(byte[0]);
    }
}

/// HTTP/2 on one socket, as tonic's clients need it.
#[derive(Clone)]
pub struct Channel(hyper::client::conn::http2::SendRequest<Body>);

impl tower_service::Service<http::Request<Body>> for Channel {
    type Response = http::Response<hyper::body::Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}

/// One connection to an agent.
pub struct Client {
    channel: Channel,
    connection: tokio::task::JoinHandle<()>,
    id: String,
}

impl Client {
    pub fn sandboxes(&self) -> SandboxServiceClient<Channel> {
        SandboxServiceClient::with_origin(self.channel.clone(), http::Uri::from_static("http://guest"))
    }

    pub fn networks(&self) -> NetworkServiceClient<Channel> {
        NetworkServiceClient::with_origin(self.channel.clone(), http::Uri::from_static("http://guest"))
    }

    pub fn containers(&self) -> ContainerServiceClient<Channel> {
        ContainerServiceClient::with_origin(self.channel.clone(), http::Uri::from_static("http://guest"))
    }

    pub fn processes(&self) -> ProcessServiceClient<Channel> {
        ProcessServiceClient::with_origin(self.channel.clone(), http::Uri::from_static("http://guest"))
    }

    pub fn files(&self) -> FileServiceClient<Channel> {
        FileServiceClient::with_origin(self.channel.clone(), http::Uri::from_static("http://guest"))
    }

    /// The container's id. All agents share the host's cgroups, so it includes the agent's id.
    pub fn container(&self) -> String {
        container_of(&self.id)
    }

    /// Starts a container that sleeps.
    pub async fn start_container(&self) {
        let request = self.create_request(process(&["sleep", "1000"]));
        self.containers().create_container(request).await.unwrap();
        let container_id = self.container();
        self.containers().start_container(pb::StartContainerRequest { container_id }).await.unwrap();
    }

    /// Breaks the connection at once.
    pub fn cut(self) {
        self.connection.abort();
    }

    pub async fn configure(&self) {
        let request = pb::ConfigureSandboxRequest {
            entropy: vec![7; 64].into(),
            time: Some(std::time::SystemTime::now().into()),
            hostname: "sandbox".to_owned(),
            ..Default::default()
        };
        self.sandboxes().configure_sandbox(request).await.unwrap();
    }

    pub fn create_request(&self, process: pb::Process) -> pb::CreateContainerRequest {
        pb::CreateContainerRequest {
            container_id: self.container(),
            rootfs: Some(pb::Rootfs { tmpfs_size_bytes: 16 << 20, ..Default::default() }),
            process: Some(process),
            instance: "i1".to_owned(),
            ..Default::default()
        }
    }

    pub async fn exec(&self, exec_id: &str, process: pb::Process) -> Stream<pb::ExecResponse> {
        let (sender, receiver) = mpsc::channel(16);
        let start =
            pb::ExecStart { container_id: self.container(), exec_id: exec_id.to_owned(), process: Some(process) };
        let message = Some(pb::exec_request::Message::Start(start));
        sender.send(pb::ExecRequest { message }).await.unwrap();
        let requests = tokio_stream::wrappers::ReceiverStream::new(receiver);
        let responses = self.processes().exec(Request::new(requests)).await.unwrap().into_inner();
        Stream { responses, requests: Requests::Exec(sender) }
    }

    pub async fn attach(
        &self,
        exec_id: &str,
        stdout_offset: Option<u64>,
        hold: bool,
    ) -> Result<Stream<pb::AttachResponse>, tonic::Status> {
        let (sender, receiver) = mpsc::channel(16);
        let (container_id, exec_id) = (self.container(), exec_id.to_owned());
        let start = pb::AttachStart { container_id, exec_id, stdout_offset, stderr_offset: None, hold };
        let message = Some(pb::attach_request::Message::Start(start));
        sender.send(pb::AttachRequest { message }).await.unwrap();
        let requests = tokio_stream::wrappers::ReceiverStream::new(receiver);
        let responses = self.processes().attach(Request::new(requests)).await?.into_inner();
        Ok(Stream { responses, requests: Requests::Attach(sender) })
    }

    pub async fn wait(&self, exec_id: &str) -> pb::ExitStatus {
        let request = pb::WaitProcessRequest { container_id: self.container(), exec_id: exec_id.to_owned() };
        self.processes().wait_process(request).await.unwrap().into_inner().status.unwrap()
    }
}

pub fn process(args: &[&str]) -> pb::Process {
    pb::Process {
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        env: vec!["PATH=/bin".to_owned()],
        default_capabilities: true,
        ..Default::default()
    }
}
