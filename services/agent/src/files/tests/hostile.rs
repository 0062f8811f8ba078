//! Archives and containers that try to reach what is outside.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tar::{EntryType, Header};

use super::fixture::*;
use crate::pb::{self, CopyFormat, FailureReason};

/// A raw entry: type, name, link, content.
type Raw<'a> = (EntryType, &'a str, &'a str, &'a [u8]);

/// An archive of raw entries.
fn archive(entries: &[Raw<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (kind, name, link, content) in entries {
        let mut header = Header::new_ustar();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(*kind);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(content.len() as u64);
        header.set_cksum();
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

/// A directory with a file outside of `root`, which is the target.
fn planted() -> Directory {
    let directory = Directory::new();
    directory.sh("mkdir -p root/in; printf secret > outside; chmod 600 outside");
    directory
}

#[test]
fn entries_that_lead_elsewhere_are_refused() {
    use EntryType::{Directory as Dir, Link, Regular, Symlink};
    let cases: [&[Raw<'_>]; 10] = [
        &[(Regular, "../outside", "", b"bad")],
        &[(Regular, "/outside", "", b"bad")],
        &[(Regular, "in/../../outside", "", b"bad")],
        &[(Symlink, "l", "..", b""), (Regular, "l/outside", "", b"bad")],
        &[(Symlink, "l", "/", b""), (Regular, "l/outside", "", b"bad")],
        &[(Symlink, "l", "in", b""), (Regular, "l/f", "", b"bad")],
        &[(Link, "hard", "../outside", b""), (Regular, "hard", "", b"bad")],
        &[(Symlink, "l", "..", b""), (Link, "hard", "l/outside", b"")],
        &[(Symlink, "l", "../outside", b""), (Dir, "l", "", b"")],
        &[(Regular, "in/f/..", "", b"bad")],
    ];
    for case in cases {
        let directory = planted();
        let refused = directory.extract("/root", &archive(case)).unwrap_err();
        assert!(matches!(refused.reason(), FailureReason::Invalid | FailureReason::FileRefused), "{refused}");
        assert_eq!(directory.sh("cat outside; stat -c ' %a %h' outside; ls | wc -l"), "secret 600 1\n2\n");
    }
}

#[test]
fn a_file_replaces_a_link_and_is_not_written_through_it() {
    let directory = planted();
    let entries = [
        (EntryType::Symlink, "l", "../outside", b"".as_slice()),
        (EntryType::Regular, "l", "", b"inside"),
        (EntryType::Symlink, "m", "../outside", b""),
        (EntryType::Link, "n", "m", b""),
        (EntryType::Char, "null", "", b""),
    ];
    let end = directory.extract("/root", &archive(&entries)).unwrap();
    assert_eq!((end.entries, end.skipped), (4, 1), "{:?}", end.warnings);
    assert_eq!(directory.sh("cat root/l outside; readlink root/n; ls root | wc -l"), "insidesecret../outside\n4\n");
}

#[test]
fn what_is_no_archive_is_refused_and_leaves_no_temporary_file() {
    let directory = planted();
    let good = archive(&[(EntryType::Regular, "f", "", &[7; 2000])]);
    let mut sum = good.clone();
    sum[0] ^= 1;
    let huge = archive(&[(EntryType::XHeader, "x", "", &[b'1'; 70_000])]);
    let cases = [Vec::new(), vec![7; 512], good[..1024].to_vec(), good[..100].to_vec(), sum, huge];
    for case in cases {
        let refused = directory.extract("/root", &case).unwrap_err();
        assert_eq!(refused.reason(), FailureReason::Invalid, "{refused}");
    }
    assert_eq!(directory.sh("ls -A root"), "in\n");
    let start = pb::CopyToStart { path: "/root".into(), format: CopyFormat::Tar.into(), ..Default::default() };
    directory.write(start, &good).unwrap();
}

#[test]
fn a_path_with_links_stays_inside_the_root() {
    let directory = planted();
    directory.sh("ln -s ../outside root/l; ln -s /outside root/m; ln -s ../../.. root/up; mkfifo root/fifo");
    let root = Arc::new(open(&directory.path.join("root")));
    let file =
        |path: &str| pb::CopyToStart { path: path.into(), format: CopyFormat::File.into(), ..Default::default() };
    for path in ["l", "/m", "up/outside", "../outside", "/in/../../../outside"] {
        write_to(&root, file(path), b"inside").unwrap();
        assert_eq!(directory.sh("cat outside root/outside"), "secretinside", "{path}");
        directory.sh("rm root/outside");
    }
    for path in ["fifo", "in", "/", "/.."] {
        let refused = write_to(&root, file(path), b"x").unwrap_err();
        assert_eq!(refused.reason(), FailureReason::FileRefused, "{path}");
    }
    assert_eq!(directory.read("root/fifo", CopyFormat::File).unwrap_err().reason(), FailureReason::FileRefused);
}

#[test]
fn nothing_outside_changes_while_a_directory_and_a_link_change_places() {
    let directory = Arc::new(Directory::new());
    directory.sh("mkdir -p root/a/d outside/d; ln -s ../outside root/b; printf secret > outside/d/f");
    let (ended, swapping) = (Arc::new(AtomicBool::new(false)), directory.clone());
    let stop = ended.clone();
    let swapper = std::thread::spawn(move || {
        let root = open(&swapping.path.join("root"));
        for _ in 0..10_000 {
            let flags = rustix::fs::RenameFlags::EXCHANGE;
            rustix::fs::renameat_with(&root, "a", &root, "b", flags).unwrap();
        }
        stop.store(true, Ordering::SeqCst);
    });
    let root = Arc::new(open(&directory.path.join("root")));
    let tar = archive(&[
        (EntryType::Directory, "a", "", b""),
        (EntryType::Directory, "a/d", "", b""),
        (EntryType::Regular, "a/d/f", "", b"bad"),
        (EntryType::Link, "a/d/g", "a/d/f", b""),
        (EntryType::Symlink, "a/d/l", "x", b""),
    ]);
    let (mut rounds, mut written) = (0, 0);
    while !ended.load(Ordering::SeqCst) || rounds < 50 {
        let format = |format: CopyFormat, path: &str| pb::CopyToStart {
            path: path.into(),
            format: format.into(),
            ..Default::default()
        };
        written += u32::from(write_to(&root, format(CopyFormat::Tar, "/"), &tar).is_ok());
        let _ = write_to(&root, format(CopyFormat::File, "a/d/f"), b"bad");
        rounds += 1;
    }
    swapper.join().unwrap();
    assert_eq!(directory.sh("cat outside/d/f; ls -A outside outside/d"), "secretoutside:\nd\n\noutside/d:\nf\n");
    assert!(rounds >= 50, "{written} of {rounds} archives were extracted");
}
