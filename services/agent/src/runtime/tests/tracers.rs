//! Containers with CAP_SYS_PTRACE: they may trace every process they see, so those must hold nothing of the agent.

use super::fixture::*;
use crate::pb::{self, FailureReason};
use crate::runtime::*;

/// Inspects each process that appears, all the time, and prints rights and descriptors that no container has.
const WATCH: &str = "
    look() {
        while read key value; do
            case $key$value in
                CapEff:0000000000000000 | CapEff:0000000000080000 | CapEff:00000000a00405fb) ;;
                CapEff:*) echo \"seen $1 $value\" ;;
            esac
        done <$1/status
        for fd in $1/fd/*; do
            case ${fd##*/} in [0-3] | '*') ;; *) echo \"seen $fd $(readlink $fd)\" ;; esac
        done
        for name in $1/root/*; do
            case ${name##*/} in bin | dev | etc | home | proc | sys | tmp | '*') ;; *) echo \"seen $name\" ;; esac
        done
    }
    echo ready
    while :; do
        for process in /proc/[0-9]*; do
            [ $process = /proc/$$ ] || [ $process = /proc/thread-self ] || look $process
        done
    done 2>/dev/null";

fn watcher(fixture: &Fixture) -> (Running, Output) {
    let mut request = fixture.request();
    let mut watch = process(&["sh", "-c", WATCH]);
    (watch.default_capabilities, watch.capabilities) = (false, vec!["CAP_SYS_PTRACE".into()]);
    request.process = Some(watch);
    let (container, output) = fixture.start(&request);
    assert_eq!(output.next_line(), "ready\n");
    (container, output)
}

fn seen(container: &Running, output: Output) -> String {
    container.0.signal_all(libc::SIGKILL).unwrap();
    output.wait(container.0.init_pid()).stdout
}

#[test]
fn a_tracer_sees_no_new_process_before_it_has_dropped_its_rights() {
    let fixture = Fixture::new();
    let (container, output) = watcher(&fixture);
    for _ in 0..100 {
        container.sh(":");
    }
    assert_eq!(seen(&container, output), "");
}

#[test]
fn a_tracer_in_a_shared_pid_namespace_gets_nothing_from_its_holder_or_a_new_container() {
    let mut fixture = Fixture::new();
    fixture.sandbox.share_pid_namespace = true;
    let (container, output) = watcher(&fixture);
    for _ in 0..20 {
        let other = fixture.sleeper();
        other.sh(":");
    }
    assert_eq!(seen(&container, output), "");
}

#[test]
fn an_exec_beside_a_tracer_works_like_any_other() {
    let fixture = Fixture::new();
    let container = fixture.sleeper();
    let mut tracer = process(&["cat", "/proc/self/status"]);
    (tracer.default_capabilities, tracer.capabilities) = (false, vec!["CAP_SYS_PTRACE".into()]);
    assert!(container.run(&tracer).stdout.contains("CapEff:\t0000000000080000"));
    let script = "id -u; cat /proc/self/oom_score_adj; pwd; ls /proc/self/fd; cat /proc/$$/stat; exit 7";
    let scored =
        pb::Process { oom_score_adj: 321, cwd: "/tmp".into(), user: "app".into(), ..process(&["sh", "-c", script]) };
    let ended = container.run(&scored);
    let lines: Vec<&str> = ended.stdout.lines().collect();
    assert_eq!((ended.code, &lines[..7]), (7, &["1000", "321", "/tmp", "0", "1", "2", "3"][..]));
    let stat: Vec<&str> = lines[7].split(' ').collect();
    assert_eq!(
        (stat[0], stat[0], stat[3]),
        (stat[4], stat[5], "0"),
        "pid, process group, session, and no parent in sight"
    );
    let failed = container.outcome(&process(&["nosuch"])).unwrap();
    assert_eq!(failed, ExecOutcome::Failed { code: 127, reason: "nosuch: not found".into() });
    let wrong = |change: fn(&mut pb::Process)| {
        let mut process = process(&["true"]);
        change(&mut process);
        container.outcome(&process).unwrap_err().reason()
    };
    assert_eq!(wrong(|process| process.user = "nobody-here".into()), FailureReason::Invalid);
    assert_eq!(wrong(|process| process.cwd = "/nope".into()), FailureReason::Invalid);
    let gone = fixture.sleeper();
    gone.0.signal_all(libc::SIGKILL).unwrap();
    assert_eq!(reap(gone.0.init_pid()), 137);
    let error = gone.outcome(&process(&["true"])).unwrap_err();
    assert_eq!(error.reason(), FailureReason::WrongState, "{error}");
}

#[test]
fn an_exec_with_a_terminal_beside_a_tracer_is_controlled_by_it() {
    let fixture = Fixture::new();
    let (container, _output) = watcher(&fixture);
    let (master, slave) = container.0.open_pty().unwrap();
    let dup = || slave.try_clone().unwrap();
    let stdio = Stdio { stdin: dup(), stdout: dup(), stderr: dup(), terminal: true };
    drop(slave);
    let mut process = process(&["sh", "-c", "tty; echo controlled > /dev/tty"]);
    process.terminal = true;
    let ExecOutcome::Running { pid } = container.0.exec("t", &process, stdio).unwrap() else { panic!() };
    assert_eq!(read_all(master), "/dev/pts/0\r\ncontrolled\r\n");
    assert_eq!(reap(pid), 0);
}
