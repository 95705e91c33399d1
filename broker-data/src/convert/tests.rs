use super::*;
use crate::{BString, Encode, EnumValue, IpAddress, Port, Protocol, Subnet, Timespan, Timestamp};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt::Debug;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, SystemTime};

/// Into a value and back, by way of a value and directly.
#[track_caller]
fn both_ways<T>(rust: T, expected: Value)
where
    T: Into<Value> + Encode + FromValue + PartialEq + Debug + Clone,
{
    let mut bytes = Vec::new();
    rust.encode_into(&mut bytes);
    let value: Value = rust.clone().into();
    assert_eq!(value, expected);
    assert_eq!(bytes, value.encode());
    assert_eq!(value.to::<T>().as_ref(), Ok(&rust));
    assert_eq!(value.into_type::<T>(), Ok(rust));
}

#[test]
fn rust_types_convert_both_ways() {
    both_ways((), Value::None);
    both_ways(true, Value::Boolean(true));
    both_ways(200_u8, Value::Count(200));
    both_ways(u64::MAX, Value::Count(u64::MAX));
    both_ways(7_usize, Value::Count(7));
    both_ways(-1_i8, Value::Integer(-1));
    both_ways(i64::MIN, Value::Integer(i64::MIN));
    both_ways(1.5_f64, Value::Real(1.5));
    both_ways(String::from("ä"), Value::string("ä"));
    both_ways(BString::from(vec![0xFF, 0]), Value::string([0xFF, 0]));
    both_ways(vec![0xFF_u8, 0], Value::string([0xFF, 0]));
    both_ways(EnumValue::from("Conn::LOG"), Value::enum_value("Conn::LOG"));
    both_ways(Port::new(80, Protocol::Tcp), Value::Port(Port::new(80, Protocol::Tcp)));
    let subnet = Subnet::from_raw(IpAddress::from(Ipv4Addr::new(10, 0, 0, 0)), 104);
    both_ways(subnet, Value::Subnet(subnet));
    both_ways(Some(1_u32), Value::Count(1));
    both_ways(None::<u32>, Value::None);
    both_ways(vec![1_u16, 2], vector![1_u64, 2_u64]);
    both_ways(vec![vec![1_u8], vec![]], vector![b"\x01", b""]);
    both_ways(("a".to_owned(), 1_u8, None::<bool>), vector!["a", 1_u64, ()]);
}

#[test]
fn collections_convert_both_ways() {
    let set = BTreeSet::from(["a".to_owned(), "b".to_owned()]);
    let hash_set: HashSet<_> = set.iter().cloned().collect();
    let value = set!["b", "a"];
    assert_eq!(Value::from(set.clone()), value);
    assert_eq!(Value::from(hash_set.clone()), value);
    assert_eq!(value.to(), Ok(set));
    assert_eq!(value.to(), Ok(hash_set));

    let map = BTreeMap::from([(1_u8, true), (2, false)]);
    let hash_map: HashMap<_, _> = map.clone().into_iter().collect();
    let value = table! { 2_u64 => false, 1_u64 => true };
    assert_eq!(Value::from(map.clone()), value);
    assert_eq!(Value::from(hash_map.clone()), value);
    assert_eq!(value.to(), Ok(map));
    assert_eq!(value.to(), Ok(hash_map));
}

#[test]
fn addresses_of_the_standard_library_are_mapped() {
    let v4 = Ipv4Addr::new(192, 168, 9, 8);
    let v6: Ipv6Addr = "2001:db8::1".parse().unwrap();
    both_ways(IpAddr::V4(v4), Value::Address(v4.into()));
    both_ways(IpAddr::V6(v6), Value::Address(v6.into()));
    both_ways(v4, Value::Address(v4.to_ipv6_mapped().into()));
    both_ways(v6, Value::Address(v6.into()));
    assert!(IpAddress::from(v4).is_v4());
    assert_eq!(
        Value::from(v6).to::<Ipv4Addr>().unwrap_err().to_string(),
        "2001:db8::1 is not an IPv4 address"
    );
}

#[test]
fn times_saturate_at_the_ends() {
    let epoch = SystemTime::UNIX_EPOCH;
    both_ways(epoch + Duration::from_nanos(1), Value::Timestamp(Timestamp(1)));
    both_ways(epoch - Duration::from_millis(1500), Value::Timestamp(Timestamp(-1_500_000_000)));
    let far = Duration::from_secs(1 << 40);
    assert_eq!(Value::from(epoch + far), Value::Timestamp(Timestamp(i64::MAX)));
    assert_eq!(Value::from(epoch - far), Value::Timestamp(Timestamp(i64::MIN)));
    both_ways(Duration::from_millis(1500), Value::Timespan(Timespan(1_500_000_000)));
    assert_eq!(Value::from(Duration::MAX), Value::Timespan(Timespan::INFINITE));
}

#[track_caller]
fn refused<T: FromValue + Debug>(value: &Value, message: &str) {
    assert_eq!(value.to::<T>().unwrap_err().to_string(), message);
}

#[test]
fn errors_name_what_was_expected_and_found_and_where() {
    refused::<u64>(&Value::string("x"), "expected count, found string");
    refused::<u64>(&Value::Integer(1), "expected count, found integer");
    refused::<u8>(&Value::Count(256), "expected u8, found 256, which is out of range");
    refused::<i8>(&Value::Integer(-129), "expected i8, found -129, which is out of range");
    refused::<String>(&Value::string([0xFF]), "expected UTF-8, found other bytes");
    refused::<String>(&Value::enum_value("x"), "expected string, found enum-value");
    refused::<(u64, u64)>(&vector![1_u64], "expected vector of 2 elements, found 1");
    refused::<Vec<(u64, String)>>(
        &vector![(1_u64, "a"), (1_u64, 2_u64)],
        "expected string, found count at [1][1]",
    );
    refused::<BTreeMap<String, Vec<u16>>>(
        &table! { "a" => vector![1_u64, 65536_u64] },
        "expected u16, found 65536, which is out of range at [0].value[1]",
    );
    refused::<BTreeMap<u64, bool>>(
        &table! { "a" => true },
        "expected count, found string at [0].key",
    );
    refused::<Duration>(
        &Value::Timespan(Timespan(-5)),
        "expected a timespan of zero or more, found -5, which is out of range",
    );
}

#[test]
fn try_from_reads_values_and_references() {
    let value = vector!["a", "b"];
    assert_eq!(<Vec<String>>::try_from(&value), Ok(vec!["a".to_owned(), "b".to_owned()]));
    let pair: (String, String) = value.try_into().unwrap();
    assert_eq!(pair, ("a".to_owned(), "b".to_owned()));
}
