use std::sync::mpsc::{Receiver, channel};

use super::*;

fn exit(code: i32) -> Exit {
    Exit { code, signal: 0, at: SystemTime::UNIX_EPOCH }
}

fn watch(reaper: &Reaper, starting: &Starting, pid: i32) -> Receiver<i32> {
    let (sender, receiver) = channel();
    reaper.watch(starting, pid, move |exit| sender.send(exit.code).unwrap());
    receiver
}

#[test]
fn an_exit_reaches_its_watcher() {
    let reaper = Reaper::default();
    let starting = reaper.starting();
    let (first, second) = (watch(&reaper, &starting, 10), watch(&reaper, &starting, 11));
    reaper.record(11, exit(3));
    assert_eq!(second.try_recv(), Ok(3));
    assert!(first.try_recv().is_err());
}

#[test]
fn a_process_that_ends_before_its_pid_is_known_is_not_lost() {
    let reaper = Reaper::default();
    let starting = reaper.starting();
    reaper.record(10, exit(7));
    assert_eq!(watch(&reaper, &starting, 10).try_recv(), Ok(7));
}

#[test]
fn an_exit_before_a_start_is_not_taken_for_the_new_process() {
    let reaper = Reaper::default();
    reaper.record(10, exit(1));
    let starting = reaper.starting();
    let new = watch(&reaper, &starting, 10);
    assert!(new.try_recv().is_err());
    reaper.record(10, exit(2));
    assert_eq!(new.try_recv(), Ok(2));
}

#[test]
fn exits_of_orphans_are_not_kept() {
    let reaper = Reaper::default();
    let first = reaper.starting();
    let second = reaper.starting();
    (0..2 * UNKNOWN_LIMIT as i32).for_each(|pid| reaper.record(pid, exit(0)));
    assert_eq!(lock(&reaper.table).unknown.len(), UNKNOWN_LIMIT);
    drop(first);
    assert_eq!(lock(&reaper.table).unknown.len(), UNKNOWN_LIMIT, "the other start may need them");
    drop(second);
    assert_eq!(lock(&reaper.table).unknown.len(), 0);
}

#[test]
fn a_wait_status_is_decoded_to_an_exit_code_as_in_a_shell() {
    assert_eq!(decode(0x0300).map(|exit| (exit.code, exit.signal)), Some((3, 0)));
    assert_eq!(decode(9).map(|exit| (exit.code, exit.signal)), Some((137, 9)));
    assert_eq!(decode(0x137f), None, "a stopped process has not ended");
}
