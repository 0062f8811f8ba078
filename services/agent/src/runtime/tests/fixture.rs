//! Real containers on the host that runs the tests, as root: a directory with busybox replaces the image.

use std::fs;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::pipe::{PipeFlags, pipe_with};

use crate::pb;
use crate::runtime::error::Result;
use crate::runtime::layout::Layout;
use crate::runtime::*;

/// In tests the agent's program is the test binary: if it is started as a stage, it must become one before the test harness runs.
#[used]
#[unsafe(link_section = ".init_array")]
static BECOME_STAGE: extern "C" fn(i32, *const *const libc::c_char) = {
    extern "C" fn become_stage(count: i32, arguments: *const *const libc::c_char) {
        if count > 1 {
            // SAFETY: the arguments of the process; there are at least two.
            let name = unsafe { std::ffi::CStr::from_ptr(*arguments.add(1)) };
            stage::run(name.to_bytes());
        }
    }
    become_stage
};

const APPLETS: &str = "sh cat echo id env ls true false sleep stat mount readlink pwd hostname head kill mkdir tty \
                       touch umount unshare chroot dd grep ps wc test ulimit mknod rm ln sync printf";

/// A rootfs and directories for containers; removed at the end.
pub struct Fixture {
    pub directory: PathBuf,
    pub sandbox: SandboxContext,
    pub layout: Layout,
    containers: AtomicU32,
}

impl Fixture {
    pub fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("paddock-test-{}-{number}", std::process::id()));
        let fixture = Self {
            sandbox: SandboxContext {
                names: Names {
                    hostname: "sandbox-1".into(),
                    resolv_conf: "nameserver 192.0.2.1\n".into(),
                    ..Default::default()
                },
                shm_dir: directory.join("shm"),
                shared_root: directory.join("shared"),
                share_pid_namespace: false,
            },
            layout: Layout::new(directory.join("containers"), cgroup_root())
                .with_image(directory.join("rootfs").to_string_lossy().into_owned()),
            directory,
            containers: AtomicU32::new(0),
        };
        for name in ["shm", "shared", "rootfs/bin", "rootfs/etc", "rootfs/tmp", "rootfs/home/app"] {
            fs::create_dir_all(fixture.directory.join(name)).unwrap();
        }
        fs::copy("/bin/busybox", fixture.path("bin/busybox")).expect("install busybox-static");
        for applet in APPLETS.split_whitespace() {
            symlink("busybox", fixture.path(&format!("bin/{applet}"))).unwrap();
        }
        let passwd = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\n";
        fs::write(fixture.path("etc/passwd"), passwd).unwrap();
        fs::write(fixture.path("etc/group"), "root:x:0:\ntty:x:5:\napp:x:1001:\nvideo:x:44:app\n").unwrap();
        fixture
    }

    /// A path in the rootfs.
    pub fn path(&self, path: &str) -> PathBuf {
        self.directory.join("rootfs").join(path)
    }

    /// A request for a container that sleeps.
    pub fn request(&self) -> pb::CreateContainerRequest {
        let number = self.containers.fetch_add(1, Ordering::Relaxed);
        let name = self.directory.file_name().unwrap().to_string_lossy().into_owned();
        pb::CreateContainerRequest {
            container_id: format!("{name}-{number}"),
            rootfs: Some(pb::Rootfs { tmpfs_size_bytes: 16 << 20, ..Default::default() }),
            process: Some(process(&["sleep", "1000"])),
            ..Default::default()
        }
    }

    pub fn try_create(&self, request: &pb::CreateContainerRequest) -> Result<(Running, Output)> {
        let (stdio, output) = pipes();
        let (container, _) = create(&self.layout, &self.sandbox, request, Some(stdio))?;
        Ok((Running(container), output))
    }

    /// A container that runs `request`'s process.
    pub fn start(&self, request: &pb::CreateContainerRequest) -> (Running, Output) {
        let (container, output) = self.try_create(request).unwrap();
        assert_eq!(container.0.start().unwrap(), Started::Running);
        (container, output)
    }

    /// A container that sleeps.
    pub fn sleeper(&self) -> Running {
        self.start(&self.request()).0
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// A container that is removed at the end.
pub struct Running(pub Container);

impl Running {
    /// Executes a shell command and waits for it.
    pub fn sh(&self, script: &str) -> Ended {
        self.run(&process(&["sh", "-c", script]))
    }

    pub fn run(&self, process: &pb::Process) -> Ended {
        let (stdio, output) = pipes();
        match self.0.exec("test", process, stdio).unwrap() {
            ExecOutcome::Running { pid } => output.wait(pid),
            ExecOutcome::Failed { code, reason } => panic!("{code}: {reason}"),
        }
    }

    pub fn outcome(&self, process: &pb::Process) -> Result<ExecOutcome> {
        self.0.exec("test", process, pipes().0)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let cgroup = self.0.memory_events_path();
        let removed = self.0.remove();
        // Init's exit waits for the processes that were started beside it.
        for pid in zombies_of(cgroup.parent().unwrap()) {
            reap(pid);
        }
        reap(self.0.init_pid());
        if !std::thread::panicking() {
            removed.unwrap();
        }
    }
}

/// A process with the settings that most tests need.
pub fn process(args: &[&str]) -> pb::Process {
    pb::Process {
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        default_capabilities: true,
        ..Default::default()
    }
}

/// The agent's ends of a process's streams.
pub struct Output {
    stdout: OwnedFd,
    stderr: OwnedFd,
}

/// How a process ended.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    pub fn wait(self, pid: i32) -> Ended {
        let (stdout, stderr) = (read_all(self.stdout), read_all(self.stderr));
        Ended { code: reap(pid), stdout, stderr }
    }
}

