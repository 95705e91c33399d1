//! The chart of `docs/performance.md`: how many messages a second each system moves.

use super::Result;
use super::scenario::Column;
use serde_json::Value;
use std::fmt::Write;
use std::path::Path;

/// What is shown, and how it is called there.
const SHOWN: [(&str, &str); 8] = [
    ("small-batch", "small events, in batches"),
    ("conn-batch", "conn-log lines, in batches"),
    ("raw-100", "100 bytes, one by one"),
    ("raw-100-batch", "100 bytes, in batches"),
    ("raw-1k-batch", "1 KiB, in batches"),
    ("raw-100-hub", "100 bytes through a hub"),
    ("raw-1k-hub", "1 KiB through a hub"),
    ("raw-fan-out-16", "100 bytes to 16 subscribers"),
];

const COLORS: [(Column, &str); 6] = [
    (Column::Ours, "#1b6ca8"),
    (Column::Zenoh, "#d98032"),
    (Column::Nats, "#4f9d69"),
    (Column::Reference, "#9c4f96"),
    (Column::Codec, "#8a8f98"),
    (Column::Floor, "#c3c7cd"),
];

const LEFT: f64 = 200.0;
const WIDTH: f64 = 420.0;
const BAR: f64 = 13.0;
/// The axis is logarithmic and goes from 10^4 to 10^8 messages a second.
const DECADES: std::ops::RangeInclusive<i32> = 4..=8;

/// Draws the results that `--json` has written.
pub(super) fn draw(results: &Path, to: &Path) -> Result<()> {
    let report: Value = serde_json::from_slice(&std::fs::read(results)?)?;
    Ok(std::fs::write(to, chart(&report)?)?)
}

fn chart(report: &Value) -> Result<String> {
    let (mut body, mut y) = (String::new(), 44.0);
    for (scenario, name) in SHOWN {
        let bars = bars(report, scenario)?;
        if bars.is_empty() {
            continue;
        }
        let middle = y + bars.len() as f64 * BAR / 2.0 + 4.0;
        writeln!(body, r#"<text x="{}" y="{middle}" text-anchor="end">{name}</text>"#, LEFT - 8.0)?;
        for (color, rate) in bars {
            let width = at(rate);
            let (top, base) = (y + 1.0, y + BAR - 3.0);
            let height = BAR - 2.0;
            writeln!(
                body,
                r#"<rect x="{LEFT}" y="{top}" width="{width:.1}" height="{height}" fill="{color}"/>"#
            )?;
            let (x, rate) = (LEFT + width + 4.0, in_millions(rate));
            writeln!(body, r#"<text x="{x:.1}" y="{base}" class="n">{rate}</text>"#)?;
            y += BAR;
        }
        y += 10.0;
    }
    let mut head = String::new();
    for decade in DECADES {
        let x = LEFT + at(10_f64.powi(decade));
        writeln!(head, r##"<path d="M{x:.1} 38V{y}" stroke="#ddd"/>"##)?;
        let label = in_millions(10_f64.powi(decade));
        writeln!(head, r#"<text x="{x:.1}" y="34" text-anchor="middle" class="n">{label}</text>"#)?;
    }
    let mut x = LEFT - 100.0;
    for (column, color) in COLORS {
        writeln!(head, r#"<rect x="{x}" y="6" width="10" height="10" fill="{color}"/>"#)?;
        writeln!(head, r#"<text x="{}" y="15">{}</text>"#, x + 14.0, column.name())?;
        x += 34.0 + 7.0 * column.name().len() as f64;
    }
    let width = LEFT + WIDTH + 60.0;
    Ok(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {y}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<style>.n{{font-size:10px;fill:#444}}</style>\
         \n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n{head}{body}</svg>\n"
    ))
}

/// The columns of a scenario that were measured, with their medians.
fn bars(report: &Value, scenario: &str) -> Result<Vec<(&'static str, f64)>> {
    let results = report["results"].as_array().ok_or("there are no results in this file")?;
    let is_it = |result: &&Value| result["scenario"] == scenario && result["scheme"] == "tcp";
    let Some(result) = results.iter().find(is_it) else { return Ok(Vec::new()) };
    let mut bars = Vec::new();
    for (column, color) in COLORS {
        let key = serde_json::to_value(column)?;
        let median = key.as_str().and_then(|key| {
            result["columns"][key]["value"]["median"].as_f64().filter(|median| *median > 0.0)
        });
        bars.extend(median.map(|median| (color, median)));
    }
    Ok(bars)
}

fn at(rate: f64) -> f64 {
    let (first, last) = (f64::from(*DECADES.start()), f64::from(*DECADES.end()));
    ((rate.log10() - first) / (last - first)).clamp(0.0, 1.0) * WIDTH
}

fn in_millions(rate: f64) -> String {
    match rate / 1e6 {
        rate if rate < 0.1 => format!("{rate:.2} M/s"),
        rate if rate < 10.0 => format!("{rate:.1} M/s"),
        rate => format!("{rate:.0} M/s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_was_measured_is_drawn_and_nothing_else() {
        let columns = json!({"ours": {"value": {"median": 2e6}}, "nats": {"value": {"median": 0}}});
        let result = json!({"scenario": "raw-100", "scheme": "tcp", "columns": columns});
        let chart = chart(&json!({ "results": [result] })).unwrap();
        assert!(chart.contains("100 bytes, one by one") && chart.contains("2.0 M/s"));
        assert!(!chart.contains("1 KiB"));
        assert_eq!(chart.matches("<rect x=\"200\"").count(), 1);
        assert!(super::chart(&json!({})).is_err());
    }
}
