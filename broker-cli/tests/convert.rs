//! Conversions between the forms of values lose nothing.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::{End, run_with_input, vectors};
use serde_json::Value as Json;

async fn convert(from: &str, to: &str, lines: &[String]) -> End {
    let mut input = lines.join("\n");
    input.push('\n');
    run_with_input(&["convert", "--from", from, "--to", to], &input).await
}

async fn converted(from: &str, to: &str, lines: &[String]) -> Vec<String> {
    let end = convert(from, to, lines).await.expect(0);
    assert_eq!(end.stderr, "");
    let lines_out: Vec<String> = end.stdout.lines().map(str::to_owned).collect();
    assert_eq!(lines_out.len(), lines.len());
    lines_out
}

fn values() -> Vec<Json> {
    vectors("data-v1.json")["values"].as_array().unwrap().clone()
}

/// A member of a case, empty if it has none of this name.
fn text(case: &Json, member: &str) -> String {
    case[member].as_str().unwrap_or_default().to_owned()
}

/// The payloads that every implementation accepts, canonical or not.
fn accepted() -> Vec<String> {
    let vectors = vectors("binary-decode.json");
    let cases = vectors["cases"].as_array().unwrap();
    let accepted = cases.iter().filter(|case| case["recommend"] == "accept");
    let payload = |case: &Json| match case["payload_hex"].as_str() {
        Some(digits) => digits.to_owned(),
        None => {
            let repeat = &case["payload_repeat"];
            let times = usize::try_from(repeat[1].as_u64().unwrap()).unwrap();
            repeat[0].as_str().unwrap().repeat(times) + repeat[2].as_str().unwrap()
        }
    };
    accepted.map(payload).collect()
}

#[tokio::test]
async fn binary_to_json_and_back_gives_the_same_bytes() {
    let canonical: Vec<String> = values().iter().map(|case| text(case, "bin")).collect();
    for lines in [canonical, accepted()] {
        let json = converted("bin", "json", &lines).await;
        for line in &json {
            let parsed: Result<serde::de::IgnoredAny, _> = serde_json::from_str(line);
            assert!(parsed.is_ok() && line.starts_with("{\"@data-type\":"), "{line}");
        }
        assert_eq!(converted("json", "bin", &json).await, lines);
        assert_eq!(converted("json", "json", &json).await, json, "JSON is kept as it was");
    }
}

#[tokio::test]
async fn canonical_values_need_no_bytes_beside_them() {
    let lines: Vec<String> = values().iter().map(|case| text(case, "bin")).collect();
    for line in converted("bin", "json", &lines).await {
        assert!(!line.contains("@binary"), "{line}");
    }
}

#[tokio::test]
async fn data_messages_of_other_implementations_are_read() {
    let exact = |case: &&Json| case["reference_json"].is_string() && case["json_note"].is_null();
    let kept = |case: &&Json| {
        // Reals and timestamps lose digits over there.
        let json = text(case, "reference_json");
        !json.contains("real") && !json.contains("timestamp")
    };
    let cases: Vec<Json> = values().iter().filter(exact).filter(kept).cloned().collect();
    assert!(cases.len() > 50);
    let messages: Vec<String> = cases.iter().map(|case| text(case, "reference_json")).collect();
    let end = convert("json", "bin", &messages).await.expect(0);
    end.says("without topic");
    assert_eq!(end.stderr.lines().count(), 1, "the warning is given once");
    let bytes: Vec<&str> = end.stdout.lines().collect();
    let expected: Vec<String> = cases.iter().map(|case| text(case, "bin")).collect();
    assert_eq!(bytes, expected);
    for line in converted("json", "json", &messages).await {
        assert!(line.starts_with(r#"{"type":"data-message","topic":"t","@data-type":"#), "{line}");
    }
}

#[tokio::test]
async fn text_is_the_rendering_of_the_cpp_broker_on_one_line() {
    // The text of subnormals is that of the number before it was written, which did not survive.
    let printable = |case: &&Json| {
        case["name"] != "string control" && !text(case, "note").contains("subnormal")
    };
    let cases: Vec<Json> = values().iter().filter(printable).cloned().collect();
    let lines: Vec<String> = cases.iter().map(|case| text(case, "bin")).collect();
    let shown = converted("bin", "text", &lines).await;
    for (case, shown) in cases.iter().zip(shown) {
        let digits = text(case, "text_hex");
        let bytes: Vec<u8> = (0..digits.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
            .collect();
        assert_eq!(shown, String::from_utf8_lossy(&bytes), "{}", case["name"]);
    }
    let control = vec!["050b000108090a0b0c0d1b1f7f".to_owned()];
    let shown = converted("bin", "text", &control).await;
    assert_eq!(shown, [r"\u{0}\u{1}\u{8}\t\n\u{b}\u{c}\r\u{1b}\u{1f}\u{7f}"]);
    let message = r#"{"type":"data-message","topic":"/a/b","@data-type":"port","data":"22/tcp"}"#;
    assert_eq!(converted("json", "text", &[message.to_owned()]).await, ["/a/b: 22/tcp"]);
}

#[tokio::test]
async fn plain_json_is_understood() {
    let lines = ["5", "-5", "1.5", "\"x\"", "null", "[true]"].map(str::to_owned);
    let expected = [
        r#"{"@data-type":"count","data":5}"#,
        r#"{"@data-type":"integer","data":-5}"#,
        r#"{"@data-type":"real","data":1.5}"#,
        r#"{"@data-type":"string","data":"x"}"#,
        r#"{"@data-type":"none","data":{}}"#,
        r#"{"@data-type":"vector","data":[{"@data-type":"boolean","data":true}]}"#,
    ];
    assert_eq!(converted("json", "json", &lines).await, expected);
}

#[tokio::test]
async fn a_wrong_line_is_named_and_the_lines_before_it_are_there() {
    for (from, wrong, reason) in [
        ("bin", "0e0200", "line 3: the payload ends early"),
        ("bin", "0f", "line 3: unknown tag 0x0f at offset 0"),
        ("bin", "0c0205000500", "line 3: duplicate element in a set at offset 4"),
        ("bin", "00xx", "line 3: expected a hexadecimal digit, found 'x' (byte 2)"),
        ("bin", "010", "line 3: the number of hexadecimal digits is odd"),
        ("json", r#"{"@data-type":"count","data":-1}"#, "at $.data (byte 29)"),
        ("json", "[1,", "line 3: "),
        (
            "json",
            r#"{"@data-type":"boolean","data":true,"@binary":"0100"}"#,
            "line 3: @binary stands for another value",
        ),
    ] {
        let good = if from == "bin" { "0101" } else { "true" };
        let lines = [good, "", wrong, good].map(str::to_owned);
        let end = convert(from, "bin", &lines).await.expect(1);
        end.says(reason);
        assert_eq!(end.stdout, "0101\n");
    }
}
