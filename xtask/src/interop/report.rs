use super::cell::{Finished, Outcome};
use serde_json::{Value as Json, json};

impl Outcome {
    fn word(&self) -> &'static str {
        match self {
            Self::Passed(_) => "passed",
            Self::Failed { .. } => "failed",
            Self::Skipped(_) => "skipped",
        }
    }

    fn text(&self) -> &str {
        match self {
            Self::Passed(text) | Self::Skipped(text) | Self::Failed { reason: text, .. } => text,
        }
    }

    fn log(&self) -> &[String] {
        match self {
            Self::Failed { log, .. } => log,
            Self::Passed(_) | Self::Skipped(_) => &[],
        }
    }
}

/// Prints a row of the table, and the log of a failure.
pub(super) fn print_row(finished: &Finished, width: usize) {
    let Finished { name, outcome, took } = finished;
    let (word, text) = (outcome.word(), outcome.text());
    println!("{word:7}  {name:width$}  {:5.1} s  {text}", took.as_secs_f64());
    for line in outcome.log() {
        println!("         | {line}");
    }
}

pub(super) fn print_summary(finished: &[Finished]) {
    let [passed, failed, skipped] = counts(finished);
    println!("\n{passed} passed, {failed} failed, {skipped} skipped");
}

pub(super) fn as_json(finished: &[Finished]) -> Json {
    let [passed, failed, skipped] = counts(finished);
    let cell = |finished: &Finished| {
        json!({
            "name": finished.name,
            "outcome": finished.outcome.word(),
            "text": finished.outcome.text(),
            "seconds": finished.took.as_secs_f64(),
            "log": finished.outcome.log(),
        })
    };
    json!({
        "passed": passed,
        "failed": failed,
        "skipped": skipped,
        "cells": finished.iter().map(cell).collect::<Vec<_>>(),
    })
}

fn counts(finished: &[Finished]) -> [usize; 3] {
    let count = |word: &str| finished.iter().filter(|cell| cell.outcome.word() == word).count();
    [count("passed"), count("failed"), count("skipped")]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_json_form_has_every_cell_with_its_reason_and_its_log() {
        let cell = |name: &str, outcome| Finished {
            name: name.to_owned(),
            outcome,
            took: Duration::from_millis(1500),
        };
        let json = as_json(&[
            cell("a", Outcome::Passed("3 values".to_owned())),
            cell("b", Outcome::Failed { reason: "no".to_owned(), log: vec!["x".to_owned()] }),
            cell("c", Outcome::Skipped("no tool".to_owned())),
        ]);
        assert_eq!(
            (&json["passed"], &json["failed"], &json["skipped"]),
            (&json!(1), &json!(1), &json!(1))
        );
        assert_eq!(
            json["cells"][1],
            json!({
                "name": "b", "outcome": "failed", "text": "no", "seconds": 1.5, "log": ["x"],
            })
        );
        assert_eq!(json["cells"][2]["outcome"], "skipped");
    }
}
