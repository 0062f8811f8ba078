//! Escapes through descriptors that a new process has open (CVE-2024-21626): the agent of these tests has the host's root open at
//! many numbers, as a real agent has its own root. And escapes through the program that a new process runs before it executes the
//! container's command (CVE-2019-5736).

use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, symlink};
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::mount::{MsFlags, mount};
use rustix::fs::{Mode, OFlags};

use super::fixture::*;
use crate::machine::boot;
use crate::pb::{self, FailureReason};
use crate::runtime::*;

/// The number of descriptors to try: more than this program has open.
const NUMBERS: i32 = 96;

/// Opens the host's root at low and at high numbers.
fn open_roots() -> Vec<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open("/", flags, Mode::empty()).unwrap();
    let copies = (3..NUMBERS).step_by(8).map(|least| rustix::io::fcntl_dupfd_cloexec(&root, least).unwrap());
    copies.collect()
}

fn places(number: i32) -> [String; 3] {
    [format!("/proc/self/fd/{number}"), format!("/dev/fd/{number}/."), format!("/proc/thread-self/fd/{number}/..")]
}

fn refused(container: &Running, cwd: &str) -> String {
    let process = pb::Process { cwd: cwd.into(), ..process(&["ls", "-a"]) };
    match container.0.exec("test", &process, pipes().0) {
        Err(error) => {
            assert_eq!(error.reason(), FailureReason::Invalid, "{cwd}: {error}");
            error.to_string()
        }
        Ok(outcome) => panic!("{cwd} was entered: {outcome:?}"),
    }
}

#[test]
fn a_descriptor_cannot_be_the_working_directory_of_an_exec() {
    let roots = open_roots();
    let fixture = Fixture::new();
    let container = fixture.sleeper();
    let highest = roots.iter().map(AsRawFd::as_raw_fd).max().unwrap();
    for number in (0..NUMBERS).chain([highest]) {
        for place in places(number) {
            refused(&container, &place);
        }
    }
    for place in ["/proc/self/cwd", "/proc/self/root", "/proc/1/root", "/proc/1/cwd/..", "/proc/self/task/../root/.."] {
        assert!(refused(&container, place).contains("link of /proc"), "{place}");
    }
}

#[test]
fn a_symlink_to_a_descriptor_cannot_be_a_working_directory() {
    let roots = open_roots();
    let fixture = Fixture::new();
    for root in &roots {
        symlink(format!("/proc/self/fd/{}", root.as_raw_fd()), fixture.path(&format!("to-{}", root.as_raw_fd())))
            .unwrap();
    }
    let container = fixture.sleeper();
    for root in &roots {
        refused(&container, &format!("/to-{}", root.as_raw_fd()));
        refused(&container, &format!("/to-{}/tmp", root.as_raw_fd()));
    }
}

#[test]
fn a_descriptor_cannot_be_the_working_directory_of_an_init() {
    let _roots = open_roots();
    let fixture = Fixture::new();
    for number in 0..24 {
        symlink(format!("/proc/self/fd/{number}"), fixture.path(&format!("to-{number}"))).unwrap();
        for cwd in [format!("/proc/self/fd/{number}"), format!("/to-{number}"), format!("/dev/fd/{number}/etc")] {
            let mut request = fixture.request();
            request.process = Some(pb::Process { cwd: cwd.clone(), ..process(&["ls", "-a"]) });
            match fixture.try_create(&request) {
                Err(error) => assert_eq!(error.reason(), FailureReason::Invalid, "{cwd}: {error}"),
                Ok((container, _output)) => {
                    let started = container.0.start();
                    assert!(started.is_err(), "{cwd} was entered: {started:?}");
                }
            }
        }
    }
}

#[test]
fn no_descriptor_leads_to_a_program() {
    let roots = open_roots();
    let fixture = Fixture::new();
    let container = fixture.sleeper();
    let highest = roots.iter().map(AsRawFd::as_raw_fd).max().unwrap();
    for number in (0..NUMBERS).chain([highest]) {
        for place in places(number) {
            let command = format!("{place}/bin/busybox");
            let outcome = container.outcome(&process(&[&command, "true"])).unwrap();
            assert!(matches!(outcome, ExecOutcome::Failed { code: 127, .. }), "{command}: {outcome:?}");
        }
    }
    // Through the directories of PATH, too.
    let path = (0..64).map(|number| format!("/proc/self/fd/{number}/bin")).collect::<Vec<_>>().join(":");
    let process = pb::Process { env: vec![format!("PATH={path}")], ..process(&["busybox", "true"]) };
    assert!(matches!(container.outcome(&process).unwrap(), ExecOutcome::Failed { code: 127, .. }));
}

#[test]
fn an_init_has_only_the_standard_streams_open() {
    let _roots = open_roots();
    let fixture = Fixture::new();
    let mut request = fixture.request();
    request.process = Some(process(&["ls", "/proc/self/fd"]));
    let (container, output) = fixture.start(&request);
    assert_eq!(output.wait(container.0.init_pid()).stdout, "0\n1\n2\n3\n", "ls has one for the directory");
}

#[test]
fn a_missing_working_directory_is_created_for_an_init_and_not_for_an_exec() {
    let fixture = Fixture::new();
    symlink("made", fixture.path("alias")).unwrap();
    let mut request = fixture.request();
    request.process =
        Some(pb::Process { cwd: "/alias/on the/way".into(), ..process(&["sh", "-c", "pwd; sleep 1000"]) });
    let (container, output) = fixture.start(&request);
    assert_eq!(output.next_line(), "/made/on the/way\n");
    assert_eq!(container.sh("stat -c %u:%a /made/on*").stdout, "0:755\n");
    let error = refused(&container, "/nope/x");
    assert_eq!(error, "cannot enter the working directory \"/nope/x\": there is no such directory");
    assert!(refused(&container, "/etc/passwd").ends_with("it is not a directory"));
    assert_ne!(container.sh("test -e /nope").code, 0, "it was created");
    assert_eq!(container.sh("mkdir /gone; rm -r /gone").code, 0);
    refused(&container, "/gone");
}

