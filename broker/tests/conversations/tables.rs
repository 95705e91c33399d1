//! What the recordings leave out, and what happens here instead of what they show.

use crate::recording::{Scenario, Step, What};
use serde_json::Value as Json;

/// Steps that the recordings do not have because they are no frames: calls, events, closed
/// connections.
const UNRECORDED: &str = include_str!("unrecorded.json");

/// Every place where this implementation deliberately does something else, and why.
const DIFFERENCES: &str = include_str!("differences.json");

/// Entries of a table.
pub(crate) struct Entry {
    pub(crate) scenario: String,
    /// Numbers and labels of the recorded steps that this replaces.
    pub(crate) instead_of: Vec<(usize, String)>,
    /// Where this comes in between, if it replaces nothing.
    before: Option<usize>,
    here: Vec<Json>,
    pub(crate) why: String,
}

pub(crate) fn unrecorded() -> Vec<Entry> {
    parse(UNRECORDED)
}

pub(crate) fn differences() -> Vec<Entry> {
    parse(DIFFERENCES)
}

fn parse(table: &str) -> Vec<Entry> {
    let json: Json = serde_json::from_str(table).expect("a table in JSON");
    json.as_array().expect("a list of entries").iter().map(Entry::parse).collect()
}

impl Entry {
    fn parse(json: &Json) -> Self {
        let step = |step: &Json| {
            let number = step[0].as_u64().expect("the number of a step") as usize;
            (number, step[1].as_str().expect("its label").to_owned())
        };
        let steps = json.get("instead_of").map(|steps| steps.as_array().expect("steps"));
        Self {
            scenario: json["scenario"].as_str().expect("a scenario").to_owned(),
            instead_of: steps.into_iter().flatten().map(step).collect(),
            before: json.get("before").map(|at| at.as_u64().expect("a step") as usize),
            here: json["here"].as_array().expect("steps").clone(),
            why: json["why"].as_str().expect("a reason").to_owned(),
        }
    }

    /// The steps that happen here. `{"step": N}` is step N as it was recorded.
    fn steps(&self, recorded: &[Step]) -> Vec<Step> {
        let parse = |json: &Json| match json.get("step") {
            Some(number) => recorded[number.as_u64().expect("a step") as usize].clone(),
            None => Step::parse(json),
        };
        self.here.iter().map(parse).collect()
    }
}

/// The steps of a scenario as they are to be here.
pub(crate) fn amended(scenario: &Scenario) -> Vec<Step> {
    let recorded = &scenario.steps;
    // One place for each recorded step, and one behind the last.
    let mut places: Vec<Vec<Step>> = recorded.iter().map(|step| vec![step.clone()]).collect();
    places.push(Vec::new());
    let mut inserted: Vec<Vec<Step>> = vec![Vec::new(); places.len()];
    let entries = unrecorded().into_iter().chain(differences());
    for entry in entries.filter(|entry| entry.scenario == scenario.name) {
        for (number, label) in &entry.instead_of {
            assert_eq!(&recorded[*number].label, label, "{}, step {number}", scenario.name);
            places[*number].clear();
        }
        match (entry.instead_of.first(), entry.before) {
            (Some((first, _)), None) => places[*first] = entry.steps(recorded),
            (None, Some(before)) => inserted[before].extend(entry.steps(recorded)),
            _ => panic!("{}: neither instead of a step nor before one", scenario.name),
        }
    }
    let mut steps: Vec<Step> = inserted
        .into_iter()
        .zip(places)
        .flat_map(|(before, at)| before.into_iter().chain(at))
        .collect();
    open_first(&mut steps);
    steps
}

/// In the older recordings a connection of the stranger begins with its first frame.
fn open_first(steps: &mut Vec<Step>) {
    let mut known: Vec<String> = Vec::new();
    let mut at = 0;
    while let Some(step) = steps.get(at) {
        match &step.what {
            What::Opened { conn, .. } => known.push(conn.clone()),
            What::Frame { by, conn, .. } if !known.contains(conn) => {
                let what = What::Opened { by: *by, conn: conn.clone() };
                let label = format!("{conn} opened");
                steps.insert(at, Step { label, what });
                continue;
            }
            _ => {}
        }
        at += 1;
    }
}
