use super::{from_value, to_value};
use crate::{
    BString, EnumValue, IpAddress, Port, Protocol, Subnet, Timespan, Timestamp, Value, set, table,
    vector,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

#[track_caller]
fn both_ways<T: Serialize + DeserializeOwned + PartialEq + Debug>(rust: T, expected: Value) {
    let value = to_value(&rust).unwrap();
    assert_eq!(value, expected);
    assert_eq!(from_value::<T>(&value).unwrap(), rust);
}

#[derive(Serialize, Deserialize, PartialEq, Debug)]
struct Record {
    name: String,
    comment: Option<String>,
    #[serde(with = "super::set")]
    tags: BTreeSet<String>,
    counts: BTreeMap<String, u16>,
}

#[derive(Serialize, Deserialize, PartialEq, Debug)]
struct Skips {
    first: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    second: Option<u8>,
    third: i8,
}

#[derive(Serialize, Deserialize, PartialEq, Debug)]
struct Wrapper(u64);

#[derive(Serialize, Deserialize, PartialEq, Debug)]
enum Choice {
    #[serde(rename = "Module::PLAIN")]
    Plain,
    One(u8),
    Two(u8, String),
    Named {
        a: u8,
        b: Option<bool>,
    },
}

#[derive(Serialize, Deserialize, PartialEq, Debug)]
struct Natives {
    address: IpAddress,
    subnet: Subnet,
    port: Port,
    time: Timestamp,
    span: Timespan,
    label: EnumValue,
    bytes: BString,
}

fn natives() -> Natives {
    Natives {
        address: "192.168.9.8".parse().unwrap(),
        subnet: "10.0.0.0/8".parse().unwrap(),
        port: Port::new(53, Protocol::Udp),
        time: Timestamp(-1),
        span: Timespan(1_500_000),
        label: "Conn::LOG".into(),
        bytes: "x".into(),
    }
}

#[test]
fn structs_are_vectors_in_field_order() {
    let record = Record {
        name: "x".to_owned(),
        comment: None,
        tags: ["b", "a"].map(str::to_owned).into(),
        counts: [("k".to_owned(), 7)].into(),
    };
    both_ways(record, vector!["x", (), set!["a", "b"], table! { "k" => 7_u64 }]);
}

#[test]
fn skipped_fields_keep_their_place() {
    both_ways(Skips { first: true, second: None, third: -1 }, vector![true, (), -1_i64]);
}

#[test]
fn records_may_have_more_elements_than_fields_but_not_fewer() {
    let longer = vector![true, (), -1_i64, "new"];
    assert_eq!(from_value(&longer), Ok(Skips { first: true, second: None, third: -1 }));
    let error = from_value::<Skips>(&vector![true]).unwrap_err().to_string();
    assert!(error.contains("struct Skips with 3 elements"), "{error}");
}

#[test]
fn newtypes_are_what_is_inside_and_tuples_are_vectors() {
    both_ways(Wrapper(5), Value::Count(5));
    both_ways((1_u8, -1_i16, 'c', 0.5_f32), vector![1_u64, -1_i64, "c", 0.5]);
    both_ways(vec![Some(1_u8), None], vector![1_u64, ()]);
    both_ways((), Value::None);
    both_ways((1_u128, -1_i128), vector![1_u64, -1_i64]);
}

#[test]
fn enums_are_labels_with_their_data_behind_them() {
    both_ways(Choice::Plain, Value::enum_value("Module::PLAIN"));
    both_ways(Choice::One(1), vector![Value::enum_value("One"), 1_u64]);
    both_ways(Choice::Two(1, "x".to_owned()), vector![Value::enum_value("Two"), 1_u64, "x"]);
    both_ways(Choice::Named { a: 1, b: None }, vector![Value::enum_value("Named"), 1_u64, ()]);
}

#[test]
fn types_of_the_data_model_stay_what_they_are() {
    let expected = vector![
        natives().address,
        natives().subnet,
        natives().port,
        natives().time,
        natives().span,
        natives().label,
        "x",
    ];
    both_ways(natives(), expected);
    both_ways(EnumValue(vec![0xFF].into()), Value::enum_value([0xFF]));
    let host_bits = Subnet::from_raw("10.1.2.3".parse().unwrap(), 104);
    both_ways(host_bits, Value::Subnet(host_bits));
}

fn every_kind() -> Value {
    let scalars = vector![
        (),
        true,
        1_u64,
        -1_i64,
        1.5,
        "s",
        natives().address,
        natives().subnet,
        natives().port,
        natives().time,
        natives().span,
        natives().label,
    ];
    vector![
        scalars.clone(),
        set![scalars.clone(), 1_u64],
        table! { scalars => b"\xFF", 2_u64 => () }
    ]
}

#[test]
fn values_of_every_kind_pass_through() {
    both_ways(every_kind(), every_kind());
    both_ways((1_u8, every_kind()), vector![1_u64, every_kind()]);
}

#[test]
fn other_formats_carry_everything() {
    let text = serde_json::to_string(&every_kind()).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), every_kind());
    assert!(
        text.contains(r#"{"address":"192.168.9.8"},{"subnet":"10.0.0.0/8"},{"port":"53/udp"}"#)
    );
    let text = serde_json::to_string(&natives()).unwrap();
    assert_eq!(serde_json::from_str::<Natives>(&text).unwrap(), natives());
    let host_bits = Subnet::from_raw("10.1.2.3".parse().unwrap(), 104);
    let text = serde_json::to_string(&host_bits).unwrap();
    assert_eq!(serde_json::from_str::<Subnet>(&text).unwrap(), host_bits);
}

