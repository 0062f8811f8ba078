//! The user of a process, and the files that belong to it.

use super::fixture::*;
use crate::pb;
use crate::runtime::*;

const STREAMS: &str = "echo o >/dev/stdout; echo e >/dev/stderr; cat </dev/stdin; ls -Ln /proc/self/fd/1";

fn as_user(user: &str, args: &[&str]) -> pb::Process {
    pb::Process { user: user.into(), ..process(args) }
}

#[test]
fn the_standard_streams_belong_to_the_user_of_an_exec_and_of_an_init() {
    let fixture = Fixture::new();
    let container = fixture.sleeper();
    let process = as_user("1000", &["sh", "-c", STREAMS]);
    let exec = container.run(&process);
    let mut request = fixture.request();
    request.process = Some(process);
    let (other, output) = fixture.start(&request);
    for ended in [exec, output.wait(other.0.init_pid())] {
        assert_eq!((ended.code, ended.stderr.as_str()), (0, "e\n"), "{ended:?}");
        assert!(ended.stdout.starts_with("o\n") && ended.stdout.contains(" 1000 "), "{ended:?}");
    }
}

#[test]
fn the_terminal_belongs_to_the_user_of_an_exec_and_of_an_init() {
    let script = ["sh", "-c", "stat -c %u:%g:%a $(tty); echo hi >$(tty)"];
    let process = pb::Process { terminal: true, ..as_user("1000", &script) };
    let fixture = Fixture::new();
    let container = fixture.sleeper();
    let (master, slave) = container.0.open_pty().unwrap();
    let dup = || slave.try_clone().unwrap();
    let stdio = Stdio { stdin: dup(), stdout: dup(), stderr: dup(), terminal: true };
    drop(slave);
    let ExecOutcome::Running { pid } = container.0.exec("t", &process, stdio).unwrap() else { panic!() };
    assert_eq!(read_all(master), "1000:5:620\r\nhi\r\n");
    assert_eq!(reap(pid), 0);
    let mut request = fixture.request();
    request.process = Some(process);
    let (other, master) = create(&fixture.layout, &fixture.sandbox, &request, None).unwrap();
    let other = Running(other);
    assert_eq!(other.0.start().unwrap(), Started::Running);
    assert_eq!(read_all(master.unwrap()), "1000:5:620\r\nhi\r\n");
}

#[test]
fn the_null_device_still_belongs_to_root() {
    let fixture = Fixture::new();
    let container = fixture.sleeper();
    let open = || std::fs::File::options().read(true).write(true).open("/dev/null").unwrap().into();
    let stdio = Stdio { stdin: open(), stdout: open(), stderr: open(), terminal: false };
    let outcome = container.0.exec("t", &as_user("1000", &["true"]), stdio).unwrap();
    let ExecOutcome::Running { pid } = outcome else { panic!("{outcome:?}") };
    assert_eq!(reap(pid), 0);
    let owner = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/dev/null").unwrap());
    assert_eq!(owner, 0);
}

#[test]
fn the_primary_group_is_among_the_groups() {
    let fixture = Fixture::new();
    let container = fixture.sleeper();
    let groups = |user: &str| container.run(&as_user(user, &["grep", "Groups", "/proc/self/status"])).stdout;
    assert_eq!(groups("app").trim_end(), "Groups:\t44 1001");
    assert_eq!(groups("4242").trim_end(), "Groups:\t0");
    assert_eq!(groups("app:tty").trim_end(), "Groups:\t5");
}

#[test]
fn a_numeric_user_is_a_uid_before_it_is_a_name() {
    let fixture = Fixture::new();
    std::fs::write(fixture.path("etc/passwd"), "1000:x:0:0::/root:/bin/sh\nroot:x:0:0::/root:/bin/sh\n").unwrap();
    let container = fixture.sleeper();
    assert_eq!(container.run(&as_user("1000", &["id", "-u"])).stdout, "1000\n");
}

#[test]
fn a_directory_of_the_image_can_be_renamed() {
    let fixture = Fixture::new();
    std::fs::write(fixture.path("home/app/file"), "kept").unwrap();
    let container = fixture.sleeper();
    let root = format!("/proc/{}/root", container.0.init_pid());
    std::fs::rename(format!("{root}/home"), format!("{root}/moved")).unwrap();
    assert_eq!(container.sh("cat /moved/app/file; ls /home").stdout, "kept");
    assert!(fixture.path("home/app/file").exists(), "the image was changed");
}

#[test]
fn a_redirect_in_an_image_has_no_effect() {
    let fixture = Fixture::new();
    std::fs::create_dir_all(fixture.path("secret")).unwrap();
    std::fs::write(fixture.path("secret/file"), "hidden").unwrap();
    std::fs::create_dir(fixture.path("crafted")).unwrap();
    for (name, value) in [("trusted.overlay.redirect", "/secret"), ("trusted.overlay.opaque", "n")] {
        let flags = rustix::fs::XattrFlags::empty();
        rustix::fs::setxattr(fixture.path("crafted"), name, value.as_bytes(), flags).unwrap();
    }
    let container = fixture.sleeper();
    assert_eq!(container.sh("ls /crafted").stdout, "");
}