impl Output {
    /// Reads stdout up to a newline.
    pub fn next_line(&self) -> String {
        let (mut line, mut byte) = (String::new(), [0u8]);
        while !line.ends_with('\n') && rustix::io::read(&self.stdout, &mut byte).unwrap() == 1 {
            line.push(byte[0].into());
        }
        line
    }
}

pub fn pipes() -> (Stdio, Output) {
    let pipe = || pipe_with(PipeFlags::CLOEXEC).unwrap();
    let (stdin, _) = pipe();
    let ((stdout, write_out), (stderr, write_err)) = (pipe(), pipe());
    let stdio = Stdio { stdin, stdout: write_out, stderr: write_err, terminal: false };
    (stdio, Output { stdout, stderr })
}

pub fn read_all(fd: OwnedFd) -> String {
    let mut text = String::new();
    // A terminal whose slave is closed answers EIO.
    let _ = fs::File::from(fd).read_to_string(&mut text);
    text
}

/// Waits for one process, as the agent's reaper would; returns 128 + signal if a signal ended it.
pub fn reap(pid: i32) -> i32 {
    let mut status = 0;
    // SAFETY: waits for one child and writes to a local.
    unsafe { libc::waitpid(pid, &raw mut status, 0) };
    if libc::WIFSIGNALED(status) { 128 + libc::WTERMSIG(status) } else { libc::WEXITSTATUS(status) }
}

/// Ended children of this process in a cgroup.
fn zombies_of(cgroup: &Path) -> Vec<i32> {
    let name = cgroup.file_name().unwrap().to_string_lossy().into_owned();
    let own = format!(" {} ", std::process::id());
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let ended = |pid: &i32| {
        let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
        let stat = read("stat");
        let (_, tail) = stat.rsplit_once(')').unwrap_or_default();
        tail.starts_with(&format!(" Z{own}")) && read("cgroup").contains(&name)
    };
    pids.filter(ended).collect()
}

/// How many mounts of the agent's namespace contain `text`.
pub fn mounts_with(text: &str) -> usize {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    mounts.lines().filter(|line| line.contains(text)).count()
}

fn cgroup_root() -> PathBuf {
    let hybrid = Path::new("/sys/fs/cgroup/unified");
    if hybrid.is_dir() { hybrid.into() } else { "/sys/fs/cgroup".into() }
}
