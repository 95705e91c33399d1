//! The recorded values of `fixtures/vectors`.

use super::cell::Check;
use broker::data::Encode;
use serde_json::Value as Json;

/// A value with its encoding and, where that is known, its text.
pub(super) struct Recorded {
    pub(super) name: String,
    pub(super) payload: Vec<u8>,
    pub(super) text: Option<Vec<u8>>,
}

/// A payload as it was recorded, even where the same value would be written otherwise here.
pub(super) struct Verbatim<'a>(pub(super) &'a [u8]);

impl Encode for Verbatim<'_> {
    fn encode_into(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.0);
    }
}

/// Values of all types as the C++ implementation writes them.
pub(super) fn values() -> Check<Vec<Recorded>> {
    let value = |case: &Json| {
        let text = unhex(&case["text_hex"])?;
        Some(Recorded { name: name(case)?, payload: unhex(&case["bin"])?, text: Some(text) })
    };
    load("data-v1.json", "values")?
        .iter()
        .map(|case| value(case).ok_or_else(|| bad(case)))
        .collect()
}

/// Payloads that are accepted although no implementation would write some of them so.
pub(super) fn accepted_payloads() -> Check<Vec<Recorded>> {
    let value = |case: &Json| {
        let payload = match unhex(&case["payload_hex"]) {
            Some(payload) => payload,
            None => repeated(&case["payload_repeat"])?,
        };
        Some(Recorded { name: name(case)?, payload, text: None })
    };
    let accepted = |case: &&Json| case["reference"] == "accepts" && case["recommend"] == "accept";
    let cases = load("binary-decode.json", "cases")?;
    cases.iter().filter(accepted).map(|case| value(case).ok_or_else(|| bad(case))).collect()
}

fn load(file: &str, member: &str) -> Check<Vec<Json>> {
    let path = format!("{}/../fixtures/vectors/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let json: Json = serde_json::from_str(&text).map_err(|error| format!("{path}: {error}"))?;
    json[member].as_array().cloned().ok_or_else(|| format!("{path} has no {member}"))
}

fn bad(case: &Json) -> String {
    format!("a recorded value that makes no sense: {case}")
}

fn name(case: &Json) -> Option<String> {
    case["name"].as_str().map(str::to_owned)
}

fn repeated(json: &Json) -> Option<Vec<u8>> {
    let times = usize::try_from(json[1].as_u64()?).ok()?;
    Some([unhex(&json[0])?.repeat(times), unhex(&json[2])?].concat())
}

fn unhex(json: &Json) -> Option<Vec<u8>> {
    let text = json.as_str()?;
    let digits = |at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
    (0..text.len()).step_by(2).map(digits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recorded_values_cover_every_type() {
        let values = values().unwrap();
        for tag in 0..=14 {
            assert!(values.iter().any(|value| value.payload[0] == tag), "tag {tag}");
        }
        assert!(accepted_payloads().unwrap().len() > 50);
    }
}
