use super::fixture::*;
use crate::pb::{self, FailureReason};
use crate::runtime::*;

#[test]
fn the_init_waits_for_the_start_and_its_exit_code_is_the_commands() {
    let fixture = Fixture::new();
    let mut request = fixture.request();
    request.process = Some(process(&["sh", "-c", "echo out; echo err >&2; exit 7"]));
    let (container, output) = fixture.try_create(&request).unwrap();
    let pid = container.0.init_pid();
    let program = std::fs::read_link(format!("/proc/{pid}/exe")).unwrap();
    assert_eq!(program, std::env::current_exe().unwrap(), "the command runs before the start");
    assert_eq!(container.0.start().unwrap(), Started::Running);
    let ended = output.wait(pid);
    assert_eq!((ended.code, ended.stdout.as_str(), ended.stderr.as_str()), (7, "out\n", "err\n"));
}

#[test]
fn a_container_can_be_started_only_once() {
    let fixture = Fixture::new();
    let container = fixture.sleeper();
    let error = container.0.start().unwrap_err();
    assert_eq!(error.reason(), FailureReason::WrongState);
}

#[test]
fn a_container_that_was_killed_before_its_start_is_not_running() {
    let fixture = Fixture::new();
    let (container, output) = fixture.try_create(&fixture.request()).unwrap();
    container.0.signal_all(libc::SIGKILL).unwrap();
    assert_eq!(output.wait(container.0.init_pid()).code, 137);
    assert_eq!(container.0.start().unwrap_err().reason(), FailureReason::WrongState);
}

#[test]
fn an_exec_is_a_child_of_the_agent_in_the_containers_namespaces() {
    let fixture = Fixture::new();
    let container = fixture.sleeper();
    let links = "for n in mnt pid ipc uts cgroup net; do for p in self 1; do readlink /proc/$p/ns/$n; done; done";
    let ended = container.sh(links);
    let lines: Vec<&str> = ended.stdout.lines().collect();
    assert_eq!(lines.len(), 12, "{ended:?}");
    for pair in lines.chunks(2) {
        assert_eq!(pair[0], pair[1]);
    }
    let own = |name: &str| std::fs::read_link(format!("/proc/self/ns/{name}")).unwrap().to_string_lossy().into_owned();
    for (line, name) in [(0, "mnt"), (2, "pid"), (4, "ipc"), (6, "uts"), (8, "cgroup")] {
        assert_ne!(lines[line], own(name), "{name} is the agent's");
    }
    assert_eq!(lines[10], own("net"), "the network is not the sandbox's");
    assert_eq!(ended.code, 0);
}

#[test]
fn commands_that_cannot_be_executed_end_as_in_a_shell() {
    let fixture = Fixture::new();
    std::fs::write(fixture.path("bin/plain"), "x").unwrap();
    std::fs::write(fixture.path("bin/garbage"), "\x7fELFgarbage").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(fixture.path("bin/garbage"), mode).unwrap();
    let container = fixture.sleeper();
    for (command, expected, why) in [
        ("nothing", 127, "not found"),
        ("/bin/nothing", 127, "not found"),
        ("/bin/sh/x", 127, "not found"),
        ("plain", 126, "permission denied"),
        ("/etc", 126, "is a directory"),
        ("garbage", 126, "exec format error"),
    ] {
        let ExecOutcome::Failed { code, reason } = container.outcome(&process(&[command])).unwrap() else {
            panic!("{command} runs");
        };
        assert_eq!((code, reason), (expected, format!("{command}: {why}")));
    }
}

#[test]
fn an_init_whose_command_cannot_be_executed_reports_it_and_exits_with_its_code() {
    let fixture = Fixture::new();
    let mut request = fixture.request();
    request.process = Some(process(&["nothing"]));
    let (container, output) = fixture.try_create(&request).unwrap();
    let Started::Failed { code, reason } = container.0.start().unwrap() else { panic!("it runs") };
    assert_eq!((code, reason.contains("not found")), (127, true));
    assert_eq!(output.wait(container.0.init_pid()).code, 127);
}

#[test]
fn an_exec_into_a_container_whose_init_has_ended_is_refused() {
    let fixture = Fixture::new();
    let container = fixture.sleeper();
    container.0.signal_all(libc::SIGKILL).unwrap();
    assert_eq!(reap(container.0.init_pid()), 137);
    let error = container.outcome(&process(&["true"])).unwrap_err();
    assert_eq!(error.reason(), FailureReason::WrongState, "{error}");
}

