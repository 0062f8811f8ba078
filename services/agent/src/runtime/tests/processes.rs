use super::fixture::*;
use crate::pb::{self, FailureReason};

fn status(container: &Running, process: &pb::Process) -> String {
    let mut process = process.clone();
    process.args = vec!["cat".into(), "/proc/self/status".into()];
    container.run(&process).stdout
}

fn line<'a>(status: &'a str, name: &str) -> &'a str {
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim_start_matches(':').trim()
}

#[test]
fn a_process_runs_as_its_user_with_its_groups_and_home() {
    let fixture = Fixture::new();
    let container = fixture.sleeper();
    let mut process = process(&["sh", "-c", "id; echo $HOME; pwd; umask; echo $HOSTNAME"]);
    process.user = "app".into();
    process.additional_groups = vec!["77".into()];
    process.cwd = "/home/app".into();
    let expected = "uid=1000(app) gid=1001(app) groups=1001(app),44(video),77\n/home/app\n/home/app\n0022\nsandbox-1\n";
    let ended = container.run(&process);
    let output = ended.stdout.replace("groups=44(video),77,1001(app)", "groups=1001(app),44(video),77");
    assert_eq!(output.replace("groups=44(video),77", "groups=1001(app),44(video),77"), expected, "{ended:?}");
    process.user = "nobody-here".into();
    assert_eq!(container.outcome(&process).unwrap_err().reason(), FailureReason::Invalid);
}

