//! What this implementation is meant to reach, and whether it does.

use super::run::{Measured, Measurement};
use super::scenario::Column;
use serde::Serialize;

#[derive(Debug, Clone, Serialize)]
pub(super) struct Goal {
    pub(super) goal: &'static str,
    pub(super) wanted: String,
    pub(super) result: f64,
    pub(super) met: bool,
}

/// How a result is compared with what is wanted.
#[derive(Clone, Copy)]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Bound {
    fn holds(self, result: f64) -> bool {
        match self {
            Self::AtLeast(bound) => result >= bound,
            Self::AtMost(bound) => result <= bound,
        }
    }

    fn text(self, unit: &str) -> String {
        match self {
            Self::AtLeast(bound) => format!("at least {bound}{unit}"),
            Self::AtMost(bound) => format!("at most {bound}{unit}"),
        }
    }
}

/// The goals are about links without encryption, like the floor and the programs of the C++ Broker.
const SCHEME: &str = "tcp";

/// All goals for which everything needed was measured.
pub(super) fn evaluate(results: &[Measurement]) -> Vec<Goal> {
    use Bound::{AtLeast, AtMost};
    let find = |scenario: &str, column: Column| -> Option<&Measured> {
        let of = |result: &&Measurement| result.scheme == SCHEME && result.scenario == scenario;
        results.iter().find(of)?.columns.get(&column)
    };
    let value = |scenario, column| find(scenario, column).map(|measured| measured.value.median);
    let ours = |scenario| value(scenario, Column::Ours);
    let to = |scenario, column| Some(ours(scenario)? / value(scenario, column)?);
    let floor = |scenario| to(scenario, Column::Floor);
    let reference = |scenario| to(scenario, Column::Reference);
    let against = |scenario, other| Some(ours(scenario)? / ours(other)?);
    let checks = [
        ("small events, compared with the C++ Broker", reference("small-view"), AtLeast(10.0), "x"),
        ("small events, compared with the floor", floor("small-view"), AtLeast(0.5), "x"),
        (
            "conn-log lines, compared with the C++ Broker",
            reference("conn-view"),
            AtLeast(10.0),
            "x",
        ),
        ("1 MiB payloads, compared with the floor", floor("raw-1m"), AtLeast(0.8), "x"),
        (
            "small events through a hub, compared with a direct pair",
            against("hub-small", "direct-small"),
            AtLeast(0.8),
            "x",
        ),
        (
            "conn-log lines through a hub, compared with a direct pair",
            against("hub-conn", "direct-conn"),
            AtLeast(0.8),
            "x",
        ),
        ("round trip, compared with the C++ Broker", reference("ping-pong"), AtMost(0.2), "x"),
        ("round trip, compared with the floor", floor("ping-pong"), AtMost(1.5), "x"),
        (
            "fan-out to 64, deliveries per second in millions",
            ours("fan-out-64").map(|v| v / 1e6),
            // Or at the floor, where that is lower.
            AtLeast(value("fan-out-64", Column::Floor).map_or(4.0, |floor| (floor / 1e6).min(4.0))),
            "M/s",
        ),
        (
            "one topic beside 99 peers that do not want it, compared with a pair",
            against("topics-one", "small-view"),
            AtLeast(0.9),
            "x",
        ),
        ("memory of an idle peer", ours("memory-fresh"), AtMost(32.0), " KiB"),
        ("memory of an idle peer that had traffic", ours("memory-used"), AtMost(32.0), " KiB"),
        ("time until 1000 peers are connected", ours("storm-1000"), AtMost(1000.0), " ms"),
    ];
    let judge = |(goal, result, bound, unit): (&'static str, Option<f64>, Bound, &str)| {
        let result = result?;
        let (wanted, met) = (bound.text(unit), bound.holds(result));
        Some(Goal { goal, wanted, result, met })
    };
    checks.into_iter().filter_map(judge).collect()
}
