use super::*;

/// A small random generator with a seed, so that a failing run can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound.max(1)
    }
}

fn budget() -> Budget {
    Budget::new(64 * 1024 * 1024)
}

fn ring(capacity: usize, overflow: Overflow) -> Ring {
    Ring::new(capacity, overflow, budget())
}

/// The byte at an offset of every test stream.
fn byte_at(offset: u64) -> u8 {
    (offset.wrapping_mul(31) >> 3) as u8
}

fn bytes(from: u64, count: usize) -> Vec<u8> {
    (from..from + count as u64).map(byte_at).collect()
}

fn fill(ring: &mut Ring, wanted: usize) -> usize {
    let count = wanted.min(ring.room(wanted));
    ring.push(&bytes(ring.end(), count))
}

#[test]
fn a_full_ring_without_a_holder_has_no_room() {
    let mut ring = ring(1000, Overflow::Block);
    assert_eq!(fill(&mut ring, 5000), 1000);
    assert_eq!(ring.room(1), 0);
    assert_eq!(ring.read(0, 10_000), bytes(0, 1000));
}

#[test]
fn bytes_leave_when_every_holder_has_acknowledged_them_and_room_is_needed() {
    let mut ring = ring(1000, Overflow::Block);
    ring.hold(HolderId(1), 0);
    ring.hold(HolderId(2), 0);
    fill(&mut ring, 1000);
    ring.acknowledge(HolderId(1), 800).unwrap();
    assert_eq!(ring.room(1), 0, "the other holder has not acknowledged");
    ring.acknowledge(HolderId(2), 300).unwrap();
    assert_eq!(ring.base(), 0, "nobody needs the room yet");
    assert_eq!(ring.room(1000), 300);
    fill(&mut ring, 200);
    assert_eq!((ring.base(), ring.end()), (200, 1200));
}

#[test]
fn a_released_holder_blocks_nothing_and_releases_nothing_new() {
    let mut ring = ring(1000, Overflow::Block);
    ring.hold(HolderId(1), 0);
    fill(&mut ring, 1000);
    ring.acknowledge(HolderId(1), 400).unwrap();
    ring.release(HolderId(1));
    assert_eq!(ring.room(1000), 400, "acknowledged bytes stay released");
    ring.hold(HolderId(2), 400);
    assert_eq!(ring.room(1000), 400);
    ring.acknowledge(HolderId(2), 1000).unwrap();
    assert_eq!(ring.room(1000), 1000);
}

#[test]
fn the_slower_of_two_holders_no_longer_counts_once_released() {
    let mut ring = ring(1000, Overflow::Block);
    ring.hold(HolderId(1), 0);
    ring.hold(HolderId(2), 0);
    fill(&mut ring, 1000);
    ring.acknowledge(HolderId(2), 1000).unwrap();
    assert_eq!(ring.room(1), 0);
    ring.release(HolderId(1));
    assert_eq!(ring.room(1000), 1000);
}

#[test]
fn a_ring_that_drops_always_has_room_and_knows_its_oldest_byte() {
    let mut ring = ring(1000, Overflow::DropOldest);
    ring.hold(HolderId(1), 0);
    for _ in 0..10 {
        assert_eq!(fill(&mut ring, 300), 300);
    }
    assert_eq!((ring.base(), ring.end()), (2000, 3000));
    assert_eq!(ring.read(1999, 10), Bytes::new());
    assert_eq!(ring.read(2000, 10), bytes(2000, 10));
}

#[test]
fn acknowledging_bytes_that_were_never_written_is_refused() {
    let mut ring = ring(1000, Overflow::Block);
    ring.hold(HolderId(1), 0);
    fill(&mut ring, 10);
    assert_eq!(ring.acknowledge(HolderId(1), 11), Err(RingError::Ahead { acknowledged: 11, end: 10 }));
    assert_eq!(ring.acknowledged(HolderId(1)), Some(0));
}

