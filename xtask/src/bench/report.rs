//! Tables for people, and JSON for machines.

use super::Result;
use super::goals::Goal;
use super::run::{Measured, Measurement};
use super::scenario::{Column, Context, Unit};
use serde_json::json;
use std::path::Path;

/// Prints everything as Markdown, which is also readable as it is.
pub(super) fn print(results: &[Measurement], goals: &[Goal]) {
    let shown: Vec<Column> = Column::ALL
        .into_iter()
        .filter(|column| results.iter().any(|result| result.columns.contains_key(column)))
        .collect();
    let others = shown.iter().filter(|column| **column != Column::Ours);
    let mut head: Vec<String> = ["scheme", "scenario", "unit"].map(str::to_owned).to_vec();
    head.extend(shown.iter().map(|column| column.name().to_owned()));
    head.extend(others.map(|column| format!("ours/{}", column.name())));
    head.extend(shown.iter().map(|column| format!("CPU s/M {}", column.name())));
    head.extend(shown.iter().map(|column| format!("peak MiB {}", column.name())));
    head.push("lost".to_owned());
    let mut rows = vec![head];
    rows.extend(results.iter().map(|result| row(result, &shown)));
    table(&rows);
    let processes: Vec<Vec<String>> = results.iter().flat_map(processes).collect();
    if !processes.is_empty() {
        let head = ["CPU s/M of each process", "column", "sender", "hub", "receiver"];
        table(&[vec![head.map(str::to_owned).to_vec()], processes].concat());
    }
    let latencies = results.iter().filter(|result| result.unit == Unit::Microseconds);
    let latencies: Vec<Vec<String>> = latencies.flat_map(percentiles).collect();
    if !latencies.is_empty() {
        let head = ["scenario", "column", "p50 us", "p90", "p99", "p99.9", "max"];
        table(&[vec![head.map(str::to_owned).to_vec()], latencies].concat());
    }
    if !goals.is_empty() {
        let head = ["goal", "wanted", "result", "met"].map(str::to_owned).to_vec();
        let met = |goal: &Goal| if goal.met { "yes" } else { "NO" }.to_owned();
        let line = |goal: &Goal| {
            let result = format!("{:.2}", goal.result);
            vec![goal.goal.to_owned(), goal.wanted.clone(), result, met(goal)]
        };
        table(&[vec![head], goals.iter().map(line).collect()].concat());
    }
}

fn row(result: &Measurement, shown: &[Column]) -> Vec<String> {
    let get = |column: Column| result.columns.get(&column);
    let all = |show: &dyn Fn(&Measured) -> Option<String>| -> Vec<String> {
        shown.iter().map(|column| get(*column).and_then(show).unwrap_or_default()).collect()
    };
    let ours = get(Column::Ours);
    let ratio = |column: &Column| {
        let (ours, other) = (ours?, get(*column)?);
        Some(format!("{:.2}", ours.value.median / other.value.median))
    };
    let mut row =
        vec![result.scheme.clone(), result.scenario.clone(), unit(result.unit).to_owned()];
    row.extend(all(&|measured| Some(value(measured))));
    let others = shown.iter().filter(|column| **column != Column::Ours);
    row.extend(others.map(|column| ratio(column).unwrap_or_default()));
    row.extend(all(&|measured| {
        measured.cpu_seconds_per_million.as_ref().map(|cpu| format!("{:.2}", cpu.median))
    }));
    row.extend(all(&|measured| {
        measured.peak_memory.map(|bytes| format!("{:.0}", bytes as f64 / 1048576.0))
    }));
    row.push(ours.map(|measured| measured.lost.to_string()).unwrap_or_default());
    row
}

fn unit(unit: Unit) -> &'static str {
    match unit {
        Unit::PerSecond => "1/s",
        Unit::Microseconds => "us",
        Unit::Milliseconds => "ms",
        Unit::Kibibytes => "KiB",
    }
}

fn value(measured: &Measured) -> String {
    let summary = &measured.value;
    format!("{} ±{:.0} %", thousands(summary.median), summary.spread())
}

/// With three significant digits at least, and commas.
fn thousands(number: f64) -> String {
    if number < 100.0 {
        return format!("{number:.1}");
    }
    let digits = format!("{number:.0}");
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// The names under which a flow says what each of its processes needs.
const PROCESSES: [&str; 3] = ["sender CPU s/M", "hub CPU s/M", "receiver CPU s/M"];

fn processes(result: &Measurement) -> Vec<Vec<String>> {
    let line = |(column, measured): (&Column, &Measured)| {
        let numbers = PROCESSES.map(|name| measured.details.get(name));
        numbers.iter().any(Option::is_some).then(|| {
            let mut line = name_of(result, *column);
            line.extend(numbers.map(|n| n.map(|n| format!("{n:.3}")).unwrap_or_default()));
            line
        })
    };
    result.columns.iter().filter_map(line).collect()
}

fn name_of(result: &Measurement, column: Column) -> Vec<String> {
    vec![format!("{}: {}", result.scheme, result.scenario), column.name().to_owned()]
}

fn percentiles(result: &Measurement) -> Vec<Vec<String>> {
    let line = |(column, measured): (&Column, &Measured)| {
        let mut line = name_of(result, *column);
        line.push(thousands(measured.value.median));
        line.extend(["p90", "p99", "p99.9", "max"].map(|name| {
            measured.details.get(name).map(|number| thousands(*number)).unwrap_or_default()
        }));
        line
    };
    result.columns.iter().map(line).collect()
}

fn table(rows: &[Vec<String>]) {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
    };
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    for (number, row) in rows.iter().enumerate() {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        println!("| {} |", cells.join(" | "));
        if number == 0 {
            let lines: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
            println!("| {} |", lines.join(" | "));
        }
    }
    println!();
}

/// Writes everything that was measured, and where.
pub(super) fn write(
    file: &Path,
    context: &Context,
    runs: usize,
    results: &[Measurement],
    goals: &[Goal],
) -> Result<()> {
    let reference = context.reference.as_ref().map(|reference| reference.name());
    let report = json!({
        "machine": machine(),
        "runs": runs,
        "seconds": context.seconds,
        "threads": context.threads,
        "reference": reference.map(|name| name.to_string_lossy().into_owned()),
        "results": results,
        "goals": goals,
    });
    Ok(std::fs::write(file, serde_json::to_vec_pretty(&report)?)?)
}

fn machine() -> serde_json::Value {
    let read = |file| std::fs::read_to_string(file).unwrap_or_default();
    let cpus = read("/proc/cpuinfo");
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    json!({
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "processor": model.trim_start_matches(['\t', ' ', ':']),
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_small_ones_keep_a_digit() {
        let cases = [(3.25, "3.2"), (999.6, "1,000"), (123.0, "123"), (1234567.0, "1,234,567")];
        for (number, text) in cases {
            assert_eq!(thousands(number), text);
        }
    }
}