#[test]
fn removal_is_idempotent_and_leaves_no_process_mount_cgroup_or_directory() {
    let fixture = Fixture::new();
    let request = fixture.request();
    let container = fixture.sleeper();
    let (stdio, _output) = pipes();
    let orphan = process(&["sh", "-c", "trap '' TERM HUP INT; sleep 1000 & sleep 1000"]);
    let ExecOutcome::Running { pid } = container.0.exec("x", &orphan, stdio).unwrap() else { panic!() };
    let cgroup = container.0.memory_events_path().parent().unwrap().to_owned();
    container.0.remove().unwrap();
    assert_eq!(reap(pid), 137);
    assert!(!cgroup.exists());
    assert_eq!(std::fs::read_dir(fixture.directory.join("containers")).unwrap().count(), 0);
    assert_eq!(mounts_with(&fixture.directory.to_string_lossy()), 0);
    container.0.remove().unwrap();
    drop(request);
}

#[test]
fn a_failed_create_leaves_nothing() {
    let fixture = Fixture::new();
    std::fs::create_dir_all(fixture.path("etc/hosts")).unwrap();
    let request = fixture.request();
    let Err(error) = fixture.try_create(&request) else { panic!("the container was created") };
    assert_eq!(error.reason(), FailureReason::Invalid, "{error}");
    assert_eq!(std::fs::read_dir(fixture.directory.join("containers")).unwrap().count(), 0);
    assert!(!fixture.layout.cgroup_dir(&request.container_id).exists());
}

#[test]
fn a_frozen_container_does_not_run_until_it_is_resumed() {
    let fixture = Fixture::new();
    let mut request = fixture.request();
    request.process = Some(process(&["sh", "-c", "while :; do :; done"]));
    let (container, _output) = fixture.start(&request);
    container.0.pause().unwrap();
    let used = || container.0.stats().unwrap().cpu.unwrap().usage_us;
    let before = used();
    assert!(before > 0);
    let frozen = std::time::Instant::now();
    while frozen.elapsed().as_millis() < 50 {
        std::thread::yield_now();
    }
    assert_eq!(used(), before);
    container.0.resume().unwrap();
    let resumed = std::time::Instant::now();
    while used() == before {
        assert!(resumed.elapsed().as_secs() < 10, "it did not resume");
        std::thread::yield_now();
    }
}

#[test]
fn a_signal_to_all_reaches_every_process() {
    let fixture = Fixture::new();
    let mut request = fixture.request();
    request.process = Some(process(&["sh", "-c", "trap 'echo told' USR1; echo ready; while :; do sleep 0.01; done"]));
    let (container, output) = fixture.try_create(&request).unwrap();
    container.0.start().unwrap();
    let exec = container.outcome(&process(&["sleep", "1000"])).unwrap();
    let ExecOutcome::Running { pid } = exec else { panic!("{exec:?}") };
    // The init says "ready" once its trap is set.
    assert_eq!(output.next_line(), "ready\n");
    container.0.signal_all(libc::SIGUSR1).unwrap();
    // An init that exits ends the exec, perhaps before the signal does.
    assert_eq!(reap(pid), 128 + libc::SIGUSR1);
    assert_eq!(output.next_line(), "told\n");
    assert!(container.0.signal_all(65).is_err());
}

#[test]
fn containers_that_share_a_pid_namespace_see_each_other_and_outlive_each_other() {
    let mut fixture = Fixture::new();
    fixture.sandbox.share_pid_namespace = true;
    let first = fixture.sleeper();
    let second = fixture.sleeper();
    let listed = |container: &Running| container.sh("ps -o args").stdout.matches("sleep 1000").count();
    assert_eq!(listed(&second), 2);
    first.0.remove().unwrap();
    assert_eq!(listed(&second), 1);
    let pids: Vec<u32> = second.0.processes().unwrap().iter().map(|entry| entry.pid).collect();
    assert!(pids.iter().all(|pid| *pid != 1), "{pids:?}");
}

#[test]
fn invalid_limits_are_refused_before_anything_exists() {
    let fixture = Fixture::new();
    let mut request = fixture.request();
    request.resources = Some(pb::Resources { pids: Some(0), ..Default::default() });
    let Err(error) = fixture.try_create(&request) else { panic!("the container was created") };
    assert_eq!(error.reason(), FailureReason::Invalid);
    assert!(!fixture.layout.cgroup_dir(&request.container_id).exists());
}

#[test]
fn a_second_container_of_the_same_id_is_refused_and_the_first_continues() {
    let fixture = Fixture::new();
    let request = fixture.request();
    let (first, _output) = fixture.start(&request);
    let Err(error) = fixture.try_create(&request) else { panic!("the container was created") };
    assert!(error.to_string().contains("is taken"), "{error}");
    assert_eq!(first.sh("cat /etc/hostname").stdout, "sandbox-1\n");
    assert_eq!(std::fs::read_dir(fixture.directory.join("containers")).unwrap().count(), 1);
}
