//! Watches.

use std::collections::BTreeSet;
use std::os::fd::AsFd;
use std::sync::Arc;

use super::fixture::*;
use crate::files::cancel::{Cancel, CancelOnDrop};
use crate::files::changes::Changes;
use crate::files::error::Result;
use crate::files::watch::watch;
use crate::files::worker;
use crate::pb::watch_files_response::Message;
use crate::pb::{self, FailureReason, FileChangeKind};

async fn start(root: &Directory, path: &str, recursive: bool) -> Result<(Arc<Changes>, CancelOnDrop)> {
    let cancel = Cancel::default();
    let changes = Changes::new(cancel.clone());
    let request = pb::WatchFilesRequest { path: path.into(), recursive, ..Default::default() };
    let (root, watched, ended) = (root.root.clone(), changes.clone(), changes.clone());
    worker::spawn(move || watch(root.as_fd(), &request, &watched), move |result| ended.finish(result))?;
    changes.started().await?;
    Ok((changes, CancelOnDrop(cancel)))
}

/// Reads changes until one of this path and kind.
async fn until(changes: &Changes, path: &str, kind: FileChangeKind) -> BTreeSet<(String, i32)> {
    let mut seen = BTreeSet::new();
    loop {
        match changes.next().await.unwrap() {
            Message::Change(change) => {
                let is_it = change.path == path && change.kind() == kind;
                seen.insert((change.path, change.kind));
                if is_it {
                    return seen;
                }
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn changes_of_a_directory_are_reported() {
    let root = Directory::new();
    root.sh("mkdir -p d/below; ln -s /d link");
    let (changes, _watch) = start(&root, "/link", false).await.unwrap();
    root.sh("printf x > d/f; chmod 600 d/f; mv d/f d/g; printf x > d/below/unseen; rm d/g");
    let seen = until(&changes, "g", FileChangeKind::Removed).await;
    let expected = [
        ("f", FileChangeKind::Created),
        ("f", FileChangeKind::Written),
        ("f", FileChangeKind::Attributes),
        ("f", FileChangeKind::Removed),
        ("g", FileChangeKind::Created),
        ("g", FileChangeKind::Removed),
    ];
    assert_eq!(seen, expected.map(|(path, kind)| (path.to_owned(), kind.into())).into());
    root.sh("mv d elsewhere");
    until(&changes, "", FileChangeKind::Removed).await;
}

#[tokio::test]
async fn a_recursive_watch_follows_directories_that_are_created_and_moved() {
    let root = Directory::new();
    root.sh("mkdir -p d/a/b away");
    let (changes, _watch) = start(&root, "d", true).await.unwrap();
    root.sh("printf x > d/a/b/f");
    until(&changes, "a/b/f", FileChangeKind::Written).await;
    root.sh("mkdir -p d/n/m; printf x > d/n/m/f");
    until(&changes, "n/m/f", FileChangeKind::Created).await;
    root.sh("mv d/a d/moved");
    until(&changes, "moved/b", FileChangeKind::Created).await;
    root.sh("printf y > d/moved/b/g");
    let seen = until(&changes, "moved/b/g", FileChangeKind::Created).await;
    assert!(seen.iter().all(|(path, _)| !path.starts_with("a/")), "{seen:?}");
    root.sh("mv d/moved away; printf z > away/moved/b/h; printf x > d/last");
    let seen = until(&changes, "last", FileChangeKind::Created).await;
    assert!(seen.iter().all(|(path, _)| !path.ends_with('h')), "{seen:?}");
}

#[tokio::test]
async fn a_client_that_reads_slowly_is_told_that_it_missed_changes() {
    let root = Directory::new();
    let (changes, _watch) = start(&root, "/", false).await.unwrap();
    root.sh("seq 1 5000 | xargs touch");
    let mut reported = 0;
    loop {
        match changes.next().await.unwrap() {
            Message::Change(_) => reported += 1,
            Message::Missed(_) => break,
            Message::Started(_) => panic!("started comes from elsewhere"),
        }
    }
    assert!(reported >= 1024, "{reported}");
    root.sh("printf x > after");
    loop {
        match changes.next().await.unwrap() {
            Message::Change(change) if change.path == "after" => break,
            // This change may be among the missed ones.
            Message::Missed(_) => drop(root.sh("printf x > after")),
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_watch_of_too_many_directories_or_of_a_file_is_refused() {
    let root = Directory::new();
    root.sh("mkdir d; cd d; seq 1 4100 | xargs mkdir; printf x > ../f");
    let refused = start(&root, "/d", true).await.err().unwrap();
    assert_eq!(refused.reason(), FailureReason::Exhausted, "{refused}");
    start(&root, "/d", false).await.unwrap();
    assert_eq!(start(&root, "/f", false).await.err().unwrap().reason(), FailureReason::FileRefused);
    assert_eq!(start(&root, "/none", false).await.err().unwrap().reason(), FailureReason::FileNotFound);
}
