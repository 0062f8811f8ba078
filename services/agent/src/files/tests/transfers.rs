//! Transfers whose stream breaks.

use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::fixture::*;
use crate::files::cancel::Cancel;
use crate::files::error::FileError;
use crate::files::incoming::Incoming;
use crate::files::outgoing::Outgoing;
use crate::files::registry::{Direction, Registry, TRANSFERS, Work};
use crate::pb::{self, CopyFormat, FailureReason};

#[test]
fn a_copy_from_a_container_continues_with_any_byte_that_is_kept() {
    let directory = Directory::new();
    directory.sh("head -c 6000000 /dev/urandom > f");
    let whole = std::fs::read(directory.path.join("f")).unwrap();
    let outgoing = Outgoing::new(0, true, Cancel::default());
    let stream = outgoing.join(0).unwrap();
    start_reading(&directory.root, "f", CopyFormat::File, &outgoing);
    let (first, _) = drain(&outgoing, stream, 0, 3_000_000).unwrap();
    let from = first.len() as u64 - 900_000;
    let again = outgoing.join(from).unwrap();
    assert!(matches!(drain(&outgoing, stream, 0, u64::MAX), Err(FileError::TakenOver)));
    let (rest, end) = drain(&outgoing, again, from, u64::MAX).unwrap();
    assert!([&first[..from as usize], &rest].concat() == whole);
    assert_eq!(end.unwrap().sha256.to_vec(), Sha256::digest(&whole).to_vec());
    let refused = outgoing.join(1000).unwrap_err();
    assert_eq!(refused.reason(), FailureReason::OffsetNotHeld);
    assert!(refused.earliest_offset().unwrap() > 1000);
    let last = outgoing.join(6_000_000).unwrap();
    assert!(drain(&outgoing, last, 6_000_000, u64::MAX).unwrap().1.is_some(), "the end can be asked for again");
}

#[tokio::test]
async fn a_copy_to_a_container_continues_with_the_byte_that_is_missing() {
    let directory = Directory::new();
    let whole: Vec<u8> = (0..5_000_000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let start = pb::CopyToStart { path: "f".into(), format: CopyFormat::File.into(), ..Default::default() };
    let incoming = Incoming::new(Cancel::default());
    let (stream, _) = incoming.join();
    start_writing(&directory.root, start, &incoming);
    send(&incoming, stream, &whole[..2_000_000], 0, false).await.unwrap();
    let (again, offset) = incoming.join();
    assert!((950_000..=2_000_000).contains(&offset), "only what the thread has not taken is sent again: {offset}");
    let late = pb::CopyChunk { offset, data: Bytes::from_static(b"x") };
    assert!(matches!(incoming.put(stream, late), Err(FileError::TakenOver)));
    assert!(!directory.path.join("f").exists(), "a file is there when all its bytes are");
    let end = send(&incoming, again, &whole, offset, true).await.unwrap();
    assert_eq!(end.total_bytes, 5_000_000);
    assert!(std::fs::read(directory.path.join("f")).unwrap() == whole);
    let (last, offset) = incoming.join();
    assert_eq!(send(&incoming, last, &whole, offset, true).await.unwrap(), end, "the end can be asked for again");
}

#[tokio::test]
async fn a_wrong_digest_or_offset_writes_nothing() {
    let directory = Directory::new();
    directory.sh("printf old > f");
    let start = || pb::CopyToStart { path: "f".into(), format: CopyFormat::File.into(), ..Default::default() };
    for (total_bytes, digest) in [(3, Sha256::digest(b"abd")), (2, Sha256::digest(b"abc"))] {
        let incoming = Incoming::new(Cancel::default());
        let (stream, _) = incoming.join();
        start_writing(&directory.root, start(), &incoming);
        incoming.put(stream, pb::CopyChunk { offset: 0, data: Bytes::from_static(b"abc") }).unwrap();
        let gap = pb::CopyChunk { offset: 4, data: Bytes::from_static(b"abc") };
        assert_eq!(incoming.put(stream, gap).unwrap_err().reason(), FailureReason::Invalid);
        incoming.put_eof(stream, pb::CopyToEof { total_bytes, sha256: digest.to_vec().into() }).unwrap();
        let mut told = 0;
        let refused = loop {
            match incoming.next(stream, &mut told).await {
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        assert_eq!(refused.reason(), FailureReason::DigestMismatch);
    }
    assert_eq!(directory.sh("cat f; ls -A"), "oldf\n");
}

#[tokio::test]
async fn a_client_that_sends_beyond_its_window_is_refused() {
    // No thread takes anything.
    let incoming = Incoming::new(Cancel::default());
    let (stream, _) = incoming.join();
    let chunk = |offset| pb::CopyChunk { offset, data: vec![0; 256 * 1024].into() };
    for offset in 0..4 {
        incoming.put(stream, chunk(offset * 256 * 1024)).unwrap();
    }
    assert_eq!(incoming.put(stream, chunk(1 << 20)).unwrap_err().reason(), FailureReason::Invalid);
}

#[tokio::test]
async fn a_transfer_that_is_given_up_leaves_nothing() {
    let directory = Directory::new();
    let registry = Arc::new(Registry::default());
    let start = pb::CopyToStart { path: "f".into(), format: CopyFormat::File.into(), ..Default::default() };
    let incoming = Incoming::new(Cancel::default());
    let (stream, _) = incoming.join();
    start_writing(&directory.root, start, &incoming);
    let transfer = registry.remember("t1", "c1", "f", Direction::To(incoming.clone()));
    send(&incoming, stream, &[1; 300_000], 0, false).await.unwrap();
    let (again, _) = incoming.join();
    registry.give_up("t1", transfer.number, stream);
    assert!(registry.find("t1", "c1", "f").is_ok(), "another stream has joined");
    assert!(registry.find("t1", "c2", "f").is_err() && registry.find("t1", "c1", "g").is_err());
    registry.give_up("t1", transfer.number, again);
    assert_eq!(registry.find("t1", "c1", "f").err().unwrap().reason(), FailureReason::TransferNotFound);
    let mut told = 300_000;
    assert!(matches!(incoming.next(again, &mut told).await, Err(FileError::Closed)));
    while !incoming.has_ended() {
        tokio::task::yield_now().await;
    }
    assert_eq!(directory.sh("ls -A"), "");
}

#[tokio::test]
async fn the_removal_of_a_container_waits_until_its_files_are_closed() {
    let registry = Arc::new(Registry::default());
    let cancel = Cancel::default();
    let entries: Vec<_> = (0..TRANSFERS).map(|_| registry.enter(Work::Transfer, "c1", &cancel).unwrap()).collect();
    let more = registry.enter(Work::Transfer, "c2", &cancel).err().unwrap();
    assert_eq!(more.reason(), FailureReason::Exhausted);
    let other = registry.enter(Work::Call, "c2", &Cancel::default()).unwrap();
    let closing = tokio::spawn({
        let registry = registry.clone();
        async move { registry.close("c1").await }
    });
    tokio::task::yield_now().await;
    assert!(cancel.is_cancelled() && !closing.is_finished());
    drop(entries);
    let closed = closing.await.unwrap();
    assert!(registry.enter(Work::Call, "c1", &cancel).is_err(), "no work begins while the container is removed");
    drop((closed, other));
    assert!(registry.enter(Work::Call, "c1", &cancel).is_ok());
}
