//! Attributes, listings, new directories and removals.

use std::collections::BTreeSet;
use std::os::fd::AsFd;

use super::fixture::*;
use crate::files::cancel::Cancel;
use crate::files::error::Result;
use crate::files::{directory, list, remove};
use crate::pb::{self, FailureReason, FileType};

fn stat(root: &Directory, path: &str, follow: bool) -> Result<pb::FileInfo> {
    let request = pb::StatFileRequest { path: path.into(), follow, ..Default::default() };
    list::stat(root.root.as_fd(), &request).map(|answer| answer.file.unwrap())
}

fn make(root: &Directory, path: &str, mode: u32, parents: bool) -> Result<pb::MakeDirectoryResponse> {
    let request = pb::MakeDirectoryRequest { path: path.into(), mode, parents, ..Default::default() };
    directory::make(root.root.as_fd(), &request)
}

fn delete(root: &Directory, path: &str, recursive: bool) -> Result<pb::RemoveFileResponse> {
    let request = pb::RemoveFileRequest { path: path.into(), recursive, ..Default::default() };
    remove::remove(root.root.as_fd(), &request, &Cancel::default())
}

#[test]
fn a_file_has_its_attributes_and_a_link_its_target() {
    let root = Directory::new();
    root.sh(
        "printf abc > f; chown 5:6 f; chmod 4750 f; touch -d @7.25 f; ln -s /f l; ln -s l m; mkfifo p; ln -s x gone",
    );
    let file = stat(&root, "/f", false).unwrap();
    assert_eq!((file.name.as_str(), file.r#type(), file.size_bytes), ("f", FileType::Regular, 3));
    assert_eq!((file.mode, file.uid, file.gid), (0o4750, 5, 6));
    assert_eq!(file.modified_at, Some(prost_types::Timestamp { seconds: 7, nanos: 250_000_000 }));
    let link = stat(&root, "m", false).unwrap();
    assert_eq!((link.r#type(), link.link_target.as_str()), (FileType::Symlink, "l"));
    assert_eq!(stat(&root, "m", true).unwrap().r#type(), FileType::Regular);
    assert_eq!(stat(&root, "p", true).unwrap().r#type(), FileType::Other);
    assert_eq!(stat(&root, "/", false).unwrap().r#type(), FileType::Directory);
    let cases = [
        ("none", FailureReason::FileNotFound),
        ("gone", FailureReason::FileNotFound),
        ("f/x", FailureReason::FileRefused),
        ("", FailureReason::Invalid),
        ("a\0b", FailureReason::Invalid),
    ];
    for (path, reason) in cases {
        assert_eq!(stat(&root, path, true).unwrap_err().reason(), reason, "{path:?}");
    }
}

#[test]
fn a_directory_is_listed_page_by_page_with_every_file_once() {
    let root = Directory::new();
    root.sh("mkdir d; cd d; seq 1 2500 | xargs touch; ln -s target link");
    let (mut names, mut token, mut pages) = (BTreeSet::new(), String::new(), 0);
    loop {
        let request =
            pb::ListFilesRequest { path: "/d".into(), page_size: 1000, page_token: token, ..Default::default() };
        let page = list::list(root.root.as_fd(), &request).unwrap();
        for file in page.files {
            assert_eq!(file.link_target.is_empty(), file.r#type() == FileType::Regular);
            assert!(names.insert(file.name.clone()), "{} is listed twice", file.name);
        }
        (token, pages) = (page.next_page_token, pages + 1);
        if token.is_empty() {
            break;
        }
    }
    assert_eq!((names.len(), pages), (2501, 3));
    for (page_size, page_token) in [(1001, ""), (1, "x"), (1, "-1")] {
        let request =
            pb::ListFilesRequest { path: "/d".into(), page_size, page_token: page_token.into(), ..Default::default() };
        assert_eq!(list::list(root.root.as_fd(), &request).unwrap_err().reason(), FailureReason::Invalid);
    }
    let request = pb::ListFilesRequest { path: "/d/1".into(), ..Default::default() };
    assert_eq!(list::list(root.root.as_fd(), &request).unwrap_err().reason(), FailureReason::FileRefused);
}

#[test]
fn a_directory_is_created_with_its_mode_and_missing_parents_on_request() {
    let root = Directory::new();
    root.sh("mkdir -p real/sub; ln -s /real/sub l; ln -s nowhere bad; printf x > f");
    make(&root, "one", 0o2777, false).unwrap();
    make(&root, "l/../b/c", 0o700, true).unwrap();
    make(&root, "l/../b/c", 0o711, true).unwrap();
    assert_eq!(root.sh("stat -c %a one real/b real/b/c"), "2777\n755\n700\n");
    let cases = [
        ("one", false, FailureReason::FileRefused),
        ("no/such", false, FailureReason::FileNotFound),
        ("f/x", true, FailureReason::FileRefused),
        ("bad/x", true, FailureReason::FileRefused),
        ("x/../y", true, FailureReason::FileNotFound),
        ("/", false, FailureReason::Invalid),
    ];
    for (path, parents, reason) in cases {
        let refused = make(&root, path, 0, parents).unwrap_err();
        assert_eq!(refused.reason(), reason, "{path}: {refused}");
    }
    make(&root, "/", 0, true).unwrap();
}

#[test]
fn a_removal_takes_a_tree_but_neither_targets_of_links_nor_the_root() {
    let root = Directory::new();
    root.sh(
        "mkdir -p keep d/e/f; printf x > keep/x; ln -s ../keep d/l; ln -s /keep l; mkfifo d/p; touch d/e/1 d/e/f/2",
    );
    delete(&root, "l", true).unwrap();
    assert_eq!(delete(&root, "d", false).unwrap_err().reason(), FailureReason::FileRefused);
    delete(&root, "d", true).unwrap();
    assert_eq!(root.sh("find . | sort"), ".\n./keep\n./keep/x\n");
    for path in ["/", ".", "keep/..", "/../"] {
        assert_eq!(delete(&root, path, true).unwrap_err().reason(), FailureReason::Invalid, "{path}");
    }
    assert_eq!(delete(&root, "none", true).unwrap_err().reason(), FailureReason::FileNotFound);
}

#[test]
fn a_tree_of_any_depth_is_removed_and_archived_up_to_a_limit() {
    let root = Directory::new();
    let mut at = rustix::fs::openat(
        &root.root,
        ".",
        rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::DIRECTORY,
        rustix::fs::Mode::empty(),
    )
    .unwrap();
    for _ in 0..5000 {
        at = directory::create(at.as_fd(), b"d", 0o755).unwrap();
        directory::create(at.as_fd(), b"other", 0o755).unwrap();
    }
    drop(at);
    let (_, end) = root.archive("d");
    assert!(end.skipped > 0 && end.entries > 500, "{} entries", end.entries);
    delete(&root, "d", true).unwrap();
    assert_eq!(root.sh("ls -A"), "");
}
