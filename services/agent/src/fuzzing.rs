//! A fuzzer for tests. It mutates inputs of a corpus deterministically, and passes them to a property that must not panic.
//!
//! An input that makes the property panic is written to the corpus (`tests/corpus/<target>`), whose inputs are tried first.
//! `PADDOCK_FUZZ_ROUNDS` sets the number of inputs to try, and `PADDOCK_FUZZ_SEED` the first seed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

const ROUNDS: u64 = 3000;
const LARGEST_BYTES: usize = 4096;

/// A small, fast random number generator (xorshift64*).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `limit`, which must not be 0.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit
    }
}

/// Tries the corpus of `target` and inputs derived from it.
pub fn fuzz(target: &str, property: impl Fn(&[u8])) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(target);
    let corpus = read_corpus(&directory);
    assert!(!corpus.is_empty(), "there is no corpus at {}", directory.display());
    corpus.iter().for_each(|(path, input)| {
        let held = catch_unwind(AssertUnwindSafe(|| property(input)));
        assert!(held.is_ok(), "{} does not hold", path.display());
    });
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let (seed, rounds) = (number("PADDOCK_FUZZ_SEED").unwrap_or(0), number("PADDOCK_FUZZ_ROUNDS").unwrap_or(ROUNDS));
    for round in seed..seed + rounds {
        let input = mutated(&corpus, &mut Random::new(round));
        if catch_unwind(AssertUnwindSafe(|| property(&input))).is_err() {
            let found = directory.join(format!("found-{round}"));
            std::fs::write(&found, &input).unwrap();
            panic!("round {round}: the input is kept as {}", found.display());
        }
    }
}

fn read_corpus(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = std::fs::read_dir(directory).unwrap().flatten();
    let mut corpus: Vec<_> = entries.map(|entry| (entry.path(), std::fs::read(entry.path()).unwrap())).collect();
    corpus.sort();
    corpus
}

fn mutated(corpus: &[(PathBuf, Vec<u8>)], random: &mut Random) -> Vec<u8> {
    let mut input = corpus[random.below(corpus.len())].1.clone();
    for _ in 0..=random.below(8) {
        let at = random.below(input.len() + 1);
        let upto = at + random.below(input.len() - at + 1);
        match random.below(6) {
            0 => input.insert(at, [0, b'\n', b':', b' ', 0xff, b'9'][random.below(6)]),
            1 => drop(input.drain(at..upto)),
            2 => input.extend_from_within(at..upto),
            3 if at < input.len() => input[at] = random.below(256) as u8,
            4 if at < input.len() => input[at] ^= 1 << random.below(8),
            _ => {
                let other = &corpus[random.below(corpus.len())].1;
                let from = random.below(other.len() + 1);
                input.splice(at..at, other[from..].iter().copied());
            }
        }
        input.truncate(LARGEST_BYTES);
    }
    input
}

#[test]
fn an_input_that_breaks_a_property_is_found() {
    let (mut random, corpus) = (Random::new(7), vec![(PathBuf::new(), b"PADDOCK/1 HELLO".to_vec())]);
    assert!((0..500).any(|_| mutated(&corpus, &mut random).starts_with(b"PADDOCK/1 HELLOH")));
}
