use std::process::Command;

use super::fixture::*;
use crate::runtime::error::RuntimeError;
use crate::runtime::filesystem::device_file::DeviceFile;

/// A real block device: an image file on a loop device. Detached at the end.
struct LoopDevice {
    node: String,
    number: u64,
}

impl LoopDevice {
    fn new(fixture: &Fixture, name: &str) -> Self {
        let image = fixture.directory.join(name);
        std::fs::write(&image, vec![b'-'; 1 << 16]).unwrap();
        let output = Command::new("losetup").args(["--show", "--find"]).arg(&image).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let node = String::from_utf8(output.stdout).unwrap().trim().to_owned();
        let number = rustix::fs::stat(&node).unwrap().st_rdev;
        Self { node, number }
    }

    fn file(&self, path: &str) -> DeviceFile {
        DeviceFile { path: path.into(), number: self.number, read_only: false, mode: 0o640, uid: 1000, gid: 1001 }
    }
}

impl Drop for LoopDevice {
    fn drop(&mut self) {
        let detached = Command::new("losetup").args(["--detach", &self.node]).status();
        assert!(detached.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}

#[test]
fn a_device_file_has_its_owner_and_mode_is_usable_and_goes() {
    let fixture = Fixture::new();
    let disk = LoopDevice::new(&fixture, "image");
    let container = fixture.sleeper();
    for _ in 0..2 {
        container.0.add_device_file(disk.file("/dev/deep/data")).unwrap();
    }
    assert_eq!(container.sh("stat -c '%F %a %u %g' /dev/deep/data").stdout, "block special file 640 1000 1001\n");
    let used = container.sh("printf hello | dd of=/dev/deep/data conv=notrunc && sync && head -c 5 /dev/deep/data");
    assert_eq!((used.code, used.stdout.as_str()), (0, "hello"), "{used:?}");
    container.0.remove_device("/dev/deep/data").unwrap();
    container.0.remove_device("/dev/deep/data").unwrap();
    assert_eq!(container.sh("ls /dev/deep").stdout, "");
}

#[test]
fn a_container_that_creates_device_files_opens_only_its_own_devices() {
    let fixture = Fixture::new();
    let (own, foreign) = (LoopDevice::new(&fixture, "own"), LoopDevice::new(&fixture, "foreign"));
    let container = fixture.sleeper();
    let sh = |script: &str| {
        let mut process = process(&["sh", "-c", script]);
        process.default_capabilities = false;
        process.capabilities.push("CAP_MKNOD".into());
        container.run(&process)
    };
    let minor = |disk: &LoopDevice| rustix::fs::minor(disk.number);
    let made = sh(&format!("mknod /dev/own b 7 {}; mknod /dev/foreign b 7 {}", minor(&own), minor(&foreign)));
    assert_eq!(made.code, 0, "{made:?}");
    let refused = |path: &str| sh(&format!("head -c 1 {path}")).stderr.contains("not permitted");
    assert!(refused("/dev/own") && refused("/dev/foreign"));
    container.0.add_device_file(DeviceFile { read_only: true, uid: 0, ..own.file("/dev/data") }).unwrap();
    assert_eq!(sh("head -c 1 /dev/own; head -c 1 /dev/data").stdout, "--");
    assert_ne!(sh("printf x | dd of=/dev/own conv=notrunc").code, 0);
    assert!(refused("/dev/foreign"));
    container.0.remove_device("/dev/data").unwrap();
    assert!(refused("/dev/own"));
    assert_eq!(sh("head -c 1 /dev/zero >/dev/null && echo x >/dev/null && head -c 1 /dev/urandom >/dev/null").code, 0);
}

#[test]
fn a_taken_path_and_a_path_without_devices_are_refused() {
    let fixture = Fixture::new();
    let disk = LoopDevice::new(&fixture, "image");
    let container = fixture.sleeper();
    let add = |path: &str| container.0.add_device_file(disk.file(path));
    assert!(matches!(add("/dev/null"), Err(RuntimeError::PathTaken(_))));
    container.sh("ln -s /dev/null /dev/link");
    assert!(matches!(add("/dev/link"), Err(RuntimeError::PathTaken(_))));
    for bad in ["/home/app/disk", "dev/x", "/", "/dev/..", "/dev/a\0", "/proc/self/fd/x"] {
        assert!(matches!(add(bad), Err(RuntimeError::InvalidSpec(_))), "{bad:?}");
    }
    // A link is resolved inside the container.
    container.sh("ln -s /../../dev/elsewhere /dev/away");
    add("/dev/away/data").unwrap();
    assert_eq!(container.sh("ls /dev/elsewhere").stdout, "data\n");
    // What the container has put in its place stays.
    container.sh("rm /dev/elsewhere/data; echo mine > /dev/elsewhere/data");
    container.0.remove_device("/dev/away/data").unwrap();
    assert_eq!(container.sh("cat /dev/elsewhere/data").stdout, "mine\n");
}
