use super::fixture::*;
use crate::pb::{self, mount::Source};

fn mount(destination: &str, source: Source) -> pb::Mount {
    pb::Mount { destination: destination.into(), source: Some(source), ..Default::default() }
}

#[test]
fn each_kind_of_mount_is_at_its_destination() {
    let fixture = Fixture::new();
    let mut request = fixture.request();
    let file = pb::FileMount { content: "secret".into(), mode: 0o640, uid: 1000, gid: 1001 };
    let shared = pb::SharedDirectory { name: "cache".into() };
    let mut read_only = mount("/run/ro", Source::Shared(shared.clone()));
    read_only.read_only = true;
    let mut tmpfs = mount("/scratch", Source::Tmpfs(pb::TmpfsMount { size_bytes: 1 << 20, mode: 0o700 }));
    tmpfs.options = vec!["noexec".into(), "nosuid".into()];
    request.mounts =
        vec![tmpfs, mount("/var/cache", Source::Shared(shared)), read_only, mount("/etc/app/key", Source::File(file))];
    let (container, _output) = fixture.start(&request);
    let seen = container
        .sh("stat -c '%a %u %g' /scratch /etc/app/key; cat /etc/app/key; echo hi > /var/cache/f; cat /run/ro/f");
    assert_eq!(seen.stdout, "700 0 0\n640 1000 1001\nsecrethi\n", "{seen:?}");
    assert_eq!(std::fs::read_to_string(fixture.directory.join("shared/cache/f")).unwrap(), "hi\n");
    assert!(container.sh("touch /run/ro/g").stderr.contains("Read-only"));
    assert!(container.sh("grep ' /scratch ' /proc/self/mountinfo").stdout.contains("nosuid,nodev,noexec"));
    assert_ne!(container.sh("dd if=/dev/zero of=/scratch/big bs=1M count=2").code, 0);
}

#[test]
fn a_read_only_root_has_its_mounts_and_refuses_writes() {
    let fixture = Fixture::new();
    let mut request = fixture.request();
    request.rootfs = Some(pb::Rootfs { read_only: true, ..Default::default() });
    request.mounts = vec![mount("/brand/new", Source::Tmpfs(pb::TmpfsMount::default()))];
    let (container, _output) = fixture.start(&request);
    assert!(container.sh("touch /x").stderr.contains("Read-only"));
    assert_eq!(container.sh("touch /brand/new/x /dev/shm/x && cat /etc/hostname").stdout, "sandbox-1\n");
}

#[test]
fn the_image_is_not_written_to() {
    let fixture = Fixture::new();
    let container = fixture.sleeper();
    assert_eq!(container.sh("rm /etc/passwd; echo new > /etc/new; cat /etc/new").stdout, "new\n");
    assert!(fixture.path("etc/passwd").exists() && !fixture.path("etc/new").exists());
    assert!(!fixture.path("proc").exists(), "a mount point was created in the image");
}

#[test]
fn containers_of_a_sandbox_share_its_shm_but_not_their_names() {
    let fixture = Fixture::new();
    let mut request = fixture.request();
    request.hostname = "web".into();
    let (first, _output) = fixture.start(&request);
    let second = fixture.sleeper();
    first.sh("echo shared > /dev/shm/x");
    assert_eq!(second.sh("cat /dev/shm/x").stdout, "shared\n");
    assert_eq!(first.sh("hostname; cat /etc/hostname").stdout, "web\nweb\n");
    assert_eq!(second.sh("hostname").stdout, "sandbox-1\n");
}

#[test]
fn a_writable_layer_has_the_requested_size() {
    let fixture = Fixture::new();
    let container = fixture.sleeper();
    assert_ne!(container.sh("dd if=/dev/zero of=/big bs=1M count=20").code, 0);
}

#[test]
fn kernel_parameters_are_set_in_the_containers_namespaces() {
    let fixture = Fixture::new();
    let mut request = fixture.request();
    request.sysctls.insert("kernel.shmmni".into(), "1234".into());
    let (container, _output) = fixture.start(&request);
    assert_eq!(container.sh("cat /proc/sys/kernel/shmmni").stdout, "1234\n");
    assert_ne!(std::fs::read_to_string("/proc/sys/kernel/shmmni").unwrap(), "1234\n");
    request = fixture.request();
    request.sysctls.insert("kernel.core_pattern".into(), "|/bin/x".into());
    assert!(fixture.try_create(&request).is_err());
}
