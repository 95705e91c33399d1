//! The rules of reading JSON, one by one.

use broker_data::json::{self, JsonError, JsonErrorClass, JsonReader};
use broker_data::{DecodeLimits, Subnet, Value, table, vector};

fn typed(kind: &str, data: &str) -> Result<Value, JsonError> {
    json::from_str(&format!(r#"{{"@data-type":"{kind}","data":{data}}}"#))
}

fn string(data: &str) -> Value {
    typed("string", data).expect(data)
}

/// Class, path and message of the error.
fn refusal(text: &str) -> (JsonErrorClass, String, String) {
    let error = json::from_str(text).expect_err(text);
    (error.class(), error.path(), error.to_string())
}

const COUNT: &str = r#"{"@data-type":"count","data":1}"#;

#[test]
fn any_white_space_of_json_may_stand_between_tokens() {
    let text = "\r\n\t {\r\n\"@data-type\" :\t\"vector\" ,\r\n \"data\" : [ ] } \r\n";
    assert_eq!(json::from_str(text).unwrap(), vector![]);
    for text in [format!("\u{feff}{COUNT}"), format!("\u{a0}{COUNT}"), format!("{COUNT}\0")] {
        assert_eq!(refusal(&text).0, JsonErrorClass::InvalidJson, "{text:?}");
    }
}

#[test]
fn a_byte_order_mark_is_named() {
    assert!(refusal("\u{feff}{}").2.contains("byte order mark"));
}

#[test]
fn what_is_not_json_is_invalid_json() {
    for text in [
        "",
        " ",
        "{",
        "}",
        "[",
        "nul",
        "truely",
        "{'a':1}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{a:1}",
        "{\"a\":1 \"b\":2}",
        "[,]",
        "[1,]",
        "{\"a\":[1,]}",
        "{\"a\":01}",
        "{\"a\":+1}",
        "{\"a\":.5}",
        "{\"a\":1.}",
        "{\"a\":0x1}",
        "{\"a\":1e}",
        "{\"a\":NaN}",
        "{\"a\":Infinity}",
        "{\"a\":\"\\x\"}",
        "{\"a\":\"b}",
        "{\"a\":1}/**/",
    ] {
        let error = json::from_plain(text.as_bytes()).unwrap_err();
        assert_eq!(error.class(), JsonErrorClass::InvalidJson, "{text:?}: {error}");
    }
    for text in [
        "{\"@data-type\":\"count\",\"data\":1}1",
        "{\"@data-type\":\"count\",\"data\":1,}",
        "{\"@data-type\":\"count\",\"x\":[1 2],\"data\":1}",
        "{\"@data-type\":\"none\",\"data\":{\"x\":[}}",
        "{\"data\":[1,],\"@data-type\":\"vector\"}",
    ] {
        assert_eq!(refusal(text).0, JsonErrorClass::InvalidJson, "{text}");
    }
}

#[test]
fn members_may_come_in_any_order_and_among_others() {
    for text in [
        r#"{"data":[{"data":1,"@data-type":"count"}],"@data-type":"vector"}"#,
        r#"{"x":{"y":[1,{}]},"@data-type":"vector","z":null,"data":[{"data":1,"@data-type":"count"}],"a":"b"}"#,
    ] {
        assert_eq!(json::from_str(text).unwrap(), vector![1_u64]);
    }
    let pair = r#"{"@data-type":"table","data":[{"x":1,"value":{"data":1,"@data-type":"count"},"key":{"@data-type":"string","data":"k"}}]}"#;
    assert_eq!(json::from_str(pair).unwrap(), table! { "k" => 1_u64 });
}

#[test]
fn of_members_with_the_same_name_the_first_counts() {
    for text in [
        r#"{"@data-type":"count","@data-type":"string","data":1,"data":"x"}"#,
        r#"{"data":1,"data":"x","@data-type":"count","@data-type":"string"}"#,
        r#"{"@data-type":"count","@data-type":[],"data":1}"#,
    ] {
        assert_eq!(json::from_str(text).unwrap(), Value::Count(1), "{text}");
    }
    let pair = r#"{"@data-type":"table","data":[{"value":{"@data-type":"count","data":1},"value":2,"key":{"@data-type":"string","data":"k"},"key":3}]}"#;
    assert_eq!(json::from_str(pair).unwrap(), table! { "k" => 1_u64 });
}

#[test]
fn names_may_be_written_with_escapes() {
    let text = r#"{"\u0040data-type":"cou\u006et","d\u0061ta":1}"#;
    assert_eq!(json::from_str(text).unwrap(), Value::Count(1));
}

#[test]
fn strings_are_bytes() {
    assert_eq!(string(r#""\u0000\/\ud83e\udd80\v""#), Value::from("\0/🦀\u{b}"));
    assert_eq!(string("\"a\tb\u{1}\""), Value::from("a\tb\u{1}"), "what should have been escaped");
    let lone = Value::String(b"\xed\xb0\x80".to_vec().into());
    assert_eq!(string(r#""\udc00""#), lone);
    let text = b"{\"@data-type\":\"string\",\"data\":\"\xff\"}";
    assert_eq!(json::from_slice(text).unwrap(), Value::String(vec![0xff].into()));
}

#[test]
fn exact_bytes_stand_beside_strings_that_are_not_utf8() {
    let value = Value::String(b"bad \xff\xfe".to_vec().into());
    let text = json::to_string(&value);
    let lossy = "\"bad \u{fffd}\u{fffd}\"";
    assert_eq!(
        text,
        format!(r#"{{"@data-type":"string","data":{lossy},"data-hex":"62616420fffe"}}"#)
    );
    assert_eq!(json::from_str(&text).unwrap(), value);
    let first = r#"{"data-hex":"62616420FFFE","data":"?","@data-type":"string"}"#;
    assert_eq!(json::from_str(first).unwrap(), value);
}

#[test]
fn exact_bytes_stand_beside_subnets_with_host_bits() {
    let value = Value::Subnet(Subnet::from_raw("10.1.2.3".parse().unwrap(), 104));
    let text = json::to_string(&value);
    assert!(
        text.contains(r#""data":"10.1.2.3/8","data-hex":"00000000000000000000ffff0a01020368""#)
    );
    assert_eq!(json::from_str(&text).unwrap(), value);
}

#[test]
fn exact_bytes_must_be_hexadecimal_where_they_count_and_are_ignored_elsewhere() {
    for (kind, data, hex) in [
        ("string", "\"\"", "\"f\""),
        ("string", "\"\"", "\"0g\""),
        ("enum-value", "\"\"", "7"),
        ("subnet", "\"::/0\"", "\"00\""),
        ("subnet", "\"::/0\"", "\"0000000000000000000000000000000081\""),
    ] {
        let text = format!(r#"{{"@data-type":"{kind}","data":{data},"data-hex":{hex}}}"#);
        let (class, path, _) = refusal(&text);
        assert_eq!((class, path.as_str()), (JsonErrorClass::TypeClash, "$.data-hex"), "{text}");
    }
    let text = r#"{"@data-type":"count","data":1,"data-hex":[]}"#;
    assert_eq!(json::from_str(text).unwrap(), Value::Count(1));
    assert_eq!(refusal(r#"{"@data-type":"string","data-hex":"00"}"#).0, JsonErrorClass::TypeClash);
}

#[test]
fn numbers_are_exact_and_fit_or_are_refused() {
    assert_eq!(typed("count", "18446744073709551615").unwrap(), Value::Count(u64::MAX));
    assert_eq!(typed("count", "-0").unwrap(), Value::Count(0));
    assert_eq!(typed("integer", "-9223372036854775808").unwrap(), Value::Integer(i64::MIN));
    for (kind, data) in [
        ("count", "-1"),
        ("count", "18446744073709551616"),
        ("count", "1.0"),
        ("count", "1e2"),
        ("count", "\"1\""),
        ("count", "null"),
        ("integer", "9223372036854775808"),
        ("integer", "1.0"),
        ("integer", "-9223372036854775809"),
        ("real", "1e400"),
        ("real", "\"1.5\""),
        ("real", "null"),
        ("real", "\"Infinity\""),
        ("boolean", "0"),
    ] {
        let error = typed(kind, data).unwrap_err();
        assert_eq!(error.class(), JsonErrorClass::TypeClash, "{kind} {data}: {error}");
        assert!(error.message().contains("found"), "{error}");
    }
}

#[test]
fn every_number_is_a_real_and_so_are_the_words_for_what_is_not_finite() {
    for (data, real) in [
        ("5", 5.0),
        ("-2", -2.0),
        ("1e2", 100.0),
        ("100000000000000000000", 1e20),
        ("179769313486231570000000000000000000000", 1.7976931348623157e38),
        ("0.1", 0.1),
        ("\"inf\"", f64::INFINITY),
        ("inf", f64::INFINITY),
        ("\"-inf\"", f64::NEG_INFINITY),
        ("-inf", f64::NEG_INFINITY),
        ("\"nan\"", f64::NAN),
        ("nan", f64::NAN),
        ("-nan", f64::NAN),
    ] {
        assert_eq!(typed("real", data).unwrap(), Value::Real(real), "{data}");
    }
}

#[test]
fn what_is_not_finite_is_written_as_a_string() {
    for (real, data) in
        [(f64::INFINITY, "inf"), (f64::NEG_INFINITY, "-inf"), (f64::NAN, "nan"), (-f64::NAN, "nan")]
    {
        let text = json::to_string(&Value::Real(real));
        assert_eq!(text, format!(r#"{{"@data-type":"real","data":"{data}"}}"#));
    }
}

#[test]
fn finite_reals_are_short_and_never_look_like_integers() {
    for (real, digits) in [
        (1.0, "1.0"),
        (-0.0, "-0.0"),
        (0.1, "0.1"),
        (1e15, "1000000000000000.0"),
        (1e16, "1e16"),
        (1e-7, "1e-7"),
        (1.5e300, "1.5e300"),
        (f64::MAX, "1.7976931348623157e308"),
    ] {
        let text = json::to_string(&Value::Real(real));
        assert_eq!(text, format!(r#"{{"@data-type":"real","data":{digits}}}"#));
    }
}

#[test]
fn nil_takes_any_data_or_none() {
    for text in [
        r#"{"@data-type":"none","data":{}}"#,
        r#"{"@data-type":"none","data":[1,{"a":"b"}]}"#,
        r#"{"data":nan,"@data-type":"none"}"#,
        r#"{"@data-type":"none"}"#,
    ] {
        assert_eq!(json::from_str(text).unwrap(), Value::None, "{text}");
    }
}

#[test]
fn errors_name_the_place() {
    let text = format!(
        r#"{{"@data-type":"vector","data":[{COUNT},{{"@data-type":"table","data":[{{"key":{COUNT},"value":{{"@data-type":"subnet","data":"10.0.0.0/33"}}}}]}}]}}"#
    );
    let error = json::from_str(&text).unwrap_err();
    assert_eq!(error.path(), "$.data[1].data[0].value.data");
    assert_eq!(error.offset(), text.find("\"10.0").unwrap());
    assert_eq!(
        error.to_string(),
        format!(
            "\"33\" is not a prefix length for this address (expected 0 to 32) at \
             $.data[1].data[0].value.data (byte {})",
            error.offset()
        )
    );
}

#[test]
fn errors_name_the_same_place_when_data_comes_first() {
    let text = r#"{"data":[{"data":-1,"@data-type":"count"}],"@data-type":"vector"}"#;
    let (class, path, message) = refusal(text);
    assert_eq!((class, path.as_str()), (JsonErrorClass::TypeClash, "$.data[0].data"));
    assert!(message.contains("found the number -1"), "{message}");
    assert!(message.contains(&format!("(byte {})", text.find("-1").unwrap())), "{message}");
}

#[test]
fn a_missing_or_unknown_type_is_a_type_clash() {
    for (text, path) in [
        (r#"{"data":1}"#, "$"),
        (r#"{"@data-type":"count"}"#, "$"),
        (r#"{"@data-type":"Count","data":1}"#, "$.@data-type"),
        (r#"{"@data-type":5,"data":1}"#, "$.@data-type"),
        (r#"{"@data-type":"vector","data":[1]}"#, "$.data[0]"),
        (r#"{"@data-type":"vector","data":{}}"#, "$.data"),
        (r#"{"@data-type":"table","data":{}}"#, "$.data"),
        (r#"{"@data-type":"table","data":[1]}"#, "$.data[0]"),
        (r#"{"@data-type":"table","data":[{}]}"#, "$.data[0]"),
        ("5", "$"),
        ("[]", "$"),
    ] {
        let (class, at, message) = refusal(text);
        assert_eq!((class, at.as_str()), (JsonErrorClass::TypeClash, path), "{text}: {message}");
    }
}

fn set_of(elements: &[String]) -> String {
    format!(r#"{{"@data-type":"set","data":[{}]}}"#, elements.join(","))
}

fn count(n: usize) -> String {
    format!(r#"{{"data":{n},"@data-type":"count"}}"#)
}

#[test]
fn duplicates_in_sets_and_among_keys_are_refused_with_their_place() {
    let text = set_of(&[count(1), count(2), count(1)]);
    let (class, path, message) = refusal(&text);
    assert_eq!((class, path.as_str()), (JsonErrorClass::DeserializationFailed, "$.data[2]"));
    assert!(message.contains("duplicate element in a set"), "{message}");

    let pair = |key: &str| format!(r#"{{"value":{COUNT},"key":{key}}}"#);
    let text = format!(r#"{{"@data-type":"table","data":[{},{}]}}"#, pair(COUNT), pair(&count(1)));
    let (class, path, message) = refusal(&text);
    assert_eq!((class, path.as_str()), (JsonErrorClass::DeserializationFailed, "$.data[1].key"));
    assert!(message.contains("duplicate key in a table"), "{message}");
}

#[test]
fn the_place_of_a_duplicate_is_right_inside_of_large_containers() {
    let inner = set_of(&(0..300).map(count).chain([count(7)]).collect::<Vec<_>>());
    let mut elements = vec![count(0); 200];
    elements.push(inner);
    let text = format!(r#"{{"data":[{}],"@data-type":"vector"}}"#, elements.join(","));
    let error = json::from_str(&text).unwrap_err();
    assert_eq!(error.path(), "$.data[200].data[300]");
    assert!(text[error.offset()..].starts_with(&count(7)), "{error}");
}

#[test]
fn nan_is_a_duplicate_of_every_real_as_it_is_for_receivers() {
    let text = set_of(
        &[r#"{"@data-type":"real","data":1}"#, r#"{"@data-type":"real","data":"nan"}"#]
            .map(str::to_owned),
    );
    assert_eq!(refusal(&text).0, JsonErrorClass::DeserializationFailed);
}

#[test]
fn elements_stay_in_the_order_of_the_text_in_binary() {
    let text = set_of(&[count(3), count(1), count(2)]);
    let mut payload = b"before".to_vec();
    JsonReader::default().value_into(text.as_bytes(), &mut payload).unwrap();
    assert_eq!(payload[..8], *b"before\x0c\x03");
    let numbers: Vec<u8> = payload[8..].chunks(9).map(|element| element[8]).collect();
    assert_eq!(numbers, [3, 1, 2]);
}

#[test]
fn nothing_is_appended_in_case_of_an_error() {
    let mut payload = b"before".to_vec();
    let text = set_of(&[count(1), count(1)]);
    assert!(JsonReader::default().value_into(text.as_bytes(), &mut payload).is_err());
    assert!(
        JsonReader::default()
            .value_into(b"{\"@data-type\":\"set\",\"data\":[", &mut payload)
            .is_err()
    );
    assert_eq!(payload, b"before");
}

#[test]
fn sizes_of_any_length_are_right_in_binary() {
    for size in [0, 1, 127, 128, 129, 16_383, 16_384] {
        let text = format!(
            r#"{{"@data-type":"vector","data":[{}]}}"#,
            vec![r#"{"@data-type":"none"}"#; size].join(",")
        );
        let mut payload = Vec::new();
        JsonReader::default().value_into(text.as_bytes(), &mut payload).unwrap();
        assert_eq!(payload, Value::Vector(vec![Value::None; size]).encode(), "{size}");
    }
}

fn nested(kind: &str, depth: usize, innermost: &str) -> String {
    let (open, close) = match kind {
        "table" => (
            format!(r#"{{"@data-type":"table","data":[{{"key":{COUNT},"value":"#),
            "}]}".to_owned(),
        ),
        kind => (format!(r#"{{"@data-type":"{kind}","data":["#), "]}".to_owned()),
    };
    open.repeat(depth) + innermost + &close.repeat(depth)
}

/// The same with `data` in front, so that everything is skipped first.
fn nested_backwards(depth: usize) -> String {
    r#"{"data":[{"value":"#.repeat(depth)
        + r#"{"@data-type":"none","data":{}}"#
        + &format!(r#","key":{COUNT}}}],"@data-type":"table"}}"#).repeat(depth)
}

#[test]
fn containers_may_be_nested_up_to_the_limit() {
    let depth = DecodeLimits::default().max_depth;
    for kind in ["vector", "set", "table"] {
        assert!(json::from_str(&nested(kind, depth, COUNT)).is_ok(), "{kind}");
        let (class, _, message) = refusal(&nested(kind, depth + 1, COUNT));
        assert_eq!(class, JsonErrorClass::DeserializationFailed);
        assert!(message.contains("more than 64 containers"), "{message}");
    }
    assert!(json::from_str(&nested_backwards(depth)).is_ok());
    assert!(json::from_str(&nested_backwards(depth + 1)).is_err());
}

#[test]
fn the_highest_limit_fits_the_stack_and_deeper_texts_are_refused() {
    let depth = DecodeLimits::HIGHEST_DEPTH;
    let reader =
        JsonReader { limits: DecodeLimits { max_depth: usize::MAX }, ..JsonReader::default() };
    for text in [nested("table", depth, COUNT), nested_backwards(depth)] {
        let value = reader.value(text.as_bytes()).unwrap();
        assert_eq!(reader.value(json::to_string(&value).as_bytes()).unwrap(), value);
    }
    for text in [
        nested("table", 100_000, COUNT),
        nested_backwards(100_000),
        "[".repeat(1_000_000),
        "{\"data\":".repeat(1_000_000),
        format!("{{\"x\":{}", "[".repeat(1_000_000)),
    ] {
        assert!(reader.value(text.as_bytes()).is_err());
        assert!(reader.plain(text.as_bytes()).is_err());
        assert!(json::from_typed_or_plain(text.as_bytes()).is_err());
    }
}

#[test]
fn a_data_message_has_a_type_and_a_topic() {
    let message = json::decode_data_message(
        br#"{"data":1,"@data-type":"count","topic":"/a/b","type":"data-message"}"#,
    )
    .unwrap();
    assert_eq!((message.topic, message.value), ("/a/b".into(), Value::Count(1)));

    for (text, path) in [
        (r#"{"type":"data-message","@data-type":"count","data":1}"#, "$"),
        (r#"{"topic":"t","@data-type":"count","data":1}"#, "$"),
        (r#"{"type":"event","topic":"t","@data-type":"count","data":1}"#, "$.type"),
        (r#"{"type":[],"topic":"t","@data-type":"count","data":1}"#, "$.type"),
        (r#"{"type":"data-message","topic":"","@data-type":"count","data":1}"#, "$.topic"),
        (r#"{"type":"data-message","topic":{},"@data-type":"count","data":1}"#, "$.topic"),
        (r#"{"type":"data-message","topic-hex":"","@data-type":"count","data":1}"#, "$.topic-hex"),
        ("[]", "$"),
        ("5", "$"),
    ] {
        let error = json::decode_data_message(text.as_bytes()).unwrap_err();
        assert_eq!(error.class(), JsonErrorClass::DeserializationFailed, "{text}: {error}");
        assert_eq!(error.path(), path, "{text}: {error}");
    }
    assert_eq!(json::decode_data_message(b"[").unwrap_err().class(), JsonErrorClass::InvalidJson);
}

#[test]
fn the_type_of_a_data_message_may_be_left_out_where_that_is_allowed() {
    let reader = JsonReader { require_type: false, ..JsonReader::default() };
    let text = r#"{"topic":"t","@data-type":"count","data":1}"#;
    assert_eq!(reader.message(text.as_bytes()).unwrap().topic, "t");
    let other = r#"{"type":"other","topic":"t","@data-type":"count","data":1}"#;
    assert!(reader.message(other.as_bytes()).is_err());
}

#[test]
fn the_topic_of_a_data_message_may_be_empty_where_that_is_allowed_and_is_never_missing() {
    let reader = JsonReader { require_topic: false, ..JsonReader::default() };
    let empty = br#"{"type":"data-message","topic":"","@data-type":"count","data":1}"#;
    assert_eq!(reader.message(empty).unwrap().topic, "");
    for topic in ["", r#""topic":5,"#, r#""topic":[],"#] {
        let text = format!(r#"{{"type":"data-message",{topic}"@data-type":"count","data":1}}"#);
        assert!(reader.message(text.as_bytes()).is_err(), "{text}");
    }
    let text = br#"{"type":"data-message","topic":"t","@data-type":"count","data":1}"#;
    assert_eq!(reader.message(text).unwrap().topic, "t");
}

#[test]
fn topics_that_are_not_utf8_come_back_exactly() {
    let mut text = Vec::new();
    json::encode_data_message(b"t\xff", &Value::None, &mut text);
    assert_eq!(
        String::from_utf8(text.clone()).unwrap(),
        "{\"type\":\"data-message\",\"topic\":\"t\u{fffd}\",\"topic-hex\":\"74ff\",\"@data-type\":\"none\",\"data\":{}}"
    );
    assert_eq!(json::decode_data_message(&text).unwrap().topic, b"t\xff".as_slice());
}

#[test]
fn plain_json_has_the_obvious_types() {
    let text = br#" {"a":[null,true,1,-1,1.5,2e0,"x",18446744073709551615,-0],"b":{}} "#;
    let list = vector![Value::None, true, 1_u64, -1_i64, 1.5, 2.0, "x", u64::MAX, 0_i64];
    assert_eq!(json::from_plain(text).unwrap(), table! { "a" => list, "b" => table! {} });
    assert_eq!(json::from_plain(b"5").unwrap(), Value::Count(5));
}

#[test]
fn plain_json_that_does_not_fit_is_refused() {
    for (text, class, path) in [
        ("", JsonErrorClass::InvalidJson, "$"),
        ("{\"a\":[1,]}", JsonErrorClass::InvalidJson, "$.a[1]"),
        ("[18446744073709551616]", JsonErrorClass::TypeClash, "$[0]"),
        ("{\"a b\":-9223372036854775809}", JsonErrorClass::TypeClash, "$[\"a b\"]"),
        ("1e999", JsonErrorClass::TypeClash, "$"),
        ("[0,{\"a\":1,\"b\":2,\"a\":3}]", JsonErrorClass::DeserializationFailed, "$[1].a"),
    ] {
        let error = json::from_plain(text.as_bytes()).unwrap_err();
        assert_eq!((error.class(), error.path().as_str()), (class, path), "{text}: {error}");
    }
}

#[test]
fn an_object_with_a_type_name_is_not_plain() {
    let either = |text: &str| json::from_typed_or_plain(text.as_bytes());
    assert_eq!(either(r#"{"data":1,"@data-type":"count"}"#).unwrap(), Value::Count(1));
    assert_eq!(either(r#"{"data":1}"#).unwrap(), table! { "data" => 1_u64 });
    assert_eq!(either("[1]").unwrap(), vector![1_u64]);
    assert!(either(r#"{"@data-type":"bogus"}"#).is_err());
    assert!(either("").is_err());
}

#[test]
fn the_form_of_a_text_follows_from_the_members_of_its_object() {
    use json::Form;
    for (text, form) in [
        (r#"{"type":"data-message","topic":"t","@data-type":"none"}"#, Form::DataMessage),
        (r#"{"type":"data-message"}"#, Form::DataMessage),
        (r#"{"@data-type":"count","data":1,"topic":"t"}"#, Form::DataMessage),
        (r#"{"topic-hex":"74","data":1,"@data-type":"count"}"#, Form::DataMessage),
        (r#"{"data":[{"topic":1}],"@data-type":"count"}"#, Form::Value),
        (r#"{"@data-type":"count","type":"x"}"#, Form::Value),
        (r#"{"@data-type":"#, Form::Value),
        (r#"{"topic":"t","type":"error"}"#, Form::Plain),
        (r#"{"type":["data-message"]}"#, Form::Plain),
        (r#"["@data-type"]"#, Form::Plain),
        ("", Form::Plain),
    ] {
        assert_eq!(Form::of(text.as_bytes()), form, "{text}");
    }
}

#[test]
fn a_typed_value_inside_plain_json_is_that_value_and_never_a_table() {
    let address = |text: &str| Value::Address(text.parse().unwrap());
    let plain = |text: &str| json::from_plain(text.as_bytes());
    let typed = r#"{"@data-type":"address","data":"10.0.0.1"}"#;
    let expected = vector![1_u64, vector!["e", vector![address("10.0.0.1")]]];
    assert_eq!(plain(&format!(r#"[1,["e",[{typed}]]]"#)).unwrap(), expected);
    let late = r#"{"x":{"data":[{"data":"::1","@data-type":"address"}],"@data-type":"vector"}}"#;
    let expected = table! { "x" => vector![address("::1")] };
    assert_eq!(plain(late).unwrap(), expected);
    let error = plain(r#"[{"@data-type":"address"}]"#).unwrap_err();
    assert_eq!(error.to_string(), "this address has no member data at $[0] (byte 1)");
    let table = plain(r#"{"a":{"b":[{"c":1}]},"d":{}}"#).unwrap();
    assert_eq!(table.to_string(), "{a -> {b -> ({c -> 1})}, d -> {}}");
}

#[test]
fn what_is_meant_by_an_unknown_type_is_suggested() {
    for (name, meant) in [
        ("addr", Some("address")),
        ("Address", Some("address")),
        ("interval", Some("timespan")),
        ("enum", Some("enum-value")),
        ("strin", Some("string")),
        ("bool", Some("boolean")),
        ("xyz", None),
    ] {
        let text = format!(r#"{{"@data-type":"{name}","data":1}}"#);
        let error = json::from_slice(text.as_bytes()).unwrap_err().to_string();
        assert_eq!(
            error.split("did you mean \"").nth(1).and_then(|rest| rest.split('"').next()),
            meant,
            "{error}"
        );
        assert!(error.contains("types: none, boolean, count,"), "{error}");
    }
}
