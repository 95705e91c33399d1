use super::cell::{Cell, Finished, Outcome};
use serde_json::{Value as Json, json};
use std::fmt::Write as _;

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

/// The widths of the columns that say what a cell is.
pub(super) fn widths(cells: &[Cell]) -> [usize; 2] {
    let peer = cells.iter().map(|cell| cell.peer.len()).max();
    let what = cells.iter().map(|cell| cell.what.len()).max();
    [peer, what].map(Option::unwrap_or_default)
}

/// Prints a row of the table, and the log of a failure.
pub(super) fn print_row(finished: &Finished, [peer_width, what_width]: [usize; 2]) {
    let Finished { peer, mode, dials, what, outcome, took } = finished;
    let (word, text, mode, dials) =
        (outcome.word(), outcome.text(), mode.to_string(), dials.to_string());
    let took = took.as_secs_f64();
    print!("{word:7}  {peer:peer_width$}  {mode:13}  {dials:6}  ");
    println!("{what:what_width$}  {took:5.1} s  {text}");
    for line in outcome.log() {
        println!("         | {line}");
    }
}

pub(super) fn print_summary(finished: &[Finished]) {
    println!("\n{}", summary(finished));
}

fn summary(finished: &[Finished]) -> String {
    let [passed, failed, skipped] = counts(finished);
    format!("{passed} passed, {failed} failed, {skipped} skipped")
}

/// The table, and behind it the logs of what failed.
pub(super) fn as_markdown(finished: &[Finished]) -> String {
    let mut out = "| Peer | Mode | Dials | What | Outcome | Seconds | |\n".to_owned();
    out.push_str("|---|---|---|---|---|---:|---|\n");
    let cell = |text: &str| text.replace('|', "\\|").replace('\n', " ");
    for Finished { peer, mode, dials, what, outcome, took } in finished {
        let (word, text) = (outcome.word(), cell(outcome.text()));
        let (what, took) = (cell(what), took.as_secs_f64());
        // Writing to a string does not fail.
        let _ =
            writeln!(out, "| {peer} | {mode} | {dials} | {what} | {word} | {took:.1} | {text} |");
    }
    let _ = writeln!(out, "\n{}", summary(finished));
    for Finished { peer, mode, dials, what, outcome, .. } in finished {
        if !outcome.log().is_empty() {
            let _ = writeln!(out, "\n## {peer}, {mode}, {dials} dial: {what}\n\n```text");
            outcome.log().iter().for_each(|line| out.extend([line.as_str(), "\n"]));
            out.push_str("```\n");
        }
    }
    out
}

pub(super) fn as_json(finished: &[Finished]) -> Json {
    let [passed, failed, skipped] = counts(finished);
    let cell = |finished: &Finished| {
        json!({
            "peer": finished.peer,
            "mode": finished.mode.to_string(),
            "dials": finished.dials.to_string(),
            "what": finished.what,
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
    use super::super::cell::{Dials, Mode};
    use super::*;
    use std::time::Duration;

    fn finished() -> [Finished; 3] {
        let cell = |what: &str, outcome| Finished {
            peer: "broker-pipe",
            mode: Mode::Anonymous,
            dials: Dials::We,
            what: what.to_owned(),
            outcome,
            took: Duration::from_millis(1500),
        };
        [
            cell("a", Outcome::Passed("3 values".to_owned())),
            cell("b", Outcome::Failed { reason: "x|y".to_owned(), log: vec!["x".to_owned()] }),
            cell("c", Outcome::Skipped("no tool".to_owned())),
        ]
    }

    #[test]
    fn the_json_form_has_every_cell_with_its_reason_and_its_log() {
        let json = as_json(&finished());
        assert_eq!(
            (&json["passed"], &json["failed"], &json["skipped"]),
            (&json!(1), &json!(1), &json!(1))
        );
        assert_eq!(
            json["cells"][1],
            json!({
                "peer": "broker-pipe", "mode": "anonymous TLS", "dials": "we", "what": "b",
                "outcome": "failed", "text": "x|y", "seconds": 1.5, "log": ["x"],
            })
        );
        assert_eq!(json["cells"][2]["outcome"], "skipped");
    }

    #[test]
    fn the_markdown_form_is_a_table_with_the_logs_behind_it() {
        let markdown = as_markdown(&finished());
        let row = "| broker-pipe | anonymous TLS | we | b | failed | 1.5 | x\\|y |";
        assert!(markdown.contains(row), "{markdown}");
        let log = "## broker-pipe, anonymous TLS, we dial: b\n\n```text\nx\n```\n";
        assert!(markdown.ends_with(log), "{markdown}");
        assert!(markdown.contains("\n1 passed, 1 failed, 1 skipped\n"), "{markdown}");
    }
}
