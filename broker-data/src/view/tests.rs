use super::*;

fn view(bytes: &[u8]) -> View<'_> {
    View::parse(bytes).unwrap()
}

/// {"b", "a"} and {"a", "b"}
const UNSORTED: &[u8] = b"\x0c\x02\x05\x01b\x05\x01a";
const SORTED: &[u8] = b"\x0c\x02\x05\x01a\x05\x01b";

#[test]
fn elements_come_in_the_order_of_the_wire() {
    let elements: Vec<_> = view(UNSORTED).iter().map(|element| element.as_str()).collect();
    assert_eq!(elements, [Some("b"), Some("a")]);
    assert_eq!(view(UNSORTED).iter().len(), 2);
}

#[test]
fn sets_in_different_order_are_equal() {
    assert_eq!(view(UNSORTED), view(SORTED));
    assert_eq!(View::of_validated(UNSORTED), view(SORTED));
    assert_eq!(view(UNSORTED), view(SORTED).to_value());
    let nested = [b"\x0e\x01", UNSORTED].concat();
    assert_eq!(view(&nested).get(0), Some(view(SORTED)));
}

#[test]
fn sets_are_searched_in_any_order() {
    for set in [view(UNSORTED), view(SORTED), View::of_validated(UNSORTED)] {
        assert!(set.contains("a") && set.contains("b"));
        assert!(!set.contains("aa") && !set.contains("c"));
        assert!(set.contains(&Value::String("b".into())));
        assert!(!set.contains(&Value::None));
    }
}

#[test]
fn tables_are_searched_by_key() {
    for table in
        [b"\x0d\x02\x05\x01b\x01\x01\x05\x01a\x00", b"\x0d\x02\x05\x01a\x00\x05\x01b\x01\x01"]
    {
        let table = view(table);
        assert_eq!(table.lookup("b").and_then(|value| value.as_bool()), Some(true));
        assert!(table.lookup("a").is_some_and(|value| value.is_none()));
        assert!(table.lookup("c").is_none());
        assert!(table.lookup(&view(b"\x05\x01b")).is_some());
    }
}

#[test]
fn paths_lead_through_nested_vectors() {
    let bytes = b"\x0e\x02\x00\x0e\x02\x01\x00\x05\x01x";
    let vector = view(bytes);
    assert_eq!(vector.path([1, 1]).and_then(|value| value.as_str()), Some("x"));
    assert_eq!(vector.path([1, 1]).map(|value| value.raw()), Some(&bytes[7..]));
    assert!(vector.path([1, 2]).is_none() && vector.path([0, 0]).is_none());
    assert_eq!(vector.path([]), Some(vector));
}

#[test]
fn views_of_the_wrong_kind_show_nothing() {
    let count = view(b"\x02\0\0\0\0\0\0\0\x05");
    assert_eq!(count.as_count(), Some(5));
    assert_eq!((count.as_integer(), count.as_real(), count.as_str()), (None, None, None));
    assert_eq!((count.len(), count.iter().count(), count.entries().count()), (0, 0, 0));
    assert!(count.get(0).is_none() && !count.contains(&count) && count.lookup(&count).is_none());
    assert_eq!(view(b"\x0b\x01x").as_bytes(), None, "an enum value is not a string");
}

/// Everything a view can be asked.
fn exercise(view: View<'_>, depth: usize) {
    let _ = (view.kind(), view.as_bool(), view.as_count(), view.as_real(), view.as_str());
    let _ = (view.as_enum(), view.as_address(), view.as_subnet(), view.as_port(), view.len());
    let _ = (view.to_value(), view.path([1, 1]), view.lookup("x"), view.contains("x"));
    let _ = (view.cmp(&View::of_validated(SORTED)), view == view.to_value());
    if depth > 0 {
        view.iter().for_each(|element| exercise(element, depth - 1));
        for (key, value) in view.entries() {
            exercise(key, depth - 1);
            exercise(value, depth - 1);
        }
    }
}

#[test]
fn bytes_that_nobody_validated_do_no_harm() {
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..3000 {
        let len = random.usize(..40);
        let byte = |_| if random.bool() { random.u8(..16) } else { random.u8(..) };
        let bytes: Vec<u8> = (0..len).map(byte).collect();
        exercise(View::of_validated(&bytes), 3);
    }
    for unit in [b"\x0e\x01", b"\x0c\x01", b"\x0d\x01"] {
        exercise(View::of_validated(&unit.repeat(100_000)), 3);
    }
}
