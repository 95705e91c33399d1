//! Binary format v1 against what the C++ Broker wrote and accepted.

mod fixtures;

use broker_data::{DecodeErrorKind, DecodeLimits, Value, validate};
use fixtures::{cases, hex, payload, text, unhex};

#[test]
fn every_value_of_the_cpp_broker_decodes_and_encodes_to_the_same_bytes() {
    for case in cases("data-v1.json", "values") {
        let name = text(&case, "name");
        let bytes = unhex(text(&case, "bin"));
        let value = Value::decode(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(hex(&value.encode()), hex(&bytes), "{name}");
        assert_eq!(value.encoded_len(), bytes.len(), "{name}");
    }
}

#[test]
fn every_payload_is_accepted_or_refused_as_recommended() {
    for case in cases("binary-decode.json", "cases") {
        let name = text(&case, "name");
        let bytes = payload(&case);
        let accept = text(&case, "recommend") == "accept";
        let decoded = Value::decode(&bytes);
        assert_eq!(decoded.is_ok(), accept, "{name}: {decoded:?}");
        let validated = validate(&bytes, DecodeLimits::default());
        assert_eq!(validated.err(), decoded.as_ref().err().copied(), "{name}");
        if let Err(error) = decoded {
            assert!(error.offset() <= bytes.len(), "{name}: {error}");
        }
    }
}

#[test]
fn every_accepted_payload_is_written_as_the_cpp_broker_writes_it() {
    for case in cases("binary-decode.json", "cases") {
        let bytes = payload(&case);
        let Ok(value) = Value::decode(&bytes) else { continue };
        let expected = case["reencoded_hex"].as_str().map_or_else(|| hex(&bytes), str::to_owned);
        assert_eq!(hex(&value.encode()), expected, "{}", text(&case, "name"));
    }
}

#[track_caller]
fn assert_refused(payload: &str, kind: DecodeErrorKind, offset: usize) {
    let bytes = unhex(&payload.replace(' ', ""));
    let error = Value::decode(&bytes).expect_err("invalid");
    assert_eq!((error.kind(), error.offset()), (kind, offset), "{error}");
}

#[test]
fn errors_say_what_and_where() {
    use DecodeErrorKind as Kind;
    assert_refused("", Kind::UnexpectedEnd { needed: 1, left: 0 }, 0);
    assert_refused("0e 02 00 02 0000", Kind::UnexpectedEnd { needed: 8, left: 2 }, 4);
    assert_refused("0e 05 00 00", Kind::UnexpectedEnd { needed: 5, left: 2 }, 2);
    assert_refused("0d 02 00 00 01", Kind::UnexpectedEnd { needed: 4, left: 3 }, 2);
    assert_refused("0e 02 00 0f", Kind::UnknownTag(0x0f), 3);
    assert_refused("0e 01 05 818080808000", Kind::SizeTooLong, 3);
    assert_refused("0e 01 05 8080808010", Kind::SizeTooLarge, 3);
    assert_refused("0e 01 08 0050 04", Kind::UnknownProtocol(4), 5);
    assert_refused("07 00000000000000000000ffff0a000000 5f", Kind::InvalidPrefixLength(0x5f), 17);
    assert_refused("0c 03 0500 050161 050161", Kind::DuplicateElement, 7);
    assert_refused("0c 03 050161 0500 050161", Kind::DuplicateElement, 7);
    assert_refused("0d 02 0100 00 0100 00", Kind::DuplicateKey, 5);
    assert_refused("0d 03 0101 00 0100 00 0107 00", Kind::DuplicateKey, 8);
    assert_refused("0e 00 ff ff", Kind::TrailingBytes { count: 2 }, 2);
}

#[test]
fn the_depth_limit_counts_containers_and_not_what_is_in_them() {
    let nested = |depth: usize| [unhex("0e01").repeat(depth), vec![0]].concat();
    assert!(Value::decode(&nested(64)).is_ok());
    let error = Value::decode(&nested(65)).expect_err("too deep");
    assert_eq!(error.kind(), DecodeErrorKind::TooDeep { limit: 64 });
    assert_eq!(error.offset(), 128);
    let limits = DecodeLimits { max_depth: 0 };
    assert!(Value::decode_with(&nested(0), limits).is_ok());
    assert!(Value::decode_with(&nested(1), limits).is_err());
}

#[test]
fn no_limit_lets_nesting_exhaust_the_stack() {
    let limits = DecodeLimits { max_depth: usize::MAX };
    for unit in ["0e01", "0c01", "0d0100"] {
        let nested = |depth: usize| [unhex(unit).repeat(depth), vec![0]].concat();
        assert!(Value::decode_with(&nested(DecodeLimits::HIGHEST_DEPTH), limits).is_ok());
        assert!(Value::decode_with(&nested(100_000), limits).is_err());
    }
}

#[test]
fn nan_is_a_duplicate_of_every_real_in_equal_surroundings_only() {
    let nan = "04ffffffffffffffff";
    let one = "043ff0000000000000";
    let accepted = |payload: String| Value::decode(&unhex(&payload)).is_ok();
    assert!(!accepted(format!("0c02{one}{nan}")));
    assert!(!accepted(format!("0c020e02{nan}01010e02{one}0101")), "(NaN, T) and (1.0, T)");
    assert!(!accepted(format!("0c020e02{one}01010e02{nan}0101")), "(1.0, T) and (NaN, T)");
    assert!(accepted(format!("0c020e02{nan}01000e02{nan}0101")), "(NaN, F) and (NaN, T)");
    assert!(accepted(format!("0c020e02{nan}01000e02{one}0101")), "(NaN, F) and (1.0, T)");
}
