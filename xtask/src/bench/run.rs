//! Measuring all columns of a scenario in turn, so that whatever else the machine does hits all of
//! them alike.

use super::Result;
use super::scenario::{Column, Context, Sample, Scenario, Unit};
use super::stats::Summary;
use serde::Serialize;
use std::collections::BTreeMap;

/// Schemes that a build may have, apart from the one that never leaves a process.
const SCHEMES: [&str; 5] = ["tcp", "tls", "ws", "wss", "quic"];

/// All runs of a scenario in one column.
#[derive(Debug, Serialize)]
pub(super) struct Measured {
    pub(super) value: Summary,
    pub(super) cpu_seconds_per_million: Option<Summary>,
    pub(super) peak_memory: Option<u64>,
    pub(super) lost: u64,
    pub(super) details: BTreeMap<String, f64>,
}

#[derive(Debug, Serialize)]
pub(super) struct Measurement {
    pub(super) scenario: String,
    pub(super) scheme: String,
    pub(super) about: String,
    pub(super) unit: Unit,
    pub(super) columns: BTreeMap<Column, Measured>,
}

/// The schemes that were asked for and are compiled in.
pub(super) fn schemes(asked: &[String]) -> Result<Vec<String>> {
    let known = super::worker::schemes()?;
    if asked.iter().any(|scheme| scheme == "all") {
        let compiled_in = |scheme: &&str| known.contains(scheme);
        return Ok(SCHEMES.into_iter().filter(compiled_in).map(str::to_owned).collect());
    }
    match asked.iter().find(|scheme| !known.contains(&scheme.as_str())) {
        Some(scheme) => Err(format!("{scheme}:// is not compiled in").into()),
        None => Ok(asked.to_vec()),
    }
}

/// Measures all of them. A run that fails, which is added to `failures`, does not keep the others
/// from being measured.
pub(super) fn all(
    scenarios: &[Scenario],
    context: &Context,
    runs: usize,
    failures: &mut Vec<String>,
) -> Vec<Measurement> {
    let mut results = Vec::new();
    for scenario in scenarios {
        eprint!("{}://  {} ", context.scheme, scenario.name);
        let mut samples: BTreeMap<Column, Vec<Sample>> = BTreeMap::new();
        for run in 0..runs {
            for column in Column::ALL {
                // One run of the C++ Broker has several reports.
                if column == Column::Reference && run > 0 {
                    continue;
                }
                match scenario.run(column, context) {
                    Ok(more) => samples.entry(column).or_default().extend(more),
                    Err(error) => failures.push(failure(scenario, column, context, &error)),
                }
            }
            eprint!(".");
        }
        eprintln!();
        let columns = samples
            .into_iter()
            .filter_map(|(column, samples)| Some((column, summarize(&samples)?)))
            .collect();
        results.push(Measurement {
            scenario: scenario.name.clone(),
            scheme: context.scheme.clone(),
            about: scenario.about.clone(),
            unit: scenario.unit,
            columns,
        });
    }
    results
}

fn failure(
    scenario: &Scenario,
    column: Column,
    context: &Context,
    error: &dyn std::fmt::Display,
) -> String {
    let column = column.name();
    format!("{}://  {} ({column}): {error}", context.scheme, scenario.name)
}

fn summarize(samples: &[Sample]) -> Option<Measured> {
    let value = Summary::new(samples.iter().map(|sample| sample.value).collect())?;
    let cpu = samples.iter().filter_map(|sample| sample.cpu_per_million).collect();
    let mut details: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for (name, number) in samples.iter().flat_map(|sample| &sample.details) {
        details.entry((*name).to_owned()).or_default().push(*number);
    }
    Some(Measured {
        value,
        cpu_seconds_per_million: Summary::new(cpu),
        peak_memory: samples.iter().filter_map(|sample| sample.peak_memory).max(),
        lost: samples.iter().map(|sample| sample.lost).sum(),
        details: details
            .into_iter()
            .filter_map(|(name, numbers)| Some((name, Summary::new(numbers)?.median)))
            .collect(),
    })
}