#[test]
fn a_missing_working_directory_of_a_read_only_container_is_created() {
    let fixture = Fixture::new();
    let mut request = fixture.request();
    request.rootfs = Some(pb::Rootfs { read_only: true, ..Default::default() });
    request.process = Some(pb::Process { cwd: "/srv/www".into(), ..process(&["pwd"]) });
    let (container, output) = fixture.start(&request);
    assert_eq!(output.wait(container.0.init_pid()).stdout, "/srv/www\n");
}

/// Set when a test runs with its program on a read-only mount, as the agent runs in a guest.
const READ_ONLY: &str = "PADDOCK_TEST_PROGRAM_IS_READ_ONLY";

/// Whether the test's program is on a read-only mount. If not, runs the test again with such a mount, where it must pass.
fn has_read_only_program(test: &str) -> bool {
    if std::env::var_os(READ_ONLY).is_some() {
        return true;
    }
    let program = std::env::current_exe().unwrap().into_os_string().into_string().unwrap();
    let (_, module) = module_path!().split_once("::").unwrap();
    let mut command = Command::new(&program);
    command.args(["--exact", &format!("{module}::{test}")]).env(READ_ONLY, "1");
    let prepare = move || {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS)?;
        let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        mount(None::<&str>, "/", None::<&str>, private, None::<&str>)?;
        mount(Some(program.as_str()), program.as_str(), None::<&str>, MsFlags::MS_BIND, None::<&str>)?;
        boot::protect(&program)
    };
    // SAFETY: system calls, between fork and exec.
    let ended = unsafe { command.pre_exec(prepare) }.output().unwrap();
    let output = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success() && output.contains("1 passed"), "{output}");
    false
}

/// Puts the libraries and the loader of this program where a container finds them.
fn with_libraries(fixture: &Fixture) {
    std::fs::create_dir_all(fixture.path("lib64")).unwrap();
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    for library in maps.lines().filter_map(|line| line.find('/').map(|at| &line[at..])) {
        let name = library.rsplit('/').next().unwrap();
        if name.contains(".so") {
            std::fs::copy(library, fixture.path("lib64").join(name)).unwrap();
        }
    }
}

/// Tries to write to and change the program of every process, except programs of the container.
const ATTACK: &str = "
    attack() {
        case $(readlink $1/exe) in '' | */busybox) return ;; esac
        echo seen
        echo >>$1/exe
        touch -d '2000-01-01 00:00' $1/exe
    } 2>/dev/null
    attack_all() {
        for process in /proc/[0-9]* /proc/self; do attack $process; done
    }";

/// A process of root, with some capabilities that containers have, and `more`.
fn as_root(more: &[&str], args: &[&str]) -> pb::Process {
    let common = ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_SETUID", "CAP_SETGID"];
    let capabilities = common.iter().chain(more).map(|&name| name.to_owned()).collect();
    pb::Process { default_capabilities: false, capabilities, ..process(args) }
}

fn attacking(more: &[&str], script: &str) -> pb::Process {
    as_root(more, &["sh", "-c", &format!("{ATTACK}\n{script}")])
}

/// The attributes of this test program that a write or change would alter.
fn program() -> (u64, u32, std::time::SystemTime) {
    let program = std::fs::metadata("/proc/self/exe").unwrap();
    (program.len(), program.mode(), program.modified().unwrap())
}

#[test]
fn a_container_that_executes_the_program_of_the_agent_cannot_change_it() {
    if !has_read_only_program("a_container_that_executes_the_program_of_the_agent_cannot_change_it") {
        return;
    }
    let before = program();
    let fixture = Fixture::new();
    with_libraries(&fixture);
    for more in [&[][..], &["CAP_SYS_PTRACE"]] {
        let container = fixture.sleeper();
        let (stdio, output) = pipes();
        // Its output exceeds the pipe, so the process exists until somebody reads.
        rustix::pipe::fcntl_setpipe_size(&stdio.stdout, 4096).unwrap();
        let env = vec!["LD_LIBRARY_PATH=/lib64".into()];
        let own = pb::Process { env, ..as_root(&[], &["/proc/self/exe", "--list"]) };
        let outcome = container.0.exec("own", &own, stdio).unwrap();
        let ExecOutcome::Running { pid } = outcome else { panic!("{outcome:?}") };
        assert!(output.next_line().ends_with(": test\n"), "it is this program");
        assert_eq!(container.run(&attacking(more, "attack_all")).stdout, "seen\n");
        assert_eq!(program(), before);
        assert_eq!(output.wait(pid).code, 0);
    }
}

#[test]
fn a_tracer_cannot_change_the_program_of_a_new_process() {
    if !has_read_only_program("a_tracer_cannot_change_the_program_of_a_new_process") {
        return;
    }
    let before = program();
    let fixture = Fixture::new();
    for more in [&[][..], &["CAP_SYS_PTRACE"]] {
        let mut request = fixture.request();
        request.process = Some(attacking(more, "echo ready; while :; do attack_all; done"));
        let (container, output) = fixture.start(&request);
        assert_eq!(output.next_line(), "ready\n");
        for _ in 0..50 {
            container.sh(":");
        }
        container.0.signal_all(libc::SIGKILL).unwrap();
        output.wait(container.0.init_pid());
        assert_eq!(program(), before);
    }
}
