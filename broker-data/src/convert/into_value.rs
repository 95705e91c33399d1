//! From Rust types to values.

use super::Element;
use crate::{BStr, BString, EnumValue, IpAddress, Port, Subnet, Timespan, Timestamp, Value};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, SystemTime};

macro_rules! convert {
    ($($source:ty => $kind:ident($target:ty)),* $(,)?) => {$(
        impl From<$source> for Value {
            fn from(value: $source) -> Self {
                Self::$kind(<$target>::from(value))
            }
        }
    )*};
}

convert! {
    bool => Boolean(bool),
    u8 => Count(u64), u16 => Count(u64), u32 => Count(u64), u64 => Count(u64),
    i8 => Integer(i64), i16 => Integer(i64), i32 => Integer(i64), i64 => Integer(i64),
    f32 => Real(f64), f64 => Real(f64),
    &str => String(BString), String => String(BString),
    &[u8] => String(BString), Vec<u8> => String(BString),
    &BStr => String(BString), BString => String(BString),
    IpAddress => Address(IpAddress), IpAddr => Address(IpAddress),
    Ipv4Addr => Address(IpAddress), Ipv6Addr => Address(IpAddress),
    Subnet => Subnet(Subnet),
    Port => Port(Port),
    Timestamp => Timestamp(Timestamp), SystemTime => Timestamp(Timestamp),
    Timespan => Timespan(Timespan), Duration => Timespan(Timespan),
    EnumValue => Enum(EnumValue),
}

impl From<usize> for Value {
    fn from(value: usize) -> Self {
        Self::Count(value as u64)
    }
}

impl From<isize> for Value {
    fn from(value: isize) -> Self {
        Self::Integer(value as i64)
    }
}

impl From<()> for Value {
    fn from((): ()) -> Self {
        Self::None
    }
}

impl From<&String> for Value {
    fn from(string: &String) -> Self {
        string.as_str().into()
    }
}

impl<const N: usize> From<&[u8; N]> for Value {
    fn from(bytes: &[u8; N]) -> Self {
        bytes.as_slice().into()
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::None, Into::into)
    }
}

impl<T: Into<Self> + Element> From<Vec<T>> for Value {
    fn from(elements: Vec<T>) -> Self {
        Self::vector(elements)
    }
}

impl<T: Into<Self> + Element, const N: usize> From<[T; N]> for Value {
    fn from(elements: [T; N]) -> Self {
        Self::vector(elements)
    }
}

impl<T: Into<Self>> From<BTreeSet<T>> for Value {
    fn from(elements: BTreeSet<T>) -> Self {
        Self::set(elements)
    }
}

impl<T: Into<Self>, S> From<HashSet<T, S>> for Value {
    fn from(elements: HashSet<T, S>) -> Self {
        Self::set(elements)
    }
}

impl<K: Into<Self>, V: Into<Self>> From<BTreeMap<K, V>> for Value {
    fn from(entries: BTreeMap<K, V>) -> Self {
        Self::table(entries)
    }
}

impl<K: Into<Self>, V: Into<Self>, S> From<HashMap<K, V, S>> for Value {
    fn from(entries: HashMap<K, V, S>) -> Self {
        Self::table(entries)
    }
}

macro_rules! convert_tuples {
    ($(($($name:ident),+);)*) => {$(
        impl<$($name: Into<Value>),+> From<($($name,)+)> for Value {
            #[allow(non_snake_case, reason = "one name for the type and the element")]
            fn from(($($name,)+): ($($name,)+)) -> Self {
                Self::Vector(vec![$($name.into()),+])
            }
        }

        impl<$($name),+> Element for ($($name,)+) {}
    )*};
}

convert_tuples! {
    (A);
    (A, B);
    (A, B, C);
    (A, B, C, D);
    (A, B, C, D, E);
    (A, B, C, D, E, F);
    (A, B, C, D, E, F, G);
    (A, B, C, D, E, F, G, H);
    (A, B, C, D, E, F, G, H, I);
    (A, B, C, D, E, F, G, H, I, J);
    (A, B, C, D, E, F, G, H, I, J, K);
    (A, B, C, D, E, F, G, H, I, J, K, L);
}

macro_rules! elements {
    ($($type:ty),* $(,)?) => {$(
        impl Element for $type {}
    )*};
}

elements! {
    Value, bool, u16, u32, u64, usize, i8, i16, i32, i64, isize, f32, f64, (),
    str, String, [u8], Vec<u8>, BStr, BString, EnumValue,
    IpAddress, IpAddr, Ipv4Addr, Ipv6Addr, Subnet, Port, Timestamp, SystemTime, Timespan, Duration,
}

impl<T: Element + ?Sized> Element for &T {}
impl<T> Element for Option<T> {}
impl<T: Element> Element for Vec<T> {}
impl<T: Element> Element for [T] {}
impl<T: Element, const N: usize> Element for [T; N] {}
impl<const N: usize> Element for [u8; N] {}
impl<T> Element for BTreeSet<T> {}
impl<T, S> Element for HashSet<T, S> {}
impl<K, V> Element for BTreeMap<K, V> {}
impl<K, V, S> Element for HashMap<K, V, S> {}
