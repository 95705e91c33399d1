//! Equality, total order and hashing of [`Value`].
//!
//! Values of different kinds order by the tag of the kind; within a kind the order is numeric,
//! byte-wise or lexicographic. It decides the iteration order of sets and tables and with it the
//! order in which their elements are written.
//!
//! One point is this library's own: NaN sorts after every other real and equals itself, because
//! the C++ Broker's rule (NaN is equivalent to every real) is not an order at all. The C++ Broker's
//! rule does decide what a peer accepts, so decoding applies it when it looks for duplicates; see
//! [`Value::decode`].

use super::Value;
use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

/// Orders reals: numerically, `-0.0 == 0.0`, NaN equal to itself and after everything else.
pub(crate) fn cmp_real(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

impl Ord for Value {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::None, Self::None) => Ordering::Equal,
            (Self::Boolean(a), Self::Boolean(b)) => a.cmp(b),
            (Self::Count(a), Self::Count(b)) => a.cmp(b),
            (Self::Integer(a), Self::Integer(b)) => a.cmp(b),
            (Self::Real(a), Self::Real(b)) => cmp_real(*a, *b),
            (Self::String(a), Self::String(b)) => a.cmp(b),
            (Self::Address(a), Self::Address(b)) => a.cmp(b),
            (Self::Subnet(a), Self::Subnet(b)) => a.cmp(b),
            (Self::Port(a), Self::Port(b)) => a.cmp(b),
            (Self::Timestamp(a), Self::Timestamp(b)) => a.cmp(b),
            (Self::Timespan(a), Self::Timespan(b)) => a.cmp(b),
            (Self::Enum(a), Self::Enum(b)) => a.cmp(b),
            (Self::Set(a), Self::Set(b)) => a.cmp(b),
            (Self::Table(a), Self::Table(b)) => a.cmp(b),
            (Self::Vector(a), Self::Vector(b)) => a.cmp(b),
            _ => self.kind().cmp(&other.kind()),
        }
    }
}

impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Value {}

impl Hash for Value {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.kind().hash(state);
        match self {
            Self::None => {}
            Self::Boolean(v) => v.hash(state),
            Self::Count(v) => v.hash(state),
            Self::Integer(v) => v.hash(state),
            Self::Real(v) => hash_real(*v).hash(state),
            Self::String(v) => v.hash(state),
            Self::Address(v) => v.hash(state),
            Self::Subnet(v) => v.hash(state),
            Self::Port(v) => v.hash(state),
            Self::Timestamp(v) => v.hash(state),
            Self::Timespan(v) => v.hash(state),
            Self::Enum(v) => v.hash(state),
            Self::Set(v) => v.hash(state),
            Self::Table(v) => v.hash(state),
            Self::Vector(v) => v.hash(state),
        }
    }
}

/// One number for all reals that are equal to each other.
fn hash_real(value: f64) -> u64 {
    if value.is_nan() {
        u64::MAX
    } else if value == 0.0 {
        0
    } else {
        value.to_bits()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::hash_map::DefaultHasher;

    fn hash(value: &Value) -> u64 {
        let mut hasher = DefaultHasher::new();
        value.hash(&mut hasher);
        hasher.finish()
    }

    #[test]
    fn kinds_order_by_tag() {
        assert!(Value::None < Value::Boolean(false));
        assert!(Value::Boolean(true) < Value::Count(0));
        assert!(Value::Count(u64::MAX) < Value::Integer(i64::MIN));
        assert!(Value::Integer(i64::MAX) < Value::Real(f64::NEG_INFINITY));
        assert!(Value::Set([Value::None].into()) < Value::Vector(vec![]));
    }

    #[test]
    fn nan_is_last_among_reals_and_equals_itself() {
        let nan = Value::Real(f64::NAN);
        assert_eq!(nan, Value::Real(-f64::NAN));
        assert!(nan > Value::Real(f64::INFINITY));
        assert!(nan < Value::String("".into()));
        assert_eq!(hash(&nan), hash(&Value::Real(-f64::NAN)));
    }

    #[test]
    fn the_zeros_are_equal_and_hash_alike() {
        assert_eq!(Value::Real(0.0), Value::Real(-0.0));
        assert_eq!(hash(&Value::Real(0.0)), hash(&Value::Real(-0.0)));
    }

    #[test]
    fn vectors_compare_by_element_then_length() {
        let vector =
            |counts: &[u64]| Value::Vector(counts.iter().map(|&n| Value::Count(n)).collect());
        assert!(vector(&[]) < vector(&[1]));
        assert!(vector(&[1]) < vector(&[1, 9]));
        assert!(vector(&[1, 9]) < vector(&[2]));
    }

    #[test]
    fn tables_compare_key_first_then_value() {
        let table = |pairs: &[(u64, u64)]| {
            Value::Table(pairs.iter().map(|&(k, v)| (Value::Count(k), Value::Count(v))).collect())
        };
        assert!(table(&[(0, 9), (1, 0)]) < table(&[(1, 2)]));
        assert!(table(&[(1, 2)]) < table(&[(1, 3)]));
    }
}
