//! Full disks, and files that change while they are read.

use std::io::Write as _;
use std::os::fd::AsFd;

use super::fixture::*;
use crate::files::cancel::Cancel;
use crate::files::outgoing::Outgoing;
use crate::pb::{self, CopyFormat, FailureReason};

#[test]
fn a_full_disk_fails_a_copy_and_keeps_the_file_that_was_there() {
    let root = small_file_system("1m");
    let file =
        |path: &str| pb::CopyToStart { path: path.into(), format: CopyFormat::File.into(), ..Default::default() };
    write_to(&root, file("f"), b"old").unwrap();
    let full = write_to(&root, file("f"), &vec![1; 3 << 20]).unwrap_err();
    assert_eq!(full.reason(), FailureReason::DiskFull, "{full}");
    let from = Directory::new();
    from.sh("mkdir d; head -c 2000000 /dev/zero | tr '\\0' x > d/big");
    let (archive, _) = from.archive("d");
    let start = pb::CopyToStart { path: "/".into(), format: CopyFormat::Tar.into(), ..Default::default() };
    let full = write_to(&root, start, &archive).unwrap_err();
    assert_eq!(full.reason(), FailureReason::DiskFull, "{full}");
    let mut buffer = [0; 8];
    let kept = rustix::fs::openat(&root, "f", rustix::fs::OFlags::RDONLY, rustix::fs::Mode::empty()).unwrap();
    assert_eq!((rustix::io::read(&kept, &mut buffer).unwrap(), &buffer[..3]), (3, b"old".as_slice()));
    // The temporary files are gone, and so is what they took.
    write_to(&root, file("g"), &vec![1; 900_000]).unwrap();
}

#[test]
fn a_file_that_grows_or_shrinks_is_read_with_its_former_size() {
    for (change, expected) in [(3_u64 << 20, "grew"), (1000, "shrank")] {
        for format in [CopyFormat::File, CopyFormat::Tar] {
            let directory = Directory::new();
            let path = directory.path.join("f");
            std::fs::write(&path, vec![b'x'; 2 << 20]).unwrap();
            let outgoing = Outgoing::new(0, false, Cancel::default());
            let stream = outgoing.join(0).unwrap();
            start_reading(&directory.root, "f", format, &outgoing);
            // The thread is at most half a megabyte ahead of this.
            let (first, _) = drain(&outgoing, stream, 0, 1).unwrap();
            let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
            file.set_len(change).unwrap();
            (&file).write_all(b"y").unwrap();
            let (rest, end) = drain(&outgoing, stream, first.len() as u64, u64::MAX).unwrap();
            let (bytes, end) = ([first, rest].concat(), end.unwrap());
            let length = if format == CopyFormat::File { 2 << 20 } else { (2 << 20) + 3 * 512 };
            assert!(bytes.len() == length || bytes.len() == length + 1024, "{}", bytes.len());
            assert_eq!(end.skipped, 1);
            assert!(end.warnings[0].contains(expected), "{:?}", end.warnings);
        }
    }
}

#[test]
fn a_stream_that_stops_reading_stops_the_thread() {
    let directory = Directory::new();
    std::fs::write(directory.path.join("f"), vec![b'x'; 8 << 20]).unwrap();
    let outgoing = Outgoing::new(0, true, Cancel::default());
    let stream = outgoing.join(0).unwrap();
    start_reading(&directory.root, "f", CopyFormat::File, &outgoing);
    let (some, _) = drain(&outgoing, stream, 0, 4 << 20).unwrap();
    assert!(some.len() < (4 << 20) + 256 * 1024);
    assert!(outgoing.kept_bytes() <= (2 << 20) + 768 * 1024, "{}", outgoing.kept_bytes());
    outgoing.cancel.cancel();
    assert!(drain(&outgoing, stream, some.len() as u64, u64::MAX).is_err());
}

#[test]
fn files_of_the_kernel_are_neither_read_nor_written() {
    let proc = std::sync::Arc::new(open("/proc".as_ref()));
    let file =
        pb::CopyToStart { path: "sys/kernel/hostname".into(), format: CopyFormat::File.into(), ..Default::default() };
    assert_eq!(write_to(&proc, file, b"x").unwrap_err().reason(), FailureReason::FileRefused);
    let request = pb::RemoveFileRequest { path: "self/exe".into(), ..Default::default() };
    assert!(crate::files::remove::remove(proc.as_fd(), &request, &Cancel::default()).is_err());
    let outgoing = Outgoing::new(0, false, Cancel::default());
    let stream = outgoing.join(0).unwrap();
    start_reading(&proc, "cpuinfo", CopyFormat::File, &outgoing);
    assert_eq!(drain(&outgoing, stream, 0, 1).unwrap_err().reason(), FailureReason::FileRefused);
}