#[test]
fn an_init_has_the_same_set_up_as_an_exec() {
    let fixture = Fixture::new();
    let mut request = fixture.request();
    let mut init =
        process(&["sh", "-c", "id -u; grep -E '^(Cap|NoNewPrivs|Seccomp:|Sig[BIC])' /proc/self/status; ulimit -n"]);
    init.user = "app".into();
    init.no_new_privileges = true;
    init.rlimits = vec![pb::Rlimit { r#type: "RLIMIT_NOFILE".into(), soft: 100, hard: 200 }];
    request.process = Some(init.clone());
    let (container, output) = fixture.start(&request);
    let of_init = output.wait(container.0.init_pid()).stdout;
    let other = fixture.sleeper();
    assert_eq!(of_init, other.run(&init).stdout);
    assert!(of_init.starts_with("1000\n") && of_init.ends_with("100\n"), "{of_init}");
}

#[test]
fn the_default_capabilities_are_held_by_root_and_only_bound_other_users() {
    let fixture = Fixture::new();
    let container = fixture.sleeper();
    let root = status(&container, &process(&[]));
    // AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL NET_BIND_SERVICE SETFCAP SETGID SETPCAP SETUID SYS_CHROOT
    let default = "00000000a00405fb";
    assert_eq!(line(&root, "CapEff"), default);
    assert_eq!(line(&root, "CapBnd"), default);
    assert_eq!(line(&root, "CapInh"), "0000000000000000");
    let mut as_user = process(&[]);
    as_user.user = "1000".into();
    let user = status(&container, &as_user);
    assert_eq!((line(&user, "CapEff"), line(&user, "CapPrm")), ("0000000000000000", "0000000000000000"));
    assert_eq!(line(&user, "CapBnd"), default);
}

#[test]
fn requested_capabilities_are_held_by_any_user() {
    let fixture = Fixture::new();
    let container = fixture.sleeper();
    let mut process = process(&[]);
    process.default_capabilities = false;
    process.capabilities = vec!["CAP_NET_BIND_SERVICE".into()];
    process.user = "1000:1000".into();
    let status = status(&container, &process);
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(line(&status, set), "0000000000000400", "{set}");
    }
    process.capabilities.clear();
    assert_eq!(line(&self::status(&container, &process), "CapBnd"), "0000000000000000");
}

#[test]
fn a_process_has_a_filter_unless_the_request_says_otherwise() {
    let fixture = Fixture::new();
    let container = fixture.sleeper();
    let mut process = process(&[]);
    assert_eq!(line(&status(&container, &process), "Seccomp"), "2");
    assert_eq!(line(&status(&container, &process), "NoNewPrivs"), "0");
    process.seccomp_unconfined = true;
    process.no_new_privileges = true;
    assert_eq!(line(&status(&container, &process), "Seccomp"), "0");
    assert_eq!(line(&status(&container, &process), "NoNewPrivs"), "1");
}

#[test]
fn the_filter_refuses_calls_that_capabilities_alone_would_allow() {
    let fixture = Fixture::new();
    let container = fixture.sleeper();
    let mut process = process(&["unshare", "-U", "true"]);
    assert_ne!(container.run(&process).code, 0, "a user namespace was created");
    process.seccomp_unconfined = true;
    assert_eq!(container.run(&process).code, 0, "the filter does not refuse it");
}

#[test]
fn only_the_standard_streams_are_open_and_no_signal_is_blocked_or_ignored() {
    let fixture = Fixture::new();
    let container = fixture.sleeper();
    assert_eq!(container.sh("ls /proc/self/fd | wc -l").stdout.trim(), "4", "ls has one for the directory");
    let status = status(&container, &process(&[]));
    assert_eq!((line(&status, "SigBlk"), line(&status, "SigIgn")), ("0000000000000000", "0000000000000000"));
}

#[test]
fn a_process_leads_a_session_and_has_its_oom_score_and_limits() {
    let fixture = Fixture::new();
    let container = fixture.sleeper();
    let mut process = process(&["sh", "-c", "cat /proc/self/oom_score_adj; ulimit -n; ulimit -Hn; cat /proc/$$/stat"]);
    let default = container.run(&process).stdout;
    assert_eq!(default.lines().nth(1), Some("1024"));
    process.oom_score_adj = 321;
    process.rlimits = vec![pb::Rlimit { r#type: "RLIMIT_NOFILE".into(), soft: 64, hard: 128 }];
    let output = container.run(&process).stdout;
    let mut lines = output.lines();
    assert_eq!((lines.next(), lines.next(), lines.next()), (Some("321"), Some("64"), Some("128")));
    let stat: Vec<&str> = lines.next().unwrap().split(' ').collect();
    assert_eq!((stat[0], stat[0]), (stat[4], stat[5]), "pid, process group, session");
}

#[test]
fn the_oom_score_of_one_exec_is_not_that_of_others_or_of_the_agent() {
    let fixture = Fixture::new();
    let container = fixture.sleeper();
    let mut scored = process(&["cat", "/proc/self/oom_score_adj"]);
    scored.oom_score_adj = 500;
    let plain = process(&["cat", "/proc/self/oom_score_adj"]);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..25 {
                    assert_eq!(container.run(&scored).stdout, "500\n");
                    assert_eq!(container.run(&plain).stdout, "0\n");
                }
            });
        }
    });
    assert_eq!(std::fs::read_to_string("/proc/self/oom_score_adj").unwrap(), "0\n");
}

#[test]
fn processes_are_listed_with_the_containers_pids_and_users() {
    let fixture = Fixture::new();
    let container = fixture.sleeper();
    let mut sleeper = process(&["sh", "-c", "sleep 999; true"]);
    sleeper.user = "app".into();
    container.outcome(&sleeper).unwrap();
    let found = loop {
        let entries = container.0.processes().unwrap();
        if entries.iter().any(|entry| entry.args == ["sleep", "999"]) {
            break entries;
        }
        std::thread::yield_now();
    };
    let named = |args: &[&str]| found.iter().find(|entry| entry.args == args).unwrap();
    let (init, shell, child) =
        (named(&["sleep", "1000"]), named(&["sh", "-c", "sleep 999; true"]), named(&["sleep", "999"]));
    assert_eq!((init.pid, init.parent_pid, init.user.as_str()), (1, 0, "root"));
    assert_eq!(init.guest_pid, container.0.init_pid() as u32);
    assert_eq!((shell.parent_pid, shell.user.as_str(), shell.uid), (0, "app", 1000));
    assert_eq!(child.parent_pid, shell.pid);
}
