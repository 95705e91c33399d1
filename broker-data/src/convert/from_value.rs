//! From values to Rust types.

use super::{ConversionError, Element, FromValue};
use crate::path::Step;
use crate::{
    BString, EnumValue, IpAddress, Kind, NotIpv4, Port, Subnet, Timespan, Timestamp, Value,
};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::{BuildHasher, Hash};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, SystemTime};

type Result<T> = std::result::Result<T, ConversionError>;

fn mismatch<T>(expected: Kind, found: &Value) -> Result<T> {
    Err(ConversionError::kind(expected.name(), found.kind()))
}

impl FromValue for Value {
    fn from_value(value: &Value) -> Result<Self> {
        Ok(value.clone())
    }

    fn from_owned(value: Value) -> Result<Self> {
        Ok(value)
    }
}

/// Types that a kind holds, or that everything it holds converts into.
macro_rules! read_copies {
    ($($kind:ident => $($type:ty),+;)*) => {$($(
        impl FromValue for $type {
            fn from_value(value: &Value) -> Result<Self> {
                match value {
                    Value::$kind(value) => Ok((*value).into()),
                    _ => mismatch(Kind::$kind, value),
                }
            }
        }
    )+)*};
}

read_copies! {
    Boolean => bool;
    Count => u64;
    Integer => i64;
    Real => f64;
    Address => IpAddress, IpAddr, Ipv6Addr;
    Subnet => Subnet;
    Port => Port;
    Timestamp => Timestamp;
    Timespan => Timespan;
}

/// Numbers that hold a part of the range.
macro_rules! read_narrow {
    ($($kind:ident => $($type:ident),+;)*) => {$($(
        impl FromValue for $type {
            fn from_value(value: &Value) -> Result<Self> {
                match value {
                    Value::$kind(number) => Self::try_from(*number)
                        .map_err(|_| ConversionError::range(stringify!($type), *number)),
                    _ => mismatch(Kind::$kind, value),
                }
            }
        }
    )+)*};
}

read_narrow! {
    Count => u8, u16, u32, usize;
    Integer => i8, i16, i32, isize;
}

impl FromValue for () {
    fn from_value(value: &Value) -> Result<Self> {
        match value {
            Value::None => Ok(()),
            _ => mismatch(Kind::None, value),
        }
    }
}

impl FromValue for Ipv4Addr {
    fn from_value(value: &Value) -> Result<Self> {
        let address = IpAddress::from_value(value)?;
        address.try_into().map_err(|error: NotIpv4| ConversionError::custom(error.to_string()))
    }
}

/// Fails only where the system's own time has a smaller range.
impl FromValue for SystemTime {
    fn from_value(value: &Value) -> Result<Self> {
        Timestamp::from_value(value)?.try_into()
    }
}

/// Fails for negative timespans.
impl FromValue for Duration {
    fn from_value(value: &Value) -> Result<Self> {
        Timespan::from_value(value)?.try_into()
    }
}

impl FromValue for BString {
    fn from_value(value: &Value) -> Result<Self> {
        match value {
            Value::String(bytes) => Ok(bytes.clone()),
            _ => mismatch(Kind::String, value),
        }
    }

    fn from_owned(value: Value) -> Result<Self> {
        match value {
            Value::String(bytes) => Ok(bytes),
            _ => mismatch(Kind::String, &value),
        }
    }
}

impl FromValue for Vec<u8> {
    fn from_value(value: &Value) -> Result<Self> {
        BString::from_value(value).map(Into::into)
    }

    fn from_owned(value: Value) -> Result<Self> {
        BString::from_owned(value).map(Into::into)
    }
}

/// Fails for bytes that are not UTF-8.
impl FromValue for String {
    fn from_value(value: &Value) -> Result<Self> {
        Self::from_owned(value.clone())
    }

    fn from_owned(value: Value) -> Result<Self> {
        Self::from_utf8(Vec::from_owned(value)?).map_err(|_| ConversionError::not_utf8())
    }
}

impl FromValue for EnumValue {
    fn from_value(value: &Value) -> Result<Self> {
        match value {
            Value::Enum(label) => Ok(label.clone()),
            _ => mismatch(Kind::Enum, value),
        }
    }

    fn from_owned(value: Value) -> Result<Self> {
        match value {
            Value::Enum(label) => Ok(label),
            _ => mismatch(Kind::Enum, &value),
        }
    }
}

impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: &Value) -> Result<Self> {
        match value {
            Value::None => Ok(None),
            value => T::from_value(value).map(Some),
        }
    }

    fn from_owned(value: Value) -> Result<Self> {
        match value {
            Value::None => Ok(None),
            value => T::from_owned(value).map(Some),
        }
    }
}

impl<T: FromValue + Element> FromValue for Vec<T> {
    fn from_value(value: &Value) -> Result<Self> {
        match value {
            Value::Vector(elements) => collect(elements, T::from_value),
            _ => mismatch(Kind::Vector, value),
        }
    }

