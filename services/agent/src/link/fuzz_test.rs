use std::io::Write;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::*;
use crate::fuzzing::{Random, fuzz};
use crate::link::scanner::{Found, Nonce, Scanner};

/// Feeds bytes to a scanner in pieces, as the link does. Returns the nonces of the HELLOs that it finds.
fn hellos(bytes: &[u8], mut piece: impl FnMut(usize) -> usize) -> Vec<Nonce> {
    let (mut scanner, mut found, mut at, mut steps) = (Scanner::new(), Vec::new(), 0, 0);
    while at < bytes.len() {
        let end = at + piece(bytes.len() - at);
        while at < end {
            steps += 1;
            assert!(steps <= 4 * bytes.len() + 16, "it does not come to an end");
            let used = match scanner.feed(&bytes[at..end]) {
                Found::Bytes { used, .. } => {
                    assert!(used > 0, "nothing is used");
                    used
                }
                Found::Hello { used, nonce } => {
                    found.push(nonce);
                    scanner.expect_preface();
                    used
                }
                Found::Broken { used } => used,
            };
            assert!(used <= end - at);
            at += used;
        }
        scanner.stalled_hello();
    }
    found
}

#[test]
fn the_scanner_finds_the_same_hellos_in_pieces_of_any_size() {
    fuzz("scanner", |bytes| {
        let whole = hellos(bytes, |left| left);
        assert_eq!(whole, hellos(bytes, |_| 1));
        let mut random = Random::new(bytes.len() as u64);
        assert_eq!(whole, hellos(bytes, |left| 1 + random.below(left.min(50))));
    });
}

#[test]
fn a_hello_is_answered_after_any_bytes() {
    let executor = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    fuzz("scanner", |bytes| {
        executor.block_on(async {
            let (ours, mut theirs) = UnixStream::pair().unwrap();
            ours.set_nonblocking(true).unwrap();
            let link = Link::new(Port::new(ours.into()).unwrap(), true);
            theirs.write_all(bytes).unwrap();
            let nonce = "f".repeat(32);
            theirs.write_all(format!("PADDOCK/1 HELLO {nonce}\n").as_bytes()).unwrap();
            let search = async {
                let wanted = format!("PADDOCK/1 READY {nonce}\n");
                while link.hello().await.unwrap().ready_line() != wanted.as_bytes() {}
            };
            let following = async { drop(link.follow().await) };
            let waited = async {
                tokio::select! { () = search => {}, () = following => panic!("the port failed") }
            };
            tokio::time::timeout(Duration::from_secs(20), waited).await.expect("the HELLO is not heard");
        });
    });
}
