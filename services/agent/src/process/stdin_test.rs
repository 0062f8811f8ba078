use super::*;

fn data(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

/// Everything that the writer would write.
fn drain(stdin: &mut Stdin) -> String {
    let mut text = String::new();
    while let Next::Write(bytes) = stdin.next() {
        text += std::str::from_utf8(&bytes).unwrap();
        stdin.wrote(bytes.len());
    }
    text
}

#[test]
fn bytes_sent_twice_are_written_once() {
    let mut stdin = Stdin::new(true);
    assert_eq!(stdin.offer(0, data("abc")), Ok(Offer::Taken));
    assert_eq!(stdin.offer(0, data("abc")), Ok(Offer::Taken));
    assert_eq!(stdin.offer(1, data("bcde")), Ok(Offer::Taken));
    assert_eq!(drain(&mut stdin), "abcde");
    assert_eq!(stdin.accepted(), 5);
}

#[test]
fn a_gap_is_refused_and_changes_nothing() {
    let mut stdin = Stdin::new(true);
    stdin.offer(0, data("abc")).unwrap();
    assert_eq!(stdin.offer(4, data("e")), Err(StdinError::Gap { expected: 3, offset: 4 }));
    assert_eq!(stdin.finish(4), Err(StdinError::Gap { expected: 3, offset: 4 }));
    stdin.offer(3, data("d")).unwrap();
    assert_eq!(drain(&mut stdin), "abcd");
}

#[test]
fn the_end_comes_after_the_last_byte_was_written() {
    let mut stdin = Stdin::new(true);
    stdin.offer(0, data("ab")).unwrap();
    stdin.finish(2).unwrap();
    assert_eq!(stdin.next(), Next::Write(data("ab")));
    stdin.wrote(1);
    assert_eq!(stdin.next(), Next::Write(data("b")));
    stdin.wrote(1);
    assert_eq!(stdin.next(), Next::Close);
}

#[test]
fn nothing_comes_after_the_end() {
    let mut stdin = Stdin::new(true);
    stdin.offer(0, data("ab")).unwrap();
    stdin.finish(2).unwrap();
    assert_eq!(stdin.finish(2), Ok(()), "the same end may be sent again");
    assert_eq!(stdin.offer(0, data("ab")), Ok(Offer::Taken), "bytes may be sent again");
    assert_eq!(stdin.offer(2, data("c")), Err(StdinError::AfterEnd { end: 2, offset: 3 }));
    assert_eq!(stdin.finish(1), Err(StdinError::EndBehind { offset: 1, reached: 2 }));
}

#[test]
fn a_full_queue_accepts_no_bytes_until_some_are_written() {
    let mut stdin = Stdin::new(true);
    let block = Bytes::from(vec![0; QUEUE_BYTES]);
    assert_eq!(stdin.offer(0, block.clone()), Ok(Offer::Taken));
    assert_eq!(stdin.offer(QUEUE_BYTES as u64, block.clone()), Ok(Offer::Full));
    stdin.wrote(1);
    assert_eq!(stdin.offer(QUEUE_BYTES as u64, block), Ok(Offer::Taken));
}

#[test]
fn a_client_does_not_wait_for_a_process_that_no_longer_reads() {
    let mut stdin = Stdin::new(true);
    stdin.offer(0, data("abc")).unwrap();
    stdin.break_off();
    assert_eq!(stdin.accepted(), 3);
    let block = Bytes::from(vec![0; QUEUE_BYTES]);
    assert_eq!(stdin.offer(3, block.clone()), Ok(Offer::Taken));
    assert_eq!(stdin.offer(3 + QUEUE_BYTES as u64, block), Ok(Offer::Taken));
    assert_eq!(stdin.next(), Next::Close);
}

#[test]
fn stdin_for_a_process_without_one_is_refused() {
    let mut stdin = Stdin::new(false);
    assert_eq!(stdin.next(), Next::Close);
    assert_eq!(stdin.offer(0, data("a")), Err(StdinError::None));
    assert_eq!(stdin.finish(0), Ok(()));
}

#[test]
fn offsets_near_the_largest_number_do_not_overflow() {
    let mut stdin = Stdin::new(true);
    assert!(stdin.offer(u64::MAX, data("a")).is_err());
    assert!(stdin.finish(u64::MAX).is_err());
}
