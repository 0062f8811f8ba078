//! Trees that are archived and extracted again.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};

use super::fixture::*;
use crate::pb::{self, CopyFormat};

/// A tree with every kind of entry.
fn plant(directory: &Directory) {
    directory.sh(r#"
        mkdir -p tree/empty tree/sub/deeper; cd tree
        printf hello > file; printf '' > nothing; chown 1000:1001 file; chmod 4755 file
        ln file sub/again; ln file sub/third; ln -s ../file sub/link; ln -s /nowhere dangling
        mkfifo fifo; chmod 2750 fifo; mknod null c 1 3; mknod disk b 7 200
        truncate -s 5M sub/sparse; printf middle | dd of=sub/sparse bs=1 seek=2000000 conv=notrunc status=none
        truncate -s 1M sub/hole; printf é > 'sub/naïve – ü'
        name=$(head -c 180 /dev/zero | tr '\0' n); mkdir "sub/$name"; printf x > "sub/$name/$name"
        ln -s "$name/$name" sub/long-link; printf big > owner; chown 3000000:4000000000 owner
        head -c 300000 /dev/urandom > random
        touch -d '2001-02-03 04:05:06.123456789 UTC' file random; touch -h -d '1965-01-01 00:00:00.25 UTC' sub/link
        chmod 1777 empty; touch -d '1999-12-31 23:59:59.5 UTC' empty sub/deeper sub
        "#);
    let raw = OsString::from_vec(b"raw-\xff\xfe".to_vec());
    std::fs::write(directory.path.join("tree").join(raw), "raw").unwrap();
    let long = OsString::from_vec([b"\xff".as_slice(), &[b'l'; 150]].concat());
    std::fs::write(directory.path.join("tree").join(long), "long").unwrap();
    rustix::fs::setxattr(directory.path.join("tree/random"), "user.note", b"a\0\n=b", rustix::fs::XattrFlags::empty())
        .unwrap();
    directory.sh("touch -d '2010-10-10 10:10:10.000000001 UTC' tree");
}

/// What matters of each file of a tree.
fn survey(top: &Path) -> BTreeMap<Vec<u8>, String> {
    let (mut found, mut waiting, mut names) = (BTreeMap::new(), vec![top.to_owned()], BTreeMap::<u64, Vec<_>>::new());
    while let Some(path) = waiting.pop() {
        let metadata = std::fs::symlink_metadata(&path).unwrap();
        let key = path.strip_prefix(top).unwrap().as_os_str().to_owned().into_vec();
        let kind = metadata.file_type();
        let content = if kind.is_file() {
            names.entry(metadata.ino()).or_default().push(key.clone());
            let data = std::fs::read(&path).unwrap();
            let mut note = vec![0; 64];
            let length = rustix::fs::lgetxattr(&path, "user.note", note.as_mut_slice()).unwrap_or(0);
            format!("{} {:?} {:?}", data.len(), sum(&data), &note[..length])
        } else if kind.is_symlink() {
            format!("{:?}", std::fs::read_link(&path).unwrap())
        } else {
            String::new()
        };
        let of = (metadata.uid(), metadata.gid(), metadata.mtime(), metadata.mtime_nsec(), metadata.nlink());
        let of = if kind.is_dir() { (of.0, of.1, of.2, of.3, 0) } else { of };
        found.insert(key, format!("{kind:?} {:o} {of:?} {content}", metadata.permissions().mode()));
        if kind.is_dir() {
            waiting.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    // Which names are one file, whatever its number is.
    for mut names in names.into_values() {
        names.sort();
        let joined: Vec<_> = names.iter().map(|name| String::from_utf8_lossy(name)).collect();
        found.get_mut(&names[0]).unwrap().push_str(&joined.join(" = "));
    }
    found
}

fn sum(data: &[u8]) -> u64 {
    data.iter().fold(7, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

fn assert_same(before: &BTreeMap<Vec<u8>, String>, after: &BTreeMap<Vec<u8>, String>) {
    for (path, seen) in before {
        assert_eq!(after.get(path), Some(seen), "{}", String::from_utf8_lossy(path));
    }
    assert_eq!(before.len(), after.len());
}

/// Devices are archived, but not created.
fn without_devices(directory: &Directory) {
    directory.sh("rm -f tree/null tree/disk; touch -d '2010-10-10 10:10:10.000000001 UTC' tree");
}

#[test]
fn a_tree_with_every_kind_of_entry_survives_its_archive() {
    let (from, to) = (Directory::new(), Directory::new());
    plant(&from);
    let (archive, end) = from.archive("/tree");
    assert!(archive.len() < 3_000_000, "holes take no room: {}", archive.len());
    assert_eq!((end.skipped, end.warnings.len()), (0, 0), "{:?}", end.warnings);
    let extracted = to.extract("/", &archive).unwrap();
    assert_eq!((extracted.skipped, extracted.entries + 2), (2, end.entries), "{:?}", extracted.warnings);
    without_devices(&from);
    assert_same(&survey(&from.path.join("tree")), &survey(&to.path.join("tree")));
    let blocks = std::fs::metadata(to.path.join("tree/sub/sparse")).unwrap().blocks();
    assert!(blocks * 512 < 1 << 20, "a file with holes has them again: {blocks}");
}

#[test]
fn gnu_tar_extracts_an_archive_and_its_own_archives_are_extracted() {
    let (from, by_tar, again) = (Directory::new(), Directory::new(), Directory::new());
    plant(&from);
    let (archive, _) = from.archive("tree");
    let mut tar = Command::new("tar")
        .args(["--xattrs", "--xattrs-include=*", "--same-owner", "-xpf", "-"])
        .current_dir(&by_tar.path)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut tar.stdin.take().unwrap(), &archive).unwrap();
    let output = tar.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_same(&survey(&from.path.join("tree")), &survey(&by_tar.path.join("tree")));
    without_devices(&by_tar);
    let theirs = Command::new("tar")
        .args(["--format=posix", "--sparse", "--xattrs", "--xattrs-include=*", "-cf", "-", "tree"])
        .current_dir(&by_tar.path)
        .output()
        .unwrap();
    again.extract("/", &theirs.stdout).unwrap();
    assert_same(&survey(&by_tar.path.join("tree")), &survey(&again.path.join("tree")));
}

#[test]
fn an_archive_of_gnu_tars_own_format_is_extracted() {
    let (from, to) = (Directory::new(), Directory::new());
    from.sh(
        "mkdir -p tree; n=$(head -c 200 /dev/zero | tr '\\0' n); printf x > tree/$n; ln -s $n$n tree/link; ln tree/$n tree/hard",
    );
    let theirs =
        Command::new("tar").args(["--format=gnu", "-cf", "-", "tree"]).current_dir(&from.path).output().unwrap();
    to.extract("/", &theirs.stdout).unwrap();
    from.sh("find . -exec touch -h -d @1000000000 {} +");
    to.sh("find . -exec touch -h -d @1000000000 {} +");
    assert_same(&survey(&from.path.join("tree")), &survey(&to.path.join("tree")));
}

#[test]
fn an_owner_replaces_those_in_the_archive() {
    let (from, to) = (Directory::new(), Directory::new());
    from.sh("mkdir d; printf x > d/f; ln -s f d/l; chown -h 5:6 d d/f d/l");
    let (archive, _) = from.archive("d");
    let owner = Some(pb::FileOwner { uid: 1234, gid: 4321 });
    let start = pb::CopyToStart { path: "/".into(), format: CopyFormat::Tar.into(), owner, ..Default::default() };
    to.write(start, &archive).unwrap();
    assert_eq!(to.sh("stat -c %u:%g d d/f d/l"), "1234:4321\n1234:4321\n1234:4321\n");
}

#[test]
fn the_content_of_a_directory_goes_into_one_that_exists() {
    let (from, to) = (Directory::new(), Directory::new());
    from.sh("mkdir -p d/sub; printf new > d/f; printf new > d/sub/f");
    to.sh(
        "mkdir -p t/sub; chmod 700 t; printf old > t/f; printf kept > t/kept; ln t/f t/other; printf kept > t/sub/kept",
    );
    let (archive, _) = from.archive("d/.");
    to.extract("/t", &archive).unwrap();
    assert_eq!(to.sh("cat t/f t/kept t/sub/f t/sub/kept t/other; stat -c %a t"), "newkeptnewkeptold700\n");
}

#[test]
fn a_file_is_written_through_links_inside_the_root_only_when_it_is_complete() {
    let directory = Directory::new();
    directory.sh(
        "mkdir -p a/b; printf old > a/b/f; chmod 640 a/b/f; chown 7:8 a/b/f; ln -s b/../../../a/b/f a/l; ln -s /a/l l",
    );
    let start = |path: &str, mode| pb::CopyToStart {
        path: path.into(),
        format: CopyFormat::File.into(),
        mode,
        ..Default::default()
    };
    directory.write(start("/l", 0), b"new").unwrap();
    assert_eq!(
        directory.sh("cat a/b/f; stat -c ' %a %u:%g' a/b/f; readlink l a/l"),
        "new 640 7:8\n/a/l\nb/../../../a/b/f\n"
    );
    directory.write(start("fresh", 0), &vec![9; 3_000_000]).unwrap();
    directory.write(start("/a/exact", 0o4711), b"").unwrap();
    assert_eq!(directory.sh("stat -c '%a %s' fresh a/exact; ls -A | wc -l"), "644 3000000\n4711 0\n3\n");
    let refused = directory.read("/l", CopyFormat::File).unwrap_err();
    assert_eq!(refused.reason(), pb::FailureReason::FileRefused, "a link is not followed unless the request says so");
    let (bytes, end) = directory.read("/a/b/f", CopyFormat::File).unwrap();
    assert_eq!((bytes.as_slice(), end.entries), (b"new".as_slice(), 1));
}