    fn from_owned(value: Value) -> Result<Self> {
        match value {
            Value::Vector(elements) => collect(elements, T::from_owned),
            _ => mismatch(Kind::Vector, &value),
        }
    }
}

fn collect<V, T, C: FromIterator<T>>(
    elements: impl IntoIterator<Item = V>,
    read: impl Fn(V) -> Result<T>,
) -> Result<C> {
    let element = |(index, element)| read(element).map_err(|error| error.in_element(index));
    elements.into_iter().enumerate().map(element).collect()
}

fn set<T: FromValue, C: FromIterator<T>>(value: &Value) -> Result<C> {
    match value {
        Value::Set(elements) => collect(elements, T::from_value),
        _ => mismatch(Kind::Set, value),
    }
}

fn table<K: FromValue, V: FromValue, C: FromIterator<(K, V)>>(value: &Value) -> Result<C> {
    let Value::Table(entries) = value else { return mismatch(Kind::Table, value) };
    let entry = |(index, (key, value))| {
        let key = K::from_value(key).map_err(|error| error.inside(Step::Key(index)))?;
        let value = V::from_value(value).map_err(|error| error.inside(Step::Value(index)))?;
        Ok((key, value))
    };
    entries.iter().enumerate().map(entry).collect()
}

impl<T: FromValue + Ord> FromValue for BTreeSet<T> {
    fn from_value(value: &Value) -> Result<Self> {
        set(value)
    }
}

impl<T: FromValue + Eq + Hash, S: BuildHasher + Default> FromValue for HashSet<T, S> {
    fn from_value(value: &Value) -> Result<Self> {
        set(value)
    }
}

impl<K: FromValue + Ord, V: FromValue> FromValue for BTreeMap<K, V> {
    fn from_value(value: &Value) -> Result<Self> {
        table(value)
    }
}

impl<K, V, S> FromValue for HashMap<K, V, S>
where
    K: FromValue + Eq + Hash,
    V: FromValue,
    S: BuildHasher + Default,
{
    fn from_value(value: &Value) -> Result<Self> {
        table(value)
    }
}

macro_rules! read_tuples {
    ($($length:literal: $($name:ident $index:tt),+;)*) => {$(
        impl<$($name: FromValue),+> FromValue for ($($name,)+) {
            fn from_value(value: &Value) -> Result<Self> {
                let Value::Vector(elements) = value else { return mismatch(Kind::Vector, value) };
                let Ok(elements) = <&[Value; $length]>::try_from(elements.as_slice()) else {
                    return Err(ConversionError::length($length, elements.len()));
                };
                Ok(($(
                    $name::from_value(&elements[$index])
                        .map_err(|error| error.in_element($index))?,
                )+))
            }
        }
    )*};
}

read_tuples! {
    1: A 0;
    2: A 0, B 1;
    3: A 0, B 1, C 2;
    4: A 0, B 1, C 2, D 3;
    5: A 0, B 1, C 2, D 3, E 4;
    6: A 0, B 1, C 2, D 3, E 4, F 5;
    7: A 0, B 1, C 2, D 3, E 4, F 5, G 6;
    8: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7;
    9: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8;
    10: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9;
    11: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10;
    12: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11;
}

/// `TryFrom` for everything but `Option`, for which the standard library has conversions of its
/// own that would overlap.
macro_rules! try_from {
    ($([$($bounds:tt)*] $type:ty;)*) => {$(
        impl<$($bounds)*> TryFrom<Value> for $type {
            type Error = ConversionError;

            fn try_from(value: Value) -> Result<Self> {
                Self::from_owned(value)
            }
        }

        impl<$($bounds)*> TryFrom<&Value> for $type {
            type Error = ConversionError;

            fn try_from(value: &Value) -> Result<Self> {
                Self::from_value(value)
            }
        }
    )*};
}

try_from! {
    [] bool; [] u8; [] u16; [] u32; [] u64; [] usize; [] i8; [] i16; [] i32; [] i64; [] isize;
    [] f64; [] (); [] String; [] BString; [] Vec<u8>; [] EnumValue; [] IpAddress; [] IpAddr;
    [] Ipv4Addr; [] Ipv6Addr; [] Subnet; [] Port; [] Timestamp; [] SystemTime; [] Timespan;
    [] Duration;
    [T: FromValue + Element] Vec<T>;
    [T: FromValue + Ord] BTreeSet<T>;
    [T: FromValue + Eq + Hash, S: BuildHasher + Default] HashSet<T, S>;
    [K: FromValue + Ord, V: FromValue] BTreeMap<K, V>;
    [K: FromValue + Eq + Hash, V: FromValue, S: BuildHasher + Default] HashMap<K, V, S>;
    [A: FromValue] (A,);
    [A: FromValue, B: FromValue] (A, B);
    [A: FromValue, B: FromValue, C: FromValue] (A, B, C);
    [A: FromValue, B: FromValue, C: FromValue, D: FromValue] (A, B, C, D);
}
