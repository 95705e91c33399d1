//! Properties of random values and of random damage to payloads.

mod fixtures;

use broker_data::serde::{from_value, to_value};
use broker_data::{DecodeLimits, Encode, Value, View, validate};
use fixtures::values::{encode_differently, value};
use proptest::prelude::*;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

fn hash(value: &Value) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(value)
}

fn different(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_differently(value, &mut bytes);
    bytes
}

/// Every value inside, with the view of it.
fn visit(view: View<'_>, value: &Value, check: &mut impl FnMut(View<'_>, &Value)) {
    check(view, value);
    match value {
        Value::Vector(elements) => {
            assert_eq!(view.iter().len(), elements.len());
            view.iter().zip(elements).for_each(|(view, value)| visit(view, value, check));
        }
        Value::Set(elements) => {
            view.iter().zip(elements).for_each(|(view, value)| visit(view, value, check));
        }
        Value::Table(entries) => {
            for ((key_view, value_view), (key, value)) in view.entries().zip(entries) {
                visit(key_view, key, check);
                visit(value_view, value, check);
            }
        }
        _ => assert_eq!(view.iter().len() + view.entries().len(), 0),
    }
}

/// Vectors of vectors of a few reals, so that many are equal up to some point.
fn reals() -> impl Strategy<Value = Value> {
    let reals = [f64::NEG_INFINITY, -0.0, 0.0, 1.0, f64::INFINITY, f64::NAN];
    let row = prop::collection::vec(prop::sample::select(reals.to_vec()), 0..4);
    prop::collection::vec(row.prop_map(Value::vector), 0..3).prop_map(Value::Vector)
}

proptest! {
    #[test]
    fn values_survive_encoding(value in value()) {
        let bytes = value.encode();
        prop_assert_eq!(bytes.len(), value.encoded_len());
        prop_assert_eq!(validate(&bytes, DecodeLimits::default()), Ok(()));
        let decoded = Value::decode(&bytes).unwrap();
        prop_assert_eq!(&decoded, &value);
        prop_assert_eq!(decoded.encode(), bytes);
    }

    #[test]
    fn other_encodings_of_a_value_decode_to_the_same(value in value()) {
        let bytes = different(&value);
        let decoded = Value::decode(&bytes).unwrap();
        prop_assert_eq!(&decoded, &value);
        prop_assert_eq!(decoded.encode(), value.encode());
        let view = View::parse(&bytes).unwrap();
        prop_assert_eq!(view.to_value(), decoded);
        prop_assert_eq!(view.raw(), bytes.as_slice());
        let canonical = value.encode();
        prop_assert_eq!(view, View::parse(&canonical).unwrap());
    }

    #[test]
    fn views_order_as_values_do(a in value(), b in value()) {
        let order = a.cmp(&b);
        prop_assert_eq!(b.cmp(&a), order.reverse());
        for (a_bytes, b_bytes) in [
            (a.encode().to_vec(), b.encode().to_vec()),
            (different(&a), b.encode().to_vec()),
            (different(&a), different(&b)),
        ] {
            let (a_view, b_view) = (View::parse(&a_bytes).unwrap(), View::parse(&b_bytes).unwrap());
            prop_assert_eq!(a_view.cmp(&b_view), order);
            prop_assert_eq!(a_view.partial_cmp(&b), Some(order));
            prop_assert_eq!(a.partial_cmp(&b_view), Some(order));
        }
    }

    #[test]
    fn views_order_reals_of_every_sort_as_values_do(a in reals(), b in reals()) {
        let (a_bytes, b_bytes) = (a.encode(), b.encode());
        let (a_view, b_view) = (View::parse(&a_bytes).unwrap(), View::parse(&b_bytes).unwrap());
        prop_assert_eq!(a_view.cmp(&b_view), a.cmp(&b));
        prop_assert_eq!(a_view.partial_cmp(&b), Some(a.cmp(&b)));
    }

    #[test]
    fn the_order_is_transitive_and_agrees_with_hashes(
        mut values in prop::collection::vec(value(), 3),
    ) {
        values.sort();
        prop_assert!(values[0] <= values[2]);
        if values[0] == values[1] {
            prop_assert_eq!(hash(&values[0]), hash(&values[1]));
        }
    }

    #[test]
    fn views_show_every_part(value in value()) {
        let bytes = value.encode();
        let view = View::parse(&bytes).unwrap();
        visit(view, &value, &mut |view, value| {
            assert_eq!(view.kind(), value.kind());
            assert_eq!(view, *value);
            assert_eq!(view.raw(), value.encode());
        });
    }

    #[test]
    fn sets_and_tables_find_what_is_in_them(value in value(), other in value()) {
        for bytes in [value.encode().to_vec(), different(&value)] {
            let view = View::parse(&bytes).unwrap();
            if let Value::Set(elements) = &value {
                elements.iter().for_each(|element| assert!(view.contains(element)));
                prop_assert_eq!(view.contains(&other), elements.contains(&other));
            }
            if let Value::Table(entries) = &value {
                for (key, value) in entries {
                    let found = view.lookup(key).map(|value| value.to_value());
                    prop_assert_eq!(found, Some(value.clone()));
                }
                prop_assert_eq!(view.lookup(&other).is_some(), entries.contains_key(&other));
            }
        }
    }

    #[test]
    fn views_are_written_in_canonical_order(value in value()) {
        let bytes = different(&value);
        let mut out = Vec::new();
        View::parse(&bytes).unwrap().encode_into(&mut out);
        prop_assert_eq!(Value::decode(&out).unwrap(), value);
    }

    #[test]
    fn values_pass_through_serde(value in value()) {
        prop_assert_eq!(to_value(&value).unwrap(), value.clone());
        prop_assert_eq!(from_value::<Value>(&value).unwrap(), value);
    }

    #[test]
    fn damaged_payloads_are_judged_alike_and_do_no_harm(
        value in value(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = different(&value);
        for (index, byte) in damage {
            let at = index.index(bytes.len());
            bytes[at] = if byte < 128 { byte % 16 } else { byte };
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let verdict = validate(&bytes, DecodeLimits::default());
        match Value::decode(&bytes) {
            Err(error) => {
                prop_assert_eq!(verdict, Err(error));
                prop_assert!(error.offset() <= bytes.len());
            }
            Ok(decoded) => {
                prop_assert_eq!(verdict, Ok(()));
                // Not the value again: the smallest reals do not survive.
                let written = decoded.encode();
                if let Ok(again) = Value::decode(&written) {
                    prop_assert_eq!(again.encode(), written);
                }
            }
        }
    }
}

#[test]
fn large_sets_in_hostile_order_take_no_quadratic_time() {
    let element =
        |n: u64| Value::Vector(vec![Value::Set([Value::Count(n)].into()), Value::Count(n)]);
    let count = 20_000_u64;
    let mut bytes = vec![12, 0xA0, 0x9C, 0x01];
    (0..count).for_each(|n| element(n.wrapping_mul(0x9E37_79B9_7F4A_7C15)).encode_into(&mut bytes));
    assert_eq!(validate(&bytes, DecodeLimits::default()), Ok(()));
    assert_eq!(View::parse(&bytes).unwrap(), Value::decode(&bytes).unwrap());
}
