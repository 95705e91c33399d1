//! The JSON form against what the C++ Broker wrote and read.

mod fixtures;

use broker_data::json::{self, JsonErrorClass, JsonReader};
use broker_data::{Timestamp, Value, View};
use fixtures::{cases, hex, text, unhex};

fn message_json(value: &Value) -> String {
    let mut out = Vec::new();
    json::encode_data_message("t", value, &mut out);
    String::from_utf8(out).expect("UTF-8")
}

/// The binary form of a data message, elements of sets and tables as they stand in the text.
fn payload_of(message: &str) -> Result<String, json::JsonError> {
    let mut payload = Vec::new();
    let topic = JsonReader::default().message_into(message.as_bytes(), &mut payload)?;
    assert!(!topic.is_empty());
    Ok(hex(&payload))
}

#[test]
fn values_are_shown_as_text_like_in_the_cpp_broker() {
    for case in cases("data-v1.json", "values") {
        // The text belongs to the number meant by the sender, not to what its bytes stand for.
        let value = match text(&case, "name") {
            "real 4.9406564584124654e-324" => Value::Real(5e-324),
            _ => Value::decode(&unhex(text(&case, "bin"))).unwrap(),
        };
        let mut shown = Vec::new();
        value.text_into(&mut shown);
        assert_eq!(hex(&shown), text(&case, "text_hex"), "{}", case["name"]);
    }
}

#[test]
fn every_value_comes_back_from_json_as_the_same_bytes() {
    for case in cases("data-v1.json", "values") {
        let payload = unhex(text(&case, "bin"));
        let message = message_json(&Value::decode(&payload).unwrap());
        assert_eq!(payload_of(&message).unwrap(), text(&case, "bin"), "{message}");

        let mut viewed = Vec::new();
        json::encode_data_message("t", &View::parse(&payload).unwrap(), &mut viewed);
        assert_eq!(String::from_utf8(viewed).unwrap(), message, "views and values differ");
    }
}

/// Why our JSON for a value is not the text that the C++ Broker writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Because {
    /// Reals have the shortest exact digits instead of six decimals.
    ExactReal,
    /// Timestamps are exact instead of cut to milliseconds.
    ExactTimestamp,
    /// Before 1970 the C++ Broker is off by up to a second.
    RightTimestamp,
    /// `us` is not used: clients cannot read it.
    NoMicroseconds,
    /// The text of the C++ Broker is not JSON.
    ValidJson,
}

use Because::{ExactReal, ExactTimestamp, NoMicroseconds, RightTimestamp, ValidJson};

const WRITTEN_OTHERWISE: &[(&str, Because)] = &[
    ("real 0", ExactReal),
    ("real -0", ExactReal),
    ("real 1", ExactReal),
    ("real -1.5", ExactReal),
    ("real 0.10000000000000001", ExactReal),
    ("real 9.9999999999999995e-08", ExactReal),
    ("real 123456789.125", ExactReal),
    ("real 1000000000000000", ExactReal),
    ("real 10000000000000000", ExactReal),
    ("real 1e+21", ExactReal),
    ("real 1e+100", ExactReal),
    ("real 1.7976931348623157e+308", ExactReal),
    ("real 4.9406564584124654e-324", ExactReal),
    ("real 2.2250738585072014e-308", ExactReal),
    ("real 3.1415926535897931", ExactReal),
    ("real inf", ValidJson),
    ("real -inf", ValidJson),
    ("real nan", ValidJson),
    ("string control", ValidJson),
    ("string invalid utf8", ValidJson),
    ("string truncated utf8", ValidJson),
    ("timestamp 1", ExactTimestamp),
    ("timestamp -1", RightTimestamp),
    ("timestamp 999", ExactTimestamp),
    ("timestamp 1000", ExactTimestamp),
    ("timestamp 1500000", ExactTimestamp),
    ("timestamp 1649574000123456789", ExactTimestamp),
    ("timestamp -62135596800000000", RightTimestamp),
    ("timestamp 9223372036854775807", ExactTimestamp),
    ("timestamp -9223372036854775808", RightTimestamp),
    ("timespan 1000", NoMicroseconds),
    ("timespan 1500000", NoMicroseconds),
    ("set mixed", ExactReal),
    ("zeek event with ts", ExactTimestamp),
];

