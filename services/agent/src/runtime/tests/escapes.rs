//! Ways out of a container by what its newcomers have open (CVE-2024-21626): the agent of these tests has the host's root
//! open at many numbers, as a real one has its own.

use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::symlink;

use rustix::fs::{Mode, OFlags};

use super::fixture::*;
use crate::pb;
use crate::runtime::*;

/// Numbers that are tried: beyond those that this program has open.
const NUMBERS: i32 = 96;

/// The host's root, open at low and at high numbers.
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
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{cwd}: {error}");
            error.to_string()
        }
        Ok(outcome) => panic!("{cwd} is entered: {outcome:?}"),
    }
}

#[test]
fn no_number_of_a_descriptor_is_a_working_directory_of_an_exec() {
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
fn a_symlink_to_a_descriptor_is_no_working_directory() {
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
fn no_number_of_a_descriptor_is_a_working_directory_of_an_init() {
    let _roots = open_roots();
    let fixture = Fixture::new();
    for number in 0..24 {
        symlink(format!("/proc/self/fd/{number}"), fixture.path(&format!("to-{number}"))).unwrap();
        for cwd in [format!("/proc/self/fd/{number}"), format!("/to-{number}"), format!("/dev/fd/{number}/etc")] {
            let mut request = fixture.request();
            request.process = Some(pb::Process { cwd: cwd.clone(), ..process(&["ls", "-a"]) });
            match fixture.try_create(&request) {
                Err(error) => assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{cwd}: {error}"),
                Ok((container, _output)) => {
                    let started = container.0.start();
                    assert!(started.is_err(), "{cwd} is entered: {started:?}");
                }
            }
        }
    }
}

#[test]
fn no_number_of_a_descriptor_leads_to_a_program() {
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
    // By the directories of PATH too.
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
fn a_working_directory_that_is_missing_is_made_for_an_init_and_not_for_an_exec() {
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
    assert_ne!(container.sh("test -e /nope").code, 0, "it is made");
    assert_eq!(container.sh("mkdir /gone; rm -r /gone").code, 0);
    refused(&container, "/gone");
}

#[test]
fn a_missing_working_directory_of_a_read_only_container_is_made_below_it() {
    let fixture = Fixture::new();
    let mut request = fixture.request();
    request.rootfs = Some(pb::Rootfs { read_only: true, ..Default::default() });
    request.process = Some(pb::Process { cwd: "/srv/www".into(), ..process(&["pwd"]) });
    let (container, output) = fixture.start(&request);
    assert_eq!(output.wait(container.0.init_pid()).stdout, "/srv/www\n");
}