#[test]
fn buffered_types_read_back() {
    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    #[serde(untagged)]
    enum Either {
        Address(IpAddress),
        Number(u64),
        Bytes(EnumValue),
    }
    both_ways(Either::Address(natives().address), Value::Address(natives().address));
    both_ways(Either::Number(5), Value::Count(5));
}

#[test]
fn strings_may_be_borrowed() {
    let value = vector!["a", b"b"];
    assert_eq!(from_value::<(&str, &[u8])>(&value), Ok(("a", b"b".as_slice())));
}

#[test]
fn tables_read_as_pairs_too() {
    let value = table! { "a" => 1_u64 };
    assert_eq!(from_value(&value), Ok(vec![("a".to_owned(), 1_u8)]));
}

#[track_caller]
fn refused<T: DeserializeOwned + Debug>(value: &Value, message: &str) {
    assert_eq!(from_value::<T>(value).unwrap_err().to_string(), message);
}

#[test]
fn errors_name_the_place() {
    refused::<u64>(&Value::Integer(1), "expected count, found integer");
    refused::<String>(&Value::enum_value("x"), "expected string, found enum-value");
    refused::<IpAddress>(&Value::string("::"), "expected address, found string");
    refused::<(u8, u8)>(&vector![1_u64], "expected vector of 2 elements, found 1");
    refused::<Vec<Skips>>(
        &vector![vector![true, (), -1_i64], vector![true, (), "x"]],
        "expected integer, found string at [1].third",
    );
    refused::<BTreeMap<String, Vec<bool>>>(
        &table! { "a" => vector![true, 1_u64] },
        "expected boolean, found count at [0].value[1]",
    );
    refused::<Choice>(
        &vector![Value::enum_value("Two"), 1_u64, 2_u64],
        "expected string, found count at [2]",
    );
    refused::<Choice>(
        &vector![Value::enum_value("One"), 1_u64, 2_u64],
        "expected vector of 2 elements, found 3",
    );
    let range = from_value::<Skips>(&vector![true, 256_u64, 1_i64]).unwrap_err().to_string();
    assert!(range.contains("256") && range.ends_with("at second"), "{range}");
    let error = to_value(&(1, vec![u128::MAX])).unwrap_err().to_string();
    assert!(error.ends_with("fits no count at [1][0]"), "{error}");
    #[derive(Deserialize, Debug)]
    struct Tagged {
        #[allow(dead_code)]
        #[serde(with = "super::set")]
        tags: BTreeSet<String>,
    }
    refused::<Tagged>(&vector![vector!["a"]], "expected set, found vector at tags");
}