#[test]
fn json_is_the_text_of_the_cpp_broker_except_where_that_loses_something() {
    let mut used = 0;
    for case in cases("data-v1.json", "values") {
        let name = text(&case, "name");
        let ours = message_json(&Value::decode(&unhex(text(&case, "bin"))).unwrap());
        let reference = case["reference_json"].as_str();
        let Some(&(_, because)) = WRITTEN_OTHERWISE.iter().find(|(other, _)| *other == name) else {
            assert_eq!(Some(ours.as_str()), reference, "{name}");
            continue;
        };
        used += 1;
        assert_ne!(Some(ours.as_str()), reference, "{name}");
        assert_eq!(reference.is_none(), because == ValidJson, "{name}");
        if let Some(reference) = reference
            && because != RightTimestamp
        {
            let ours = json::from_str(&ours).unwrap();
            let theirs = json::from_str(reference).unwrap();
            assert_eq!(coarse(&ours), coarse(&theirs), "{name}");
        }
    }
    assert_eq!(used, WRITTEN_OTHERWISE.len(), "an exception that no case needs");
}

/// The value with reals cut to six decimals and timestamps to milliseconds, as the C++ Broker does.
fn coarse(value: &Value) -> Value {
    match value {
        Value::Real(real) => Value::Real(format!("{real:.6}").parse().expect("a number")),
        Value::Timestamp(time) => {
            Value::Timestamp(Timestamp(time.0.div_euclid(1_000_000) * 1_000_000))
        }
        Value::Vector(elements) => Value::Vector(elements.iter().map(coarse).collect()),
        Value::Set(elements) => Value::Set(elements.iter().map(coarse).collect()),
        Value::Table(entries) => {
            Value::Table(entries.iter().map(|(k, v)| (coarse(k), coarse(v))).collect())
        }
        other => other.clone(),
    }
}

/// What is deliberately read otherwise than by the C++ Broker: input (the part that matters), what
/// comes of it here, and why.
const READ_OTHERWISE: &[(&str, Result<&str, JsonErrorClass>, &str)] = &[
    (r#""real", "data": 1}"#, Ok("043ff0000000000000"), "JavaScript and Go write 1.0 as 1"),
    (r#""real", "data": -2}"#, Ok("04c000000000000000"), "JavaScript and Go write -2.0 as -2"),
    (r#""data": 5e-324}"#, Ok("040000000000000000"), "the binary form has no such number"),
    (r#""data":1e400}"#, Err(JsonErrorClass::TypeClash), "not infinity, and too large for a real"),
    (r#""data":"\n\t\/\b"}"#, Ok("05040a092f08"), r"\/ is a slash, not a question mark"),
    (r#""10.0.0.0/33""#, Err(JsonErrorClass::TypeClash), "there is no such subnet"),
    (r#""::/129""#, Err(JsonErrorClass::TypeClash), "there is no such subnet"),
    (r#""::ffff:10.0.0.0/104""#, Err(JsonErrorClass::TypeClash), "IPv4 lengths end at 32"),
    (r#""65536/tcp""#, Err(JsonErrorClass::TypeClash), "not port 0"),
    (r#""/tcp""#, Err(JsonErrorClass::TypeClash), "no number is not port 0"),
    (r#""-1/tcp""#, Err(JsonErrorClass::TypeClash), "not port 65535"),
    (r#""1d""#, Ok("0a00004e94914f0000"), "clients send days"),
    (r#""9223372036854775807ns""#, Ok("0a7fffffffffffffff"), "exact, not the smallest timespan"),
    (r#""9223372036854775808ns""#, Err(JsonErrorClass::TypeClash), "out of range"),
];

#[test]
fn json_is_read_like_in_the_cpp_broker_except_where_that_makes_no_sense() {
    let mut used = 0;
    for case in cases("json-to-data.json", "cases") {
        let input = text(&case, "input");
        let ours = payload_of(input).map_err(|error| error.class());
        let otherwise = READ_OTHERWISE.iter().find(|(part, ..)| input.contains(part));
        if let Some((_, expected, why)) = otherwise {
            assert_eq!(ours, expected.map(str::to_owned), "{input}: {why}");
            used += 1;
            continue;
        }
        match case["reference_bin"].as_str() {
            Some(reference) => assert_eq!(ours.as_deref(), Ok(reference), "{input}"),
            None => assert_class(&ours, text(&case, "reference"), input),
        }
    }
    assert_eq!(used, READ_OTHERWISE.len(), "an exception that no case needs");
}

/// The same error code where the C++ Broker names one; it has no name for invalid JSON.
fn assert_class(ours: &Result<String, JsonErrorClass>, reference: &str, input: &str) {
    let class = *ours.as_ref().expect_err(input);
    if input.contains("18446744073709551616") {
        // There, no JSON number; here, a number that is no count.
        assert_eq!(class, JsonErrorClass::TypeClash);
    } else if input.matches("vector").count() > 64 {
        // It is JSON, but there are limits.
        assert_eq!(class, JsonErrorClass::DeserializationFailed);
    } else if reference == "ERR" {
        assert_eq!(class, JsonErrorClass::InvalidJson, "{input}");
    } else {
        let code = reference.trim_start_matches("ERR ").split('(').next().expect("a code");
        assert_eq!(class.name(), code, "{input}");
    }
}
