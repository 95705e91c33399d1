use super::plan::Mischief;
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

/// Whether all of this was seen, and at the worst moment where there is one.
fn came_up(total: &Summary, kind: &'static str, names: &[&'static str]) {
    for name in names {
        assert!(
            total.seen.contains_key(&(kind, *name)),
            "{kind}: no {name} among {:?}",
            total.seen
        );
    }
}

#[test]
fn the_rules_hold_whatever_the_seed() {
    let total = check(0..100);
    // Not because nothing happened.
    assert!(total.peerings > 1_000 && total.delivered > 10_000, "{total:?}");
    assert!(total.dropped > 1_000 && total.lost > 10_000, "{total:?}");
    came_up(&total, "faults", &Mischief::ALL.map(|(mischief, _)| mischief.name()));
}

#[test]
fn the_rules_hold_for_a_second_hundred_of_seeds() {
    let total = check(100..200);
    let moments = [
        "both sides dial at once",
        "end in the middle of a frame",
        "restart with the old id",
        "restart with a new id",
        "the network parts",
    ];
    came_up(&total, "moments", &moments);
    let worst = ["connection cut", "unpeer, by address", "subscribe", "unsubscribe", "shutdown"];
    came_up(&total, "during a handshake", &worst);
}

#[test]
fn the_rules_hold_for_a_third_hundred_of_seeds() {
    let total = check(200..300);
    let reasons = ["closed", "reset", "handshake-timeout", "redundant", "overflow", "bye-timeout"];
    came_up(&total, "reasons", &reasons);
}

#[test]
fn a_seed_always_makes_the_same_run() {
    for seed in 1000..1010 {
        assert_eq!(run(seed), trace(seed, true).1, "seed {seed}");
    }
}