#[test]
fn offsets_that_are_not_held_are_refused() {
    let mut ring = ring(100, Overflow::DropOldest);
    fill(&mut ring, 100);
    fill(&mut ring, 50);
    assert!(ring.check(49).is_err());
    assert!(ring.check(50).is_ok());
    assert!(ring.check(150).is_ok(), "the next byte to come may be waited for");
    assert!(ring.check(151).is_err());
}

#[test]
fn a_ring_grows_only_as_far_as_the_budget_grants() {
    let budget = Budget::new(3 * FLOOR_BYTES);
    let mut first = Ring::new(16 * FLOOR_BYTES, Overflow::Block, budget.clone());
    let mut second = Ring::new(16 * FLOOR_BYTES, Overflow::Block, budget.clone());
    assert_eq!(fill(&mut first, 16 * FLOOR_BYTES), 2 * FLOOR_BYTES);
    assert_eq!(fill(&mut second, 16 * FLOOR_BYTES), FLOOR_BYTES, "every ring has the floor");
    drop(first);
    assert_eq!(fill(&mut second, 16 * FLOOR_BYTES), FLOOR_BYTES, "the other ring's memory is free again");
}

#[test]
fn a_ring_that_sheds_gives_back_only_acknowledged_bytes() {
    let budget = Budget::new(64 * FLOOR_BYTES);
    let mut ring = Ring::new(16 * FLOOR_BYTES, Overflow::Block, budget.clone());
    ring.hold(HolderId(1), 0);
    fill(&mut ring, 8 * FLOOR_BYTES);
    ring.acknowledge(HolderId(1), 5 * FLOOR_BYTES as u64).unwrap();
    assert_eq!(ring.shed(), 5 * FLOOR_BYTES);
    assert_eq!(ring.base(), 5 * FLOOR_BYTES as u64);
    assert_eq!(ring.read(ring.base(), usize::MAX), bytes(ring.base(), 3 * FLOOR_BYTES));
    ring.release(HolderId(1));
    drop(ring);
    assert!(budget.try_take(64 * FLOOR_BYTES), "everything was returned");
}

/// The bytes that a reader has seen of a stream, and how far it has acknowledged.
struct Reader {
    id: HolderId,
    offset: u64,
    kept: u64,
}

#[test]
fn holders_read_every_byte_in_order_under_random_operations() {
    for seed in 0..200 {
        let mut random = Random(seed);
        let capacity = 1 + random.below(5000) as usize;
        let mut ring = ring(capacity, Overflow::Block);
        let mut readers: Vec<Reader> = Vec::new();
        let mut names = 0;
        for _ in 0..500 {
            match random.below(6) {
                0 | 1 => {
                    let wanted = random.below(3000) as usize;
                    let accepted = fill(&mut ring, wanted);
                    assert!(accepted <= wanted);
                }
                2 if readers.len() < 3 => {
                    names += 1;
                    let offset = ring.base() + random.below(ring.end() - ring.base() + 1);
                    ring.hold(HolderId(names), offset);
                    readers.push(Reader { id: HolderId(names), offset, kept: offset });
                }
                3 if !readers.is_empty() => {
                    let index = random.below(readers.len() as u64) as usize;
                    ring.release(readers.swap_remove(index).id);
                }
                4 if !readers.is_empty() => {
                    let index = random.below(readers.len() as u64) as usize;
                    let reader = &mut readers[index];
                    reader.kept += random.below(reader.offset - reader.kept + 1);
                    ring.acknowledge(reader.id, reader.kept).unwrap();
                }
                _ => {
                    for reader in &mut readers {
                        let max = random.below(2000) as usize;
                        let got = ring.read(reader.offset, max);
                        assert_eq!(got, bytes(reader.offset, got.len()), "seed {seed}");
                        reader.offset += got.len() as u64;
                    }
                }
            }
            assert!(ring.end() - ring.base() <= capacity as u64, "seed {seed}: the ring is bounded");
            for reader in &readers {
                assert!(ring.base() <= reader.kept, "seed {seed}: an unacknowledged byte was dropped");
            }
        }
    }
}
