use super::*;
use std::ops::Range;

/// Shares of the seeds, to be run side by side.
fn check(seeds: Range<u64>) -> Summary {
    let mut total = Summary::default();
    for seed in seeds {
        match run(seed) {
            Ok(summary) => total.add(&summary),
            Err(broken) => panic!("{}\n{broken}", trace(seed, false).0.join("\n")),
        }
    }
    total
}

#[test]
fn the_rules_hold_whatever_the_seed() {
    let total = check(0..100);
    // Not because nothing happened.
    assert!(total.peerings > 1_000 && total.delivered > 10_000, "{total:?}");
    assert!(total.dropped > 1_000 && total.lost > 10_000, "{total:?}");
}

#[test]
fn the_rules_hold_for_a_second_hundred_of_seeds() {
    check(100..200);
}

#[test]
fn the_rules_hold_for_a_third_hundred_of_seeds() {
    check(200..300);
}

#[test]
fn a_seed_always_makes_the_same_run() {
    for seed in 1000..1010 {
        assert_eq!(run(seed), trace(seed, true).1, "seed {seed}");
    }
}
