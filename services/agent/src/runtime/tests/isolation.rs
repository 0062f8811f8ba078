use super::fixture::*;
use crate::pb;

#[test]
fn a_process_sees_nothing_outside_the_containers_root() {
    let fixture = Fixture::new();
    let container = fixture.sleeper();
    let mounts = container.sh("cat /proc/self/mountinfo").stdout;
    for line in mounts.lines() {
        let place = line.split(' ').nth(4).unwrap();
        let known = ["/", "/proc", "/sys", "/dev", "/etc/"];
        let inside = place == "/" || known[1..].iter().any(|prefix| place.starts_with(prefix));
        assert!(inside, "{line}");
    }
    // A process that may chroot climbs as far as it can.
    let escape = "mkdir /jail; exec chroot /jail /../bin/sh -c 'cd ../../../../../..; ls -d work root bin' 2>&1";
    let ended = container.sh(escape);
    assert!(!ended.stdout.contains("work"), "{ended:?}");
}

#[test]
fn kernel_paths_of_the_guest_are_masked_or_read_only() {
    let fixture = Fixture::new();
    let container = fixture.sleeper();
    for path in ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/interrupts"] {
        if std::path::Path::new(path).exists() {
            assert_eq!(container.sh(&format!("head -c 1 {path}")).stdout, "", "{path}");
        }
    }
    assert_eq!(container.sh("ls -A /sys/firmware").stdout, "");
    let read_only = ["/proc/sysrq-trigger", "/proc/sys/kernel/domainname", "/sys/fs/cgroup/cgroup.procs"];
    for path in read_only {
        if container.sh(&format!("test -e {path}")).code != 0 {
            continue;
        }
        let ended = container.sh(&format!("echo 0 > {path}"));
        assert!(ended.code != 0 && ended.stderr.contains("Read-only"), "{path}: {ended:?}");
    }
}

#[test]
fn there_are_only_the_usual_devices_and_none_can_be_created() {
    let fixture = Fixture::new();
    let container = fixture.sleeper();
    let listed = container.sh("ls /dev").stdout;
    let expected = "fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero";
    assert_eq!(listed.split_whitespace().collect::<Vec<_>>().join(" "), expected);
    assert_eq!(container.sh("head -c 4 /dev/zero | wc -c; echo x > /dev/null").stdout.trim(), "4");
    assert_ne!(container.sh("mknod /tmp/disk b 8 0").code, 0);
}

#[test]
fn a_cgroup_namespace_hides_the_path_of_the_cgroup() {
    let fixture = Fixture::new();
    let container = fixture.sleeper();
    let own = container.sh("grep ^0:: /proc/self/cgroup").stdout;
    assert_eq!(own, "0::/\n");
    assert!(container.sh("grep -c . /sys/fs/cgroup/cgroup.procs").stdout.trim().parse::<u32>().is_ok());
}

#[test]
fn a_hostile_rootfs_cannot_redirect_a_mount_outside() {
    let fixture = Fixture::new();
    let outside = fixture.directory.join("outside");
    std::fs::create_dir(&outside).unwrap();
    let far = format!("../../../../../../../../{}", outside.display());
    let link = |target: &str, at: &str| std::os::unix::fs::symlink(target, fixture.path(at)).unwrap();
    link(&format!("{far}/resolv.conf"), "etc/resolv.conf");
    link(&far, "dev");
    link("/etc", "proc");
    link(&format!("{far}/hosts"), "etc/hosts");
    link(&far, "data");
    let mut request = fixture.request();
    request.mounts = vec![mount("/data/deep/er")];
    let (container, _output) = fixture.start(&request);
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0, "something was created outside");
    assert_eq!(container.sh("cat /etc/resolv.conf").stdout, "nameserver 192.0.2.1\n");
    assert!(container.sh("cat /etc/hosts").stdout.contains("localhost"));
    let seen = container.sh("readlink -f /data/deep/er; ls -d /proc/1 /dev/null; cat /etc/passwd | wc -l").stdout;
    assert_eq!(seen, format!("{}/deep/er\n/dev/null\n/proc/1\n2\n", outside.display()));
}

#[test]
fn a_symlink_to_itself_is_an_error() {
    let fixture = Fixture::new();
    std::os::unix::fs::symlink("loop", fixture.path("loop")).unwrap();
    let mut request = fixture.request();
    request.mounts = vec![mount("/loop/x")];
    let Err(error) = fixture.try_create(&request) else { panic!("the container was created") };
    assert!(error.to_string().contains("too many symlinks"), "{error}");
}

#[test]
fn accounts_that_are_not_files_are_read_as_empty() {
    let fixture = Fixture::new();
    let container = fixture.sleeper();
    container.sh("rm /etc/passwd /etc/group; mkdir /etc/group; ln -s /dev/zero /etc/passwd");
    assert_eq!(container.sh("echo $HOME").stdout, "/\n");
    container.sh("rm /etc/passwd; ln -s /proc/1/root/proc/1/fd/0 /etc/passwd");
    assert_eq!(container.sh("echo $HOME").stdout, "/\n");
}

fn mount(destination: &str) -> pb::Mount {
    pb::Mount {
        destination: destination.into(),
        source: Some(pb::mount::Source::Tmpfs(pb::TmpfsMount::default())),
        ..Default::default()
    }
}

#[test]
fn a_container_that_watches_for_new_processes_can_read_nothing_of_the_agent() {
    let fixture = Fixture::new();
    let mut request = fixture.request();
    // The container's root user inspects each process that appears, all the time.
    let watch = "echo ready; while :; do for p in /proc/[0-9]*; do case $p in /proc/1) ;; *) \
                 readlink $p/exe | grep -q paddock && echo seen; esac; done; done 2>/dev/null";
    request.process = Some(process(&["sh", "-c", watch]));
    let (container, output) = fixture.start(&request);
    assert_eq!(output.next_line(), "ready\n");
    for _ in 0..200 {
        container.sh(":");
    }
    container.0.signal_all(libc::SIGKILL).unwrap();
    assert_eq!(output.wait(container.0.init_pid()).stdout, "");
    let own = rustix::process::dumpable_behavior().unwrap();
    assert_eq!(own, rustix::process::DumpableBehavior::NotDumpable);
}
